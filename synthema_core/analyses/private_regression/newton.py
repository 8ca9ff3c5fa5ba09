"""Noisy Newton steps from several points, and what they say together.

A step from `at` leads to at + V^-1 s, with s the score found there and V the information; around the solution each has
its own noise and nothing else. So the mean of them (Polyak and Juditsky 1992) has the noise of all scores together. V
is the same for all, the mean of what the steps found: an error in it that is a step's own does more harm than one that
is shared. Steps from so far that the score is no straight line up to there are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from synthema_core.analyses.private_regression.information import held, inverse_of, solved
from synthema_core.secure_sum.layout import Floats

_LONGEST = 3.0


@dataclass(frozen=True, slots=True)
class Step:
    """A Round: where it asked, and what it found there, in the frame of that Round.

    Parameters
    ----------
    at, score
        (m,), of intercepts and then of covariates.
    information, noise
        (m, m); noise is the covariance of that in the score.
    unsure
        The deviation of the noise in each number of the information.
    square
        The sum of the squares of the scores' residuals.
    way
        (m, m): times theta of this frame it is theta of covariates as they are.
    """

    at: Floats
    score: Floats
    information: Floats
    noise: Floats
    unsure: float
    square: float
    way: Floats

    def seen_from(self, way: Floats) -> Self:
        """In the frame of another way. Where that reaches further, so does the noise: `unsure` is the most of it."""
        there = solved(self.way, way)
        return replace(
            self,
            at=solved(there, self.at),
            score=there.T @ self.score,
            information=there.T @ self.information @ there,
            noise=there.T @ self.noise @ there,
            unsure=self.unsure * float(np.linalg.norm(there, 2)) ** 2,
            way=way,
        )

    def leads_to(self, information: Floats) -> Floats:
        move = solved(information, self.score)
        found: Floats = self.at + move * min(1.0, _LONGEST / max(float(np.linalg.norm(move)), 1e-12))
        return found


@dataclass(frozen=True, slots=True)
class Together:
    """What steps say together, in white covariates.

    Parameters
    ----------
    found, information
        The means of the steps' information, as it came and as it is held.
    deviation
        Of the noise in each number of `found`.
    noise
        The covariance of the noise in a score at `theta`, that of the information included.
    square
        The mean of the steps'.
    """

    theta: Floats
    found: Floats
    information: Floats
    deviation: float
    noise: Floats
    square: float

    @classmethod
    def of(cls, steps: Sequence[Step], terms: int) -> Self:
        """Of steps seen from the last one's frame."""
        used = _near(steps, terms)
        found, deviation = _mean_information(used)
        information = held(found, deviation, terms)
        theta: Floats = np.mean([step.leads_to(information) for step in used], axis=0)
        away = np.mean([step.at for step in used], axis=0) - theta
        of_scores = np.mean([step.noise for step in used], axis=0) / len(used)
        of_information = deviation**2 * (float(away @ away) * np.eye(len(away)) + np.outer(away, away))
        square = float(np.mean([step.square for step in used]))
        return cls(theta, found, information, deviation, of_scores + of_information, square)


def _mean_information(steps: Sequence[Step]) -> tuple[Floats, float]:
    """By how sure each is, and the deviation of the noise in each of its numbers."""
    weights = np.array([step.unsure for step in steps]) ** -2.0
    found: Floats = np.average([step.information for step in steps], axis=0, weights=weights)
    return found, float(weights.sum()) ** -0.5


def _near(steps: Sequence[Step], terms: int) -> list[Step]:
    """The newest, and those from as near to where it leads as noise and chance would have them."""
    newest = steps[-1]
    information = held(*_mean_information(steps[-2:]), terms)
    there, inverse = newest.leads_to(information), inverse_of(information)
    variance = float(np.trace(inverse + inverse @ newest.noise @ inverse))
    reach = max(3 * variance, 0.5 * math.sqrt(variance / len(information)))
    return [step for step in steps if step is newest or float(((step.at - there) ** 2).sum()) <= reach]
