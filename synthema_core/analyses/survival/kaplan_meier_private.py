"""Survival by arm with noise: one Round of noisy counts, charged to the patients' Budget.

A patient is in one cell: their arm, the step in which their observation ended, and whether by the event; or the cell of
those observed beyond the horizon. So adding or removing a patient changes the sum by one unit in one place, whatever
the number of arms and steps. Where the schema allows a patient several rows, one is chosen by a keyed hash (see
`privacy.bounding`). What is made of the counts is in `noisy_curves`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import Column, event_field, time_field
from synthema_core.analyses.descriptive.summary_variables import round_step
from synthema_core.analyses.noisy_cells import NoisyCells
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.analyses.survival.follow_up import (
    FollowUp,
    check_times,
    read_common,
    typed_group,
    typed_horizon,
)
from synthema_core.analyses.survival.kaplan_meier_noise import Noisy
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.privacy.bounding import Bounding
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

_USUAL_STEPS = 20
_MOST_STEPS = 500
_OPTIONS = ("time", "event", "group", "by-levels", "step", "horizon", "at", "rmst", "confidence")


@dataclass(frozen=True, slots=True)
class PrivateKaplanMeier(NoisyCells, FollowUp):
    """Survival by group, with noise. Parameters as for `KaplanMeier`.

    Parameters
    ----------
    cuts
        Whether the schema allows a patient more than the one row that is kept. Then those are counted who have more.
    """

    confidence: float
    at: tuple[float, ...]
    rmst: float | None
    cuts: bool

    name: ClassVar[str] = "kaplan-meier-private"
    title: ClassVar[str] = "Kaplan-Meier survival, with noise"
    exact_form: ClassVar[str] = "kaplan-meier"

    def __post_init__(self) -> None:
        FollowUp.__post_init__(self)
        check_confidence(self.confidence)
        check_times(self.at, self.rmst, self.horizon)
        if self.steps > _MOST_STEPS:
            raise InvalidPlan(f"With noise, a time grid has at most {_MOST_STEPS} steps.", "Use a larger --step.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        time, longest = time_field(schema, typed.required("time"))
        event = event_field(schema, typed.required("event"))
        group = typed_group(typed, schema)
        step = typed.number("step", round_step(typed.number("horizon", longest) / _USUAL_STEPS))
        if step <= 0:
            raise InvalidInput(f"The time grid on '{time.name}' needs a step above 0.", "Give --step, in its unit.")
        return cls(
            Column.of(time),
            Column.of(event),
            group,
            step,
            typed_horizon(typed, step, longest),
            confidence=typed.confidence(),
            at=tuple(sorted(typed.numbers("at"))) if "at" in typed else (),
            rmst=typed.number("rmst", 0.0) if "rmst" in typed else None,
            cuts=schema.rows_per_patient > 1,
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            *read_common(data),
            confidence=float(data["confidence"]),
            at=tuple(float(time) for time in data["at"]),
            rmst=None if data["rmst"] is None else float(data["rmst"]),
            cuts=bool(data["cuts_counted"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            **FollowUp.parameters(self),
            "confidence": self.confidence,
            "at": list[Json](self.at),
            "rmst": self.rmst,
            "cuts_counted": self.cuts,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {
            "time": self.time.name,
            "event": self.event.name,
            "step": repr(self.step),
            "horizon": repr(self.horizon),
            "confidence": repr(self.confidence),
        }
        self.check_is(replace(type(self).from_options(typed, schema), at=self.at, rmst=self.rmst), schema)

    @property
    def _arm_cells(self) -> int:
        return 2 * self.steps + 1

    @property
    def cells(self) -> int:
        return len(self.arms) * self._arm_cells

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002  no iterate
        """Of each arm: deaths and censored by step, and those beyond."""
        bounded = Bounding(1).apply({name: rows[name] for name in self.columns}, patients)
        arm = self.arm_of(bounded.rows)
        inside = arm >= 0
        arm = arm[inside]
        died = bounded.rows[self.event.name][inside] == 1
        step = np.maximum(self.step_of(bounded.rows[self.time.name][inside]), 1) - 1
        cell = np.where(step < self.steps, step + np.where(died, 0, self.steps), 2 * self.steps)
        counts = np.bincount(arm * self._arm_cells + cell, minlength=self.cells).astype(np.float64)
        return self.added(counts, bounded)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        deviation = self.deviation_in(sums)
        grid = np.arange(self.steps + 1, dtype=np.float64) * self.step
        counts = sums.blocks["cells"].reshape(len(self.arms), self._arm_cells)
        noisy = Noisy(self.arms, counts, deviation, grid, self.confidence)
        arms = [noisy.arm(index, self.at) for index in range(len(self.arms))]
        return Done(
            {
                "kind": "kaplan-meier",
                "title": self.title,
                **self.heading(),
                "confidence": self.confidence,
                "grid": grid.tolist(),
                "patients": sum(int(str(arm["patients"])) for arm in arms),
                "arms": list[Json](arms),
                "suppressed": [],
                "log_rank": noisy.log_rank(),
                "pairs": noisy.pairs(),
                "restricted_means": None if self.rmst is None else noisy.restricted_means(self.rmst),
                "at": noisy.differences(self.at),
                "private": True,
                "noise_in_counts": deviation,
                "bounding": self.bounding_told(sums),
                "notes": list[Json](self._notes(deviation)),
            }
        )

    @staticmethod
    def _notes(deviation: float) -> list[str]:
        return [
            f"Counts of each step had noise of a standard deviation of about {deviation:.3g} patients in each group.",
            "Curves are those of a life table, straight between the ends of steps, and made to fall.",
            "Numbers of patients were made to add up, none below zero.",
            "Intervals and tests contain the privacy noise and the chance of other patients of this kind.",
            "A curve ends where the number at risk does not stand out of the noise: after that survival is not known.",
        ]
