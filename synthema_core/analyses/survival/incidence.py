"""Cumulative incidence by arm on a declared time grid, from exact counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import MOST_PATIENTS, Column, check_one_row_each, event_field, time_field
from synthema_core.analyses.options import Options, read_back
from synthema_core.analyses.survival.competing_curves import Arm, Shape
from synthema_core.analyses.survival.competing_risks import FIRST, CompetingRisks
from synthema_core.analyses.survival.follow_up import read_common, typed_grid, typed_group
from synthema_core.analyses.survival.incidence_results import Incidences
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_OPTIONS = ("time", "event", "competing", "group", "by-levels", "step", "exact-times", "horizon", "at", "confidence")
_NOTES = (
    FIRST,
    "Groups are compared by Gray's test, with a variance by the delta method over the counts of each group.",
)


@dataclass(frozen=True, slots=True)
class CumulativeIncidence(CompetingRisks):
    """How often an event comes first, by group.

    Parameters
    ----------
    exact_times
        As for `KaplanMeier`.
    """

    exact_times: bool

    name: ClassVar[str] = "cumulative-incidence"
    title: ClassVar[str] = "Cumulative incidence"
    private: ClassVar[bool] = False
    private_form: ClassVar[str] = "cumulative-incidence-private"

    def __post_init__(self) -> None:
        CompetingRisks.__post_init__(self)
        if self.exact_times and self.step != 1:
            raise InvalidPlan("Exact times have a step of 1.", "Leave --step out.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        check_one_row_each(schema, cls.name)
        time, longest = time_field(schema, typed.required("time"))
        event = event_field(schema, typed.required("event"))
        own, group = cls.typed(typed, schema), typed_group(typed, schema)
        step, horizon, exact_times = typed_grid(typed, time, longest)
        return cls(Column.of(time), Column.of(event), group, step, horizon, *own, exact_times)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(*read_common(data), *cls.own_fields(data), bool(data["exact_times"]))

    def parameters(self) -> dict[str, Json]:
        return {**CompetingRisks.parameters(self), "exact_times": self.exact_times}

    def check_against(self, schema: Schema) -> None:
        grid = {"exact-times": "yes"} if self.exact_times else {"step": repr(self.step)}
        self.check_is(type(self).from_options(self.as_typed | grid, schema), schema)

    @property
    def layout(self) -> Layout:
        return Layout((Block("counts", len(self.arms) * self._shape.length, MOST_PATIENTS),))

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    @property
    def time_step(self) -> float | None:
        return self.step

    @property
    def _shape(self) -> Shape:
        return Shape(len(self.causes), self.steps + 1, 0.0)  # the first cell is the time 0

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:  # noqa: ARG002  no iterate
        return self.counts_of(rows, self._shape, self.ended_in(rows))

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        shape = self._shape
        counts = sums.blocks["counts"].reshape(len(self.arms), shape.length)
        # An arm that is too small is left out of every number, the tests included: no difference reveals it.
        shown = [place for place, own in enumerate(counts) if own.sum() >= max(1, sums.min_patients)]
        grid = np.arange(shape.cells, dtype=np.float64) * self.step
        arms, groups = [Arm(shape, counts[place], 0.0) for place in shown], [self.arms[place] for place in shown]
        found = Incidences(self.causes, groups, arms, grid, self.confidence)
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                **self.heading(),
                "confidence": self.confidence,
                "grid": grid.tolist(),
                "patients": int(counts[shown].sum()),
                "arms": found.told(self.at),
                "suppressed": [label for place, (_, label) in enumerate(self.arms) if place not in shown],
                "tests": found.tests(),
                "at": found.differences(self.at),
                "notes": list[Json](_NOTES),
            }
        )
