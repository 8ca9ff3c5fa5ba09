"""Life tables and what is estimated from them. Counts only: (cells,) for one arm, (arms, cells) for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, ndtri

from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_AT_HALF = 1e-9  # a survival of one half, as a product of fractions, may come out a rounding error above it


@dataclass(frozen=True, slots=True)
class SurvivalCurve:
    """Kaplan-Meier estimate of one arm at each time of a grid, all (cells,).

    `standard_error` is NaN where nobody survives: Greenwood's formula has no value there.
    """

    survival: Floats
    standard_error: Floats
    lower: Floats
    upper: Floats


def at_risk(deaths: Floats, censored: Floats, beyond: Floats) -> Floats:
    """Patients under observation just before each time: those whose own time is that one or later.

    Parameters
    ----------
    deaths, censored
        (..., cells): patients whose observation ends at each time.
    beyond
        (...): patients still under observation after the last time.
    """
    leaving = deaths + censored
    later: Floats = np.cumsum(leaving[..., ::-1], axis=-1)[..., ::-1]
    return later + beyond[..., np.newaxis]


def survival_curve(deaths: Floats, risk: Floats, confidence: float) -> SurvivalCurve:
    """Kaplan and Meier (1958), with Greenwood's variance and Kalbfleisch and Prentice's log(-log) interval.

    The interval is exp(-exp(log(-log S) ± z sqrt(V) / log S)), V = sum d / (n (n - d)); it is [1, 1] before the
    first death and, as in lifelines, [0, 0] once nobody survives.
    """
    survivors = risk - deaths
    survival = np.cumprod(np.divide(survivors, risk, out=np.ones_like(risk), where=risk > 0), dtype=np.float64)
    inner = (deaths > 0) & (survivors > 0)
    variance = np.cumsum(np.divide(deaths, risk * survivors, out=np.zeros_like(risk), where=inner))
    standard_error = np.where(survival > 0, survival * np.sqrt(variance), np.nan)
    lower, upper = survival.copy(), survival.copy()
    open_ = (survival > 0) & (survival < 1)
    log_survival = np.log(survival[open_])
    reach = ndtri(0.5 + confidence / 2) * np.sqrt(variance[open_]) / -log_survival
    lower[open_] = np.exp(log_survival * np.exp(reach))
    upper[open_] = np.exp(log_survival * np.exp(-reach))
    return SurvivalCurve(survival, standard_error, lower, upper)


def median_time(grid: Sequence[float], survival: Floats) -> float | None:
    """The first time at which survival is one half or less; None if it stays above."""
    reached = np.flatnonzero(survival <= 0.5 + _AT_HALF)
    return grid[int(reached[0])] if len(reached) else None


def log_rank(deaths: Floats, risk: Floats) -> dict[str, Json] | None:
    """The log-rank test of equal hazards in all arms; None where it is not defined.

    Parameters
    ----------
    deaths, risk
        (arms, cells).

    Notes
    -----
    Observed less expected deaths U of all arms but the last, and their hypergeometric covariance V (Kalbfleisch and
    Prentice 2002, section 1.5): U' V^-1 U is chi-squared with arms - 1 degrees of freedom.
    """
    arms = len(deaths)
    died, exposed = deaths.sum(axis=0), risk.sum(axis=0)
    informative = (died > 0) & (exposed > 1)
    if arms < 2 or not informative.any():
        return None
    deaths, risk = deaths[:, informative], risk[:, informative]
    excess, covariance = excess_deaths(deaths, risk)
    free = arms - 1
    if np.linalg.matrix_rank(covariance, tol=1e-9) < free:
        return None
    statistic = float(excess[:free] @ np.linalg.solve(covariance[:free, :free], excess[:free]))
    return {"statistic": statistic, "degrees": free, "p": float(chdtrc(free, statistic))}


def excess_deaths(deaths: Floats, risk: Floats) -> tuple[Floats, Floats]:
    """Deaths less those expected with equal hazards, (arms,), and their hypergeometric covariance, (arms, arms)."""
    died, exposed = deaths.sum(axis=0), risk.sum(axis=0)
    share = risk / exposed
    weight = np.divide(died * (exposed - died), exposed - 1, out=np.zeros_like(died), where=exposed > 1)
    covariance: Floats = np.diag((share * weight).sum(axis=1)) - (share * weight) @ share.T
    return (deaths - share * died).sum(axis=1), covariance
