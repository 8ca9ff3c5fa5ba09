"""What private regressions have in common: what a Round asks, what a site adds, who is counted."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.options import check_confidence
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
from synthema_core.canonical import Json
from synthema_core.design import Design
from synthema_core.errors import InvalidPlan, Refused
from synthema_core.privacy.bounding import Bounding
from synthema_core.secure_sum.layout import Block, Floats, Layout

MOST_PATIENTS = 10_000_000.0
_MOST_TERMS = 20
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
class PrivateRegression(ABC):
    """How an outcome depends on covariates, with noise: six Rounds, in each of which a patient adds one vector.

    Parameters
    ----------
    cuts
        Whether the schema allows a patient more than the one row that is kept. Then those are counted who have more.
    """

    design: Design
    cuts: bool
    confidence: float

    private: ClassVar[bool] = True
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if len(self.design.terms) > _MOST_TERMS:
            raise InvalidPlan(
                f"With noise, a model has at most {_MOST_TERMS} coefficients.", "Use fewer terms or levels."
            )

    def parameters(self) -> dict[str, Json]:
        return {"design": self.design.to_dict(), "cuts_counted": self.cuts, "confidence": self.confidence}

    @staticmethod
    def common(data: Mapping[str, Any]) -> tuple[Design, bool, float]:
        """The first fields, from `parameters`."""
        return Design.from_dict(data["design"]), bool(data["cuts_counted"]), float(data["confidence"])

    # What a regression says of itself

    @property
    @abstractmethod
    def intercepts(self) -> int:
        """How many there are."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]: ...

    @abstractmethod
    def cohort(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,): whose columns have values."""

    @abstractmethod
    def course(self) -> Course:
        """Before the first Round."""

    @abstractmethod
    def parts(self, rows: Rows, asked: Asked) -> Parts:
        """Of each patient of the cohort."""

    @abstractmethod
    def result(self, course: Course, sums: Sums) -> dict[str, Json]: ...

    # What follows from it

    @property
    def _size(self) -> int:
        return self.intercepts + len(self.design.terms)

    @property
    def layout(self) -> Layout:
        return Layout((self._vectors, self.cut_block) if self.cut_block else (self._vectors,))

    @property
    def _vectors(self) -> Block:
        return Block("vectors", length_of(self._size), MOST_PATIENTS, BITS)

    @property
    def cut_block(self) -> Block | None:
        return cuts.cut_block(MOST_PATIENTS, BITS) if self.cuts else None

    @property
    def max_rounds(self) -> int:
        return ROUNDS

    @property
    def sensitivity(self) -> float:
        """Of one Round."""
        own = sensitivity_of(self._size)
        return math.hypot(own, 2.0**self.cut_block.fractional_bits) if self.cut_block else own

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self.cohort(rows)))

    def begin(self) -> Next:
        course = self.course()
        return Next(Asked.of(course).values(), course)

    def check_input(self, values: Floats) -> None:
        check_asked(values, self.intercepts, len(self.design.terms))

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:
        """The vectors' sum: at its bound it is clipped, as a refusal would tell of rows."""
        bounded = Bounding(1).apply({name: rows[name] for name in self.columns}, patients)
        cohort = self.cohort(bounded.rows)
        own = {name: column[cohort] for name, column in bounded.rows.items()}
        added = summed(self.parts(own, Asked.read(values, len(self.design.terms))))
        if self.cuts:
            added = np.append(added, float(bounded.cut.sum()))
        return np.clip(added, -MOST_PATIENTS, MOST_PATIENTS)

    def advance(self, memory: Any, sums: Sums) -> Next | Done:
        deviation = math.ldexp(math.sqrt(sums.noise_variance), -BITS)
        course = memory.after(read(sums.blocks["vectors"], self._size), deviations(deviation))
        return Next(Asked.of(course).values(), course) if course.fit is None else Done(self.result(course, sums))
