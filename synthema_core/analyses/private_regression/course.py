"""The hub's part in a private regression: from noisy sums, Round by Round, to estimates with their covariance.

Round 1 asks for moments: from them come a first frame in which covariates are white, and where to begin. Every
later Round asks for the score and the information where the estimates so far are, on average, and makes a Newton step
(`newton`). The information then makes a better frame: noise that is equal in all directions does the least harm there.
With V the information, its inverse times (V + the noise's covariance) times its inverse is the covariance of estimates
(Avella-Medina, Bradshaw and Loh 2023). Where the noise may hide a direction of the information, there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from synthema_core.analyses.private_regression.covariates import Frame
from synthema_core.analyses.private_regression.families import Bounds
from synthema_core.analyses.private_regression.information import inverse_of, is_clear, solved, with_one_intercept
from synthema_core.analyses.private_regression.newton import Step, Together
from synthema_core.analyses.private_regression.vectors import Totals
from synthema_core.analyses.regression.partial_likelihood import from_upper_triangle
from synthema_core.errors import RoundFailed
from synthema_core.secure_sum.layout import Floats

ROUNDS = 6
_FLAT = 1e-3
_NEVER_SURE = 1e-9


@dataclass(frozen=True, slots=True)
class Moments:
    """Of Round 1, over what weighs there: patients, or time under observation.

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
    """Where to begin, and what bounds the scores.

    Parameters
    ----------
    theta
        (fewer + p,): of tied intercepts and white covariates.
    base, tie
        (intercepts,) and (intercepts, fewer): all intercepts are base + tie @ the tied ones.
    average
        (p,): the covariates' mean.
    """

    theta: Floats
    bounds: Bounds
    base: Floats = field(default_factory=lambda: np.zeros(1))
    tie: Floats = field(default_factory=lambda: np.ones((1, 1)))
    average: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def terms(self) -> int:
        return len(self.theta) - int(self.tie.shape[1])

    @property
    def untied(self) -> Floats:
        """(intercepts + p, fewer + p)."""
        steps, fewer = self.tie.shape
        whole = np.zeros((steps + self.terms, fewer + self.terms))
        whole[:steps, :fewer], whole[steps:, fewer:] = self.tie, np.eye(self.terms)
        return whole

    def all_of(self, theta: Floats) -> Floats:
        """(intercepts + p,), of tied ones."""
        found: Floats = np.append(self.base, np.zeros(self.terms)) + self.untied @ theta
        return found


@dataclass(frozen=True, slots=True)
class Fit:
    """Estimates of covariates as they are, not white, with their covariance: tied intercepts, then coefficients.

    Parameters
    ----------
    noise
        The covariance of the noise in the mean score.
    squares
        The mean square of a score's residual over the mean information of an intercept.
    """

    theta: Floats
    information: Floats
    noise: Floats
    squares: float

    def covariance(self, dispersion: float) -> Floats:
        """`dispersion`: the variance of scores in units of the information."""
        inverse = inverse_of(self.information)
        found: Floats = self.sampling(dispersion) + inverse @ self.noise @ inverse
        return found

    def sampling(self, dispersion: float) -> Floats:
        """What it would be without noise."""
        found: Floats = dispersion * inverse_of(self.information)
        return found


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
    here
        Where the next Round asks, in the frame, of tied intercepts.
    """

    intercepts: int
    terms: int
    begins: Callable[[Moments], Start]
    largest: Callable[[Bounds], tuple[float, float]]
    frame: Frame
    start: Start | None = None
    here: Floats = field(default_factory=lambda: np.zeros(0))
    patients: tuple[float, ...] = ()
    steps: tuple[Step, ...] = ()
    fit: Fit | None = None

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
        return self.start.all_of(self.here) if self.start else np.zeros(self.size)

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
        found = self._stepped(self.start, totals, noise) if self.start else self._begun(totals, noise)
        return replace(found, patients=counted)

    def _begun(self, totals: Totals, noise: Totals) -> Course:
        bound, first = self.frame.bound, self.intercepts
        matrix = self._matrix(totals.information) * bound
        in_weight = float(noise.information) * bound
        whole, mixed, last = with_one_intercept(matrix, self.terms)
        whole = max(whole, in_weight, 1e-9)
        centre = np.clip(mixed / whole, -1.0, 1.0)
        frame = Frame.whitening_of(centre, last / whole - np.outer(centre, centre), max(2 * in_weight / whole, _FLAT))
        score = totals.score * np.sqrt(bound)
        start = self.begins(
            Moments(
                patients=max(1.0, totals.patients),
                score=score[:first],
                weight=np.diag(matrix)[:first],
                mixed=frame.whitening @ (score[first:] - centre * score[:first].sum()),
                square=totals.square,
                noise=(float(noise.score) * float(np.sqrt(bound)), in_weight),
            )
        )
        return replace(self, frame=frame, start=replace(start, average=centre), here=start.theta)

    def _stepped(self, start: Start, totals: Totals, noise: Totals) -> Course:
        newest = self._step(start, totals, noise)
        steps = (*self.steps, newest)
        together = Together.of([step.seen_from(newest.way) for step in steps], self.terms)
        if len(steps) == ROUNDS - 1:
            return replace(self, steps=steps, here=together.theta, fit=self._fitted(together, newest.way))
        frame = self.frame.whiter(*with_one_intercept(together.information, self.terms))
        way = frame.out_of_white(len(start.theta) - self.terms)
        return replace(self, steps=steps, frame=frame, here=solved(way, newest.way @ together.theta))

    def _step(self, start: Start, totals: Totals, noise: Totals) -> Step:
        most, steepest = self.largest(start.bounds)
        bound, untied = self.frame.bound, start.untied
        return Step(
            at=self.here,
            score=untied.T @ totals.score * most * np.sqrt(bound),
            information=untied.T @ self._matrix(totals.information) @ untied * steepest * bound,
            noise=np.diag((float(noise.score) * most) ** 2 * bound * untied.sum(axis=0)),
            unsure=max(float(noise.information) * steepest * bound, _NEVER_SURE),
            square=totals.square * most**2,
            way=self.frame.out_of_white(len(start.theta) - self.terms),
        )

    def _fitted(self, together: Together, way: Floats) -> Fit:
        if not is_clear(together.found, together.deviation, self.terms):
            raise RoundFailed(
                "The noise may hide what the model is about: it has no estimate.",
                "Use fewer terms, larger groups, or a larger --epsilon.",
            )
        white, back = together.information, inverse_of(way)
        squares = together.square / max(float(white[0, 0]), 1e-9)
        return Fit(way @ together.theta, back.T @ white @ back, back.T @ together.noise @ back, squares)

    def _matrix(self, triangle: Floats) -> Floats:
        """Steps have no information in common: what is there is noise."""
        matrix = from_upper_triangle(triangle, self.size)
        first = self.intercepts
        matrix[:first, :first] = np.diag(np.diag(matrix)[:first])
        return matrix
