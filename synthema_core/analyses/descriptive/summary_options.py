"""What a researcher types for a Table 1, and what a schema says to it; for its exact and its private form."""

from __future__ import annotations

from dataclasses import replace

from synthema_core.analyses.columns import Factor
from synthema_core.analyses.descriptive.summary_variables import USUAL_CELLS, Quantity, Variable, variable_of
from synthema_core.analyses.options import Options, read_number
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.schemas import Kind, Schema

ALL = (("", "all patients"),)
USUAL_QUANTILES = "0.25,0.5,0.75"
_MOST_VARIABLES = 200
_MOST_GROUPS = 50
_MOST_QUANTILES = 20


def read_groups(typed: Options, schema: Schema) -> Factor | None:
    """--by, with --by-levels."""
    if "by" not in typed:
        if "by-levels" in typed:
            raise InvalidInput("--by-levels chooses among the levels of a group.", "Give --by COLUMN, too.")
        return None
    factor = Factor.of(schema.field(typed.required("by")))
    return factor.only(typed.words("by-levels")) if "by-levels" in typed else factor


def read_quantiles(typed: Options) -> tuple[float, ...]:
    """--quantiles, ascending; none for the word."""
    if "quantiles" not in typed:
        return tuple(float(share) for share in USUAL_QUANTILES.split(","))
    if typed.required("quantiles").lower() == "none":
        return ()
    shares = typed.numbers("quantiles")
    check_quantiles(tuple(sorted(set(shares))))
    return tuple(sorted(set(shares)))


def check_quantiles(shares: tuple[float, ...]) -> None:
    if list(shares) != sorted(set(shares)) or not all(0 < share < 1 for share in shares):
        raise InvalidPlan("Quantiles lie between 0 and 1.", "For example --quantiles 0.25,0.5,0.75; or none.")
    if len(shares) > _MOST_QUANTILES:
        raise InvalidPlan(f"There are at most {_MOST_QUANTILES} quantiles.", "Ask for fewer.")


def read_variables(typed: Options, schema: Schema, by: Factor | None, cells: int = USUAL_CELLS) -> tuple[Variable, ...]:
    """--columns (all but identifiers), with the grids of --resolution and quantiles for --quantiles-of (all).

    Parameters
    ----------
    cells
        Steps of a grid, where none is given.
    """
    others = [field.name for field in schema.fields if field.kind is not Kind.IDENTIFIER]
    usual = [name for name in others if by is None or name != by.column.name]
    names = list(typed.words("columns")) if "columns" in typed else usual
    steps = _steps(typed)
    variables = tuple(variable_of(schema, name, steps, cells) for name in names)
    quantities = {variable.column.name for variable in variables if isinstance(variable, Quantity)}
    sought = set(typed.words("quantiles-of")) if "quantiles-of" in typed else quantities
    if stray := sorted((set(steps) | sought) - quantities):
        raise InvalidInput(f"'{stray[0]}' is none of the numbers that are asked for.", "Name it in --columns, too.")
    return tuple(
        replace(variable, sought=variable.column.name in sought) if isinstance(variable, Quantity) else variable
        for variable in variables
    )


def _steps(typed: Options) -> dict[str, float]:
    """``age=1,wbc=0.5`` by name."""
    if "resolution" not in typed:
        return {}
    found: dict[str, float] = {}
    for part in typed.words("resolution"):
        name, equals, step = (piece.strip() for piece in part.partition("="))
        if not equals or not name or name in found:
            raise InvalidInput("--resolution takes columns with steps.", "For example --resolution age=1,wbc=0.5.")
        found[name] = read_number("resolution", step)
        if found[name] <= 0:
            raise InvalidInput(f"The resolution of '{name}' is not above 0.", "For example --resolution age=1.")
    return found


def check_variables(variables: tuple[Variable, ...], by: Factor | None) -> None:
    names = [variable.column.name for variable in variables]
    if not names or len(names) > _MOST_VARIABLES or len(set(names)) != len(names):
        raise InvalidPlan(f"A Table 1 has 1 to {_MOST_VARIABLES} variables, each once.", "Name them with --columns.")
    if by and by.column.name in names:
        raise InvalidPlan(f"'{by.column.name}' makes the groups and is no variable too.", "Leave it out of --columns.")
    if by and len(by.levels) > _MOST_GROUPS:
        raise InvalidPlan(f"There are more than {_MOST_GROUPS} groups.", "Choose some with --by-levels.")


def check_schema(variables: tuple[Variable, ...], by: Factor | None, schema: Schema) -> None:
    """Raise unless every range, level and group is the schema's own."""
    for variable in variables:
        name = variable.column.name
        own: Variable = variable_of(schema, name, {name: variable.step} if isinstance(variable, Quantity) else {})
        if isinstance(variable, Quantity) and isinstance(own, Quantity):
            own = replace(own, sought=variable.sought)
        if own != variable:
            raise InvalidPlan(f"'{name}' is not in the Plan as it is in the schema.", "Plan again.")
    if by and Factor.of(schema.field(by.column.name)).only(code for code, _ in by.levels) != by:
        raise InvalidPlan("The Plan's groups are not the schema's.", "Plan again.")
