"""What tables of two categories have in common: rows, columns, and each patient's cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.columns import Factor
from synthema_core.analyses.one_round import OneRound
from synthema_core.analyses.options import Options, check_confidence
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

OPTIONS = ("rows", "columns", "missing", "confidence")
_MOST_CELLS = 400
_MISSING = ("", "missing")


@dataclass(frozen=True, slots=True)
class TwoWay(OneRound):
    """How many patients have which levels of two columns.

    Parameters
    ----------
    missing
        Whether a missing value is a level; else patients without a value in both are left out, and counted.
    """

    row: Factor
    column: Factor
    missing: bool
    confidence: float

    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.row.column.name == self.column.column.name:
            raise InvalidPlan("A table has one column in its rows and another in its columns.")
        if math.prod(self.shape) > _MOST_CELLS:
            raise InvalidPlan(f"The table has more than {_MOST_CELLS} cells.", "Use recode() to join levels.")

    @staticmethod
    def typed(typed: Options, schema: Schema) -> tuple[Factor, Factor, bool, float]:
        """The fields of a question as it was typed."""
        row, column = typed.required("rows"), typed.required("columns")
        if row == column:
            raise InvalidInput("A table has one column in its rows and another in its columns.", "Name two columns.")
        rows, columns = (Factor.of(schema.field(name)) for name in (row, column))
        return rows, columns, typed.flag("missing"), typed.confidence()

    @staticmethod
    def fields(data: Mapping[str, Any]) -> tuple[Factor, Factor, bool, float]:
        """Those of `parameters`."""
        rows, columns = (Factor.from_dict(data[side]) for side in ("rows", "columns"))
        return rows, columns, bool(data["missing"]), float(data["confidence"])

    def parameters(self) -> dict[str, Json]:
        return {
            "rows": self.row.to_dict(),
            "columns": self.column.to_dict(),
            "missing": self.missing,
            "confidence": self.confidence,
        }

    @property
    def as_typed(self) -> dict[str, str]:
        return {
            "rows": self.row.column.name,
            "columns": self.column.column.name,
            "missing": "yes" if self.missing else "no",
            "confidence": repr(self.confidence),
        }

    @property
    def columns(self) -> tuple[str, ...]:
        return self.row.column.name, self.column.column.name

    @property
    def levels(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """(code, label) of the rows and of the columns of the table that is shown."""
        more = [_MISSING] if self.missing else []
        return [*self.row.levels, *more], [*self.column.levels, *more]

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.levels
        return len(rows), len(columns)

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self.cell_of(rows) >= 0))

    def cell_of(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): each row's cell, counted row by row; -1 for those that are in none."""
        row, column = (factor.indices(rows) for factor in (self.row, self.column))
        if self.missing:
            row, column = (
                np.where(found < 0, len(factor.levels), found)
                for found, factor in ((row, self.row), (column, self.column))
            )
        return np.where((row >= 0) & (column >= 0), row * self.shape[1] + column, -1)

    def known(self, table: Floats) -> Floats:
        """Of those with both values: a missing one is no level of anything that is tested."""
        return table[: len(self.row.levels), : len(self.column.levels)]


def side(factor: Factor, levels: list[tuple[str, str]], patients: list[int | None]) -> dict[str, Json]:
    """The rows or the columns as a result tells them."""
    told: list[Json] = [
        {"code": code, "label": label, "patients": count} for (code, label), count in zip(levels, patients, strict=True)
    ]
    return {**factor.column.to_dict(), "levels": told}
