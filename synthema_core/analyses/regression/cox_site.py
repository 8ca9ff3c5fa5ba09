"""What one site adds to the Rounds of a Cox model, by the blocks in which it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.regression.baseline_hazard import BaselineGrid
from synthema_core.analyses.regression.concordance import concordant_pairs
from synthema_core.analyses.regression.partial_likelihood import (
    Ties,
    partial_likelihood,
    predictor,
    score_residuals,
    upper_triangle,
)
from synthema_core.analyses.regression.risk_sets import RiskSets
from synthema_core.analyses.regression.time_scales import TimeScale, scaled_times
from synthema_core.secure_sum.layout import Floats

SANDWICH_UNIT = 2.0**18
"""In which the products of score residuals are told, so that they have room in the places of the information.

With d events and n patients, the residual of one who is the share q of a risk set changes by at most 2 q (1 - q) <= 1/2
at each event, and by 2 at their own; all residuals together by 3 d. So the squares add up to at most
3 n (2 + n / 2) < 2**18 n, for n up to 100,000.
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """A site's cohort.

    Parameters
    ----------
    times, events, entries
        (n,): observed until, whether that was the event, observed from.
    stratum
        (n,) from 0.
    x
        (n, p), between -1 and 1.
    """

    times: Floats
    events: NDArray[np.bool_]
    entries: Floats | None
    stratum: NDArray[np.int64]
    x: Floats
    ties: Ties

    def _strata(self) -> Iterator[tuple[RiskSets, NDArray[np.bool_]]]:
        for stratum in np.unique(self.stratum):
            here = self.stratum == stratum
            yield RiskSets.of(self.times[here], self.events[here], self._entries(here)), here

    def _entries(self, here: NDArray[np.bool_]) -> Floats | None:
        return None if self.entries is None else self.entries[here]

    @property
    def _counts(self) -> Floats:
        return np.array([len(self.events), np.count_nonzero(self.events)], dtype=np.float64)

    def spread(self) -> dict[str, Floats]:
        """Sums of the covariates, and of their products."""
        products = upper_triangle(self.x.T @ self.x)
        return {"gradient": self.x.sum(axis=0), "information": products, "counts": self._counts}

    def fit(self, beta: Floats) -> dict[str, Floats]:
        """The likelihood and its derivatives."""
        parts = [partial_likelihood(risk, self.x[here], beta, self.ties) for risk, here in self._strata()]
        terms = len(beta)
        return {
            "gradient": sum((part.gradient for part in parts), np.zeros(terms)),
            "information": upper_triangle(sum((part.information for part in parts), np.zeros((terms, terms)))),
            "loglik": np.array([sum(part.loglik for part in parts)]),
            "counts": self._counts,
        }

    def check(self, beta: Floats, scale: TimeScale | None, longest: float, *, squared: bool) -> dict[str, Floats]:
        """Derivatives along g(t) x; or, squared, their own information. And the pairs, and the sum of g of the events.

        The second derivative by beta and gamma of a hazard exp(x beta + g(t) x gamma) is the information with each
        event time's part times g; by gamma and gamma, times g squared.
        """
        terms = len(beta)
        gradient, information, total = np.zeros(terms), np.zeros((terms, terms)), 0.0
        for risk, here in self._strata():
            if scale is None:
                break
            g = scaled_times(scale, risk.times, self.times, self.events, self.entries, longest)
            part = partial_likelihood(risk, self.x[here], beta, self.ties, g**2 if squared else g)
            gradient, information = gradient + part.gradient, information + part.information
            total += float(risk.died @ g)
        if squared:
            return {"information": upper_triangle(information)}
        return {
            "gradient": gradient,
            "information": upper_triangle(information),
            "loglik": np.array([total]),
            "counts": self._pairs(beta),
        }

    def _pairs(self, beta: Floats) -> Floats:
        score = predictor(self.x, beta)
        pairs = [
            concordant_pairs(self.times[here], self.events[here], score[here], self._entries(here))
            for _, here in self._strata()
        ]
        both: Floats = np.array(pairs, dtype=np.float64).reshape(-1, 2).sum(axis=0)
        return both

    def sandwich(self, beta: Floats) -> dict[str, Floats]:
        """The sum of r r' over score residuals r, in units of `SANDWICH_UNIT`."""
        residuals = [score_residuals(risk, self.x[here], beta, self.ties) for risk, here in self._strata()]
        each = np.vstack([*residuals, np.zeros((0, len(beta)))])
        return {"information": upper_triangle(each.T @ each) / SANDWICH_UNIT}

    def baseline(self, beta: Floats, grid: BaselineGrid) -> dict[str, Floats]:
        parts = grid.contribution(self.times, self.events, predictor(self.x, beta), float(np.abs(beta).sum()))
        return {block.name: part for block, part in zip(grid.blocks, parts, strict=True)}
