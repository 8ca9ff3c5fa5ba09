"""The variables of a Table 1: quantities on a grid, and categories, with the constants their schema gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.columns import Column, Factor, complete, numeric_field
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan, Refused
from synthema_core.schemas import Field, Kind, Schema
from synthema_core.secure_sum.layout import Floats

USUAL_CELLS = 256
PRIVATE_CELLS = 63
"""Steps of a grid, where none is given."""
MOST_CELLS = 65_536
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number or integer.

    Parameters
    ----------
    low, high
        The schema's range.
    step
        Quantiles are those of values rounded to the nearest multiple of this, halves upwards.
    required
        Whether the schema lets no row leave it out.
    sought
        Whether its quantiles are asked for.
    """

    column: Column
    low: float
    high: float
    step: float
    required: bool
    sought: bool = True

    def __post_init__(self) -> None:
        if not (self.low < self.high and 0 < self.step < math.inf and self.high - self.low < MOST_CELLS * self.step):
            raise InvalidPlan(
                f"The resolution of '{self.column.name}' has to cut its range into at most {MOST_CELLS:,} steps.",
                "Leave it out for the usual one.",
            )

    @classmethod
    def of(cls, schema: Schema, name: str, step: float | None, cells: int) -> Self:
        field, low, high = numeric_field(schema, name)
        return cls(Column.of(field), low, high, step or usual_step(field, cells), field.required)

    @property
    def first(self) -> int:
        """The first multiple of `step` in use."""
        return math.floor(self.low / self.step + 0.5)

    @property
    def cells(self) -> int:
        """How many values the grid has."""
        return math.floor(self.high / self.step + 0.5) - self.first + 1

    def value(self, cell: int) -> float:
        return round((self.first + cell) * self.step, _DIGITS)

    @property
    def centre(self) -> float:
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    def scaled(self, rows: Rows) -> Floats:
        """(n,): values between -1 and 1; NaN where missing."""
        return np.clip((rows[self.column.name] - self.centre) / self.half, -1.0, 1.0)

    def on_grid(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): each value's place on the grid; beyond it where missing."""
        values = np.clip(rows[self.column.name], self.low, self.high)
        cells = np.floor(values / self.step + 0.5) - self.first
        return np.where(np.isnan(cells), self.cells, cells).astype(np.int64)

    def to_dict(self) -> dict[str, Json]:
        return {
            **self.column.to_dict(),
            "range": [self.low, self.high],
            "resolution": self.step,
            "required": self.required,
            "quantiles": self.sought,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        low, high = data["range"]
        return cls(
            column=Column.from_dict(data),
            low=float(low),
            high=float(high),
            step=float(data["resolution"]),
            required=bool(data["required"]),
            sought=bool(data["quantiles"]),
        )


@dataclass(frozen=True, slots=True)
class Category:
    """A category or boolean. `required` as for a Quantity."""

    factor: Factor
    required: bool

    @classmethod
    def of(cls, schema: Schema, name: str) -> Self:
        field = schema.field(name)
        return cls(Factor.of(field), field.required)

    @property
    def column(self) -> Column:
        return self.factor.column

    @property
    def asked(self) -> int:
        """How many counts are asked for in a group: where nothing is missing, the last one is the rest."""
        return len(self.factor.levels) - self.required

    def to_dict(self) -> dict[str, Json]:
        return {**self.factor.to_dict(), "required": self.required}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(Factor.from_dict(data), bool(data["required"]))


Variable = Quantity | Category


def usual_step(field: Field, cells: int) -> float:
    """So small a part of the range, rounded up; whole for integers."""
    assert field.minimum is not None and field.maximum is not None, "a number has a range"
    step = round_step((field.maximum - field.minimum) / cells)
    return max(1.0, step) if field.kind is Kind.INTEGER else step


def round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten: the smallest that is not below `least`."""
    power = math.floor(math.log10(least))
    steps = (float(f"{factor}e{power}") for factor in (1, 2, 5, 10))
    return next(step for step in steps if step >= least * (1 - 1e-9))


def variable_of(schema: Schema, name: str, steps: Mapping[str, float], cells: int = USUAL_CELLS) -> Variable:
    """The variable in that column. Raises InvalidInput for identifiers."""
    kind = schema.field(name).kind
    if kind in (Kind.NUMBER, Kind.INTEGER):
        return Quantity.of(schema, name, steps.get(name), cells)
    if name in steps:
        raise InvalidInput(f"'{name}' has no resolution: it is no number.", "Give --resolution for numbers only.")
    return Category.of(schema, name)


def variable_from_dict(data: Mapping[str, Any]) -> Variable:
    return Category.from_dict(data) if "levels" in data else Quantity.from_dict(data)


def check_required(variables: tuple[Variable, ...], rows: Rows) -> None:
    """Where the schema lets nobody leave a value out, how many have one is not asked for."""
    for variable in variables:
        if variable.required and not complete(rows, (variable.column.name,)).all():
            raise Refused(
                f"'{variable.column.name}' has empty values, and the schema says it has none.",
                "Let the schema allow them, or take in the table again.",
                rule="required",
            )
