"""What the exact and the private form of a Table 1 have in common: variables, groups, quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.columns import Factor
from synthema_core.analyses.descriptive.summary_options import (
    ALL,
    check_quantiles,
    check_variables,
    read_groups,
    read_quantiles,
    read_variables,
)
from synthema_core.analyses.descriptive.summary_variables import Category, Quantity, Variable, variable_from_dict
from synthema_core.analyses.options import Options
from synthema_core.canonical import Json
from synthema_core.schemas import Schema

Common: TypeAlias = tuple[tuple[Variable, ...], Factor | None, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Characteristics:
    """The variables of a Table 1 by group.

    Parameters
    ----------
    by
        The groups; None for none. Patients of other levels, or without one, are counted and left out.
    quantiles
        Ascending, between 0 and 1; of the quantities that are `sought`.
    """

    variables: tuple[Variable, ...]
    by: Factor | None
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        check_variables(self.variables, self.by)
        check_quantiles(self.quantiles)

    def parameters(self) -> dict[str, Json]:
        return {
            "variables": [variable.to_dict() for variable in self.variables],
            "by": self.by.to_dict() if self.by else None,
            "quantiles": list[Json](self.quantiles),
        }

    @property
    def columns(self) -> tuple[str, ...]:
        return (*([self.by.column.name] if self.by else []), *(variable.column.name for variable in self.variables))

    @property
    def groups(self) -> tuple[tuple[str, str], ...]:
        """Codes and labels."""
        return self.by.levels if self.by else ALL

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return tuple(variable for variable in self.variables if isinstance(variable, Quantity))

    @property
    def categories(self) -> tuple[Category, ...]:
        return tuple(variable for variable in self.variables if isinstance(variable, Category))

    def group_of(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): each patient's group; -1 for none."""
        return self.by.indices(rows) if self.by else np.zeros(len(next(iter(rows.values()))), dtype=np.int64)

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self.group_of(rows) >= 0))


def read_common(data: Mapping[str, Any]) -> Common:
    """Variables, groups and quantiles of a Plan."""
    return (
        tuple(variable_from_dict(part) for part in data["variables"]),
        None if data["by"] is None else Factor.from_dict(data["by"]),
        tuple(float(share) for share in data["quantiles"]),
    )


def typed_common(typed: Options, schema: Schema, cells: int) -> Common:
    """The same, as a researcher types it; `cells`: see `read_variables`."""
    by = read_groups(typed, schema)
    return read_variables(typed, schema, by, cells), by, read_quantiles(typed)
