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

from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import MOST_PATIENTS, check_one_row_each
from synthema_core.analyses.descriptive.contingency import TwoByTwo, associations
from synthema_core.analyses.descriptive.two_way import OPTIONS, TwoWay, side
from synthema_core.analyses.options import Options, read_back
from synthema_core.canonical import Json
from synthema_core.disclosure.count_tables import Hidden, hidden_in
from synthema_core.errors import InvalidPlan, RoundFailed
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_NOTHING_TESTED: Mapping[str, Json] = {"tests": None, "effects": None}


@dataclass(frozen=True, slots=True)
class Crosstab(TwoWay):
    """How many patients have which levels of two columns."""

    name: ClassVar[str] = "crosstab"
    title: ClassVar[str] = "Patients by two categories"
    private: ClassVar[bool] = False
    private_form: ClassVar[str] = "crosstab-private"

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        check_one_row_each(schema, cls.name)
        return cls(*cls.typed(Options(cls.name, options, OPTIONS), schema))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(*cls.fields(data))

    def check_against(self, schema: Schema) -> None:
        if type(self).from_options(self.as_typed, schema) != self:
            raise InvalidPlan("The Plan's columns or levels are not the schema's.", "Plan again.")

    @property
    def layout(self) -> Layout:
        return Layout((Block("counts", math.prod(self.shape), MOST_PATIENTS), Block("left_out", 1, MOST_PATIENTS)))

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:  # noqa: ARG002  no iterate
        cells = self.cell_of(rows)
        counts = np.bincount(cells[cells >= 0], minlength=math.prod(self.shape))
        return np.append(counts, np.count_nonzero(cells < 0)).astype(np.float64)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        table, left_out = sums.blocks["counts"].reshape(self.shape), float(sums.blocks["left_out"][0])
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
        rows, columns = self.levels
        return {
            "rows": side(self.row, rows, _kept(table.sum(1), hidden.rows)),
            "columns": side(self.column, columns, _kept(table.sum(0), hidden.columns)),
            "counts": [list[Json](_kept(*line)) for line in zip(table, hidden.cells, strict=True)],
            "total": None if hidden.total else int(table.sum()),
        }

    def _tested(self, table: Floats) -> dict[str, Json]:
        known = self.known(table)
        effects = TwoByTwo(known, self.confidence).effects() if known.shape == (2, 2) else None
        return {"tests": associations(known), "effects": effects}


def _kept(counts: Floats, hidden: NDArray[np.bool_]) -> list[int | None]:
    return [None if gone else int(count) for count, gone in zip(counts, hidden, strict=True)]
