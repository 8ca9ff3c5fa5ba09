"""Survival from noisy counts: one arm's curve with bands that contain the noise, and tests between arms.

*Estimate.* The life table (Cutler and Ederer 1958): in each step the hazard is d / (n - c/2), since those who are
censored in it were under observation for about half of it. Counts of deaths and censored patients by step, one cell a
patient, cost the least noise (Gondara and Wang 2020); the number at risk is a sum over all later cells, so its noise
falls towards the end, where patients are few. The curve ends where the number at risk is within `_LEAST` standard
deviations of its noise: after that survival is known to be between 0 and the last upper bound, and no more. Between the
ends of steps it is a straight line.

*Uncertainty.* The variance of log S is that of a function of counts which are Poisson numbers and carry noise (see
`noisy_functions`): without noise it is Greenwood's. A band is Wilson's interval for the effective number of patients
S (1 - S) / V that this variance stands for (Rothman 1978; Dorey and Korn 1987), widened by the noise. Estimates are
made of the counts as they came, with their negative ones, so that no rounding biases them; what is shown is then made
monotone by isotonic regression, and lies between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from synthema_core.analyses.noisy_functions import Spread, gradient, spread
from synthema_core.analyses.survival.survival_tables import excess_deaths
from synthema_core.analyses.wilson import wilson
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_LEAST = 3.0
_SINGULAR = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A number, with what is uncertain about it."""

    value: float
    lower: float
    upper: float
    variance: float


@dataclass(frozen=True)
class NoisyArm:
    """One arm on a grid of `steps` steps.

    Parameters
    ----------
    counts
        (2 steps + 1,): deaths and censored patients by step, and those who were observed longer; as they came.
    variance
        Of the noise in each.
    grid
        (steps + 1,): times, from 0.
    """

    counts: Floats
    variance: float
    grid: Floats
    confidence: float

    @property
    def steps(self) -> int:
        return len(self.grid) - 1

    @property
    def patients(self) -> float:
        return float(self.counts.sum())

    @cached_property
    def followed(self) -> int:
        """Steps in which the patients at risk stand out of the noise, from the first on."""
        return _followed(self.counts, self.variance)

    @cached_property
    def curve(self) -> list[Interval]:
        """At the end of each step that is followed, and at time 0; as estimated, not monotone."""
        last = self.followed
        values = np.exp(_log_survival(self.counts, last))
        found = self._spread(np.eye(last + 1)[1:])
        parts = (values, found.sampling_variances, found.noise_variances, np.maximum(1.0, at_risk(self.counts)[:last]))
        ends = [self._band(*map(float, point)) for point in zip(*parts, strict=True)]
        return [Interval(1.0, 1.0, 1.0, 0.0), *ends]

    def _band(self, value: float, sampling: float, noise: float, exposed: float) -> Interval:
        squared = self._quantile**2
        held = min(1.0, max(0.0, value))
        effective = held * (1 - held) / sampling if sampling > 0 else 0.0
        lower, upper = wilson(value, squared / min(max(effective, exposed), max(self.patients, 1.0)), squared * noise)
        return Interval(value, min(lower, held), max(upper, held), sampling + noise)

    @property
    def _quantile(self) -> float:
        return float(ndtri(0.5 + self.confidence / 2))

    def at(self, time: float) -> Interval | None:
        """Survival to a time; None, for the value alone, after the end of the curve."""
        weights = self._weights_at(time)
        if weights is None:
            return None
        before = min(int(time / self.grid[1] + 1e-9), self.followed)
        ends = self.curve[before : before + 2]
        found = self._linear(weights)
        share = weights[before]
        lower, upper = (
            share * low + (1 - share) * high if len(ends) > 1 else low
            for low, high in zip((ends[0].lower, ends[0].upper), (ends[-1].lower, ends[-1].upper), strict=True)
        )
        return Interval(found.value, lower, upper, found.variance)

    def mean_until(self, time: float) -> Interval | None:
        """The area under the curve up to a time; None after its end."""
        weights = self._weights_until(time)
        return None if weights is None else self._linear(weights)

    def _linear(self, weights: Floats) -> Interval:
        """A weighted sum of survival at the ends of steps, (followed + 1,) weights."""
        values = np.append(1.0, np.exp(_log_survival(self.counts, self.followed)))
        variance = float(self._spread(weights[np.newaxis]).variances[0])
        value, reach = float(weights @ values), self._quantile * math.sqrt(variance)
        return Interval(value, value - reach, value + reach, variance)

    def _spread(self, weights: Floats) -> Spread:
        last = self.followed

        def survival(counts: NDArray[Any]) -> NDArray[Any]:
            curve = np.exp(_log_survival(counts, last))
            whole = np.concatenate([np.ones((*curve.shape[:-1], 1)), curve], axis=-1)
            found: NDArray[Any] = whole @ weights.T
            return found

        return spread(survival, self.counts, self.variance)

    def _weights_at(self, time: float) -> Floats | None:
        """The weights that make survival at a time; None after the end of the curve."""
        place = time / self.grid[1]
        if place > self.followed + 1e-9:
            return None
        weights = np.zeros(self.followed + 1)
        before = min(int(place), self.followed)
        weights[before] = 1 - (place - before)
        if place > before and before < self.followed:
            weights[before + 1] = place - before
        return weights

    def _weights_until(self, time: float) -> Floats | None:
        """The weights that make the area under the curve up to a time; None after its end."""
        at = self._weights_at(time)
        if at is None:
            return None
        step = float(self.grid[1])
        whole = min(int(time / step), self.followed)
        weights = np.zeros(self.followed + 1)
        for place in range(whole):
            weights[place : place + 2] += step / 2
        rest = time - whole * step
        weights[whole] += rest / 2
        return weights + at * rest / 2

    @cached_property
    def cumulative_hazard(self) -> tuple[Floats, Floats]:
        """Nelson and Aalen's, at the end of each step that is followed, and its standard error."""
        last = self.followed

        def hazard(counts: NDArray[Any]) -> NDArray[Any]:
            deaths, exposed = life_table(counts)
            return np.cumsum(deaths[..., :last] / exposed[..., :last], axis=-1)

        found = spread(hazard, self.counts, self.variance)
        return np.real(hazard(self.counts)).astype(np.float64), np.sqrt(found.variances)


def life_table(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Deaths, and patients exposed to them, (..., steps) each."""
    deaths, censored, _ = split(counts)
    return deaths, at_risk(counts) - censored / 2


def split(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Deaths and censored, (..., steps); and those beyond, (..., 1)."""
    steps = (counts.shape[-1] - 1) // 2
    return counts[..., :steps], counts[..., steps : 2 * steps], counts[..., 2 * steps :]


def at_risk(counts: NDArray[Any]) -> NDArray[Any]:
    """Patients under observation at the beginning of each step, (..., steps)."""
    deaths, censored, beyond = split(counts)
    leaving = deaths + censored
    later: NDArray[Any] = np.cumsum(leaving[..., ::-1], axis=-1)[..., ::-1] + beyond
    return later


def _followed(counts: Floats, variance: float) -> int:
    risk, (deaths, exposed) = at_risk(counts), life_table(counts)
    steps = len(risk)
    noise = np.sqrt(variance * (2 * np.arange(steps, 0, -1) + 1))
    clear = (risk > np.maximum(_LEAST * noise, 0.5)) & (exposed - deaths > noise) & (exposed > 0)
    return int(np.argmin(clear)) if not clear.all() else steps


def _log_survival(counts: NDArray[Any], last: int) -> NDArray[Any]:
    deaths, exposed = (part[..., :last] for part in life_table(counts))
    return np.cumsum(np.log(exposed - deaths) - np.log(exposed), axis=-1)


def log_rank(arms: Sequence[NoisyArm]) -> dict[str, Json] | None:
    """Whether hazards are equal: deaths less expected ones; None where the noise hides all.

    Their covariance is the hypergeometric one, of noisy counts, and that of the noise. U' V^-1 U is chi-squared with
    arms - 1 degrees of freedom where hazards are equal. Without noise this is the log-rank test.
    """
    many, variance = len(arms), arms[0].variance if arms else 0.0
    if many < 2:
        return None
    last = _followed(np.sum([arm.counts for arm in arms], axis=0), many * variance)
    if not last:
        return None

    def excess(counts: NDArray[Any]) -> NDArray[Any]:
        each = counts.reshape(*counts.shape[:-1], many, -1)
        deaths, exposed = (part[..., :last] for part in life_table(each))
        share = exposed / exposed.sum(-2)[..., np.newaxis, :]
        every: NDArray[Any] = (deaths - share * deaths.sum(-2)[..., np.newaxis, :]).sum(-1)
        return every[..., :-1]

    deaths, exposed = (np.array(part)[:, :last] for part in zip(*(life_table(arm.counts) for arm in arms), strict=True))
    found, sampling = (part[..., : many - 1] for part in excess_deaths(deaths, exposed))
    slopes = gradient(excess, np.concatenate([arm.counts for arm in arms]))
    covariance = sampling[: many - 1] + variance * slopes @ slopes.T
    if np.linalg.eigvalsh(covariance).min() <= _SINGULAR:
        return None
    statistic = float(found @ np.linalg.solve(covariance, found))
    return {"statistic": statistic, "degrees": many - 1, "p": float(chdtrc(many - 1, statistic))}
