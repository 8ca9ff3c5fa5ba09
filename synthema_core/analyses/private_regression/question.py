"""The parts that private regressions have in common: what a Round asks, what a site adds, who is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthema_core.analyses import cuts
from synthema_core.analyses.private_regression.course import ROUNDS, Course
from synthema_core.analyses.private_regression.covariates import Frame
from synthema_core.analyses.private_regression.families import Bounds
from synthema_core.analyses.private_regression.vectors import (
    BITS,
    Parts,
    deviations,
    length_of,
    read,
    sensitivity_of,
    summed,
)
from synthema_core.errors import Refused
from synthema_core.secure_sum.layout import Block, Floats, Layout

MOST_PATIENTS = 10_000_000.0
_FARTHEST = 1e6


@dataclass(frozen=True, slots=True)
class Asked:
    """A Round's input. No value of it can make a patient's vector longer, so a site takes any finite one."""

    is_first: bool
    bounds: Bounds
    frame: Frame
    theta: Floats

    @classmethod
    def of(cls, course: Course) -> Asked:
        begun = course.start
        return cls(begun is None, begun.bounds if begun else Bounds(), course.frame, course.theta)

    def values(self) -> Floats:
        first = [float(self.is_first), self.bounds.cut, self.bounds.cap]
        return np.concatenate([first, self.frame.values(), self.theta])

    @classmethod
    def read(cls, values: Floats, terms: int) -> Asked:
        frame = Frame.read(values[3 : 3 + terms + terms**2], terms)
        theta = values[3 + terms + terms**2 :]
        return cls(bool(values[0]), Bounds(float(values[1]), float(values[2])), frame, theta)


def check_asked(values: Floats, intercepts: int, terms: int) -> None:
    """Raise unless it has the length of a Round's input, and numbers that can be computed with."""
    if values.shape != (3 + 2 * terms + terms**2 + intercepts,) or not np.all(np.abs(values) <= _FARTHEST):
        raise Refused("The coefficients asked about are not of the model.", rule="iterate")
    if values[0] not in (0.0, 1.0) or not (values[1] > 0 and values[2] > 0):
        raise Refused("The Plan has no such Round.", rule="iterate")


@dataclass(frozen=True, slots=True)
class Shape:
    """How many numbers a private regression has.

    Parameters
    ----------
    cuts
        Whether those are counted of whom rows are left out.
    """

    intercepts: int
    terms: int
    cuts: bool

    @property
    def _size(self) -> int:
        return self.intercepts + self.terms

    @property
    def layout(self) -> Layout:
        vectors = Block("vectors", length_of(self._size), MOST_PATIENTS, BITS)
        return Layout((vectors, self.cut) if self.cut else (vectors,))

    @property
    def cut(self) -> Block | None:
        return cuts.cut_block(MOST_PATIENTS, BITS) if self.cuts else None

    @property
    def sensitivity(self) -> float:
        """Of one Round."""
        own = sensitivity_of(self._size)
        return math.hypot(own, 2.0**self.cut.fractional_bits) if self.cut else own

    def added(self, parts: Parts, cut: int) -> Floats:
        """A site's Contribution: at its bound it is clipped, as a refusal would tell of rows."""
        vectors = summed(parts)
        values = np.append(vectors, float(cut)) if self.cuts else vectors
        return np.clip(values, -MOST_PATIENTS, MOST_PATIENTS)

    def after(self, course: Course, values: Floats, noise_variance: float) -> Course:
        """The Course with a Round's sum of vectors."""
        deviation = math.ldexp(math.sqrt(noise_variance), -BITS)
        return course.after(read(values, self._size), deviations(deviation))


__all__ = ["MOST_PATIENTS", "ROUNDS", "Asked", "Shape", "check_asked"]
