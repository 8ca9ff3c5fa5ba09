"""Cox's model written down as in the textbook: a loop over events, each with its risk set. Slow, and easy to check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Pooled:
    """Patients of all strata in one place.

    Parameters
    ----------
    x
        (n, p) in original units.
    """

    def __init__(self, times: Any, events: Any, x: Any, strata: Any, ties: str = "efron", entries: Any = None) -> None:
        self.times, self.events = np.asarray(times, dtype=float), np.asarray(events) == 1
        self.x, self.strata, self.ties = np.asarray(x, dtype=float), np.asarray(strata), ties
        self.entries = np.full(len(self.times), -1.0) if entries is None else np.asarray(entries, dtype=float)

    def _risk_sets(self) -> list[tuple[float, Array, Array]]:
        found = []
        for stratum in np.unique(self.strata):
            here = self.strata == stratum
            for time in np.unique(self.times[here & self.events]):
                risk = np.flatnonzero(here & (self.times >= time) & (self.entries < time))
                dead = np.flatnonzero(here & self.events & (self.times == time))
                found.append((time, risk, dead))
        return found

    def _shares(self, risk: Array, dead: Array) -> list[Array]:
        """For each of the dead, how much each of the risk set counts."""
        less = [place / len(dead) if self.ties == "efron" else 0.0 for place in range(len(dead))]
        return [np.where(np.isin(risk, dead), 1 - share, 1.0) for share in less]

    def derivatives(self, beta: Array, g: Callable[[float, Any], float] | None = None) -> tuple[float, Array, Array]:
        """Log-likelihood, gradient, information; with g(time, stratum), of the model with x and g(t) x."""
        size = len(beta) * (2 if g else 1)
        loglik, gradient, information = 0.0, np.zeros(size), np.zeros((size, size))
        for time, risk, dead in self._risk_sets():
            z = self.x if g is None else np.hstack([self.x, g(time, self.strata[dead[0]]) * self.x])
            score = self.x @ beta
            for who, counts in zip(dead, self._shares(risk, dead), strict=True):
                weight = counts * np.exp(score[risk])
                share = weight / weight.sum()
                mean = share @ z[risk]
                loglik += score[who] - np.log(weight.sum())
                gradient += z[who] - mean
                information += (z[risk] - mean).T @ ((z[risk] - mean) * share[:, np.newaxis])
        return loglik, gradient, information

    def residuals(self, beta: Array) -> Array:
        """(n, p) score residuals: x less the mean of its risk set, at one's own event, less what was to be expected."""
        residuals = np.zeros(self.x.shape)
        score = self.x @ beta
        for _, risk, dead in self._risk_sets():
            for counts in self._shares(risk, dead):
                weight = counts * np.exp(score[risk])
                mean = weight @ self.x[risk] / weight.sum()
                residuals[risk] -= (weight / weight.sum())[:, np.newaxis] * (self.x[risk] - mean)
                residuals[dead] += (self.x[dead] - mean) / len(dead)
        return residuals

    def robust(self, beta: Array) -> Array:
        """Standard errors of Lin and Wei."""
        inverse = np.linalg.inv(self.derivatives(beta)[2])
        each = self.residuals(beta)
        return np.sqrt(np.diag(inverse @ each.T @ each @ inverse))

    def changing(self, beta: Array, g: Callable[[float, Any], float], which: Sequence[int]) -> float:
        """Score test that these coefficients do not change with g."""
        own = len(beta)
        _, gradient, information = self.derivatives(beta, g)
        places = [*range(own), *(own + place for place in which)]
        vector = np.where(np.arange(2 * own) < own, 0, gradient)[places]
        return float(vector @ np.linalg.solve(information[np.ix_(places, places)], vector))

    def maximum(self) -> Array:
        beta = np.zeros(self.x.shape[1])
        for _ in range(30):
            _, gradient, information = self.derivatives(beta)
            beta = beta + np.linalg.solve(information, gradient)
        return beta
