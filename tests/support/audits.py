"""What samples of a private Contribution show of its privacy, as the probability of a mistake."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2, norm

Samples: TypeAlias = NDArray[np.int64] | NDArray[np.float64]

ALARM = 1e-8
"""How probable a false alarm of one audit may be."""


def variance_audit(noise: Samples, variance: float) -> float:
    """How probable a sum of squares so far from its mean is; too small or too large. It follows chi-square."""
    statistic = float((np.asarray(noise, dtype=np.float64) ** 2).sum() / variance)
    return 2 * float(min(chi2.cdf(statistic, noise.size), chi2.sf(statistic, noise.size)))


def mean_audit(noise: Samples, variance: float) -> float:
    return 2 * float(norm.sf(abs(noise.sum()) / math.sqrt(variance * noise.size)))


def epsilon_shown(without: Samples, with_one_more: Samples, delta: float) -> float:
    """A lower bound of epsilon at `delta`, wrong with probability ALARM: none shows more than it honestly declares.

    An event (at least, at most, or exactly so much) is chosen on the first half of the samples; on the other half its
    two probabilities are bounded (Clopper and Pearson 1934), and P(event) <= e^epsilon P'(event) + delta is turned
    round.
    """
    half = len(without) // 2
    pairs = ((without, with_one_more), (with_one_more, without))
    worlds = [(sign * a, sign * b) for sign in (1, -1) for a, b in pairs]
    worlds += [pair for pair in (_most_frequent(a, b, half) for a, b in pairs) if pair is not None]
    events = [(a, b, least) for a, b in worlds for least in _thresholds(a[:half])]
    likely, unlikely, least = max(events, key=lambda event: _bound(event[0][:half], event[1][:half], event[2], delta))
    return _bound(likely[half:], unlikely[half:], least, delta)


def _most_frequent(likely: Samples, unlikely: Samples, half: int) -> tuple[Samples, Samples] | None:
    """1 for the value that occurs most often in the first half, 0 for all others; None where none occurs twice."""
    values, often = np.unique(likely[:half], return_counts=True)
    value = values[np.argmax(often)]
    return None if often.max() == 1 else ((likely == value).astype(np.int64), (unlikely == value).astype(np.int64))


def _thresholds(samples: Samples) -> Samples:
    values = np.unique(samples)
    return values if len(values) <= 200 else np.quantile(values, np.linspace(0, 1, 200), method="nearest")


def _bound(likely: Samples, unlikely: Samples, least: float, delta: float) -> float:
    count, often, seldom = len(likely), int((likely >= least).sum()), int((unlikely >= least).sum())
    low = float(beta.ppf(ALARM / 2, often, count - often + 1)) if often else 0.0
    high = float(beta.ppf(1 - ALARM / 2, seldom + 1, count - seldom)) if seldom < count else 1.0
    return math.log((low - delta) / high) if low > delta else 0.0
