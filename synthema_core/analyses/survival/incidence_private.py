"""Cumulative incidence by arm from noisy life tables, charged to the patients' Budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import Column, event_field, time_field
from synthema_core.analyses.descriptive.summary_variables import round_step
from synthema_core.analyses.noisy_cells import NoisyCells
from synthema_core.analyses.options import Options, read_back
from synthema_core.analyses.survival.competing_curves import Arm, Shape
from synthema_core.analyses.survival.competing_risks import FIRST, CompetingRisks
from synthema_core.analyses.survival.follow_up import read_common, typed_group, typed_horizon
from synthema_core.analyses.survival.incidence_results import Incidences
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.privacy.bounding import Bounding
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

_USUAL_STEPS, _MOST_STEPS = 20, 500
_OPTIONS = ("time", "event", "competing", "group", "by-levels", "step", "horizon", "at", "confidence")


@dataclass(frozen=True, slots=True)
class PrivateCumulativeIncidence(NoisyCells, CompetingRisks):
    """How often an event comes first, by group, with noise.

    Parameters
    ----------
    cuts
        Whether the schema allows a patient more than the one row that is kept. Then those are counted who have more.
    """

    cuts: bool

    name: ClassVar[str] = "cumulative-incidence-private"
    title: ClassVar[str] = "Cumulative incidence, with noise"
    exact_form: ClassVar[str] = "cumulative-incidence"

    def __post_init__(self) -> None:
        CompetingRisks.__post_init__(self)
        if self.steps > _MOST_STEPS:
            raise InvalidPlan(f"With noise, a time grid has at most {_MOST_STEPS} steps.", "Use a larger --step.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        time, longest = time_field(schema, typed.required("time"))
        event = event_field(schema, typed.required("event"))
        own, group = cls.typed(typed, schema), typed_group(typed, schema)
        step = typed.number("step", round_step(typed.number("horizon", longest) / _USUAL_STEPS))
        if step <= 0:
            raise InvalidInput(f"The time grid on '{time.name}' needs a step above 0.", "Give --step, in its unit.")
        horizon = typed_horizon(typed, step, longest)
        return cls(Column.of(time), Column.of(event), group, step, horizon, *own, schema.rows_per_patient > 1)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(*read_common(data), *cls.own_fields(data), bool(data["cuts_counted"]))

    def parameters(self) -> dict[str, Json]:
        return {**CompetingRisks.parameters(self), "cuts_counted": self.cuts}

    def check_against(self, schema: Schema) -> None:
        self.check_is(type(self).from_options(self.as_typed | {"step": repr(self.step)}, schema), schema)

    @property
    def _shape(self) -> Shape:
        return Shape(len(self.causes), self.steps, 0.5)

    @property
    def cells(self) -> int:
        return len(self.arms) * self._shape.length

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002  no iterate
        bounded = Bounding(1).apply({name: rows[name] for name in self.columns}, patients)
        cell = np.maximum(self.ended_in(bounded.rows), 1) - 1
        counts = self.counts_of(bounded.rows, self._shape, cell)
        return self.added(counts, bounded)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        shape, deviation = self._shape, self.deviation_in(sums)
        grid = np.arange(1, shape.cells + 1, dtype=np.float64) * self.step
        counts = sums.blocks["cells"].reshape(len(self.arms), shape.length)
        arms = [Arm(shape, own, deviation**2) for own in counts]
        told = Incidences(self.causes, self.arms, arms, grid, self.confidence)
        return Done(
            {
                "kind": "cumulative-incidence",
                "title": self.title,
                **self.heading(),
                "confidence": self.confidence,
                "grid": grid.tolist(),
                "patients": sum(max(0, round(arm.patients)) for arm in arms),
                "arms": told.told(self.at),
                "suppressed": [],
                "tests": told.tests(),
                "at": told.differences(self.at),
                "private": True,
                "noise_in_counts": deviation,
                "bounding": self.bounding_told(sums),
                "notes": [
                    FIRST,
                    f"Counts of each step had noise of a standard deviation of about {deviation:.3g} patients.",
                    "Curves are those of a life table, straight between the ends of steps, and made to rise.",
                    "Intervals and tests contain the privacy noise and the chance of other patients of this kind.",
                    "A curve ends where the number at risk does not stand out of the noise.",
                ],
            }
        )
