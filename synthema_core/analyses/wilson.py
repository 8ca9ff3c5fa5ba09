"""Wilson's (1927) interval for a share, widened by the noise in it where there is some."""

from __future__ import annotations

import math


def wilson(share: float, sampling: float, noise: float = 0.0) -> tuple[float, float]:
    """The p within [0, 1] for which (share - p)^2 <= sampling * p (1 - p) + noise.

    Parameters
    ----------
    sampling
        The squared quantile of the normal distribution, by the number of patients.
    noise
        The squared quantile times the variance of the noise in `share`.
    """
    middle = 2 * share + sampling
    root = math.sqrt(max(0.0, sampling**2 + 4 * sampling * share * (1 - share) + 4 * (1 + sampling) * noise))
    low, high = ((middle + sign * root) / (2 * (1 + sampling)) for sign in (-1, 1))
    return min(1.0, max(0.0, low)), max(0.0, min(1.0, high))
