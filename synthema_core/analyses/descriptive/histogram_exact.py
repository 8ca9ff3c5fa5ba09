"""How many patients are in each cell, without noise, where every site's policy allows exact sums."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import MOST_PATIENTS, check_one_row_each
from synthema_core.analyses.descriptive.histogram import Histogram
from synthema_core.analyses.one_round import OneRound
from synthema_core.analyses.options import Options, read_back
from synthema_core.canonical import Json
from synthema_core.disclosure.count_tables import hidden_in
from synthema_core.errors import InvalidPlan, RoundFailed
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_OPTIONS = ("column", "bins", "edges")
_PARTS = ("column", "counted", "edges", "missing")


@dataclass(frozen=True, slots=True)
class ExactHistogram(OneRound):
    """The cells of a Histogram, counted exactly.

    Parameters
    ----------
    counted
        What is counted: its cells, and who is in which. Nothing of its noise is used.
    """

    counted: Histogram

    name: ClassVar[str] = "histogram-exact"
    title: ClassVar[str] = "Patients by group"
    private: ClassVar[bool] = False
    private_form: ClassVar[str] = "histogram"
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        Options(cls.name, options, _OPTIONS)  # says what it has, in its own name
        check_one_row_each(schema, cls.name)
        return cls(Histogram.from_options(options, schema))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(Histogram.from_parameters({**data, "confidence": 0.95}))

    def parameters(self) -> dict[str, Json]:
        whole = self.counted.parameters()
        return {part: whole[part] for part in _PARTS}

    def check_against(self, schema: Schema) -> None:
        self.counted.check_against(schema)
        if schema.rows_per_patient > 1:
            raise InvalidPlan("Exact counts are of a row for each patient.", "Ask for the private form.")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.counted.columns

    @property
    def layout(self) -> Layout:
        return Layout((Block("cells", len(self.counted.cells), MOST_PATIENTS),))

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self.counted.cell_of(rows) >= 0))

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:  # noqa: ARG002  no iterate
        cell = self.counted.cell_of(rows)
        return np.bincount(cell[cell >= 0], minlength=len(self.counted.cells)).astype(np.float64)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        counts, least = sums.blocks["cells"], max(1, sums.min_patients)
        if counts.sum() < least:
            raise RoundFailed("Too few patients have a value.", "Choose another column or more sites.")
        hidden = hidden_in(counts[:, np.newaxis], least)
        shown = [None if gone else int(count) for count, gone in zip(counts, hidden.cells[:, 0], strict=True)]
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                "column": self.counted.source.to_dict() if self.counted.column else None,
                "min_patients": least,
                "cells": [
                    {"label": label, "low": low, "high": high, "count": count}
                    for (label, low, high), count in zip(self.counted.cells, shown, strict=True)
                ],
                "total": None if hidden.total else int(counts.sum()),
                "suppressed": hidden.any,
            }
        )
