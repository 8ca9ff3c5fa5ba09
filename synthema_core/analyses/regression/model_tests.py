"""What is told of a model's coefficients: tests from its gradient and information matrices, and ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc

from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_SINGULAR = 1e-9


def chi_squared(statistic: float, degrees: float) -> dict[str, Json]:
    """A statistic that is chi-squared with so many degrees of freedom where the hypothesis holds."""
    return {"statistic": statistic, "degrees": degrees, "p": float(chdtrc(degrees, max(0.0, statistic)))}


def wald_test(beta: Floats, covariance: Floats, which: Sequence[int]) -> dict[str, Json] | None:
    """That these coefficients are all 0; None where their covariance is singular."""
    here = list(which)
    return _quadratic(beta[here], covariance[np.ix_(here, here)])


def score_test(gradient: Floats, information: Floats) -> dict[str, Json] | None:
    """That the point of this gradient is the maximum."""
    return _quadratic(gradient, information)


def added_test(gradient: Floats, first: Floats, mixed: Floats, second: Floats, which: Sequence[int]) -> Json:
    """Score test of added coefficients at 0, where the model's own are at their maximum (Rao 1948).

    Parameters
    ----------
    gradient
        (p,) along all that could be added.
    first, mixed, second
        (p, p): information of the model's own coefficients, of own and added, of the added ones.
    which
        The ones that are added.
    """
    here = list(which)
    try:
        explained = mixed[:, here].T @ np.linalg.solve(first, mixed[:, here])
    except np.linalg.LinAlgError:
        return None
    return _quadratic(gradient[here], second[np.ix_(here, here)] - explained, _SINGULAR)


def _quadratic(vector: Floats, variance: Floats, least: float = 0.0) -> dict[str, Json] | None:
    """vector' variance^-1 vector, scaled so that no unit of a coefficient decides what counts as singular."""
    scale = np.sqrt(np.clip(np.diag(variance), 0, None))
    if not np.all(scale**2 > least):
        return None
    correlation = variance / np.outer(scale, scale)
    if not np.linalg.eigvalsh(correlation)[0] > _SINGULAR:
        return None
    scaled = vector / scale
    return chi_squared(float(scaled @ np.linalg.solve(correlation, scaled)), len(vector))


def finite_exp(value: float) -> float | None:
    """None where JSON has no number for it: a coefficient per unit can be huge on a tiny range."""
    return math.exp(value) if value < 700 else None
