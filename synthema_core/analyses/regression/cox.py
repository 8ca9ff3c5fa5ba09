"""Cox proportional hazards, stratified by site: only sums of gradients and informations leave the sites.

Every site has its own baseline hazard, so risk sets never span sites. An unstratified model at raw times would need
sums over each risk set, and the difference of neighbouring ones is a patient.

*Exactness.* With at least 39 fractional bits, coefficients, standard errors and log-likelihoods equal those of the
pooled patients, stratified by site, to 1e-6; sandwich standard errors too, whose sums have 21 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import (
    MOST_PATIENTS,
    Column,
    Factor,
    check_one_row_each,
    complete,
    event_field,
    numeric_field,
    time_field,
)
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.analyses.regression.baseline_hazard import BaselineGrid
from synthema_core.analyses.regression.covariates import Term
from synthema_core.analyses.regression.cox_grid import MOST_ROUNDS, GridCourse, RiskGrid, check_hazards
from synthema_core.analyses.regression.cox_results import described
from synthema_core.analyses.regression.cox_site import Observed
from synthema_core.analyses.regression.cox_stages import Course, Stage
from synthema_core.analyses.regression.hazard_design import typed_design
from synthema_core.analyses.regression.newton import LARGEST_PREDICTOR
from synthema_core.analyses.regression.partial_likelihood import Ties
from synthema_core.analyses.regression.time_scales import TimeScale
from synthema_core.canonical import Json
from synthema_core.design import Design
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, RoundFailed
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_TERMS = 50
_MOST_ROUNDS = 12
_GRADIENT_BITS, _INFORMATION_BITS, _LOGLIK_BITS = 38, 39, 33  # as many as the sum over 100 sites leaves room for
_OPTIONS = (
    "time",
    "event",
    "covariates",
    "formula",
    "ties",
    "robust",
    "l2",
    "strata",
    "entry",
    "ph",
    "baseline-step",
    "stratify",
    "step",
    "confidence",
)


@dataclass(frozen=True, slots=True)
class Cox:
    """How covariates multiply the hazard of an event, within sites.

    Parameters
    ----------
    longest
        The longest time by the schema.
    design
        What makes covariates of a patient's row, each between -1 and 1; results are told in original units.
    ties
        How events at one time share their risk set.
    robust
        Whether standard errors are those of Lin and Wei's (1989) sandwich, right also where the model is not.
    l2
        A ridge penalty as lifelines' `penalizer`: half of it, times the patients, times the squares of the coefficients
        of covariates in standard deviations. R's ``ridge(theta)`` is the same for theta = l2 times the patients.
    strata
        Further strata within each site.
    entry
        The time from which patients were observed; None from 0.
    time_scale
        The g of the check of proportional hazards; None for no check.
    baseline
        The steps in which a baseline hazard is told; None for none.
    grid
        The steps in which risk sets are summed over all sites (see `cox_grid`); None for strata by site.
    """

    time: Column
    event: Column
    longest: float
    design: Design
    ties: Ties
    robust: bool
    l2: float
    strata: Factor | None
    entry: Column | None
    time_scale: TimeScale | None
    baseline: BaselineGrid | None
    grid: RiskGrid | None
    confidence: float

    name: ClassVar[str] = "cox"
    title: ClassVar[str] = "Cox proportional hazards, stratified by site"
    private: ClassVar[bool] = False
    private_form: ClassVar[str] = "cox-private"
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if len(set(self.columns)) != len(self.columns):
            raise InvalidPlan(
                "Time, event, entry, strata and covariates are different columns.", "Name each of them once."
            )
        if len(self.terms) > _MOST_TERMS:
            raise InvalidPlan(f"The model has more than {_MOST_TERMS} terms.", "Use fewer covariates or levels.")
        if not 0 <= self.l2 <= 1e6:
            raise InvalidPlan("--l2 takes a number from 0 on.", "Usual are 0.01 to 1.")
        if not 0 < self.longest < math.inf:
            raise InvalidPlan(f"The time '{self.time.name}' needs a range.")
        if self.baseline and self.entry:
            raise InvalidPlan("There is no baseline on a grid with an entry time.", "Leave --baseline-step out.")
        if self.grid and (self.robust or self.l2 or self.strata or self.entry or self.baseline):
            raise InvalidPlan(
                "Without strata, there are no --robust, --l2, --strata, --entry and --baseline-step.",
                "Leave them out, or --stratify.",
            )

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        check_one_row_each(schema, cls.name)
        return cls._typed(typed, schema, typed_design(typed, schema))

    @classmethod
    def _typed(cls, typed: Options, schema: Schema, design: Design) -> Self:
        check_one_row_each(schema, cls.name)
        time, longest = time_field(schema, typed.required("time"))
        event = event_field(schema, typed.required("event"))
        return cls(
            time=Column.of(time),
            event=Column.of(event),
            longest=longest,
            design=design,
            ties=Ties(typed.choice("ties", tuple(Ties), Ties.EFRON)),
            robust=typed.flag("robust"),
            l2=typed.number("l2", 0.0),
            strata=Factor.of(schema.field(typed.required("strata"))) if "strata" in typed else None,
            entry=Column.of(numeric_field(schema, typed.required("entry"))[0]) if "entry" in typed else None,
            time_scale=_time_scale(typed.choice("ph", (*TimeScale, "none"), TimeScale.KM)),
            baseline=BaselineGrid(typed.number("baseline-step", 0.0), longest) if "baseline-step" in typed else None,
            grid=_risk_grid(typed, longest, time.unit),
            confidence=typed.confidence(),
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        step, of_risk, longest = data["baseline_step"], data["step"], float(data["longest"])
        return cls(
            time=Column.from_dict(data["time"]),
            event=Column.from_dict(data["event"]),
            longest=longest,
            design=Design.from_dict(data["design"]),
            ties=Ties(data["ties"]),
            robust=bool(data["robust"]),
            l2=float(data["l2"]),
            strata=None if data["strata"] is None else Factor.from_dict(data["strata"]),
            entry=None if data["entry"] is None else Column.from_dict(data["entry"]),
            time_scale=_time_scale(data["ph"]),
            baseline=None if step is None else BaselineGrid(float(step), longest),
            grid=None if of_risk is None else RiskGrid(float(of_risk), longest),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "time": self.time.to_dict(),
            "event": self.event.to_dict(),
            "longest": self.longest,
            "design": self.design.to_dict(),
            "ties": str(self.ties),
            "robust": self.robust,
            "l2": self.l2,
            "strata": self.strata.to_dict() if self.strata else None,
            "entry": self.entry.to_dict() if self.entry else None,
            "ph": str(self.time_scale or "none"),
            "baseline_step": self.baseline.step if self.baseline else None,
            "step": self.grid.step if self.grid else None,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {
            "time": self.time.name,
            "event": self.event.name,
            "ties": str(self.ties),
            "robust": "yes" if self.robust else "no",
            "l2": repr(self.l2),
            "ph": str(self.time_scale or "none"),
            "confidence": repr(self.confidence),
        }
        typed |= {"strata": self.strata.column.name} if self.strata else {}
        typed |= {"entry": self.entry.name} if self.entry else {}
        typed |= {"baseline-step": repr(self.baseline.step)} if self.baseline else {}
        typed |= {"stratify": "none", "step": repr(self.grid.step)} if self.grid else {}
        allowed = self._typed(Options(self.name, typed, _OPTIONS), schema, self.design)
        if allowed != self or not self.design.matches(schema):
            raise InvalidPlan("The Plan's columns, levels or scaling constants are not the schema's.", "Plan again.")

    @property
    def columns(self) -> tuple[str, ...]:
        further = (*([self.strata.column.name] if self.strata else []), *([self.entry.name] if self.entry else []))
        return (self.time.name, self.event.name, *further, *self.design.columns)

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.design.terms

    @property
    def time_step(self) -> float | None:
        grid = self.grid or self.baseline
        return grid.step if grid else None

    @property
    def layout(self) -> Layout:
        """Bounds for |x| <= 1 and |x beta| <= LARGEST_PREDICTOR: an event adds at most 2 to a gradient, 1 to an
        information, and to the log-likelihood the log of its share in a risk set. What later Rounds have in the same
        places (see `Stage`) is no larger: the pairs of a site are fewer than the square of its patients."""
        terms = len(self.terms)
        smallest_log = 2 * LARGEST_PREDICTOR + math.ceil(math.log(MOST_PATIENTS))
        blocks = [
            Block("gradient", terms, 2 * MOST_PATIENTS, _GRADIENT_BITS),
            Block("information", terms * (terms + 1) // 2, MOST_PATIENTS, _INFORMATION_BITS),
            Block("loglik", 1, MOST_PATIENTS * smallest_log, _LOGLIK_BITS),
            Block("counts", 2, MOST_PATIENTS**2),
        ]
        groups = len(self.design.cells)
        of_groups = [Block("groups", groups, MOST_PATIENTS)] if groups else []
        if self.grid:
            return Layout((blocks[1], blocks[3], *of_groups, *self.grid.blocks(terms)))
        return Layout((*blocks, *of_groups, *(self.baseline.blocks if self.baseline else ())))

    @property
    def max_rounds(self) -> int:
        return MOST_ROUNDS if self.grid else _MOST_ROUNDS

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What this question asks for, in order."""
        if self.grid:
            return Stage.RISK_SETS, Stage.CURVE
        left_out = {
            Stage.SPREAD: not self.l2,
            Stage.CURVATURE: self.time_scale is None,
            Stage.SANDWICH: not self.robust,
            Stage.RISK_SETS: True,
            Stage.CURVE: True,
        }
        return tuple(stage for stage in Stage if not left_out.get(stage, False))

    @property
    def _fit_rounds(self) -> int:
        """Those that the checks leave."""
        further = 2 * (self.time_scale is not None) if self.grid else len(self.stages) - 1
        return self.max_rounds - further

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self._cohort(rows)))

    def _cohort(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,): who is complete, with known levels only: an unknown one would pass for the reference; and was observed
        for some time."""
        stratum = [self.strata.indices(rows) >= 0] if self.strata else []
        observed = [rows[self.entry.name] < rows[self.time.name]] if self.entry else []
        known = [complete(rows, self.columns), self.design.known(rows), *stratum, *observed]
        cohort: NDArray[np.bool_] = np.logical_and.reduce(known)
        return cohort

    def begin(self) -> Next:
        if self.grid:
            return GridCourse.of(self.grid, self.ties, self.time_scale, len(self.terms)).asks
        return Course.of(self.stages, len(self.terms)).asks

    def check_input(self, values: Floats) -> None:
        if values.ndim != 1 or not len(values) or values[0] not in self.stages:
            raise Refused("The Plan has no such Round.", rule="iterate")
        _, beta, further = np.split(values, [1, 1 + len(self.terms)])
        # A far iterate weighs one patient against all others: the bound limits what it can single out.
        if len(beta) != len(self.terms) or not np.abs(beta).sum() <= LARGEST_PREDICTOR * (1 + 1e-9):
            raise Refused("The coefficients asked about are outside the declared bounds.", rule="iterate")
        if self.grid and values[0] == Stage.CURVE:
            check_hazards(further, self.grid.cells)
        elif len(further):
            raise Refused("This Round takes coefficients alone.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:
        stage, beta, hazards = Stage(int(values[0])), values[1 : 1 + len(self.terms)], values[1 + len(self.terms) :]
        cohort = self._cohort(rows)
        rows = {name: rows[name][cohort] for name in self.columns}
        blocks = self._blocks(self._observed(rows), stage, beta, hazards)
        if stage in (Stage.SPREAD, Stage.FIT, Stage.RISK_SETS):
            blocks["groups"] = self.design.cells.counts(rows)
        parts = [blocks.get(block.name, np.zeros(block.length)) for block in self.layout.blocks]
        return np.concatenate(parts).astype(np.float64)

    def _blocks(self, observed: Observed, stage: Stage, beta: Floats, hazards: Floats) -> dict[str, Floats]:
        if self.grid:
            shared = observed.times, observed.events, observed.x, beta
            return self.grid.curve(*shared, hazards) if stage is Stage.CURVE else self.grid.sums(*shared)
        if stage is Stage.SPREAD:
            return observed.spread()
        if stage is Stage.FIT:
            return observed.fit(beta)
        if stage is Stage.SANDWICH:
            return observed.sandwich(beta)
        blocks = observed.check(beta, self.time_scale, self.longest, squared=stage is Stage.CURVATURE)
        return blocks | (observed.baseline(beta, self.baseline) if self.baseline and stage is Stage.CHECK else {})

    def _observed(self, rows: Rows) -> Observed:
        times = rows[self.time.name]
        return Observed(
            times=times,
            events=rows[self.event.name] == 1,
            entries=rows[self.entry.name] if self.entry else None,
            stratum=self.strata.indices(rows) if self.strata else np.zeros(len(times), dtype=np.int64),
            x=self.design.matrix(rows),
            ties=self.ties,
        )

    def advance(self, memory: Any, sums: Sums) -> Next | Done:
        course: Course | GridCourse = memory
        if not course.patients:
            patients, events = (int(count) for count in sums.blocks["counts"])
            self._check_groups(patients, events, sums)
            course = course.counted(patients, events)
        course = course.after(sums, self, self._fit_rounds)
        if course.is_over:
            ended = course.course if isinstance(course, GridCourse) else course
            return Done(described(self, ended, sums.min_patients))
        return course.asks

    def _check_groups(self, patients: int, events: int, sums: Sums) -> None:
        fewest = max(1, sums.min_patients)
        if patients < fewest:
            raise RoundFailed("Too few patients have a value in every column.", "Use fewer covariates or more sites.")
        if events == 0:
            raise RoundFailed("No patient had the event: there is no hazard to compare.", "Choose another event.")
        if events < fewest:
            raise RoundFailed("Too few patients had the event.", "Choose another event or more sites.")
        for label, count in zip(self.design.cells.labels, sums.blocks.get("groups", ()), strict=True):
            if count < fewest:
                raise RoundFailed(
                    f"Too few patients are in the group '{label}'.",
                    "Leave the covariate out, or ask the sites for one with larger groups.",
                )


def _risk_grid(typed: Options, longest: float, unit: str) -> RiskGrid | None:
    if typed.choice("stratify", ("site", "none"), "site") == "site":
        if "step" in typed:
            raise InvalidInput("--step is the time grid of a model without strata.", "Add --stratify none.")
        return None
    return RiskGrid.of(typed.number("step", 0.0) if "step" in typed else None, longest, unit)


def _time_scale(name: str) -> TimeScale | None:
    return None if name == "none" else TimeScale(name)
