"""The cumulative baseline hazard that all strata would share, by Breslow's estimator (1972) on a declared time grid.

A time counts as the end of its step. In a step, the hazard is its events over the sum of exp(x beta) of all, at any
site, who were observed until its end or longer. It is an average over sites: each has a baseline hazard of its own, and
only their ratio to it is modelled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.columns import MOST_PATIENTS
from synthema_core.analyses.survival.time_grid import TimeGrid
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Block, Floats

_RISK_BITS = 39
_LARGEST_EXPONENT = 600
_LEAST_RISK = 1e-5  # a sum rounded to 2**-39 is then right to seven digits


@dataclass(frozen=True, slots=True)
class BaselineGrid(TimeGrid):
    """The steps of a baseline."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        return (
            Block("baseline_events", self.cells, MOST_PATIENTS),
            Block("baseline_left", self.cells, MOST_PATIENTS),
            Block("baseline_risk", self.cells, MOST_PATIENTS, _RISK_BITS),
        )

    def contribution(self, times: Floats, events: NDArray[np.bool_], score: Floats, largest: float) -> list[Floats]:
        """Events, patients whose time ended, and exp(x beta - largest) of those at risk, (cells,) each.

        Parameters
        ----------
        largest
            No `score` is above it: the sum of all absolute coefficients.
        """
        cell = self.cell_of(times)
        ended = np.bincount(cell, minlength=self.cells).astype(np.float64)
        died = np.bincount(cell[events], minlength=self.cells).astype(np.float64)
        weights = np.bincount(cell, weights=np.exp(score - largest), minlength=self.cells)
        return [died, ended, np.cumsum(weights[::-1])[::-1].astype(np.float64)]

    def result(self, sums: Sequence[Floats], largest: float, fewest: int) -> list[Json]:
        """The hazard until each of those steps since whose predecessor at least `fewest` patients' time had ended.

        Others are merged into the next: from one step to the next, fewer patients' covariates could be read.
        """
        died, ended, risk = sums
        if not abs(largest) < _LARGEST_EXPONENT:
            return []  # no number says it: the model's columns are never near 0
        at_risk = np.cumsum(ended[::-1])[::-1]
        told = np.maximum(risk, _LEAST_RISK)
        hazard = np.cumsum(died / told) * math.exp(-largest)
        shown: list[Json] = []
        left, events = 0.0, 0.0
        for cell in range(self.cells):
            if died[cell] and risk[cell] < _LEAST_RISK:
                break  # with coefficients this large, rounding shows
            left, events = left + ended[cell], events + died[cell]
            if left >= fewest and (at_risk[cell] - ended[cell] >= fewest or at_risk[cell] == ended[cell]):
                shown.append(
                    {"time": cell * self.step, "events": int(events), "cumulative_hazard": float(hazard[cell])}
                )
                left, events = 0.0, 0.0
        return shown
