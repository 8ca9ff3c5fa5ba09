"""Cox's partial likelihood of one stratum: what a site computes, and what follows from the sum.

Events tied at a time face the same risk set in Breslow's method (1974); in Efron's (1977) the l-th of d events faces
one from which the share l/d of those who have the event then is taken away.

The risk sets' sums of x x' are never built: summed over events they are sum_i w_i H_i x_i x_i', where H_i adds up the
hazards at the times patient i was at risk. Memory stays at n * p.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.regression.risk_sets import RiskSets, gathered
from synthema_core.secure_sum.layout import Floats


class Ties(StrEnum):
    """How events at one time share their risk set."""

    EFRON = "efron"
    BRESLOW = "breslow"


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The log partial likelihood at some coefficients, (p,) its gradient and (p, p) its negative second derivative."""

    loglik: float
    gradient: Floats
    information: Floats

    @property
    def triangle(self) -> Floats:
        """The information's upper triangle row by row, (p * (p + 1) / 2,)."""
        return upper_triangle(self.information)

    @classmethod
    def from_triangle(cls, loglik: float, gradient: Floats, triangle: Floats) -> Self:
        return cls(loglik, gradient, from_upper_triangle(triangle, len(gradient)))


def upper_triangle(matrix: Floats) -> Floats:
    """Of a (p, p) matrix, row by row, (p * (p + 1) / 2,)."""
    return matrix[np.triu_indices(len(matrix))]


def from_upper_triangle(triangle: Floats, size: int) -> Floats:
    """The symmetric matrix of that upper triangle."""
    upper = np.zeros((size, size))
    upper[np.triu_indices(size)] = triangle
    return upper + np.triu(upper, 1).T


def predictor(x: Floats, beta: Floats) -> Floats:
    """(n,): x beta, the same to the last bit for patients with the same covariates, which a matrix product is not."""
    score: Floats = (x * beta).sum(axis=1)
    return score


@dataclass(frozen=True, slots=True)
class RiskSums:
    """One entry an event: the place of its time, the share of the dead taken away, and what is left of the risk set.

    Parameters
    ----------
    total
        (d,): sum of weights exp(x beta).
    mean
        (d, p): weighted mean of x.
    """

    place: NDArray[np.int64]
    share: Floats
    total: Floats
    mean: Floats

    @classmethod
    def of(cls, risk: RiskSets, x: Floats, weight: Floats, ties: Ties) -> Self:
        weighted = np.column_stack([weight, weight[:, np.newaxis] * x])
        return cls.from_sums(risk.died, risk.sums(weighted), risk.dead(weighted), ties)

    @classmethod
    def from_sums(cls, died: NDArray[np.int64], at_risk: Floats, dead: Floats, ties: Ties) -> Self:
        """From (k,) events at each time; (k, 1 + p) sums of weights and weighted x at risk, and of the dead."""
        place = np.repeat(np.arange(len(died)), died)
        before = np.arange(len(place)) - (np.cumsum(died) - died)[place]
        share = before / died[place] if ties is Ties.EFRON else np.zeros(len(place))
        left = at_risk[place] - share[:, np.newaxis] * dead[place]
        return cls(place, share, left[:, 0], left[:, 1:] / left[:, :1])

    def hazards(self, scale: Floats) -> tuple[Floats, Floats]:
        """(k,) each: what a unit of weight at risk at a time adds to the hazard, and what one of the dead adds less."""
        each = scale[self.place] / self.total
        length = len(scale)
        return gathered(self.place, each, length), gathered(self.place, each * self.share, length)

    def exposure(self, risk: RiskSets, values: Floats) -> Floats:
        """(d, ...) -> (n, ...): for each patient, the values of the risk sets they are in, by their share in them."""
        each = (values.T / self.total).T
        less = (each.T * self.share).T
        length = len(risk.times)
        return risk.spread(gathered(self.place, each, length)) - risk.own(gathered(self.place, less, length))


def partial_likelihood(
    risk: RiskSets, x: Floats, beta: Floats, ties: Ties = Ties.BRESLOW, scale: Floats | None = None
) -> Likelihood:
    """The log-likelihood and its derivatives.

    Parameters
    ----------
    x
        (n, p) covariates, absolute values at most 1.
    beta
        (p,) coefficients whose absolute values sum to at most a few hundred, so that exp cannot overflow.
    scale
        (k,): what the part of each event time is multiplied with, in both derivatives.
    """
    terms = x.shape[1]
    if not len(risk.times):
        return Likelihood(0.0, np.zeros(terms), np.zeros((terms, terms)))
    scale = np.ones(len(risk.times)) if scale is None else scale
    score = predictor(x, beta)
    weight = np.exp(score)
    events = RiskSums.of(risk, x, weight, ties)
    scales = scale[events.place]
    second = (x * (weight * events.exposure(risk, scales))[:, np.newaxis]).T @ x
    return Likelihood(
        loglik=float(score[risk.events].sum() - np.log(events.total).sum()),
        gradient=risk.own(scale) @ x - scales @ events.mean,
        information=second - (events.mean * scales[:, np.newaxis]).T @ events.mean,
    )


def score_residuals(risk: RiskSets, x: Floats, beta: Floats, ties: Ties = Ties.BRESLOW) -> Floats:
    """(n, p): what each patient adds to the gradient, as in Lin and Wei (1989); they sum to it."""
    if not len(risk.times):
        return np.zeros(x.shape)
    weight = np.exp(predictor(x, beta))
    events = RiskSums.of(risk, x, weight, ties)
    average = gathered(events.place, events.mean, len(risk.times)) / risk.died[:, np.newaxis]
    faced = events.exposure(risk, np.ones(len(events.place)))[:, np.newaxis] * x - events.exposure(risk, events.mean)
    jumps = np.where(risk.events[:, np.newaxis], x, 0.0) - risk.own(average)
    residuals: Floats = jumps - weight[:, np.newaxis] * faced
    return residuals
