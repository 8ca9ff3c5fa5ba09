"""Generalised linear models with noise: linear, logistic and Poisson regression, charged to the patients' Budget.

A patient's scores are in `families`; what is made of their sums is in `course`. One intercept is common to all sites.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows, Sums
from synthema_core.analyses.options import Options, read_back
from synthema_core.analyses.private_regression.beginnings import begin_glm
from synthema_core.analyses.private_regression.course import Course
from synthema_core.analyses.private_regression.families import Outcomes
from synthema_core.analyses.private_regression.question import Asked, PrivateRegression
from synthema_core.analyses.private_regression.results import estimates_of, notes_of, told
from synthema_core.analyses.private_regression.vectors import Parts
from synthema_core.analyses.regression.glm_response import Family, Response
from synthema_core.analyses.regression.glm_results import EFFECTS, TITLES
from synthema_core.canonical import Json
from synthema_core.design import Design
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.schemas import Schema

_OPTIONS = ("formula", "family", "offset", "confidence")


@dataclass(frozen=True, slots=True)
class PrivateGlm(PrivateRegression):
    """How an outcome's mean depends on covariates, with noise."""

    response: Response

    name: ClassVar[str] = "glm-private"
    title: ClassVar[str] = "Generalised linear model, with noise"
    exact_form: ClassVar[str] = "glm"

    def __post_init__(self) -> None:
        super(PrivateGlm, self).__post_init__()
        if self.response.weights is not None:
            raise InvalidPlan("With noise, there are no weights.", "Leave --weights out.")
        if set(self.response.outcome.columns) & set(self.design.columns):
            raise InvalidInput("The outcome cannot explain itself.", "Leave it out of the formula's right-hand side.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        response, right = Response.typed(typed, schema)
        return cls(Design.read(right, schema), schema.rows_per_patient > 1, typed.confidence(), response)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(*cls.common(data), Response.from_dict(data["response"]))

    def parameters(self) -> dict[str, Json]:
        return {**super(PrivateGlm, self).parameters(), "response": self.response.to_dict()}

    def check_against(self, schema: Schema) -> None:
        if not (self.response.matches(schema) and self.design.matches(schema)):
            raise InvalidPlan("The Plan's columns, levels or ranges are not the schema's.", "Plan again.")
        if self.cuts != (schema.rows_per_patient > 1):
            raise InvalidPlan("The Plan does not count whom something is cut of.", "Plan again.")

    @property
    def formula(self) -> str:
        return f"{self.response.outcome.text} ~ {self.design.formula}"

    @property
    def intercepts(self) -> int:
        return 1

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.response.columns, *self.design.columns)))

    def steps_per_unit(self, sites: int) -> None:
        """Solutions of noisy equations: their noise depends on how many patients there are."""

    def cohort(self, rows: Rows) -> NDArray[np.bool_]:
        return self.response.known(rows) & self.design.known(rows)

    def course(self) -> Course:
        family = self.response.family
        begins = partial(begin_glm, family, self._outcome_unit, self.response.offset_reach)
        return Course.new(1, len(self.design.terms), begins, lambda bounds: bounds.largest(family))

    @property
    def _outcome_unit(self) -> float:
        """Counts are modelled as such, other outcomes as they are scaled."""
        return self.response.unit if self.response.family is Family.POISSON else 1.0

    def parts(self, rows: Rows, asked: Asked) -> Parts:
        outcomes = Outcomes(
            family=self.response.family,
            values=self.response.values(rows) * self._outcome_unit,
            offsets=self.response.offsets(rows),
            x=self.design.matrix(rows),
            unit=self._outcome_unit,
            offset_reach=self.response.offset_reach,
        )
        if asked.is_first:
            return outcomes.moments(asked.frame)
        return outcomes.scores(asked.frame, asked.theta, asked.bounds)

    def result(self, course: Course, sums: Sums) -> dict[str, Json]:
        response, fit, begun = self.response, course.fit, course.start
        assert fit is not None and begun is not None, "the Rounds are over"
        gaussian = response.family is Family.GAUSSIAN
        unit = begun.bounds.cut * response.unit if gaussian else 1.0
        dispersion = {
            Family.GAUSSIAN: max(fit.squares, 1e-6),
            Family.BINOMIAL: 1.0,
            Family.POISSON: max(1.0, fit.squares),
        }[response.family]
        moved = response.centre if gaussian else -response.offset_centre
        effect = EFFECTS[response.family]
        estimates = estimates_of(course, self.design, unit, moved, effect, self.confidence, dispersion)
        outcome = response.outcome
        return {
            **told(self, course, sums, estimates),
            "kind": "glm",
            "title": f"{TITLES[response.family]}, with noise",
            "formula": self.formula,
            "family": str(response.family),
            "outcome": {"text": outcome.text, "label": outcome.label, "unit": outcome.values.unit},
            "offset": response.offset.text if response.offset else None,
            "residual_sd": math.sqrt(dispersion) * unit if gaussian else None,
            "dispersion": dispersion if response.family is Family.POISSON else None,
            "notes": notes_of(
                ["The intercept is common to all sites.", *_notes(response.family)], "Deviance, AIC and R² are not told"
            ),
        }


def _notes(family: Family) -> list[str]:
    if family is Family.GAUSSIAN:
        return ["Residuals beyond about three standard deviations count as if they were there (Huber)."]
    if family is Family.POISSON:
        return ["Errors allow for counts that are more spread than a Poisson model says (quasi-Poisson)."]
    return []
