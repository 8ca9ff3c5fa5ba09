"""What analyses have in common that release noisy counts of cells in one Round, a patient in one cell at the most."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Sums
from synthema_core.analyses.one_round import OneRound
from synthema_core.canonical import Json
from synthema_core.privacy.bounding import Bounded
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_PATIENTS, _BITS = 10_000_000.0, 16
"""A patient is 2**16 ring steps, as in `histogram`."""


class NoisyCells(OneRound):
    """Of a frozen dataclass with `cuts` and `confidence`; `cuts`: whether the schema allows a patient more than the one
    row that is kept, so that those are counted who have more.
    """

    __slots__ = ()
    cuts: bool
    confidence: float

    private: ClassVar[bool] = True
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    @property
    @abstractmethod
    def cells(self) -> int:
        """How many there are."""

    @property
    def layout(self) -> Layout:
        cells = Block("cells", self.cells, _MOST_PATIENTS, _BITS)
        return Layout((cells, self._cut) if self._cut else (cells,))

    @property
    def _cut(self) -> Block | None:
        return cuts.cut_block(_MOST_PATIENTS, _BITS) if self.cuts else None

    @property
    def sensitivity(self) -> float:
        """A patient adds one to one cell, and a part of one to those for whom something was cut."""
        return math.hypot(2.0**_BITS, 2.0**self._cut.fractional_bits if self._cut else 0.0)

    def steps_per_unit(self, sites: int) -> float:  # noqa: ARG002  a count is its sum
        return 2.0**_BITS

    def added(self, counts: Floats, bounded: Bounded) -> Floats:
        """A Contribution: at its bound it is clipped, as a refusal would tell of rows."""
        values = np.append(counts, float(bounded.cut.sum())) if self.cuts else counts
        return np.minimum(values.astype(np.float64), _MOST_PATIENTS)

    def deviation_in(self, sums: Sums) -> float:
        """Of the noise in each count."""
        return sums.deviation(self.layout.blocks[0])

    def bounding_told(self, sums: Sums) -> dict[str, Json]:
        return cuts.told_of_one_row(sums, self._cut, self.confidence)
