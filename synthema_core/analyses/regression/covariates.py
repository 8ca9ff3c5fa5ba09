"""A Cox model's covariates and its terms: one for a number or boolean, one for each further level of a category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.analyses.columns import Column, Factor, numeric_field
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.schemas import Kind, Schema
from synthema_core.secure_sum.layout import Floats

_PLURALS = frozenset({"days", "weeks", "months", "years"})


@dataclass(frozen=True, slots=True)
class Term:
    """One coefficient. `scale` turns it into original units: those of one `per`."""

    name: str
    label: str
    unit: str
    per: str
    scale: float


@dataclass(frozen=True, slots=True)
class Number:
    """A covariate on a range, computed as (value - centre) / half_range, which lies between -1 and 1."""

    column: Column
    centre: float
    half_range: float

    def __post_init__(self) -> None:
        if not 0 < self.half_range < float("inf"):
            raise InvalidPlan(f"The covariate '{self.column.name}' needs a range.")

    @property
    def terms(self) -> tuple[Term, ...]:
        unit = self.column.unit.removesuffix("s") if self.column.unit in _PLURALS else self.column.unit
        per = f"1 {unit}".rstrip()
        return (Term(self.column.name, self.column.label, self.column.unit, per, self.half_range),)

    def design(self, rows: Rows) -> Floats:
        """(n, 1)."""
        scaled: Floats = (rows[self.column.name][:, np.newaxis] - self.centre) / self.half_range
        return scaled

    def to_dict(self) -> dict[str, Json]:
        return {**self.column.to_dict(), "centre": self.centre, "half_range": self.half_range}


@dataclass(frozen=True, slots=True)
class Grouping:
    """A covariate in groups, each compared with the first: a column of 0 and 1 for every other level."""

    factor: Factor

    def __post_init__(self) -> None:
        if len(self.factor.levels) < 2:
            raise InvalidPlan(f"The covariate '{self.column.name}' needs at least two levels.")

    @property
    def column(self) -> Column:
        return self.factor.column

    @property
    def terms(self) -> tuple[Term, ...]:
        (_, reference), *others = self.factor.levels
        return tuple(
            Term(
                name=self.column.name if self.factor.is_boolean else f"{self.column.name}={code}",
                label=self.column.label if self.factor.is_boolean else f"{self.column.label}: {label}",
                unit=self.column.unit,
                per=f"{label} vs {reference}",
                scale=1.0,
            )
            for code, label in others
        )

    def design(self, rows: Rows) -> Floats:
        """(n, levels - 1)."""
        positions = self.factor.indices(rows)[:, np.newaxis]
        return np.where(positions == np.arange(1, len(self.factor.levels)), 1.0, 0.0)

    def to_dict(self) -> dict[str, Json]:
        return self.factor.to_dict()


def covariate_of(schema: Schema, name: str) -> Number | Grouping:
    """The covariate in that column, with the schema's constants. Raises InvalidInput for identifiers."""
    kind = schema.field(name).kind
    if kind not in (Kind.NUMBER, Kind.INTEGER):
        return Grouping(Factor.of(schema.field(name)))
    field, low, high = numeric_field(schema, name)
    return Number(Column.of(field), (low + high) / 2, (high - low) / 2)


def covariate_from_dict(data: Mapping[str, Any]) -> Number | Grouping:
    if "levels" in data:
        return Grouping(Factor.from_dict(data))
    return Number(Column.from_dict(data), float(data["centre"]), float(data["half_range"]))
