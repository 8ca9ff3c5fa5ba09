"""Generalised linear models with noise: linear, logistic and Poisson regression, charged to the patients' Budget.

In each of five Rounds a patient adds one vector of a length of at most 1, by one row (see `vectors`); what is made of
their sums is in `course`. One intercept is common to all sites.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.analyses.private_regression.beginnings import begin_glm
from synthema_core.analyses.private_regression.course import Course
from synthema_core.analyses.private_regression.families import Outcomes
from synthema_core.analyses.private_regression.question import ROUNDS, Asked, Shape, check_asked
from synthema_core.analyses.private_regression.results import (
    covariate_entries,
    estimates_of,
    notes_of,
    patients_entry,
    term_entries,
)
from synthema_core.analyses.private_regression.vectors import deviations
from synthema_core.analyses.regression.glm_response import Family, Response
from synthema_core.analyses.regression.glm_results import EFFECTS, TITLES
from synthema_core.canonical import Json
from synthema_core.design import Design, Quantity
from synthema_core.design.formulae import split_formula
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.privacy.bounding import Bounding
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats, Layout

_MOST_TERMS = 20
_OPTIONS = ("formula", "family", "offset", "confidence")
_NOT_TOLD: Mapping[str, Json] = {
    "weights": None,
    "l2": 0.0,
    "robust": False,
    "site_effects": False,
    "statistic": "z",
    "events": None,
    "overall": None,
    "r_squared": None,
}
"""What a result of the exact form has besides."""


@dataclass(frozen=True, slots=True)
class PrivateGlm:
    """How an outcome's mean depends on covariates, with noise.

    Parameters
    ----------
    cuts
        Whether the schema allows a patient more than the one row that is kept. Then those are counted who have more.
    """

    response: Response
    design: Design
    cuts: bool
    confidence: float

    name: ClassVar[str] = "glm-private"
    title: ClassVar[str] = "Generalised linear model, with noise"
    private: ClassVar[bool] = True
    exact_form: ClassVar[str] = "glm"
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if len(self.design.terms) > _MOST_TERMS:
            raise InvalidPlan(
                f"With noise, a model has at most {_MOST_TERMS} coefficients.", "Use fewer terms or levels."
            )
        if self.response.weights is not None:
            raise InvalidPlan("With noise, there are no weights.", "Leave --weights out.")
        if set(self.response.outcome.columns) & set(self.design.columns):
            raise InvalidInput("The outcome cannot explain itself.", "Leave it out of the formula's right-hand side.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        outcome, right = split_formula(typed.required("formula"))
        offset = Quantity.read(typed.required("offset"), schema) if "offset" in typed else None
        family = Family(typed.choice("family", tuple(Family), Family.GAUSSIAN))
        return cls(
            response=Response(family, Quantity.read(outcome, schema), offset),
            design=Design.read(right, schema),
            cuts=schema.rows_per_patient > 1,
            confidence=typed.confidence(),
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            response=Response.from_dict(data["response"]),
            design=Design.from_dict(data["design"]),
            cuts=bool(data["cuts_counted"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "response": self.response.to_dict(),
            "design": self.design.to_dict(),
            "cuts_counted": self.cuts,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        if not (self.response.matches(schema) and self.design.matches(schema)):
            raise InvalidPlan("The Plan's columns, levels or ranges are not the schema's.", "Plan again.")
        if self.cuts != (schema.rows_per_patient > 1):
            raise InvalidPlan("The Plan does not count whom something is cut of.", "Plan again.")

    @property
    def formula(self) -> str:
        return f"{self.response.outcome.text} ~ {self.design.formula}"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.response.columns, *self.design.columns)))

    @property
    def _shape(self) -> Shape:
        return Shape(1, len(self.design.terms), self.cuts)

    @property
    def layout(self) -> Layout:
        return self._shape.layout

    @property
    def max_rounds(self) -> int:
        return ROUNDS

    @property
    def sensitivity(self) -> float:
        return self._shape.sensitivity

    def steps_per_unit(self, sites: int) -> None:
        """Solutions of noisy equations: their noise depends on how many patients there are."""

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self._cohort(rows)))

    def _cohort(self, rows: Rows) -> NDArray[np.bool_]:
        return self.response.known(rows) & self.design.known(rows)

    def begin(self) -> Next:
        family = self.response.family
        begins = partial(begin_glm, family, self._outcome_unit, self.response.offset_reach)
        course = Course.new(1, len(self.design.terms), begins, lambda bounds: bounds.largest(family))
        return Next(Asked.of(course).values(), course)

    @property
    def _outcome_unit(self) -> float:
        """Counts are modelled as such, other outcomes as they are scaled."""
        return self.response.unit if self.response.family is Family.POISSON else 1.0

    def check_input(self, values: Floats) -> None:
        check_asked(values, 1, len(self.design.terms))

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:
        asked = Asked.read(values, len(self.design.terms))
        bounded = Bounding(1).apply({name: rows[name] for name in self.columns}, patients)
        cohort = self._cohort(bounded.rows)
        own = {name: column[cohort] for name, column in bounded.rows.items()}
        outcomes = Outcomes(
            family=self.response.family,
            values=self.response.values(own) * self._outcome_unit,
            offsets=self.response.offsets(own),
            x=self.design.matrix(own),
            unit=self._outcome_unit,
            offset_reach=self.response.offset_reach,
        )
        parts = (
            outcomes.moments(asked.frame) if asked.is_first else outcomes.scores(asked.frame, asked.theta, asked.bounds)
        )
        return self._shape.added(parts, int(bounded.cut.sum()))

    def advance(self, memory: Any, sums: Sums) -> Next | Done:
        course = self._shape.after(memory, sums.blocks["vectors"], sums.noise_variance)
        if course.fit is None:
            return Next(Asked.of(course).values(), course)
        return Done(self._result(course, sums))

    def _result(self, course: Course, sums: Sums) -> dict[str, Json]:
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
        deviation = sums.deviation(self.layout.blocks[0])
        counted = patients_entry(course, deviations(deviation).patients, self.confidence)
        return {
            "kind": "glm",
            "title": f"{TITLES[response.family]}, with noise",
            "formula": self.formula,
            "family": str(response.family),
            "effect": effect,
            "outcome": {"text": response.outcome.text, "label": response.outcome.label, **_unit_of(response)},
            "offset": response.offset.text if response.offset else None,
            **_NOT_TOLD,
            "confidence": self.confidence,
            "patients": counted["shown"],
            "counted": counted,
            "residual_sd": math.sqrt(dispersion) * unit if gaussian else None,
            "dispersion": dispersion if response.family is Family.POISSON else None,
            "intercept": {"name": "Intercept", "label": "Intercept", **estimates.number(0)},
            "terms": term_entries(self.design, estimates, 1),
            "covariates": covariate_entries(self.design, estimates, 1),
            "covariance": {
                "terms": ["Intercept", *(term.name for term in self.design.terms)],
                "values": estimates.covariance.tolist(),
            },
            "private": True,
            "noise_standard_deviation": deviation,
            "bounding": cuts.told(
                "Each patient counts once, by one row" if self.cuts else "Each patient counts once",
                sums,
                self._shape.cut,
                self.confidence,
            ),
            "notes": notes_of(["The intercept is common to all sites.", *_notes(response.family)]),
        }


def _unit_of(response: Response) -> dict[str, Json]:
    return {"unit": response.outcome.values.unit}


def _notes(family: Family) -> list[str]:
    if family is Family.GAUSSIAN:
        return ["Residuals beyond about three standard deviations count as if they were there (Huber)."]
    if family is Family.POISSON:
        return ["Errors allow for counts that are more spread than a Poisson model says (quasi-Poisson)."]
    return []
