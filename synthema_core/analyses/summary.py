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

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import Factor, check_one_row_each
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.analyses.summary_course import FRACTIONAL_BITS, MOST_PATIENTS, Known, Shape
from synthema_core.analyses.summary_options import (
    ALL,
    check_quantiles,
    check_schema,
    check_variables,
    read_groups,
    read_quantiles,
    read_variables,
)
from synthema_core.analyses.summary_results import Told, Wanted
from synthema_core.analyses.summary_schedule import schedule
from synthema_core.analyses.summary_variables import Variable, check_required, variable_from_dict
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_TESTS = ("welch", "classical", "no")
_OPTIONS = tuple("columns by by-levels quantiles quantiles-of resolution tests smd confidence".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Summary:
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

    variables: tuple[Variable, ...]
    by: Factor | None
    quantiles: tuple[float, ...]
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
        check_confidence(self.confidence)
        check_variables(self.variables, self.by)
        check_quantiles(self.quantiles)
        if self.tests not in _TESTS:
            raise InvalidPlan("There is no such test.", f"Use one of {', '.join(_TESTS)}.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        check_one_row_each(schema, cls.name)
        by = read_groups(typed, schema)
        return cls(
            variables=read_variables(typed, schema, by),
            by=by,
            quantiles=read_quantiles(typed),
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
            variables=tuple(variable_from_dict(part) for part in data["variables"]),
            by=None if data["by"] is None else Factor.from_dict(data["by"]),
            quantiles=tuple(float(share) for share in data["quantiles"]),
            tests=str(data["tests"]),
            differences=bool(data["smd"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "variables": [variable.to_dict() for variable in self.variables],
            "by": self.by.to_dict() if self.by else None,
            "quantiles": list[Json](self.quantiles),
            "tests": self.tests,
            "smd": self.differences,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        check_one_row_each(schema, self.name)
        check_schema(self.variables, self.by, schema)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*([self.by.column.name] if self.by else []), *(variable.column.name for variable in self.variables))

    @property
    def _groups(self) -> tuple[tuple[str, str], ...]:
        return self.by.levels if self.by else ALL

    @property
    def _shape(self) -> Shape:
        groups, grouped = len(self._groups), self.by is not None
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

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self._group_of(rows) >= 0))

    def _group_of(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): each patient's group; -1 for none."""
        return self.by.indices(rows) if self.by else np.zeros(len(next(iter(rows.values()))), dtype=np.int64)

    def begin(self) -> Next:
        known = Known.nothing(self._shape)
        return Next(known.asked.values(), known)

    def check_input(self, values: Floats) -> None:
        self._shape.read(values)

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:
        check_required(self.variables, rows)
        shape = self._shape
        return shape.contribution(rows, self._group_of(rows), shape.read(values))

    def advance(self, memory: Any, sums: Sums) -> Next | Done:
        known = memory.after(sums.blocks["table"], sums.min_patients)
        if known.asked.round == self.max_rounds:
            return Done(self._result(known, sums.min_patients))
        known = known.asking_next()
        return Next(known.asked.values(), known)

    def _result(self, known: Known, min_patients: int) -> dict[str, Json]:
        told = Told(known, self._groups, Wanted(self.tests, self.differences, self.confidence), min_patients)
        groups: list[Json] = [
            {"code": code, "label": label, "patients": int(known.sizes[index])}
            for index, (code, label) in enumerate(self._groups)
            if index in told.shown
        ]
        return {
            "kind": self.name,
            "title": self.title,
            "by": self.by.column.to_dict() if self.by else None,
            "groups": groups if self.by else [],
            "patients": int(known.sizes[told.shown].sum()),
            "suppressed": [label for index, (_, label) in enumerate(self._groups) if index not in told.shown],
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
