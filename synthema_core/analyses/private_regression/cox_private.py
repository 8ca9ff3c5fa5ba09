"""Proportional hazards with noise: a baseline hazard that is constant within steps, charged to the patients' Budget.

A patient's scores are in `hazards`; what is made of their sums is in `course`. The baseline is common to all sites.
Each of its steps is twice as long as the one before, as hazards change most soon after a diagnosis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from synthema_core.analyses.base import Rows, Sums
from synthema_core.analyses.columns import Column, complete, event_field, time_field
from synthema_core.analyses.options import Options, read_back
from synthema_core.analyses.private_regression.beginnings import begin_hazards
from synthema_core.analyses.private_regression.course import Course
from synthema_core.analyses.private_regression.hazards import Observed
from synthema_core.analyses.private_regression.question import Asked, PrivateRegression
from synthema_core.analyses.private_regression.results import estimates_of, notes_of, told
from synthema_core.analyses.private_regression.vectors import Parts
from synthema_core.analyses.regression.hazard_design import typed_design
from synthema_core.canonical import Json
from synthema_core.design import Design
from synthema_core.errors import InvalidPlan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

_STEPS = 6
_OPTIONS = ("time", "event", "covariates", "formula", "horizon", "confidence")


@dataclass(frozen=True, slots=True)
class PrivateCox(PrivateRegression):
    """How covariates multiply the hazard of an event, with noise.

    Parameters
    ----------
    horizon
        Patients are followed up to then.
    """

    time: Column
    event: Column
    horizon: float

    name: ClassVar[str] = "cox-private"
    title: ClassVar[str] = "Proportional hazards, with noise"
    exact_form: ClassVar[str] = "cox"

    def __post_init__(self) -> None:
        super(PrivateCox, self).__post_init__()
        if not 0 < self.horizon < math.inf:
            raise InvalidPlan("The horizon is a time after 0.", "Leave --horizon out for the schema's longest time.")
        if {self.time.name, self.event.name} & set(self.design.columns) or self.time.name == self.event.name:
            raise InvalidPlan("Time, event and covariates are different columns.", "Name each of them once.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        return cls._typed(typed, schema, typed_design(typed, schema))

    @classmethod
    def _typed(cls, typed: Options, schema: Schema, design: Design) -> Self:
        time, longest = time_field(schema, typed.required("time"))
        event = event_field(schema, typed.required("event"))
        horizon = typed.number("horizon", longest)
        common = design, schema.rows_per_patient > 1, typed.confidence()
        return cls(*common, Column.of(time), Column.of(event), horizon)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        time, event = (Column.from_dict(data[name]) for name in ("time", "event"))
        return cls(*cls.common(data), time, event, float(data["horizon"]))

    def parameters(self) -> dict[str, Json]:
        own: dict[str, Json] = {"time": self.time.to_dict(), "event": self.event.to_dict(), "horizon": self.horizon}
        return {**super(PrivateCox, self).parameters(), **own}

    def check_against(self, schema: Schema) -> None:
        typed = {
            "time": self.time.name,
            "event": self.event.name,
            "horizon": repr(self.horizon),
            "confidence": repr(self.confidence),
        }
        if self._typed(Options(self.name, typed, _OPTIONS), schema, self.design) != self:
            raise InvalidPlan("The Plan's columns or times are not the schema's.", "Plan again.")
        if not self.design.matches(schema):
            raise InvalidPlan("The Plan's covariates, levels or ranges are not the schema's.", "Plan again.")

    @property
    def intercepts(self) -> int:
        return _STEPS

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time.name, self.event.name, *self.design.columns)

    def steps_per_unit(self, sites: int) -> None:
        """Solutions of noisy equations: their noise depends on how many patients there are."""

    def cohort(self, rows: Rows) -> NDArray[np.bool_]:
        return complete(rows, (self.time.name, self.event.name)) & self.design.known(rows)

    def course(self) -> Course:
        return Course.new(_STEPS, len(self.design.terms), begin_hazards, lambda _bounds: (1.0, 1.0))

    def parts(self, rows: Rows, asked: Asked) -> Parts:
        died = (rows[self.event.name] == 1).astype(np.float64)
        observed = Observed.until(rows[self.time.name], died, self.design.matrix(rows), self._ends)
        return observed.moments(asked.frame) if asked.is_first else observed.scores(asked.frame, asked.theta)

    @property
    def _ends(self) -> Floats:
        """(steps,): of the baseline's steps."""
        ends: Floats = self.horizon * np.exp2(np.arange(1.0 - _STEPS, 1.0))
        return ends

    def result(self, course: Course, sums: Sums) -> dict[str, Json]:
        estimates = estimates_of(course, self.design, 1.0, 0.0, "hazard ratio", self.confidence, 1.0)
        label = self.event.label or self.event.name
        return {
            **told(self, course, sums, estimates),
            "kind": "cox-private",
            "title": self.title,
            "formula": self.design.formula,
            "family": "proportional hazards",
            "outcome": {"text": self.event.name, "label": label, "unit": ""},
            "time": {**self.time.to_dict(), "horizon": self.horizon},
            "baseline": self._baseline(course),
            "notes": notes_of(
                [
                    "The baseline hazard is common to all sites, and constant within its steps.",
                    "Patients are followed until the model expects one event of them.",
                ],
                "Likelihood, concordance and checks of proportional hazards are not told",
            ),
        }

    def _baseline(self, course: Course) -> list[Json]:
        """Events per unit of time in each step, of a patient with average covariates."""
        fit, begun = course.fit, course.start
        assert fit is not None and begun is not None, "the Rounds are over"
        way = np.column_stack([begun.tie, np.tile(begun.average, (_STEPS, 1))])
        logs = begun.base + way @ fit.theta
        reach = float(ndtri(0.5 + self.confidence / 2)) * np.sqrt(np.diag(way @ fit.covariance(1.0) @ way.T))
        begins = np.append(0.0, self._ends[:-1])
        steps, lengths = [], self._ends - begins
        for place in range(_STEPS):
            low, rate, high = (
                math.exp(min(50.0, float(logs[place] + move))) / float(lengths[place])
                for move in (-reach[place], 0.0, reach[place])
            )
            times: dict[str, Json] = {"from": float(begins[place]), "to": float(self._ends[place])}
            steps.append({**times, "hazard": rate, "lower": low, "upper": high})
        return list[Json](steps)
