"""The Rounds of a generalised linear model as the hub goes through them: its memory, and what it asks next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from synthema_core.analyses.base import Next, Sums
from synthema_core.analyses.columns import MOST_PATIENTS
from synthema_core.analyses.regression.glm_response import Family
from synthema_core.analyses.regression.newton import (
    LARGEST_PREDICTOR,
    Estimate,
    Search,
    Wording,
    check_distinct,
    improve,
)
from synthema_core.analyses.regression.partial_likelihood import Likelihood, from_upper_triangle
from synthema_core.analyses.regression.ridge import penalised, ridge
from synthema_core.design import Design
from synthema_core.errors import RoundFailed
from synthema_core.secure_sum.layout import Floats

_ROOM = 8
"""The sandwich's sums are asked for in a unit in which the expected ones are the 2**-8th part of their bound."""
LARGEST_LINEAR = 1_000.0
"""Of all |coefficients| together, in scaled units, where robust errors of a linear model are asked for."""
_ENDLESS = (
    "Perhaps a group has no events (separation), or a smooth term reaches beyond the patients: a spline takes "
    "lower_bound and upper_bound."
)
_LEAST_WEIGHT = 1e-4
"""Of a sum of weights: rounded to 2**-39, it is then right to seven digits."""


class Stage(IntEnum):
    """What a Round asks for; the first number of its input. In the Rounds' order."""

    SPREAD = 1
    """Sums of the columns and of their products: the standard deviations by which a ridge penalty counts."""
    FIT = 2
    """Log-likelihood, gradient and information."""
    SANDWICH = 3
    """Scores, each multiplied with itself."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the hub must know of the model.

    Parameters
    ----------
    own
        Whether each site has an intercept of its own. Otherwise the first coefficient is the common one.
    unit
        Of the log-likelihood, see `Response.likelihood_unit`.
    offset_reach
        See `Response`.
    """

    family: Family
    own: bool
    unit: float
    offset_reach: float
    design: Design
    l2: float
    fit_rounds: int

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(term.label for term in self.design.terms)

    @property
    def terms(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Of a gradient in the sum."""
        return self.terms + (0 if self.own else 1)

    @property
    def searched(self) -> int:
        """Coefficients that are searched for: the intercept of a Poisson model follows from the others."""
        return self.terms if self.family is Family.POISSON else self.size

    def reach(self, theta: Floats) -> float:
        """The largest predictor, without an offset, that a patient could have."""
        first = len(theta) - self.terms
        return float(np.abs(theta[:first]).sum()) + self.design.reach(theta[first:])

    @property
    def wording(self) -> Wording:
        endless = _ENDLESS if any(block.smooth for block in self.design.blocks) else Wording().endless
        if self.own:
            what = "with an outcome that varies " if self.family is not Family.GAUSSIAN else ""
            return Wording(f"among the patients within any site {what}".rstrip(), endless=endless)
        return Wording("among the patients", "Leave it out.", endless)


@dataclass(frozen=True, slots=True)
class Maximum:
    """Where the search ended, in scaled units, the common intercept first where there is one.

    Parameters
    ----------
    information
        Without a penalty.
    loglik, loglik_null
        Less half of the deviance, without a penalty; null without covariates, None where that was not computed.
    """

    theta: Floats
    information: Floats
    loglik: float
    loglik_null: float | None
    iterations: int


@dataclass(frozen=True, slots=True)
class Course:
    """How far the hub is.

    Parameters
    ----------
    stages
        Those of this question, the present one first.
    penalty
        (size, size): half of theta' penalty theta is taken from the log-likelihood.
    power
        The binary logarithm of the sandwich's unit.
    """

    question: Question
    stages: tuple[Stage, ...]
    search: Search
    penalty: Floats
    start: Likelihood | None = None
    maximum: Maximum | None = None
    power: int = 0
    sandwich: Floats | None = None
    told: dict[str, Floats] = field(default_factory=dict)
    sites: int = 0

    @classmethod
    def of(cls, question: Question, stages: Sequence[Stage]) -> Course:
        return cls(
            question, tuple(stages), Search(np.zeros(question.searched)), np.zeros((question.size, question.size))
        )

    @property
    def asks(self) -> Next:
        theta = np.zeros(self.question.size)
        theta[self.question.size - self.question.searched :] = self.search.beta
        if self.maximum is not None:
            theta = self._within(self.maximum.theta)
        return Next(np.concatenate([[float(self.stages[0]), float(self.power)], theta]), self)

    def _within(self, theta: Floats) -> Floats:
        """A last, tiny step may have left the bounds."""
        if self.question.family is Family.GAUSSIAN:
            return theta
        first = self.question.size - self.question.searched
        rest = self.question.reach(theta[first:])
        return np.concatenate([theta[:first], theta[first:] * min(1.0, LARGEST_PREDICTOR / max(1e-9, rest))])

    @property
    def is_over(self) -> bool:
        return not self.stages

    def after(self, sums: Sums) -> Course:
        """Raises RoundFailed where there is no estimate."""
        blocks = sums.blocks
        if not self.told:
            return replace(self, told=dict(blocks), sites=sums.sites).after(sums)
        if self.stages[0] is Stage.SPREAD:
            question, patients = self.question, float(self.told["counts"][0])
            penalty = ridge(blocks["gradient"], blocks["information"], patients, question.design, question.l2)
            first = question.size - question.terms
            return replace(self, stages=self.stages[1:], penalty=np.pad(penalty, ((first, 0), (first, 0))))
        if self.stages[0] is Stage.FIT:
            information = from_upper_triangle(blocks["information"], self.question.size)
            return self._fitted(float(blocks["loglik"][0]), blocks["gradient"], information)
        return self._sandwiched(from_upper_triangle(blocks["information"], self.question.size))

    def _fitted(self, loglik: float, gradient: Floats, information: Floats) -> Course:
        question, unit = self.question, self.question.unit
        raw = Likelihood(loglik * unit, gradient * unit, information * unit)
        if question.family is Family.POISSON and not question.own:
            here: Likelihood = _profiled(raw, question.offset_reach + question.reach(self.search.beta))
        else:
            here = raw
        start = self.start or here
        penalty = self.penalty[-question.searched :, -question.searched :]
        if self.start is None:
            _check_start(question, here.information + penalty)
        if question.family is Family.GAUSSIAN:
            return self._at(_solved(here, penalty), here, raw, start)
        outcome = improve(
            self.search,
            penalised(here, self.search.beta, penalty),
            question.labels if question.searched == question.terms else ("Intercept", *question.labels),
            question.fit_rounds,
            question.wording,
            unit,
            question.reach,
        )
        if isinstance(outcome, Search):
            return replace(self, search=outcome, start=start)
        return self._at(outcome, here, raw, start)

    def _at(self, estimate: Estimate, here: Likelihood, raw: Likelihood, start: Likelihood) -> Course:
        question = self.question
        theta, information = estimate.beta, here.information
        if question.searched < question.size:
            theta, information = _with_intercept(raw, self.search.beta, estimate.beta, question)
        step = estimate.beta - self.search.beta
        loglik = here.loglik + float(here.gradient @ step) - float(step @ here.information @ step) / 2
        maximum = Maximum(theta, information, loglik, _null(question, start), estimate.rounds)
        course = replace(self, stages=self.stages[1:], start=start, maximum=maximum)
        if not course.stages:
            return course
        if np.abs(theta).sum() > LARGEST_LINEAR:
            raise RoundFailed(
                "The coefficients are too large for robust standard errors: columns are nearly collinear.",
                "Leave --robust or a term out.",
            )
        return replace(course, power=course._first_power())

    def _first_power(self) -> int:
        """As if the model were right: then the scores' products add up to the information."""
        maximum = self.maximum
        assert maximum is not None, "the fit is over"
        expected = float(np.diag(maximum.information).max()) / self.question.unit**2
        if self.question.family is Family.GAUSSIAN:
            residual = max(-2 * maximum.loglik / float(self.told["counts"][0]), 1e-30)
            expected *= residual
        return max(-60, min(60, math.floor(math.log2(MOST_PATIENTS / expected)) - _ROOM))

    def _sandwiched(self, products: Floats) -> Course:
        if np.diag(products).max() >= MOST_PATIENTS * (1 - 1e-6):  # a site may have cut its sums
            return replace(self, power=max(-60, self.power - _ROOM))
        return replace(self, stages=self.stages[1:], sandwich=np.ldexp(products, -self.power) * self.question.unit**2)


def _solved(here: Likelihood, penalty: Floats) -> Estimate:
    """The maximum of a quadratic, from its derivatives at 0."""
    covariance: Floats = np.linalg.inv(here.information + penalty).astype(np.float64)
    theta = covariance @ here.gradient
    loglik = here.loglik + float(here.gradient @ theta) / 2
    return Estimate(theta, np.sqrt(np.diag(covariance)), loglik, here.loglik, 1)


def _check_start(question: Question, information: Floats) -> None:
    """Covariates that cannot be told apart are so before the first step, where no coefficient can be to blame."""
    if question.searched > question.terms:
        information = information[1:, 1:] - np.outer(information[1:, 0], information[0, 1:]) / information[0, 0]
    check_distinct(information, question.labels, question.wording, question.unit)


def _profiled(raw: Likelihood, reach: float) -> Likelihood:
    """A Poisson log-likelihood with the intercept at its best, from sums of weights exp(x beta)."""
    total, moments = raw.gradient[0], raw.information
    weight = moments[0, 0]
    if weight <= 0:
        raise _too_far()
    mean = moments[1:, 0] / weight
    largest = math.log(weight) + reach
    return Likelihood(
        total * (math.log(total) - largest) - raw.loglik,
        raw.gradient[1:] - total * mean,
        total * (moments[1:, 1:] / weight - np.outer(mean, mean)),
    )


def _too_far() -> RoundFailed:
    return RoundFailed(
        "The model did not converge: its rates differ too much between patients.",
        "Perhaps one of its groups has no events (separation): leave the covariate out or choose other groups.",
    )


def _with_intercept(raw: Likelihood, answered: Floats, beta: Floats, question: Question) -> tuple[Floats, Floats]:
    """Of a Poisson model: theta with its intercept, and the information of both."""
    total, weight = raw.gradient[0], raw.information[0, 0]
    if weight < _LEAST_WEIGHT * question.unit:
        raise _too_far()
    best = math.log(total / weight) - question.offset_reach - question.reach(answered)
    intercept = best - float(raw.information[1:, 0] @ (beta - answered)) / weight
    return np.concatenate([[intercept], beta]), raw.information * (total / weight)


def _null(question: Question, start: Likelihood) -> float | None:
    """Without covariates: where the search starts, or with the intercept at its best there."""
    if question.searched == question.terms:
        return start.loglik
    if question.family is Family.GAUSSIAN:
        return start.loglik + float(start.gradient[0] ** 2 / start.information[0, 0]) / 2
    if question.offset_reach:
        return None
    whole = 4 * start.information[0, 0]
    share = 0.5 + start.gradient[0] / whole
    return float(whole * (share * math.log(share) + (1 - share) * math.log1p(-share)))
