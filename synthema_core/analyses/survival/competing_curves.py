"""Cumulative incidence of events that exclude each other, from counts, exact or noisy; and how groups differ in it.

*Estimate.* Aalen and Johansen's (1978): the chance of an event of one cause by a time is the sum over earlier steps of
survival to the step, free of all causes, times the cause's hazard in it. Of noisy counts hazards are those of a life
table, d / (n - c/2), as in `noisy_curves`; of exact ones d / n.

*Uncertainty.* The delta method over counts (see `noisy_functions`): without noise it is the variance of Dinse and
Larson (1986), with noise that of the noise besides.

*Test.* Gray's (1988) numbers: in each step the events of a group less those expected of its share of all who are at
risk in the sense of a subdistribution, n F(t-)/S(t-), with F the chance to be free of this cause. Their covariance is
not Gray's, which needs times, but again that of the delta method, within groups: it holds whether or not groups
differ, and contains the noise where there is some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from synthema_core.analyses.noisy_functions import Spread, spread
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

_LEAST, _SINGULAR = 3.0, 1e-9


@dataclass(frozen=True, slots=True)
class Shape:
    """How the counts of an arm are laid out: events by cause and step, censored patients by step, those beyond.

    Parameters
    ----------
    late
        How much of a step those who are censored in it are not under observation: 0 of exact times, 1/2 of life tables.
    """

    causes: int
    cells: int
    late: float

    @property
    def length(self) -> int:
        return (self.causes + 1) * self.cells + 1

    def split(self, counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Events (..., causes, cells), censored (..., cells) and those beyond (..., 1)."""
        ends = counts[..., :-1].reshape(*counts.shape[:-1], self.causes + 1, self.cells)
        return ends[..., :-1, :], ends[..., -1, :], counts[..., -1:]

    def at_risk(self, counts: NDArray[Any]) -> NDArray[Any]:
        """(..., cells): under observation at the beginning of each step."""
        events, censored, beyond = self.split(counts)
        leaving = events.sum(-2) + censored
        later: NDArray[Any] = np.cumsum(leaving[..., ::-1], axis=-1)[..., ::-1] + beyond
        return later

    def hazards(self, counts: NDArray[Any]) -> NDArray[Any]:
        """(..., causes, cells); 0 where nobody is exposed."""
        events, censored, _ = self.split(counts)
        exposed = (self.at_risk(counts) - self.late * censored)[..., np.newaxis, :]
        exposed = np.broadcast_to(exposed, events.shape)
        found: NDArray[Any] = np.divide(events, exposed, out=np.zeros_like(events), where=np.real(exposed) > 0)
        return found

    def incidence(self, counts: NDArray[Any]) -> NDArray[Any]:
        """(..., causes, cells): the chance of each event by the end of each step."""
        hazards = self.hazards(counts)
        found: NDArray[Any] = np.cumsum(hazards * _before(hazards)[..., np.newaxis, :], axis=-1)
        return found


def _before(hazards: NDArray[Any]) -> NDArray[Any]:
    """(..., cells): the chance to be free of all events at the beginning of each step."""
    survival = np.cumprod(1 - hazards.sum(-2), axis=-1)
    first: NDArray[Any] = np.concatenate([np.ones((*survival.shape[:-1], 1)), survival[..., :-1]], axis=-1)
    return first


@dataclass(frozen=True)
class Arm:
    """One group.

    Parameters
    ----------
    counts
        (length,), see `Shape`; noisy ones as they came.
    variance
        Of the noise in each; 0 if there is none.
    """

    shape: Shape
    counts: Floats
    variance: float

    @property
    def patients(self) -> float:
        return float(self.counts.sum())

    @cached_property
    def risk(self) -> Floats:
        return self.shape.at_risk(self.counts)

    @cached_property
    def followed(self) -> int:
        """The steps, from the first on, whose patients at risk stand out of the noise, or are some."""
        return _followed(self.shape, self.counts, self.variance)

    @cached_property
    def incidence(self) -> Floats:
        """(causes, followed)."""
        return self.shape.incidence(self.counts)[:, : self.followed]

    def spread(self, cause: int) -> Spread:
        """Of the incidence of a cause at the ends of all steps that are followed."""

        def of(counts: NDArray[Any]) -> NDArray[Any]:
            found: NDArray[Any] = self.shape.incidence(counts)[..., cause, : self.followed]
            return found

        return spread(of, self.counts, self.variance)


def _followed(shape: Shape, counts: Floats, variance: float) -> int:
    risk, (_, censored, _) = shape.at_risk(counts), shape.split(counts)
    cells = len(risk)
    noise = np.sqrt(variance * ((shape.causes + 1) * np.arange(cells, 0, -1) + 1))
    clear = (risk > np.maximum(_LEAST * noise, 0.5)) & (risk - shape.late * censored > 0)
    return int(np.argmin(clear)) if not clear.all() else cells


def gray(arms: Sequence[Arm], cause: int) -> dict[str, Json] | None:
    """Whether the incidence of a cause is the same in all groups; None where that has no answer, or noise hides it."""
    many = len(arms)
    if many < 2:
        return None
    shape, variance = arms[0].shape, arms[0].variance
    last = _followed(shape, np.sum([arm.counts for arm in arms], axis=0), many * variance)
    if not last:
        return None

    def excess(counts: NDArray[Any]) -> NDArray[Any]:
        each = counts.reshape(*counts.shape[:-1], many, shape.length)
        events = shape.split(each)[0][..., cause, :last]
        exposed = _exposed(shape, each, cause)[..., :last]
        whole = exposed.sum(-2)[..., np.newaxis, :]
        share = np.divide(exposed, whole, out=np.zeros_like(exposed), where=np.real(whole) > 0)
        found: NDArray[Any] = (events - share * events.sum(-2)[..., np.newaxis, :]).sum(-1)
        return found[..., :-1]

    counts = np.concatenate([arm.counts for arm in arms])
    covariance = spread(excess, counts, variance).all
    if np.linalg.eigvalsh(covariance).min() <= _SINGULAR:
        return None
    away = excess(counts)
    statistic = float(away @ np.linalg.solve(covariance, away))
    return {"statistic": statistic, "degrees": many - 1, "p": float(chdtrc(many - 1, statistic))}


def _exposed(shape: Shape, counts: NDArray[Any], cause: int) -> NDArray[Any]:
    """(..., cells): those under observation, and of those with another event as many as would still be."""
    hazards = shape.hazards(counts)
    free = _before(hazards)
    incidence = np.cumsum(hazards * free[..., np.newaxis, :], axis=-1)[..., cause, :]
    without = 1 - np.concatenate([np.zeros((*incidence.shape[:-1], 1)), incidence[..., :-1]], axis=-1)
    risk = shape.at_risk(counts) - shape.late * shape.split(counts)[1]
    found: NDArray[Any] = risk * np.divide(without, free, out=np.zeros_like(without), where=np.real(free) > 0)
    return found
