"""Tests and effects of a table of counts, from the counts alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, ndtr, ndtri

from synthema_core.analyses.descriptive.group_tests import compare_counts
from synthema_core.analyses.wilson import wilson
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_DRAWS, _SEED = 20_000, 20_260_401
_AS_LIKELY = 1e-7
"""Relative: probabilities that differ by less are the same, as in R's fisher.test."""


def associations(table: Floats) -> dict[str, Json]:
    """Of independence: chi-square, with Yates' correction for two by two, Fisher's exact test, and a trend."""
    dense = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(dense.shape, default=0) < 2:
        return {"chi_square": None, "corrected": None, "fisher": None, "trend": None}
    return {
        "chi_square": compare_counts(dense),
        "corrected": _corrected(dense) if dense.shape == (2, 2) else None,
        "fisher": _fisher(dense),
        "trend": _trend(dense),
    }


def _corrected(table: Floats) -> dict[str, Json]:
    """Yates: each cell is half a patient nearer to what is expected, or at it."""
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    apart = np.abs(table - expected)
    statistic = float(((apart - np.minimum(0.5, apart)) ** 2 / expected).sum())
    return {"statistic": statistic, "degrees": 1, "p": float(chdtrc(1, statistic))}


def _fisher(table: Floats) -> dict[str, Json]:
    """Tables with these margins that are no more likely than this one: all of two by two, else drawn at random.

    The draws have a fixed seed, so that everybody computes the same; `error` is what chance is left in p.
    """
    from scipy.stats import fisher_exact, random_table

    whole = table.astype(np.int64)
    if whole.shape == (2, 2):
        return {"p": float(fisher_exact(whole)[1]), "draws": None, "error": None}
    margins = random_table(whole.sum(1), whole.sum(0))
    draws = margins.rvs(size=_DRAWS, random_state=_SEED)
    limit = float(margins.logpmf(whole)) + math.log1p(_AS_LIKELY)
    p = (1 + int(np.count_nonzero(margins.logpmf(draws) <= limit))) / (1 + _DRAWS)
    return {"p": p, "draws": _DRAWS, "error": math.sqrt(p * (1 - p) / _DRAWS)}


def _trend(table: Floats) -> dict[str, Json] | None:
    """Cochran and Armitage: whether a share rises or falls over levels in order; None unless one side is of two."""
    if table.shape[0] == 2 < table.shape[1]:
        table = table.T
    if table.shape[1] != 2 or table.shape[0] < 3:
        return None
    scores, sizes, total = np.arange(len(table), dtype=np.float64), table.sum(1), float(table.sum())
    share = float(table[:, 1].sum()) / total
    gathered = float((scores * (table[:, 1] - sizes * share)).sum())
    spread = float((sizes * scores**2).sum()) - float((sizes * scores).sum()) ** 2 / total
    z = gathered / math.sqrt(share * (1 - share) * spread)
    return {"z": z, "p": 2 * float(ndtr(-abs(z)))}


@dataclass(frozen=True, slots=True)
class TwoByTwo:
    """Two groups in rows, an outcome in columns: without it, with it.

    Parameters
    ----------
    table
        (2, 2) counts.
    confidence
        Coverage of the intervals.
    """

    table: Floats
    confidence: float

    def effects(self) -> dict[str, Json] | None:
        """The second row against the first; None where a row is empty.

        Ratios have Woolf's and Katz' intervals, on the logarithm, the difference Newcombe's of Wilson's.
        """
        sizes = self.table.sum(1)
        if np.any(sizes == 0):
            return None
        shares = self.table[:, 1] / sizes
        return {
            "risks": list[Json](shares.tolist()),
            "odds_ratio": self._ratio(self._odds(), math.sqrt(self._odds_variance())),
            "risk_ratio": self._ratio(self._risks(shares), math.sqrt(self._risk_variance(sizes))),
            "risk_difference": self._difference(shares, sizes),
        }

    @property
    def _reach(self) -> float:
        return float(ndtri(0.5 + self.confidence / 2))

    def _odds(self) -> float | None:
        (a, b), (c, d) = self.table.tolist()
        return a * d / (b * c) if b * c else None

    def _odds_variance(self) -> float:
        return float((1 / self.table).sum()) if np.all(self.table > 0) else math.inf

    @staticmethod
    def _risks(shares: Floats) -> float | None:
        return float(shares[1] / shares[0]) if shares[0] else None

    def _risk_variance(self, sizes: Floats) -> float:
        events = self.table[:, 1]
        return float((1 / events - 1 / sizes).sum()) if np.all(events > 0) else math.inf

    def _ratio(self, value: float | None, error: float) -> dict[str, Json]:
        """None for an end that is 0 or infinite."""
        if value is None or not value or not math.isfinite(error):
            return {"value": value, "lower": None, "upper": None}
        reach = math.exp(self._reach * error)
        return {"value": value, "lower": value / reach, "upper": value * reach}

    def _difference(self, shares: Floats, sizes: Floats) -> dict[str, Json]:
        sampling = (self._reach**2 / sizes).tolist()
        lower, upper = zip(*map(wilson, shares.tolist(), sampling), strict=True)
        value = float(shares[1] - shares[0])
        down = math.hypot(shares[1] - lower[1], upper[0] - shares[0])
        up = math.hypot(upper[1] - shares[1], shares[0] - lower[0])
        return {"value": value, "lower": value - down, "upper": value + up}
