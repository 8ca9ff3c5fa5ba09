"""Kaplan-Meier survival by arm on a declared time grid, from exact counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import (
    MOST_PATIENTS,
    Column,
    check_one_row_each,
    event_field,
    time_field,
)
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.analyses.survival.follow_up import (
    FollowUp,
    check_times,
    read_common,
    typed_grid,
    typed_group,
)
from synthema_core.analyses.survival.survival_summaries import FollowedArm, difference_at, pairs_of, restricted_means
from synthema_core.analyses.survival.survival_tables import at_risk, log_rank, median_time, survival_curve
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_OPTIONS = ("time", "event", "group", "by-levels", "step", "exact-times", "horizon", "at", "rmst", "confidence")


@dataclass(frozen=True, slots=True)
class KaplanMeier(FollowUp):
    """How long patients stay free of an event, by group.

    Parameters
    ----------
    exact_times
        The grid is the unit of whole-numbered times, so that event times leave the sites unchanged.
    at
        Times at which survival is told and compared.
    rmst
        Up to when the mean time free of the event is told.
    """

    exact_times: bool
    confidence: float
    at: tuple[float, ...] = ()
    rmst: float | None = None

    name: ClassVar[str] = "kaplan-meier"
    title: ClassVar[str] = "Kaplan-Meier survival"
    private: ClassVar[bool] = False
    private_form: ClassVar[str] = "kaplan-meier-private"

    def __post_init__(self) -> None:
        FollowUp.__post_init__(self)
        check_confidence(self.confidence)
        if self.exact_times and self.step != 1:
            raise InvalidPlan("Exact times have a step of 1.", "Leave --step out.")
        check_times(self.at, self.rmst, self.horizon)

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        check_one_row_each(schema, cls.name)
        time, longest = time_field(schema, typed.required("time"))
        event = event_field(schema, typed.required("event"))
        group = typed_group(typed, schema)
        step, horizon, exact_times = typed_grid(typed, time, longest)
        at = tuple(sorted(typed.numbers("at"))) if "at" in typed else ()
        rmst = typed.number("rmst", 0.0) if "rmst" in typed else None
        return cls(Column.of(time), Column.of(event), group, step, horizon, exact_times, typed.confidence(), at, rmst)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            *read_common(data),
            exact_times=bool(data["exact_times"]),
            confidence=float(data["confidence"]),
            at=tuple(float(time) for time in data["at"]),
            rmst=None if data["rmst"] is None else float(data["rmst"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            **FollowUp.parameters(self),
            "exact_times": self.exact_times,
            "confidence": self.confidence,
            "at": list[Json](self.at),
            "rmst": self.rmst,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {"time": self.time.name, "event": self.event.name, "confidence": repr(self.confidence)}
        typed["horizon"] = repr(self.horizon)
        typed |= {"exact-times": "yes"} if self.exact_times else {"step": repr(self.step)}
        typed |= {"at": ",".join(map(repr, self.at))} if self.at else {}
        typed |= {} if self.rmst is None else {"rmst": repr(self.rmst)}
        self.check_is(type(self).from_options(typed, schema), schema)

    @property
    def layout(self) -> Layout:
        arms = len(self.arms)
        return Layout(
            (
                Block("deaths", arms * self._cells, MOST_PATIENTS),
                Block("censored", arms * self._cells, MOST_PATIENTS),
                Block("beyond", arms, MOST_PATIENTS),
            )
        )

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    @property
    def time_step(self) -> float | None:
        return self.step

    @property
    def _cells(self) -> int:
        return self.steps + 1  # the first cell is the time 0

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:  # noqa: ARG002  no iterate
        """Deaths (arms, cells), censored (arms, cells), beyond the horizon (arms,), one after another."""
        arm = self.arm_of(rows)
        cohort = arm >= 0
        arm = arm[cohort]
        died = rows[self.event.name][cohort] == 1
        end = self.step_of(rows[self.time.name][cohort])
        inside = end < self._cells
        cell = arm * self._cells + np.minimum(end, self._cells - 1)
        length = len(self.arms) * self._cells
        deaths = np.bincount(cell[inside & died], minlength=length)
        censored = np.bincount(cell[inside & ~died], minlength=length)
        beyond = np.bincount(arm[~inside], minlength=len(self.arms))
        return np.concatenate([deaths, censored, beyond]).astype(np.float64)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        shape = (len(self.arms), self._cells)
        deaths = sums.blocks["deaths"].reshape(shape)
        censored = sums.blocks["censored"].reshape(shape)
        risk = at_risk(deaths, censored, sums.blocks["beyond"])
        # An arm that is too small is left out of every number, totals and test included: no difference reveals it.
        shown = [index for index, patients in enumerate(risk[:, 0]) if patients >= max(1, sums.min_patients)]
        grid = [index * self.step for index in range(self._cells)]
        arms = [self._followed(index, grid, deaths[index], risk[index]) for index in shown]
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                **self.heading(),
                "confidence": self.confidence,
                "grid": list[Json](grid),
                "patients": int(risk[shown, 0].sum()),
                "arms": [
                    self._arm(arm, self.arms[index][0], censored[index]) for arm, index in zip(arms, shown, strict=True)
                ],
                "suppressed": [label for index, (_, label) in enumerate(self.arms) if index not in shown],
                "log_rank": log_rank(deaths[shown], risk[shown]),
                "pairs": pairs_of(arms),
                "restricted_means": None if self.rmst is None else restricted_means(arms, self.rmst, self.confidence),
                "at": [difference_at(arms[0], arms[1], time) for time in self.at] if len(arms) == 2 else [],
            }
        )

    def _followed(self, index: int, grid: list[float], deaths: Floats, risk: Floats) -> FollowedArm:
        code, label = self.arms[index]
        return FollowedArm(label or code, grid, deaths, risk, survival_curve(deaths, risk, self.confidence))

    def _arm(self, arm: FollowedArm, code: str, censored: Floats) -> dict[str, Json]:
        curve, (hazard, hazard_error) = arm.curve, arm.hazard
        return {
            "code": code,
            "label": dict(self.arms)[code],
            "patients": int(arm.risk[0]),
            "events": int(arm.deaths.sum()),
            "at_risk": [int(n) for n in arm.risk],
            "deaths": [int(n) for n in arm.deaths],
            "censored": [int(n) for n in censored],
            "survival": curve.survival.tolist(),
            "standard_error": [None if math.isnan(value) else value for value in curve.standard_error.tolist()],
            "lower": curve.lower.tolist(),
            "upper": curve.upper.tolist(),
            "hazard": hazard.tolist(),
            "hazard_error": hazard_error.tolist(),
            "median": median_time(arm.grid, curve.survival),
            "median_interval": arm.median_interval,
            "at": [arm.at(time) for time in self.at],
        }
