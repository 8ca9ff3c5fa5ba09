"""Cox's partial likelihood of one stratum, with Breslow's ties: what a site computes, and what follows from the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The log partial likelihood at some coefficients, (p,) its gradient and (p, p) its negative second derivative."""

    loglik: float
    gradient: Floats
    information: Floats

    @property
    def triangle(self) -> Floats:
        """The information's upper triangle row by row, (p * (p + 1) / 2,)."""
        return self.information[np.triu_indices(len(self.gradient))]

    @classmethod
    def from_triangle(cls, loglik: float, gradient: Floats, triangle: Floats) -> Self:
        terms = len(gradient)
        upper = np.zeros((terms, terms))
        upper[np.triu_indices(terms)] = triangle
        return cls(loglik, gradient, upper + np.triu(upper, 1).T)


def partial_likelihood(times: Floats, events: NDArray[np.bool_], x: Floats, beta: Floats) -> Likelihood:
    """Breslow (1974): every event at a time faces the same risk set, all who are observed until then or longer.

    Parameters
    ----------
    times, events
        (n,).
    x
        (n, p) covariates, absolute values at most 1.
    beta
        (p,) coefficients whose absolute values sum to at most a few hundred, so that exp cannot overflow.

    Notes
    -----
    The risk sets' sums of x x' are never built: summed over events they are sum_i w_i H(t_i) x_i x_i', where H is the
    Breslow cumulative hazard. Memory stays at n * p.
    """
    terms = x.shape[1]
    if not events.any():
        return Likelihood(0.0, np.zeros(terms), np.zeros((terms, terms)))
    order = np.argsort(times, kind="stable")
    times, events, x = times[order], events[order], x[order]
    predictor = x @ beta
    weight = np.exp(predictor)
    event_times, died = np.unique(times[events], return_counts=True)
    first = np.searchsorted(times, event_times, side="left")
    s0 = np.cumsum(weight[::-1])[::-1][first]
    s1 = np.cumsum((weight[:, np.newaxis] * x)[::-1], axis=0)[::-1][first]
    mean = s1 / s0[:, np.newaxis]
    hazard = np.concatenate([[0.0], np.cumsum(died / s0)])[np.searchsorted(event_times, times, side="right")]
    information = (x * (weight * hazard)[:, np.newaxis]).T @ x - (mean * died[:, np.newaxis]).T @ mean
    return Likelihood(
        loglik=float(predictor[events].sum() - died @ np.log(s0)),
        gradient=x[events].sum(axis=0) - died @ mean,
        information=information,
    )
