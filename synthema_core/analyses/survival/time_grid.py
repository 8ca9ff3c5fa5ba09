"""A declared grid of time: steps of one width, from 0 to the longest time of a schema."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.survival.follow_up import ON_GRID
from synthema_core.errors import InvalidPlan
from synthema_core.secure_sum.layout import Floats

_MOST_STEPS = 2_000


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """A time counts as the end of its step."""

    step: float
    longest: float

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.longest < math.inf:
            raise InvalidPlan("The step of a time grid must lie within the time's range.", "For example 30 days.")
        if self.longest / self.step > _MOST_STEPS:
            raise InvalidPlan(f"The time grid has more than {_MOST_STEPS:,} steps.", "Use a larger step.")

    @property
    def cells(self) -> int:
        """The first is the time 0."""
        return math.ceil(self.longest / self.step - ON_GRID) + 1

    def cell_of(self, times: Floats) -> NDArray[np.int64]:
        """(n,): the step at whose end each time counts."""
        return np.clip(np.ceil(times / self.step - ON_GRID), 0, self.cells - 1).astype(np.int64)
