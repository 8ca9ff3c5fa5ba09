"""A table of two categories with noise: one secure sum of noisy counts, charged to the patients' Budget.

Each patient is in one cell, or in the number of those left out: one of these changes by 1. What is shown is the nearest
table of whole numbers, none below zero, so rows, columns and total add up; tests and intervals are of the noisy counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.descriptive.noisy_contingency import effects, independence
from synthema_core.analyses.descriptive.noisy_tables import plausible
from synthema_core.analyses.descriptive.two_way import OPTIONS, TwoWay, side
from synthema_core.analyses.noisy_cells import NoisyCells
from synthema_core.analyses.options import Options, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.privacy.bounding import Bounding
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class PrivateCrosstab(NoisyCells, TwoWay):
    """How many patients have which levels of two columns, with noise.

    Parameters
    ----------
    cuts
        Whether the schema allows a patient more than the one row that is kept. Then those are counted who have more.
    """

    cuts: bool

    name: ClassVar[str] = "crosstab-private"
    title: ClassVar[str] = "Patients by two categories, with noise"
    exact_form: ClassVar[str] = "crosstab"

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        return cls(*cls.typed(Options(cls.name, options, OPTIONS), schema), schema.rows_per_patient > 1)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(*cls.fields(data), bool(data["cuts_counted"]))

    def parameters(self) -> dict[str, Json]:
        return {**super(PrivateCrosstab, self).parameters(), "cuts_counted": self.cuts}

    def check_against(self, schema: Schema) -> None:
        if type(self).from_options(self.as_typed, schema) != self:
            raise InvalidPlan("The Plan's columns or levels are not the schema's.", "Plan again.")

    @property
    def cells(self) -> int:
        """Those of the table, and one of who is left out."""
        return math.prod(self.shape) + 1

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002  no iterate
        """Patients in each cell, then those left out."""
        bounded = Bounding(1).apply({name: rows[name] for name in self.columns}, patients)
        cells = self.cell_of(bounded.rows)
        counts = np.bincount(np.where(cells < 0, self.cells - 1, cells), minlength=self.cells)
        return self.added(counts.astype(np.float64), bounded)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        cells, deviation = sums.blocks["cells"], self.deviation_in(sums)
        table = cells[:-1].reshape(self.shape)
        known = self.known(table)
        return Done(
            {
                "kind": "crosstab",
                "title": self.title,
                "private": True,
                "confidence": self.confidence,
                "noise_standard_deviation": deviation,
                "reach": cuts.estimate(0.0, deviation, self.confidence)["reach"],
                **self._shown(table),
                "noisy_counts": [list[Json](line) for line in table.tolist()],
                "left_out": max(0, round(float(cells[-1]))),
                "suppressed": False,
                "tests": independence(known, deviation),
                "effects": effects(known, deviation, self.confidence) if known.shape == (2, 2) else None,
                "bounding": self.bounding_told(sums),
            }
        )

    def _shown(self, table: Floats) -> dict[str, Json]:
        """Whole numbers that add up."""
        total = max(0, round(float(table.sum())))
        whole = np.array(plausible(table.reshape(-1), total)).reshape(self.shape)
        rows, columns = self.levels
        return {
            "rows": side(self.row, rows, [int(count) for count in whole.sum(1)]),
            "columns": side(self.column, columns, [int(count) for count in whole.sum(0)]),
            "counts": list[Json](whole.tolist()),
            "total": total,
        }
