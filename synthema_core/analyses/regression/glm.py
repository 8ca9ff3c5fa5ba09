"""Generalised linear models: linear, logistic and Poisson regression by Newton's method on secure sums.

Each site has an intercept of its own by default, which it profiles out (see `glm_site`): what comes out is the pooled
model with a dummy for each site, without any site's number in a sum.

*Exactness.* Sums of gradients and informations have at least 38 fractional bits of an outcome scaled by the schema's
range, that of log-likelihoods 33. Coefficients, standard errors (robust ones too), deviances and log-likelihoods equal
those of the pooled patients to 1e-6, relative where they are larger than 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import MOST_PATIENTS, check_one_row_each
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.analyses.regression.glm_course import LARGEST_LINEAR, Course, Question, Stage
from synthema_core.analyses.regression.glm_response import Family, Response
from synthema_core.analyses.regression.glm_results import described
from synthema_core.analyses.regression.glm_site import Observed
from synthema_core.analyses.regression.newton import LARGEST_PREDICTOR
from synthema_core.canonical import Json
from synthema_core.design import Design
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, RoundFailed
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_TERMS = 50
_MOST_ROUNDS = 14
_MOST_SITES = 100
_OPTIONS = ("formula", "family", "offset", "weights", "l2", "site-effects", "robust", "confidence")


@dataclass(frozen=True, slots=True)
class Glm:
    """How an outcome's mean depends on covariates.

    Parameters
    ----------
    site_effects
        Whether each site has an intercept of its own.
    l2
        A ridge penalty as glmnet's for standardised columns, and `cox --l2`: half of it, times the patients, times the
        squares of the coefficients in standard deviations; intercepts are free of it.
    robust
        Whether standard errors are those of the sandwich HC0.
    """

    response: Response
    design: Design
    site_effects: bool
    l2: float
    robust: bool
    confidence: float

    name: ClassVar[str] = "glm"
    title: ClassVar[str] = "Generalised linear model: linear, logistic or Poisson regression"
    private: ClassVar[bool] = False
    private_form: ClassVar[str] = "glm-private"
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if len(self.design.terms) > _MOST_TERMS:
            raise InvalidPlan(f"The model has more than {_MOST_TERMS} coefficients.", "Use fewer terms or levels.")
        if not 0 <= self.l2 <= 1e6:
            raise InvalidPlan("--l2 takes a number from 0 on.", "Usual are 0.01 to 1.")
        if set(self.response.outcome.columns) & set(self.design.columns):
            raise InvalidInput("The outcome cannot explain itself.", "Leave it out of the formula's right-hand side.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        check_one_row_each(schema, cls.name)
        response, right = Response.typed(typed, schema)
        return cls(
            response=response,
            design=Design.read(right, schema),
            site_effects=typed.flag("site-effects") if "site-effects" in typed else True,
            l2=typed.number("l2", 0.0),
            robust=typed.flag("robust"),
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
            site_effects=bool(data["site_effects"]),
            l2=float(data["l2"]),
            robust=bool(data["robust"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "response": self.response.to_dict(),
            "design": self.design.to_dict(),
            "site_effects": self.site_effects,
            "l2": self.l2,
            "robust": self.robust,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        check_one_row_each(schema, self.name)
        if not (self.response.matches(schema) and self.design.matches(schema)):
            raise InvalidPlan("The Plan's columns, levels or ranges are not the schema's.", "Plan again.")

    @property
    def formula(self) -> str:
        return f"{self.response.outcome.text} ~ {self.design.formula}"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.response.columns, *self.design.columns)))

    @property
    def layout(self) -> Layout:
        """For outcomes and covariates between -1 and 1 a patient adds at most 2 to a gradient and 1 to an information.

        Half a deviance is largest where a site's intercept is at its best and one patient's mean is the furthest from
        those of the others: the logarithm of that share is bounded by the predictor, the patients and the weights.
        """
        size = self._question.size
        reach = 2 * (LARGEST_PREDICTOR + self.response.offset_reach) + 30
        constant = 20 + math.log1p(self.response.unit)
        blocks = [
            _block("gradient", size, 2 * MOST_PATIENTS),
            _block("information", size * (size + 1) // 2, MOST_PATIENTS),
            _block("loglik", 1, MOST_PATIENTS * reach),
            Block("counts", 3, MOST_PATIENTS),
            _block("totals", 4, MOST_PATIENTS * constant),
        ]
        cells = len(self.design.cells)
        return Layout((*blocks, *([Block("cells", cells, MOST_PATIENTS)] if cells else ())))

    @property
    def max_rounds(self) -> int:
        if self.response.family is Family.GAUSSIAN:
            return 1 + bool(self.l2) + 3 * self.robust
        return _MOST_ROUNDS

    @property
    def numbers(self) -> int:
        """That say something: who takes part is told again in each Round, and is the same."""
        again = {"counts", "totals", "cells"}
        every = sum(block.length for block in self.layout.blocks if block.name not in again)
        return self.max_rounds * every + self.layout.length - every

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    @property
    def _stages(self) -> tuple[Stage, ...]:
        asked = {Stage.SPREAD: bool(self.l2), Stage.SANDWICH: self.robust}
        return tuple(stage for stage in Stage if asked.get(stage, True))

    @property
    def _question(self) -> Question:
        return Question(
            family=self.response.family,
            own=self.site_effects,
            unit=self.response.likelihood_unit,
            offset_reach=self.response.offset_reach,
            design=self.design,
            l2=self.l2,
            fit_rounds=_MOST_ROUNDS - 4,
        )

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self._cohort(rows)))

    def _cohort(self, rows: Rows) -> NDArray[np.bool_]:
        return self.response.known(rows) & self.design.known(rows)

    def begin(self) -> Next:
        return Course.of(self._question, self._stages).asks

    def check_input(self, values: Floats) -> None:
        # A far iterate weighs one patient against all others: the bound limits what it can single out.
        size = self._question.size
        if values.shape != (2 + size,) or not np.all(np.isfinite(values)):
            raise Refused("The coefficients asked about are not of the model.", rule="iterate")
        stage, power, theta = values[0], values[1], values[2:]
        if stage not in self._stages or power != int(power) or abs(power) > (60 if stage == Stage.SANDWICH else 0):
            raise Refused("The Plan has no such Round.", rule="iterate")
        if not self._largest(theta, Stage(int(stage))) <= 1 + 1e-9:
            raise Refused("The coefficients asked about are outside the declared bounds.", rule="iterate")

    def _largest(self, theta: Floats, stage: Stage) -> float:
        """Of what is asked about, as a share of what may be."""
        total, family = float(np.abs(theta).sum()), self.response.family
        if stage is Stage.SPREAD or (stage is Stage.FIT and family is Family.GAUSSIAN):
            return math.inf if total else 0.0
        if family is Family.GAUSSIAN:
            return total / LARGEST_LINEAR
        if family is Family.POISSON and not self.site_effects:
            first = 0.0 if stage is Stage.FIT else LARGEST_LINEAR
            return math.inf if abs(theta[0]) > first else self.design.reach(theta[1:]) / LARGEST_PREDICTOR
        return self._question.reach(theta) / LARGEST_PREDICTOR

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:
        stage, power, theta = Stage(int(values[0])), float(values[1]), values[2:]
        cohort = self._cohort(rows)
        rows = {name: rows[name][cohort] for name in self.columns}
        observed = self._observed(rows)
        if stage is Stage.SANDWICH:
            blocks = observed.sandwich(theta, power, own=self.site_effects)
        else:
            if stage is Stage.SPREAD:
                blocks = observed.spread(own=self.site_effects)
            elif self.site_effects:
                blocks = observed.fit_own(theta)
            else:
                blocks = observed.fit_common(theta)
            blocks |= self._counts(rows, observed)
        parts = [blocks.get(block.name, np.zeros(block.length)) for block in self.layout.blocks]
        return np.concatenate(parts).astype(np.float64)

    def _observed(self, rows: Rows) -> Observed:
        response = self.response
        return Observed(
            family=response.family,
            values=response.values(rows),
            offsets=response.offsets(rows),
            shares=response.shares(rows),
            x=self.design.matrix(rows),
            offset_reach=response.offset_reach,
            reach=self.design.reach,
        )

    def _counts(self, rows: Rows, observed: Observed) -> dict[str, Floats]:
        """Never the patients of the sites that fit alone: less all patients, that is the size of the others."""
        patients = len(observed.values)
        fits = observed.can_fit if self.site_effects else patients > 0
        positive = np.count_nonzero(observed.values > 0) if self.response.family is not Family.GAUSSIAN else 0
        constant = self.response.constant(observed.values, observed.shares)
        return {
            "counts": np.array([patients, positive, float(fits)]),
            "totals": np.append(observed.totals, constant),
            "cells": self.design.cells.counts(rows),
        }

    def advance(self, memory: Any, sums: Sums) -> Next | Done:
        course: Course = memory
        if not course.told:
            self._check_groups(sums)
        course = course.after(sums)
        if course.is_over:
            return Done(described(self, course))
        return course.asks

    def _check_groups(self, sums: Sums) -> None:
        fewest = max(1, sums.min_patients)
        patients, events, fitting = sums.blocks["counts"]
        if patients < fewest:
            raise RoundFailed("Too few patients have a value in every column.", "Use fewer covariates or more sites.")
        if self.response.family is not Family.GAUSSIAN and events < fewest:
            raise RoundFailed("Too few patients have the outcome.", "Choose another outcome or more sites.")
        if self.response.family is Family.BINOMIAL and patients - events < fewest:
            raise RoundFailed("Too few patients do not have the outcome.", "Choose another outcome or more sites.")
        for label, count in zip(self.design.cells.labels, sums.blocks.get("cells", ()), strict=True):
            if count < fewest:
                raise RoundFailed(
                    f"Too few patients are in the group '{label}'.",
                    "Leave the covariate out, or ask the sites for one with larger groups.",
                )
        if self.site_effects and fitting < min(2, sums.sites):
            raise RoundFailed(
                "The outcome varies within fewer than two sites: the sums would be those of one.",
                "Choose another outcome, or a common intercept with --site-effects no.",
            )


def _block(name: str, length: int, bound: float) -> Block:
    """With as many fractional bits as the sum over 100 sites leaves room for."""
    return Block(name, length, bound, math.floor(math.log2((2**63 - 1) / (_MOST_SITES * math.ceil(bound)))))
