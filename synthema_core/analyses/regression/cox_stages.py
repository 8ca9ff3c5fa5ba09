"""The Rounds of a Cox model as the hub goes through them: its memory between them, and what it asks next.

All Rounds share one layout. A Round of the fit has the gradient and the information in it, a later one other sums of
the same shape in the same places: so a check leaves as many numbers as one more iteration would, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

import numpy as np

from synthema_core.analyses.base import Next, Sums
from synthema_core.analyses.regression.newton import LARGEST_PREDICTOR, Estimate, Search, improve
from synthema_core.analyses.regression.partial_likelihood import Likelihood, from_upper_triangle
from synthema_core.analyses.regression.ridge import penalised, ridge
from synthema_core.design import Design
from synthema_core.secure_sum.layout import Floats


class Stage(IntEnum):
    """What a Round asks for; the first number of its input. In the Rounds' order."""

    SPREAD = 1
    """Sums of the covariates and of their products: their standard deviations, by which a ridge penalty counts."""
    FIT = 2
    """Gradient, information and log-likelihood at some coefficients."""
    CHECK = 3
    """At the estimate: pairs for the concordance; gradient along g(t) x, and information of x with g(t) x."""
    CURVATURE = 4
    """Information of g(t) x."""
    SANDWICH = 5
    """Score residuals, each multiplied with itself."""
    RISK_SETS = 6
    """Without strata: risk sets in the steps of a grid."""
    CURVE = 7
    """Without strata: x x' by weight and by the cumulative hazard that comes with the coefficients."""


class Fitted(Protocol):
    """What the stages need to know of a question."""

    @property
    def design(self) -> Design: ...

    @property
    def l2(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Course:
    """How far the hub is.

    Parameters
    ----------
    stages
        Those of this question, the present one first.
    penalty
        (p, p) Q: coefficients cost half of beta' Q beta; zeros without a ridge.
    start, end
        The likelihood without the penalty, where all coefficients are 0 and at the estimate.
    gathered
        The sums of the Rounds after the fit.
    """

    stages: tuple[Stage, ...]
    search: Search
    penalty: Floats
    patients: int = 0
    events: int = 0
    start: Likelihood | None = None
    end: Likelihood | None = None
    estimate: Estimate | None = None
    gathered: Mapping[Stage, Mapping[str, Floats]] = field(default_factory=dict)

    @classmethod
    def of(cls, stages: Sequence[Stage], terms: int) -> Course:
        return cls(tuple(stages), Search(np.zeros(terms)), np.zeros((terms, terms)))

    @property
    def asks(self) -> Next:
        beta = self.search.beta
        if self.estimate is not None:  # a last, tiny step may have left the bounds
            beta = self.estimate.beta * min(1.0, LARGEST_PREDICTOR / max(1e-9, np.abs(self.estimate.beta).sum()))
        return Next(np.concatenate([[float(self.stages[0])], beta]), self)

    @property
    def is_over(self) -> bool:
        return not self.stages

    def counted(self, patients: int, events: int) -> Course:
        return replace(self, patients=patients, events=events)

    def after(self, sums: Sums, question: Fitted, fit_rounds: int) -> Course:
        """The Course with that Round's sums. Raises RoundFailed where there is no estimate."""
        blocks = sums.blocks
        if self.stages[0] is Stage.SPREAD:
            penalty = ridge(blocks["gradient"], blocks["information"], self.patients, question.design, question.l2)
            return replace(self, stages=self.stages[1:], penalty=penalty)
        if self.stages[0] is Stage.FIT:
            here = Likelihood.from_triangle(float(blocks["loglik"][0]), blocks["gradient"], blocks["information"])
            return self._fitted(here, [term.label for term in question.design.terms], fit_rounds)
        return replace(self, stages=self.stages[1:], gathered={**self.gathered, self.stages[0]: blocks})

    def _fitted(self, here: Likelihood, labels: Sequence[str], fit_rounds: int) -> Course:
        start = self.start or here
        outcome = improve(self.search, penalised(here, self.search.beta, self.penalty), labels, fit_rounds)
        if isinstance(outcome, Search):
            return replace(self, search=outcome, start=start)
        return replace(self, stages=self.stages[1:], start=start, end=here, estimate=outcome)

    def matrix(self, stage: Stage) -> Floats:
        """(p, p): what that Round had in the places of the information."""
        return from_upper_triangle(self.gathered[stage]["information"], len(self.penalty))
