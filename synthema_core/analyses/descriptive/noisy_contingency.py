"""Tests and effects of a table of noisy counts.

Independence is tested by a chi-square whose cells are weighed by all of their variance, that of the noise too. Noise
makes its distribution no chi-square's: it is that of tables drawn with the table's own margins, independent and with
noise of their own (Gaboardi, Lim, Rogers and Vadhan 2016), everything estimated from each as from the table itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.special import logit, ndtri

from synthema_core.analyses.wilson import wilson
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_DRAWS, _SEED = 20_000, 20_260_401
_AT_ONCE = 2_000_000
_HIDDEN, _FARTHEST = 3.0, 50.0

_Interval: TypeAlias = tuple[float, float, float]
"""A value, its lower and its upper end."""


def independence(table: Floats, deviation: float) -> dict[str, Json] | None:
    """Chi-square, and a trend where one side is of two and the other of more; None where patients may be all noise.

    The draws have a fixed seed, so that everybody computes the same; `error` is what chance is left in p.

    Parameters
    ----------
    deviation
        Of the noise in each count.
    """
    if min(table.shape) < 2 or not table.sum() > _HIDDEN * deviation * math.sqrt(table.size):
        return None
    own = _statistics(table[np.newaxis], deviation)[:, 0]
    as_far = np.ones(len(own))
    dice, left = np.random.default_rng(_SEED), _DRAWS
    expected = _expected(table[np.newaxis])[0]
    while left:
        many = min(left, max(1, _AT_ONCE // table.size))
        drawn = dice.multinomial(max(1, round(float(table.sum()))), (expected / expected.sum()).reshape(-1), many)
        noisy = drawn.reshape(many, *table.shape) + dice.normal(0.0, deviation, (many, *table.shape))
        as_far += (_statistics(noisy, deviation) >= own[:, np.newaxis]).sum(axis=1)
        left -= many
    p = [float(count) / (1 + _DRAWS) for count in as_far]
    told: dict[str, Json] = {
        "chi_square": {"statistic": float(own[0]), **_p(p[0])},
        "trend": {"z": math.sqrt(float(own[1])), **_p(p[1])} if len(own) > 1 else None,
        "draws": _DRAWS,
    }
    return told


def _p(value: float) -> dict[str, Json]:
    return {"p": value, "error": math.sqrt(value * (1 - value) / _DRAWS)}


def _expected(tables: Floats) -> Floats:
    """(k, r, c): were rows and columns independent; margins that noise has made negative count as 0."""
    rows, columns = (np.maximum(tables.sum(axis=axis), 0.0) for axis in (2, 1))
    whole = np.maximum((rows.sum(1) + columns.sum(1)) / 2, 1e-9)[:, np.newaxis, np.newaxis]
    found: Floats = rows[:, :, np.newaxis] * columns[:, np.newaxis] / whole
    return found


def _statistics(tables: Floats, deviation: float) -> Floats:
    """(statistics, k): chi-square, and the squared z of a trend where there may be one."""
    expected = _expected(tables)
    variance = np.maximum(expected + deviation**2, 1e-9)
    found = [((tables - expected) ** 2 / variance).sum(axis=(1, 2))]
    long = tables.swapaxes(1, 2) if tables.shape[1] == 2 else tables
    if long.shape[2] == 2 and long.shape[1] > 2:
        found.append(_trend(long, deviation) ** 2)
    return np.array(found)


def _trend(tables: Floats, deviation: float) -> Floats:
    """(k,): Cochran and Armitage's z of (k, levels, 2), with the noise in its variance."""
    sizes, scores = np.maximum(tables.sum(axis=2), 0.0), np.arange(tables.shape[1], dtype=np.float64)
    total = np.maximum(sizes.sum(axis=1), 1e-9)
    share = np.clip(tables[:, :, 1].sum(axis=1) / total, 0.0, 1.0)
    away = scores - ((sizes @ scores) / total)[:, np.newaxis]
    gathered = (away * (tables[:, :, 1] - tables.sum(axis=2) * share[:, np.newaxis])).sum(axis=1)
    sampling = share * (1 - share) * (sizes * away**2).sum(axis=1)
    noise = deviation**2 * (share**2 + (1 - share) ** 2) * (away**2).sum(axis=1)
    z: Floats = gathered / np.sqrt(np.maximum(sampling + noise, 1e-9))
    return z


def effects(table: Floats, deviation: float, confidence: float) -> dict[str, Json] | None:
    """Of two by two, the second row against the first, outcome in the second column; None where a row may be noise.

    Each risk has Wilson's interval, widened by the noise. Those of effects follow from them (Newcombe 1998 for
    differences; Zou and Donner 2008, on the logarithm, for ratios).
    """
    quantile = float(ndtri(0.5 + confidence / 2))
    sizes = table.sum(1)
    if np.any(sizes <= quantile * deviation * math.sqrt(2)):
        return None
    first, second = (_risk(float(line[0]), float(line[1]), deviation, quantile) for line in table)
    return {
        "risks": [first[0], second[0]],
        "odds_ratio": _ratio(first, second, logit),
        "risk_ratio": _ratio(first, second, np.log),
        "risk_difference": dict(zip(("value", "lower", "upper"), _apart(first, second), strict=True)),
    }


def _risk(without: float, having: float, deviation: float, quantile: float) -> _Interval:
    size = without + having
    share = having / size
    noise = deviation**2 * (share**2 + (1 - share) ** 2) / size**2
    lower, upper = wilson(share, quantile**2 / size, quantile**2 * noise)
    held = min(1.0, max(0.0, share))
    return held, min(lower, held), max(upper, held)


def _apart(first: _Interval, second: _Interval) -> _Interval:
    """The second less the first, with what is left of the ends of both."""
    value = second[0] - first[0]
    down = math.hypot(second[0] - second[1], first[2] - first[0])
    up = math.hypot(second[2] - second[0], first[0] - first[1])
    return value, value - down, value + up


def _ratio(first: _Interval, second: _Interval, scale: Callable[[Floats], Floats]) -> dict[str, Json]:
    """On the logarithm; None for an end that is 0 or infinite, and for all where a risk is 0 or 1."""
    with np.errstate(divide="ignore"):
        one, other = (tuple(scale(np.array(risk)).tolist()) for risk in (first, second))
    if not (math.isfinite(one[0]) and math.isfinite(other[0])):
        return {"value": None, "lower": None, "upper": None}
    ends = (math.exp(end) if math.isfinite(end) and abs(end) < _FARTHEST else None for end in _apart(one, other))
    return dict(zip(("value", "lower", "upper"), ends, strict=True))
