"""Table 1: what the patients of all sites are like, by group, exactly.

*Exactness.* Counts and quantiles equal the pooled ones; means equal them to 1e-8 standard deviations, standard
deviations and tests to a relative 1e-6 (see `summary_course`). A quantile is that of the values rounded to the grid:
the smallest value of the grid at which the cumulative share reaches q, numpy's `inverted_cdf`. It is found by
bisection; the number of Rounds follows from the grids alone. Minimum and maximum are not told: each is the value of one
patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import check_one_row_each
from synthema_core.analyses.descriptive.summary_course import FRACTIONAL_BITS, MOST_PATIENTS, Known, Shape
from synthema_core.analyses.descriptive.summary_options import (
    check_schema,
)
from synthema_core.analyses.descriptive.summary_question import Characteristics, read_common, typed_common
from synthema_core.analyses.descriptive.summary_results import Told, Wanted
from synthema_core.analyses.descriptive.summary_schedule import schedule
from synthema_core.analyses.descriptive.summary_variables import USUAL_CELLS, check_required
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_TESTS = ("welch", "classical", "no")
_OPTIONS = (
    "columns",
    "by",
    "by-levels",
    "quantiles",
    "quantiles-of",
    "resolution",
    "tests",
    "smd",
    "confidence",
)


@dataclass(frozen=True, slots=True)
class Summary(Characteristics):
    """The variables of a Table 1 by group.

    Parameters
    ----------
    by
        The groups; None for none. Patients of other levels, or without one, are counted and left out.
    quantiles
        Ascending, between 0 and 1; of the quantities in `quantiles_of`.
    tests
        Whether groups are tested for a difference: not assuming equal variances (`welch`), assuming them (`classical`),
        or not at all (`no`).
    differences
        Whether there are standardised differences.
    """

    tests: str
    differences: bool
    confidence: float

    name: ClassVar[str] = "summary"
    title: ClassVar[str] = "Table 1: characteristics of the patients"
    private: ClassVar[bool] = False
    private_form: ClassVar[str] = "summary-private"
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        Characteristics.__post_init__(self)
        check_confidence(self.confidence)
        if self.tests not in _TESTS:
            raise InvalidPlan("There is no such test.", f"Use one of {', '.join(_TESTS)}.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        check_one_row_each(schema, cls.name)
        return cls(
            *typed_common(typed, schema, USUAL_CELLS),
            tests=typed.choice("tests", _TESTS, "welch"),
            differences=typed.choice("smd", ("yes", "no"), "yes") == "yes",
            confidence=typed.confidence(),
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            *read_common(data),
            tests=str(data["tests"]),
            differences=bool(data["smd"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            **Characteristics.parameters(self),
            "tests": self.tests,
            "smd": self.differences,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        check_one_row_each(schema, self.name)
        check_schema(self.variables, self.by, schema)

    @property
    def _shape(self) -> Shape:
        groups, grouped = len(self.groups), self.by is not None
        planned = schedule(self.variables, groups, grouped, len(self.quantiles))
        return Shape(self.variables, groups, grouped, self.quantiles, planned)

    @property
    def layout(self) -> Layout:
        """Counts of patients, and sums of what is at most 1 or has squares that sum to MOST_PATIENTS over all sites."""
        return Layout((Block("table", self._shape.schedule.length, MOST_PATIENTS, FRACTIONAL_BITS),))

    @property
    def max_rounds(self) -> int:
        return len(self._shape.schedule.shares)

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    def begin(self) -> Next:
        known = Known.nothing(self._shape)
        return Next(known.asked.values(), known)

    def check_input(self, values: Floats) -> None:
        self._shape.read(values)

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:
        check_required(self.variables, rows)
        shape = self._shape
        return shape.contribution(rows, self.group_of(rows), shape.read(values))

    def advance(self, memory: Any, sums: Sums) -> Next | Done:
        known = memory.after(sums.blocks["table"], sums.min_patients)
        if known.asked.round == self.max_rounds:
            return Done(self._result(known, sums.min_patients))
        known = known.asking_next()
        return Next(known.asked.values(), known)

    def _result(self, known: Known, min_patients: int) -> dict[str, Json]:
        told = Told(known, self.groups, Wanted(self.tests, self.differences, self.confidence), min_patients)
        groups: list[Json] = [
            {"code": code, "label": label, "patients": int(known.sizes[index])}
            for index, (code, label) in enumerate(self.groups)
            if index in told.shown
        ]
        return {
            "kind": self.name,
            "title": self.title,
            "by": self.by.column.to_dict() if self.by else None,
            "groups": groups if self.by else [],
            "patients": int(known.sizes[told.shown].sum()),
            "suppressed": [label for index, (_, label) in enumerate(self.groups) if index not in told.shown],
            "without_group": told.outside if self.by else 0,
            "quantiles": list[Json](self.quantiles),
            "confidence": self.confidence,
            "tests": self.tests if self.by else "no",
            "min_patients": min_patients,
            "private": False,
            "variables": told.variables,
            "notes": list[Json](self._notes),
        }

    @property
    def _notes(self) -> list[str]:
        rounded = (
            "Quantiles are of values rounded to the nearest multiple of each resolution: the smallest one at which the "
            "cumulative share reaches q."
        )
        extremes = "Minimum and maximum are not told: each is one patient's value."
        return [rounded, extremes] if self.quantiles and self._shape.quantities else [extremes]
