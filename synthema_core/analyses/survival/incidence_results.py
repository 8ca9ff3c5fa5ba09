"""Cumulative incidence as JSON: curves with bands, incidence at some times, and comparisons of groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri

from synthema_core.analyses.columns import Column
from synthema_core.analyses.descriptive.noisy_tables import plausible
from synthema_core.analyses.survival.competing_curves import Arm, gray
from synthema_core.analyses.survival.follow_up import ON_GRID
from synthema_core.analyses.survival.monotone import falling
from synthema_core.analyses.wilson import wilson
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True)
class Incidences:
    """The sum of a Round, read.

    Parameters
    ----------
    grid
        (cells,): the times at which steps end.
    groups
        Codes and labels of the arms.
    """

    causes: Sequence[Column]
    groups: Sequence[tuple[str, str]]
    arms: Sequence[Arm]
    grid: Floats
    confidence: float

    @property
    def _quantile(self) -> float:
        return float(ndtri(0.5 + self.confidence / 2))

    @cached_property
    def curves(self) -> list[list[Curve]]:
        """By arm and cause."""
        return [
            [Curve.of(arm, cause, self.grid, self._quantile) for cause in range(len(self.causes))] for arm in self.arms
        ]

    def told(self, times: Sequence[float]) -> list[Json]:
        return [self._arm(place, times) for place in range(len(self.arms))]

    def _arm(self, place: int, times: Sequence[float]) -> dict[str, Json]:
        arm, (code, label) = self.arms[place], self.groups[place]
        shape, total = arm.shape, max(0, round(arm.patients))
        whole = np.array(plausible(arm.counts, total), dtype=np.float64)
        events, censored, _ = shape.split(whole)
        return {
            "code": code,
            "label": label,
            "patients": total,
            "events": [int(count) for count in events.sum(axis=1)],
            "at_risk": [int(count) for count in shape.at_risk(whole)],
            "censored": [int(count) for count in censored],
            "causes": [
                {
                    "column": cause.name,
                    "label": cause.label,
                    "events": [int(count) for count in own],
                    **curve.told(),
                    "at": [curve.at(time) for time in times],
                }
                for cause, own, curve in zip(self.causes, events, self.curves[place], strict=True)
            ],
        }

    def tests(self) -> list[Json]:
        """Gray's of each cause; of several groups."""
        if len(self.arms) < 2:
            return []
        return [{"cause": cause.label, "test": gray(self.arms, place)} for place, cause in enumerate(self.causes)]

    def differences(self, times: Sequence[float]) -> list[Json]:
        """The second arm's incidence of the first cause less the first's, of two arms; None where there is none."""
        if len(self.arms) != 2:
            return []
        first, second = (curves[0] for curves in self.curves)
        return [self._difference(first, second, time) for time in times]

    def _difference(self, first: Curve, second: Curve, time: float) -> Json:
        one, other = first.value_at(time), second.value_at(time)
        if one is None or other is None or not one[1] + other[1] > 0:
            return None
        value, error = other[0] - one[0], math.sqrt(one[1] + other[1])
        reach, p = self._quantile * error, 2 * float(ndtr(-abs(value) / error))
        return {"time": time, "value": value, "lower": value - reach, "upper": value + reach, "p": p}


@dataclass(frozen=True)
class Curve:
    """The incidence of one cause in one arm, at the ends of the steps that are followed.

    Parameters
    ----------
    grid
        (cells,): where steps end.
    values, lower, upper
        (followed,), as estimated.
    covariance
        (followed, followed).
    straight
        Whether it is straight within steps, from 0 at time 0, rather than a step at their ends.
    """

    grid: Floats
    values: Floats
    covariance: Floats
    lower: Floats
    upper: Floats
    straight: bool

    @classmethod
    def of(cls, arm: Arm, cause: int, grid: Floats, quantile: float) -> Curve:
        values, found = arm.incidence[cause], arm.spread(cause)
        if not arm.variance:
            pairs = zip(values.tolist(), found.variances.tolist(), strict=True)
            bands = [_log_log(value, variance, quantile) for value, variance in pairs]
        else:
            parts = (values, found.sampling_variances, found.noise_variances, np.maximum(1.0, arm.risk[: len(values)]))
            patients = max(1.0, arm.patients)
            bands = [
                _widened(value, sampling, noise, min(exposed, patients), patients, quantile)
                for value, sampling, noise, exposed in zip(*(part.tolist() for part in parts), strict=True)
            ]
        lower, upper = (np.array([band[end] for band in bands]) for end in (0, 1))
        return cls(grid, values, found.all, lower, upper, straight=bool(arm.variance))

    @property
    def _errors(self) -> Floats:
        errors: Floats = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return errors

    def told(self) -> dict[str, Json]:
        """(cells,) each; None where it is not followed any more."""
        gone = [None] * (len(self.grid) - len(self.values))
        told = {"incidence": self.values, "lower": self.lower, "upper": self.upper}
        if self.straight and len(self.values):
            weights = 1 / (self._errors**2 + 1e-12)
            told = {name: 1 - np.array(falling(1 - part, weights)) for name, part in told.items()}
        told["standard_error"] = self._errors
        return {name: [*part.tolist(), *gone] for name, part in told.items()}

    def _weights(self, time: float) -> Floats | None:
        """Of the values at the ends of steps; None after the last, as nobody is known to be observed then."""
        first_after = int(np.searchsorted(self.grid, time + ON_GRID, side="right"))
        at_end = first_after > 0 and abs(self.grid[first_after - 1] - time) <= ON_GRID
        last = first_after - 1 if at_end or not self.straight else first_after
        if last >= len(self.values):
            return None
        weights = np.zeros(len(self.values))
        weights[last] = 1.0
        if self.straight and not at_end:
            begin = self.grid[last - 1] if last else 0.0
            weights[last] = (time - begin) / (self.grid[last] - begin)
            weights[:last][-1:] = 1 - weights[last]
        return weights

    def value_at(self, time: float) -> tuple[float, float] | None:
        """With its variance."""
        weights = self._weights(time)
        if weights is None:
            return None
        return float(weights @ self.values), float(weights @ self.covariance @ weights)

    def at(self, time: float) -> dict[str, Json]:
        weights = self._weights(time)
        if weights is None:
            return {"time": time, "incidence": None, "lower": None, "upper": None}
        value, lower, upper = (float(weights @ part) for part in (self.values, self.lower, self.upper))
        return {"time": time, "incidence": min(1.0, max(0.0, value)), "lower": lower, "upper": upper}


def _log_log(value: float, variance: float, quantile: float) -> tuple[float, float]:
    """F to the power of exp(±z se / (F log F)), the interval of log(-log F)."""
    if not 0 < value < 1 or variance <= 0:
        return value, value
    reach = quantile * math.sqrt(variance) / (value * -math.log(value))
    return float(value ** math.exp(min(reach, 50.0))), float(value ** math.exp(-reach))


def _widened(
    value: float, sampling: float, noise: float, exposed: float, patients: float, quantile: float
) -> tuple[float, float]:
    """Wilson's for as many patients as the variance stands for, widened by the noise."""
    squared, held = quantile**2, min(1.0, max(0.0, value))
    effective = held * (1 - held) / sampling if sampling > 0 else 0.0
    lower, upper = wilson(value, squared / min(max(effective, exposed), patients), squared * noise)
    return min(lower, held), max(upper, held)
