"""Private survival curves as JSON: noisy counts made plausible, curves made monotone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.special import ndtr, ndtri

from synthema_core.analyses.descriptive.noisy_tables import plausible
from synthema_core.analyses.survival.monotone import falling
from synthema_core.analyses.survival.noisy_curves import Interval, NoisyArm, at_risk, log_rank, split
from synthema_core.analyses.survival.survival_summaries import holm
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_CERTAIN = 1e-12


@dataclass(frozen=True)
class Noisy:
    """The sum of a Round, read.

    Parameters
    ----------
    arms
        Codes and labels.
    counts
        (arms, 2 steps + 1), see `NoisyArm`.
    deviation
        Of the noise in each.
    grid
        (steps + 1,) times.
    """

    arms: Sequence[tuple[str, str]]
    counts: Floats
    deviation: float
    grid: Floats
    confidence: float

    @cached_property
    def curves(self) -> list[NoisyArm]:
        return [NoisyArm(counts, self.deviation**2, self.grid, self.confidence) for counts in self.counts]

    def arm(self, index: int, times: Sequence[float]) -> dict[str, Json]:
        (code, label), curve = self.arms[index], self.curves[index]
        whole = np.array(plausible(curve.counts, max(0, round(curve.patients))))
        deaths, censored, _ = split(whole)
        band = _Band.of(curve)
        hazard, error = curve.cumulative_hazard
        return {
            "code": code,
            "label": label,
            "patients": int(whole.sum()),
            "events": int(deaths.sum()),
            "at_risk": [int(whole.sum()), *(int(number) for number in at_risk(whole))],
            "deaths": [0, *(int(number) for number in deaths)],
            "censored": [0, *(int(number) for number in censored)],
            "survival": [*band.middle, *[None] * band.unknown],
            "standard_error": [*band.errors, *[None] * band.unknown],
            "lower": [*band.lower, *[0.0] * band.unknown],
            "upper": [*band.upper, *[band.upper[-1]] * band.unknown],
            "hazard": [0.0, *np.maximum.accumulate(np.maximum(hazard, 0.0)).tolist(), *[None] * band.unknown],
            "hazard_error": [0.0, *error.tolist(), *[None] * band.unknown],
            "followed": float(self.grid[curve.followed]),
            "median": _half_at(self.grid, band.middle),
            "median_interval": band.median_interval(self.grid),
            "at": [self._at(curve, band, whole, time) for time in times],
        }

    def _at(self, curve: NoisyArm, band: _Band, whole: Floats, time: float) -> dict[str, Json]:
        found, step = curve.at(time), float(self.grid[1])
        risk = int(at_risk(whole)[min(curve.steps - 1, max(0, math.ceil(time / step - 1e-9) - 1))])
        if found is None:
            return {"time": time, "survival": None, "lower": 0.0, "upper": band.upper[-1], "at_risk": risk}
        held = min(1.0, max(0.0, found.value))
        return {"time": time, "survival": held, "lower": found.lower, "upper": found.upper, "at_risk": risk}

    def log_rank(self) -> dict[str, Json] | None:
        return log_rank(self.curves)

    def pairs(self) -> list[Json]:
        """Of every two arms; of more than two. With Holm's correction for how many there are."""
        if len(self.arms) < 3:
            return []
        names = [label or code for code, label in self.arms]
        places = list(combinations(range(len(names)), 2))
        tests = [log_rank([self.curves[one], self.curves[other]]) for one, other in places]
        corrected = iter(holm([float(str(test["p"])) for test in tests if test]))
        return [
            {"arms": [names[one], names[other]], "test": test, "p_holm": next(corrected) if test else None}
            for (one, other), test in zip(places, tests, strict=True)
        ]

    def differences(self, times: Sequence[float]) -> list[Json]:
        """The second arm's survival to each time less the first's; of two arms. None after the end of a curve."""
        if len(self.arms) != 2:
            return []
        first, second = self.curves
        return [self._difference(first.at(time), second.at(time), {"time": time}) for time in times]

    def restricted_means(self, until: float) -> dict[str, Json]:
        found = [curve.mean_until(until) for curve in self.curves]
        told: list[Json] = [None if one is None else _told(one.value, one.variance, self._quantile) for one in found]
        difference = self._difference(found[0], found[1], {}) if len(found) == 2 else None
        return {"until": until, "arms": told, "difference": difference}

    @property
    def _quantile(self) -> float:
        return float(ndtri(0.5 + self.confidence / 2))

    def _difference(self, first: Interval | None, second: Interval | None, about: dict[str, Json]) -> Json:
        if first is None or second is None:
            return None
        value, variance = second.value - first.value, first.variance + second.variance
        if variance <= 0:
            return None
        p = 2 * float(ndtr(-abs(value) / math.sqrt(variance)))
        return {**about, **_told(value, variance, self._quantile), "statistic": value**2 / variance, "p": p}


@dataclass(frozen=True, slots=True)
class _Band:
    """A curve as it is shown, up to its end; `unknown` steps come after it."""

    middle: list[float]
    errors: list[float]
    lower: list[float]
    upper: list[float]
    unknown: int

    @classmethod
    def of(cls, arm: NoisyArm) -> _Band:
        weights = np.array([1 / (point.variance + _CERTAIN) for point in arm.curve])
        middle, lower, upper = (
            falling(np.array([getattr(point, part) for point in arm.curve]), weights)
            for part in ("value", "lower", "upper")
        )
        errors = [math.sqrt(point.variance) for point in arm.curve]
        return cls(middle, errors, lower, upper, arm.steps - arm.followed)

    def median_interval(self, grid: Floats) -> list[Json]:
        """Where the bands cross one half; the end of the curve, if it is before that; None for no end."""
        lowest = _half_at(grid, self.lower)
        if lowest is None and self.unknown:
            lowest = float(grid[len(self.lower) - 1])
        return [lowest, _half_at(grid, self.upper)]


def _half_at(grid: Floats, falling: Sequence[float]) -> float | None:
    """When a curve of straight lines is at one half; None where it stays above."""
    below = np.flatnonzero(np.array(falling) <= 0.5)
    if not len(below):
        return None
    place = int(below[0])
    if place == 0:
        return float(grid[0])
    high, low = falling[place - 1], falling[place]
    return float(grid[place - 1] + (grid[place] - grid[place - 1]) * (high - 0.5) / (high - low))


def _told(value: float, variance: float, quantile: float) -> dict[str, Json]:
    error = math.sqrt(variance)
    return {
        "value": value,
        "standard_error": error,
        "lower": value - quantile * error,
        "upper": value + quantile * error,
    }
