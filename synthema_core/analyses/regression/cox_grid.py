"""A Cox model that is not stratified, on a declared time grid: risk sets over all sites, step by step.

An iterate takes two Rounds. In the first, the sites add up the weights exp(x beta) and the weighted covariates of those
at risk in each step, from which the hub has the likelihood and its gradient. It tells the sites the hazard in each
step; they add up x x' by each patient's weight and cumulative hazard, and the hub has the information.

Neighbouring steps' sums differ by the patients who left in between. So a grid no finer than 30 days is asked for, and
on it times are tied: what comes out is the model of times rounded up to the grid, not that of the times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Next, Sums
from synthema_core.analyses.columns import MOST_PATIENTS
from synthema_core.analyses.regression.cox_stages import Course, Fitted, Stage
from synthema_core.analyses.regression.newton import Search, improve
from synthema_core.analyses.regression.partial_likelihood import (
    Likelihood,
    RiskSums,
    Ties,
    from_upper_triangle,
    predictor,
    upper_triangle,
)
from synthema_core.analyses.regression.time_scales import TimeScale
from synthema_core.analyses.survival.time_grid import TimeGrid
from synthema_core.errors import InvalidPlan, Refused, RoundFailed
from synthema_core.secure_sum.layout import Block, Floats

_FINEST = {"days": 30.0, "weeks": 4.0, "months": 1.0, "years": 1 / 12}
_BITS = 39
_LEAST_RISK = 1e-5  # of a risk set's weights: rounded to 2**-39, they are then right to seven digits
MOST_ROUNDS = 16


@dataclass(frozen=True, slots=True)
class RiskGrid(TimeGrid):
    """Steps over which risk sets are summed."""

    @classmethod
    def of(cls, step: float | None, longest: float, unit: str) -> RiskGrid:
        """With the finest step that is allowed, where none is given. Raises InvalidPlan below it."""
        finest = _FINEST.get(unit, 0.0)
        if step is None and not finest:
            raise InvalidPlan("Without strata, the model needs a time grid.", "Give --step, in the time's unit.")
        if step is not None and step < finest * (1 - 1e-9):
            raise InvalidPlan(
                f"Without strata, a time grid has steps of at least {finest:g} {unit}.", "Use larger ones."
            )
        return cls(finest if step is None else step, longest)

    def blocks(self, terms: int) -> tuple[Block, ...]:
        """Weights are at most 1: they are exp(x beta) over its largest value."""
        of_weights = self.cells * (1 + terms)
        return (
            Block("grid_events", self.cells, MOST_PATIENTS),
            Block("grid_at_risk", of_weights, MOST_PATIENTS, _BITS),
            Block("grid_dead", of_weights, MOST_PATIENTS, _BITS),
        )

    def sums(self, times: Floats, events: NDArray[np.bool_], x: Floats, beta: Floats) -> dict[str, Floats]:
        """At a site: of each step, its events, and the weights and weighted covariates at risk and of the dead."""
        cell = self.cell_of(times)
        weight = np.exp(predictor(x, beta) - np.abs(beta).sum())
        weighted = np.column_stack([weight, weight[:, np.newaxis] * x])
        ended, dead = np.zeros((2, self.cells, weighted.shape[1]))
        np.add.at(ended, cell, weighted)
        np.add.at(dead, cell[events], weighted[events])
        return {
            "counts": np.array([len(events), np.count_nonzero(events)], dtype=np.float64),
            "grid_events": np.bincount(cell[events], minlength=self.cells).astype(np.float64),
            "grid_at_risk": np.cumsum(ended[::-1], axis=0)[::-1].ravel(),
            "grid_dead": dead.ravel(),
        }

    def curve(
        self, times: Floats, events: NDArray[np.bool_], x: Floats, beta: Floats, hazards: Floats
    ) -> dict[str, Floats]:
        """At a site: x x' by weight and cumulative hazard; `hazards` are those of the steps, then the dead's."""
        cell = self.cell_of(times)
        of_all, of_dead = hazards.reshape(2, -1)
        weight = np.exp(predictor(x, beta) - np.abs(beta).sum())
        faced = weight * (np.cumsum(of_all)[cell] - np.where(events, of_dead[cell], 0.0))
        return {"information": upper_triangle((x * faced[:, np.newaxis]).T @ x)}


@dataclass(frozen=True, slots=True)
class GridCourse:
    """How far the hub is, in a model on a grid.

    Parameters
    ----------
    g
        (cells,): the scale of time that hazard ratios may change with.
    scales
        What the hazard of each step is multiplied with in the informations still to be asked for; none: sums are asked
        for. The first of an iterate is 1 everywhere.
    dead
        (cells, p): sums of the covariates of those who had the event in each step.
    risk
        The risk sets at the present coefficients.
    """

    grid: RiskGrid
    ties: Ties
    scale: TimeScale | None
    search: Search
    course: Course
    g: Floats
    scales: tuple[Floats, ...] = ()
    dead: Floats | None = None
    risk: RiskSums | None = None

    @classmethod
    def of(cls, grid: RiskGrid, ties: Ties, scale: TimeScale | None, terms: int) -> GridCourse:
        return cls(grid, ties, scale, Search(np.zeros(terms)), Course.of((), terms), np.zeros(grid.cells))

    @property
    def patients(self) -> int:
        return self.course.patients

    def counted(self, patients: int, events: int) -> GridCourse:
        return replace(self, course=self.course.counted(patients, events))

    @property
    def is_over(self) -> bool:
        return self.course.estimate is not None and not self.scales

    @property
    def asks(self) -> Next:
        if not self.scales:
            return Next(np.array([float(Stage.RISK_SETS), *self.search.beta]), self)
        assert self.risk is not None, "asked for first"
        hazards = np.concatenate(self.risk.hazards(self.scales[0]))
        return Next(np.concatenate([[float(Stage.CURVE)], self.search.beta, hazards]), self)

    def after(self, sums: Sums, question: Fitted, fit_rounds: int) -> GridCourse:
        if not self.scales:
            return self._summed(sums.blocks)
        assert self.risk is not None, "asked for first"
        second = from_upper_triangle(sums.blocks["information"], len(self.search.beta))
        scale = self.scales[0][self.risk.place]
        information = second - (self.risk.mean * scale[:, np.newaxis]).T @ self.risk.mean
        if self.course.estimate is None:
            return self._fitted(information, [term.label for term in question.design.terms], fit_rounds // 2)
        return self._checked(information)

    def _summed(self, blocks: Mapping[str, Floats]) -> GridCourse:
        cells = self.grid.cells
        died = blocks["grid_events"].round().astype(np.int64)
        at_risk, dead = blocks["grid_at_risk"].reshape(cells, -1), blocks["grid_dead"].reshape(cells, -1)
        if died.any() and at_risk[died > 0, 0].min() < _LEAST_RISK:
            raise RoundFailed(
                "The model's risk sets are told too coarsely for coefficients this large.", "Stratify it by site."
            )
        told = replace(self, risk=RiskSums.from_sums(died, at_risk, dead, self.ties), scales=(np.ones(cells),))
        if self.dead is not None:
            return told
        # All coefficients are 0, and so all weights 1: these are the patients and the covariates themselves.
        return replace(told, dead=dead[:, 1:], g=_scaled(self.scale, died, at_risk[:, 0]))

    def _fitted(self, information: Floats, labels: Sequence[str], iterations: int) -> GridCourse:
        assert self.risk is not None and self.dead is not None, "asked for first"
        beta = self.search.beta
        total, largest = self.dead.sum(axis=0), float(np.abs(beta).sum())
        loglik = float(total @ beta - (np.log(self.risk.total) + largest).sum())
        here = Likelihood(loglik, total - self.risk.mean.sum(axis=0), information)
        course = replace(self.course, start=self.course.start or here)
        outcome = improve(self.search, here, labels, iterations)
        if isinstance(outcome, Search):
            return replace(self, course=course, search=outcome, scales=())
        further = (self.g, self.g**2) if self.scale else ()
        return replace(self, course=replace(course, end=here, estimate=outcome), scales=further)

    def _checked(self, information: Floats) -> GridCourse:
        """What the Rounds of a stratified model have asked the sites for, from the sums by step."""
        assert self.risk is not None and self.dead is not None, "asked for first"
        of_events = self.g[self.risk.place]
        found = {
            "gradient": self.g @ self.dead - of_events @ self.risk.mean,
            "information": upper_triangle(information),
            "loglik": np.array([of_events.sum()]),
        }
        stage = Stage.CURVATURE if Stage.CHECK in self.course.gathered else Stage.CHECK
        gathered = {**self.course.gathered, stage: found}
        return replace(self, course=replace(self.course, gathered=gathered), scales=self.scales[1:])


def check_hazards(hazards: Floats, cells: int) -> None:
    """At a site: refuse what can be no hazards of the steps, whatever the hub says.

    Raises
    ------
    Refused
    """
    largest = 100 * MOST_PATIENTS / _LEAST_RISK  # all the events of a hundred sites in one step
    if hazards.shape != (2 * cells,) or not np.all(np.abs(hazards) <= largest):
        raise Refused("The hazards told are outside the declared bounds.", rule="iterate")


def _scaled(scale: TimeScale | None, died: NDArray[np.int64], at_risk: Floats) -> Floats:
    """(cells,): g at the end of each step, of all sites together; between -1 and 1."""
    end = np.arange(len(died), dtype=np.float64)
    if scale is TimeScale.RANK:
        until = np.cumsum(died)
        ranks: Floats = (2 * until - died + 1) / (2 * max(1, died.sum()))
        return ranks
    if scale is TimeScale.LOG:
        return np.log(np.maximum(end, 0.5)) / math.log(max(2, len(died)))
    if scale is TimeScale.KM:
        alive = np.cumprod(1 - died / np.maximum(at_risk, 1))
        return 1 - np.concatenate([[1.0], alive[:-1]])
    return end / max(1, len(died) - 1)
