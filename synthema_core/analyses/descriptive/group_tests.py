"""Comparing groups by their numbers of patients, means and standard deviations, or by tables of counts.

Student (1908) and Welch (1947) for two means, Fisher's analysis of variance and Welch (1951) for more; Pearson's
chi-square without a continuity correction, with Cramer's (1946) V; standardised differences after Yang and Dalton
(2012), which are Cohen's d with the mean of the variances for numbers.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtrc, fdtrc, stdtr

from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_SINGULAR = 1e-12


def compare_means(n: Floats, means: Floats, deviations: Floats, *, equal_variances: bool) -> dict[str, Json] | None:
    """Two or more groups. None where there are fewer, or nothing varies in one of them."""
    if len(n) < 2 or (n < 2).any() or not _vary(deviations, equal_variances=equal_variances):
        return None
    if len(n) == 2:
        return _two(n, means, deviations, equal_variances=equal_variances)
    return _classical(n, means, deviations) if equal_variances else _welch(n, means, deviations)


def _vary(deviations: Floats, *, equal_variances: bool) -> bool:
    return bool((deviations > 0).any() if equal_variances else (deviations > 0).all())


def _two(n: Floats, means: Floats, deviations: Floats, *, equal_variances: bool) -> dict[str, Json]:
    variances = deviations**2
    errors = variances / n
    if equal_variances:
        degrees = float(n.sum() - 2)
        error = math.sqrt(((n - 1) @ variances) / degrees * (1 / n).sum())
    else:
        degrees = float(errors.sum() ** 2 / (errors**2 / (n - 1)).sum())
        error = math.sqrt(errors.sum())
    statistic = float(means[0] - means[1]) / error
    name = "Student's t-test" if equal_variances else "Welch's t-test"
    return _told(name, statistic, [degrees], 2 * float(stdtr(degrees, -abs(statistic))))


def _classical(n: Floats, means: Floats, deviations: Floats) -> dict[str, Json]:
    between, within = float(len(n) - 1), float(n.sum() - len(n))
    centre = n @ means / n.sum()
    statistic = float((n @ (means - centre) ** 2) / between / (((n - 1) @ deviations**2) / within))
    return _told("analysis of variance", statistic, [between, within], float(fdtrc(between, within, statistic)))


def _welch(n: Floats, means: Floats, deviations: Floats) -> dict[str, Json]:
    groups, weights = len(n), n / deviations**2
    centre = weights @ means / weights.sum()
    unequal = float(((1 - weights / weights.sum()) ** 2 / (n - 1)).sum())
    between = float(weights @ (means - centre) ** 2) / (groups - 1)
    statistic = between / (1 + 2 * (groups - 2) / (groups**2 - 1) * unequal)
    degrees = [float(groups - 1), (groups**2 - 1) / (3 * unequal)]
    return _told("Welch's analysis of variance", statistic, degrees, float(fdtrc(*degrees, statistic)))


def compare_counts(counts: Floats) -> dict[str, Json] | None:
    """(levels, groups). Empty levels and groups do not count; None where fewer than two of either are left."""
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    if min(counts.shape) < 2:
        return None
    total = float(counts.sum())
    expected = np.outer(counts.sum(1), counts.sum(0)) / total
    statistic = float(((counts - expected) ** 2 / expected).sum())
    degrees = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    told = _told("chi-squared test", statistic, [float(degrees)], float(chdtrc(degrees, statistic)))
    return {
        **told,
        "cramers_v": math.sqrt(statistic / (total * (min(counts.shape) - 1))),
        "smallest_expected": float(expected.min()),
    }


def _told(name: str, statistic: float, degrees: list[float], p: float) -> dict[str, Json]:
    return {"name": name, "statistic": statistic, "degrees": list[Json](degrees), "p": p}


def difference_of_means(means: tuple[float, float], deviations: tuple[float, float]) -> float | None:
    """(first - second) / the root of the mean variance; None where nothing varies and yet they differ."""
    apart = means[0] - means[1]
    spread = math.sqrt((deviations[0] ** 2 + deviations[1] ** 2) / 2)
    if spread == 0:
        return 0.0 if apart == 0 else None
    return apart / spread


def difference_of_counts(first: Floats, second: Floats) -> float | None:
    """Of the shares of (levels,) in two groups: never negative. None where a group is empty, or they have no overlap.

    The root of T S^-1 T' for the differences T of all shares but one, S the mean of their two covariances: whichever
    share is left out.
    """
    if first.sum() <= 0 or second.sum() <= 0:
        return None
    filled = (first + second) > 0
    p, q = first[filled] / first.sum(), second[filled] / second.sum()
    if len(p) < 2:
        return 0.0
    apart = (p - q)[1:]
    covariance = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q))[1:, 1:] / 2
    if np.linalg.eigvalsh(covariance).min() < _SINGULAR:
        return None
    return math.sqrt(max(0.0, float(apart @ np.linalg.solve(covariance, apart))))
