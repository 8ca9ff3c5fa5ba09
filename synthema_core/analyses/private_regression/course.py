"""The hub's part in a private regression: noisy Newton steps, averaged.

Round 1 asks for moments: from them come the frame in which covariates are white, and where to begin. Every later Round
asks for the score and the information where the estimates so far are, on average, and makes another estimate by a
Newton step. Around the solution each of these has its own noise and nothing else, so their mean (Polyak and Juditsky
1992) has the noise of all Rounds together: with R Rounds, sqrt(R / (R - 1)) times what a single one could have had.
Estimates that were made from too far away, so that the score is no straight line up to there, are left out of the mean.
With V the information, its inverse times (V + the noise's variance) times its inverse is the covariance (Avella-Medina,
Bradshaw and Loh 2023). Where the noise may hide a direction of the information, there is no estimate.

Baselines of steps with too few events are made one (`tie`): the mean of a hazard over several steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from synthema_core.analyses.private_regression.covariates import Frame
from synthema_core.analyses.private_regression.families import Bounds
from synthema_core.analyses.private_regression.vectors import Totals
from synthema_core.analyses.regression.partial_likelihood import from_upper_triangle
from synthema_core.errors import RoundFailed
from synthema_core.secure_sum.layout import Floats

ROUNDS = 6
_CLEAR = 3.0
_LONGEST_STEP = 3.0
_FLAT = 1e-3


@dataclass(frozen=True, slots=True)
class Moments:
    """Of Round 1, as means over what weighs there: patients, or time under observation.

    Parameters
    ----------
    patients
        How many.
    score
        (intercepts,): sums of the outcomes, or events by step.
    weight
        (intercepts,): sums of what weighs.
    mixed
        (p,): the sum of outcomes or events times covariates, about their mean and white.
    square
        Of the outcome; see `families`.
    noise
        Deviations of the noise in a score, in a weight.
    """

    patients: float
    score: Floats
    weight: Floats
    mixed: Floats
    square: float
    noise: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin, what bounds the scores, and which baselines are one: (intercepts, fewer) of 0 and 1."""

    theta: Floats
    bounds: Bounds
    tie: Floats


@dataclass(frozen=True, slots=True)
class Fit:
    """Estimates in white covariates, with their covariance: baselines (tied, so fewer), then coefficients.

    Parameters
    ----------
    noise_variances
        Of the mean score.
    squares
        The mean square of a score's residual over the mean information of an intercept.
    """

    theta: Floats
    information: Floats
    noise_variances: Floats
    squares: float

    def covariance(self, dispersion: float) -> Floats:
        """`dispersion`: the variance of scores in units of the information."""
        inverse: Floats = np.linalg.inv(self.information).astype(np.float64)
        found: Floats = self.sampling(dispersion) + inverse @ np.diag(self.noise_variances) @ inverse
        return found

    def sampling(self, dispersion: float) -> Floats:
        """What it would be without noise."""
        found: Floats = dispersion * np.linalg.inv(self.information).astype(np.float64)
        return found


@dataclass(frozen=True, slots=True)
class Step:
    """A Round: where it asked, and what it found there."""

    at: Floats
    estimate: Floats
    information: Floats
    square: float


@dataclass(frozen=True, slots=True)
class Course:
    """What is known after some Rounds.

    Parameters
    ----------
    intercepts, terms
        How many coefficients of each kind there are; baselines of steps are intercepts.
    begins
        From moments to a start.
    largest
        Of a patient's score and information, by the bounds: what shares are of.
    used
        The steps whose estimates are near enough to where they were made.
    """

    intercepts: int
    terms: int
    begins: Callable[[Moments], Start]
    largest: Callable[[Bounds], tuple[float, float]]
    frame: Frame
    start: Start | None = None
    patients: tuple[float, ...] = ()
    steps: tuple[Step, ...] = ()
    used: tuple[Step, ...] = ()
    fit: Fit | None = field(default=None)

    @classmethod
    def new(
        cls,
        intercepts: int,
        terms: int,
        begins: Callable[[Moments], Start],
        largest: Callable[[Bounds], tuple[float, float]],
    ) -> Course:
        return cls(intercepts, terms, begins, largest, Frame.plain(terms))

    @property
    def size(self) -> int:
        return self.intercepts + self.terms

    @property
    def theta(self) -> Floats:
        """Of all intercepts and terms, where the next Round is asked about; zeros in the first."""
        if self.start is None:
            return np.zeros(self.size)
        return _untied(self.start.tie, self.terms) @ self._here

    @property
    def _here(self) -> Floats:
        """The mean of the estimates that are used; tied."""
        assert self.start is not None, "Round 1 is over"
        here: Floats = np.mean([step.estimate for step in self.used], axis=0) if self.used else self.start.theta
        return here

    @property
    def mean_patients(self) -> float:
        """Of all Rounds, each of which counts them anew."""
        return float(np.mean(self.patients))

    def after(self, totals: Totals, noise: Totals) -> Course:
        """With another Round's sums, `noise` the deviations in them.

        Raises
        ------
        RoundFailed
            If the last Round is over and the noise may hide the model.
        """
        counted = (*self.patients, totals.patients)
        if self.start is None:
            return replace(self._begun(totals, noise), patients=counted)
        return replace(self._stepped(totals, noise), patients=counted)

    # Round 1

    def _begun(self, totals: Totals, noise: Totals) -> Course:
        bound, first = self.frame.bound, self.intercepts
        matrix = self._matrix(totals.information) * bound
        in_weight = float(noise.information) * bound
        weight = np.diag(matrix)[:first]
        whole = max(float(weight.sum()), in_weight, 1e-9)
        centre = np.clip(matrix[:first, first:].sum(axis=0) / whole, -1.0, 1.0)
        spread = matrix[first:, first:] / whole - np.outer(centre, centre)
        sizes, directions = np.linalg.eigh(spread)
        sizes = np.maximum(sizes, max(2 * in_weight / whole, _FLAT))
        whitening = directions @ np.diag(sizes**-0.5) @ directions.T
        score = totals.score * np.sqrt(bound)
        moments = Moments(
            patients=max(1.0, totals.patients),
            score=score[:first],
            weight=weight,
            mixed=whitening @ (score[first:] - centre * score[:first].sum()),
            square=totals.square,
            noise=(float(noise.score) * float(np.sqrt(bound)), in_weight),
        )
        return replace(self, frame=Frame(centre, whitening), start=self.begins(moments))

    # All others

    def _stepped(self, totals: Totals, noise: Totals) -> Course:
        assert self.start is not None, "Round 1 is over"
        most, steepest = self.largest(self.start.bounds)
        bound, tie = self.frame.bound, _untied(self.start.tie, self.terms)
        score = tie.T @ totals.score * most * np.sqrt(bound)
        information = tie.T @ self._matrix(totals.information) @ tie * steepest * bound
        in_one = float(noise.information) * steepest * bound
        others = [step.information for step in self.used]
        held = _held(np.mean([*others, information], axis=0), in_one / np.sqrt(len(others) + 1))
        move = np.linalg.solve(held, score)
        move *= min(1.0, _LONGEST_STEP / max(float(np.linalg.norm(move)), 1e-12))
        newest = Step(self._here, self._here + move, information, totals.square * most**2)
        noisy = (float(noise.score) * most) ** 2 * bound * tie.sum(axis=0)
        found = replace(self, steps=(*self.steps, newest), used=_near(newest, (*self.steps, newest), held, noisy))
        return found if len(found.steps) < ROUNDS - 1 else replace(found, fit=found._fitted(in_one, noisy))

    def _fitted(self, in_one: float, noisy: Floats) -> Fit:
        """Of the steps that are used, `in_one` and `noisy` being the noise in one's information and score."""
        many = len(self.used)
        information: Floats = np.mean([step.information for step in self.used], axis=0)
        deviation = in_one / math.sqrt(many)
        if not _is_clear(information, len(information) - self.terms, deviation):
            raise RoundFailed(
                "The noise may hide what the model is about: it has no estimate.",
                "Use fewer terms, larger groups, or a larger --epsilon.",
            )
        held = _held(information, deviation)
        square = float(np.mean([step.square for step in self.used]))
        return Fit(self._here, held, noisy / many, square / max(float(held[0, 0]), 1e-9))

    def _matrix(self, triangle: Floats) -> Floats:
        """Steps have no information in common: what is there is noise."""
        matrix = from_upper_triangle(triangle, self.size)
        first = self.intercepts
        matrix[:first, :first] = np.diag(np.diag(matrix)[:first])
        return matrix


def _untied(tie: Floats, terms: int) -> Floats:
    """(intercepts + terms, fewer + terms): from tied coefficients to all."""
    all_, fewer = tie.shape
    whole = np.zeros((all_ + terms, fewer + terms))
    whole[:all_, :fewer], whole[all_:, fewer:] = tie, np.eye(terms)
    return whole


def _near(newest: Step, steps: Sequence[Step], information: Floats, noisy: Floats) -> tuple[Step, ...]:
    """The steps that began so near to the newest estimate that a straight line led there, or that noise lies between.

    Parameters
    ----------
    noisy
        Variances of the noise in a score.
    """
    inverse = np.linalg.inv(information)
    variance = float(np.trace(inverse + inverse @ np.diag(noisy) @ inverse))
    reach = max(3 * variance, 0.5 * math.sqrt(variance / len(information)))
    return tuple(step for step in steps if step is newest or float(((step.at - newest.estimate) ** 2).sum()) <= reach)


def _held(information: Floats, deviation: float) -> Floats:
    """The information with no direction below what the noise can make."""
    sizes, directions = np.linalg.eigh(information)
    floor = max(deviation * np.sqrt(len(sizes)), 0.02 * float(sizes[-1]), 1e-9)
    held: Floats = directions @ np.diag(np.maximum(sizes, floor)) @ directions.T
    return held


def _is_clear(information: Floats, intercepts: int, deviation: float) -> bool:
    """Whether what covariates tell, given the intercepts, stands clear of the noise in every direction."""
    first, mixed, last = (
        information[:intercepts, :intercepts],
        information[:intercepts, intercepts:],
        information[intercepts:, intercepts:],
    )
    if not np.diag(first).min() > deviation:
        return False
    left = last - mixed.T @ np.linalg.solve(first, mixed)
    return bool(np.linalg.eigvalsh(left)[0] > _CLEAR * deviation)
