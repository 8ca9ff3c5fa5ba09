"""A table of two categories: exact counts from one secure sum, tests of independence, effects of two by two.

Counts from 1 to below the least that may be shown are left out, and so are those from which they would follow. With a
cell left out there is no test and no effect: to twelve digits, a chi-square value is the cell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import MOST_PATIENTS, Column, Factor, check_one_row_each
from synthema_core.analyses.descriptive.contingency import TwoByTwo, associations
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.canonical import Json
from synthema_core.disclosure.count_tables import Hidden, hidden_in
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, RoundFailed
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_CELLS = 400
_MISSING = ("", "missing")


@dataclass(frozen=True, slots=True)
class Crosstab:
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

    name: ClassVar[str] = "crosstab"
    title: ClassVar[str] = "Patients by two categories"
    private: ClassVar[bool] = False
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.row.column.name == self.column.column.name:
            raise InvalidPlan("A table has one column in its rows and another in its columns.")
        if math.prod(self._shape) > _MOST_CELLS:
            raise InvalidPlan(f"The table has more than {_MOST_CELLS} cells.", "Use recode() to join levels.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, ("rows", "columns", "missing", "confidence"))
        check_one_row_each(schema, cls.name)
        row, column = typed.required("rows"), typed.required("columns")
        if row == column:
            raise InvalidInput("A table has one column in its rows and another in its columns.", "Name two columns.")
        rows, columns = (Factor.of(schema.field(name)) for name in (row, column))
        return cls(rows, columns, typed.flag("missing"), typed.confidence())

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            row=Factor.from_dict(data["rows"]),
            column=Factor.from_dict(data["columns"]),
            missing=bool(data["missing"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "rows": self.row.to_dict(),
            "columns": self.column.to_dict(),
            "missing": self.missing,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {
            "rows": self.row.column.name,
            "columns": self.column.column.name,
            "missing": "yes" if self.missing else "no",
            "confidence": repr(self.confidence),
        }
        if type(self).from_options(typed, schema) != self:
            raise InvalidPlan("The Plan's columns or levels are not the schema's.", "Plan again.")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.row.column.name, self.column.column.name

    @property
    def _levels(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """(code, label) of the rows and of the columns of the table that is shown."""
        more = [_MISSING] if self.missing else []
        return [*self.row.levels, *more], [*self.column.levels, *more]

    @property
    def _shape(self) -> tuple[int, int]:
        rows, columns = self._levels
        return len(rows), len(columns)

    @property
    def layout(self) -> Layout:
        return Layout((Block("counts", math.prod(self._shape), MOST_PATIENTS), Block("left_out", 1, MOST_PATIENTS)))

    @property
    def max_rounds(self) -> int:
        return 1

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(np.all(self._places(rows) >= 0, axis=0)))

    def _places(self, rows: Rows) -> NDArray[np.int64]:
        """(2, n): each patient's row and column; -1 for who is in none."""
        found = np.array([factor.indices(rows) for factor in (self.row, self.column)])
        if self.missing:
            lasts = np.array([[len(factor.levels)] for factor in (self.row, self.column)])
            found = np.where(found < 0, lasts, found)
        return found

    def begin(self) -> Next:
        return Next(np.zeros(0))

    def check_input(self, values: Floats) -> None:
        if values.shape != (0,):
            raise Refused("This analysis takes no input.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:  # noqa: ARG002  no iterate
        row, column = self._places(rows)
        inside = (row >= 0) & (column >= 0)
        cells = row[inside] * self._shape[1] + column[inside]
        counts = np.bincount(cells, minlength=math.prod(self._shape))
        return np.append(counts, np.count_nonzero(~inside)).astype(np.float64)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        table, left_out = sums.blocks["counts"].reshape(self._shape), float(sums.blocks["left_out"][0])
        least = max(1, sums.min_patients)
        if table.sum() < least:
            raise RoundFailed("Too few patients have a value in both columns.", "Choose other columns or more sites.")
        hidden = hidden_in(table, least)
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                "confidence": self.confidence,
                "min_patients": least,
                **self._shown(table, hidden),
                "left_out": int(left_out) if left_out == 0 or left_out >= least else None,
                "suppressed": hidden.any,
                **(_NOTHING_TESTED if hidden.any else self._tested(table)),
            }
        )

    def _shown(self, table: Floats, hidden: Hidden) -> dict[str, Json]:
        rows, columns = self._levels
        return {
            "rows": _side(self.row.column, rows, table.sum(1), hidden.rows),
            "columns": _side(self.column.column, columns, table.sum(0), hidden.columns),
            "counts": [list[Json](_kept(*line)) for line in zip(table, hidden.cells, strict=True)],
            "total": None if hidden.total else int(table.sum()),
        }

    def _tested(self, table: Floats) -> dict[str, Json]:
        """Of those with both values: a missing one is no level of anything that is tested."""
        known = table[: len(self.row.levels), : len(self.column.levels)]
        effects = TwoByTwo(known, self.confidence).effects() if known.shape == (2, 2) else None
        return {"tests": associations(known), "effects": effects}


_NOTHING_TESTED: Mapping[str, Json] = {"tests": None, "effects": None}


def _kept(counts: Floats, hidden: NDArray[np.bool_]) -> list[int | None]:
    return [None if gone else int(count) for count, gone in zip(counts, hidden, strict=True)]


def _side(column: Column, levels: list[tuple[str, str]], totals: Floats, hidden: NDArray[np.bool_]) -> dict[str, Json]:
    told: list[Json] = [
        {"code": code, "label": label, "patients": count}
        for (code, label), count in zip(levels, _kept(totals, hidden), strict=True)
    ]
    return {**column.to_dict(), "levels": told}
