"""Cox proportional hazards, stratified by site: only the sums of gradients and informations leave the sites.

Every site has its own baseline hazard, so risk sets never span sites. An unstratified model at raw times would need
sums over each risk set, and the difference of neighbouring ones is a patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import MOST_PATIENTS, Column, check_one_row_each, complete, event_field, time_field
from synthema_core.analyses.covariates import Grouping, Number, Term, covariate_from_dict, covariate_of
from synthema_core.analyses.newton import LARGEST_PREDICTOR, Estimate, Search, improve
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.analyses.partial_likelihood import Likelihood, partial_likelihood
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, RoundFailed
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_TERMS = 50
_GRADIENT_BITS, _INFORMATION_BITS, _LOGLIK_BITS = 38, 39, 33  # as many as the sum over 100 sites leaves room for


@dataclass(frozen=True, slots=True)
class Cox:
    """How covariates multiply the hazard of an event, within sites.

    Parameters
    ----------
    covariates
        Scaled by the schema's ranges to lie between -1 and 1; results are given back in original units.
    """

    time: Column
    event: Column
    covariates: tuple[Number | Grouping, ...]
    confidence: float

    name: ClassVar[str] = "cox"
    title: ClassVar[str] = "Cox proportional hazards, stratified by site"
    private: ClassVar[bool] = False
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        columns = self.columns
        if not self.covariates or len(set(columns)) != len(columns):
            raise InvalidPlan("A Cox model needs covariates, each once and none the time or the event.")
        if len(self.terms) > _MOST_TERMS:
            raise InvalidPlan(f"The model has more than {_MOST_TERMS} terms.", "Use fewer covariates or levels.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, ("time", "event", "covariates", "confidence"))
        check_one_row_each(schema, cls.name)
        time, _ = time_field(schema, typed.required("time"))
        event = event_field(schema, typed.required("event"))
        names = typed.words("covariates")
        if {time.name, event.name} & set(names):
            raise InvalidInput("The time and the event cannot be covariates.", "Leave them out of --covariates.")
        covariates = tuple(covariate_of(schema, name) for name in names)
        return cls(Column.of(time), Column.of(event), covariates, typed.confidence())

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            time=Column.from_dict(data["time"]),
            event=Column.from_dict(data["event"]),
            covariates=tuple(covariate_from_dict(covariate) for covariate in data["covariates"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "time": self.time.to_dict(),
            "event": self.event.to_dict(),
            "covariates": [covariate.to_dict() for covariate in self.covariates],
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {
            "time": self.time.name,
            "event": self.event.name,
            "covariates": ",".join(covariate.column.name for covariate in self.covariates),
            "confidence": repr(self.confidence),
        }
        if type(self).from_options(typed, schema) != self:
            raise InvalidPlan("The Plan's columns, levels or scaling constants are not the schema's.", "Plan again.")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time.name, self.event.name, *(covariate.column.name for covariate in self.covariates))

    @property
    def terms(self) -> tuple[Term, ...]:
        return tuple(term for covariate in self.covariates for term in covariate.terms)

    @property
    def layout(self) -> Layout:
        """Bounds for |x| <= 1 and |x beta| <= LARGEST_PREDICTOR: an event adds at most 2 to a gradient, 1 to an
        information, and to the log-likelihood the log of its share in a risk set."""
        terms, levels = len(self.terms), self._levels
        smallest_log = 2 * LARGEST_PREDICTOR + math.ceil(math.log(MOST_PATIENTS))
        blocks = [
            Block("gradient", terms, 2 * MOST_PATIENTS, _GRADIENT_BITS),
            Block("information", terms * (terms + 1) // 2, MOST_PATIENTS, _INFORMATION_BITS),
            Block("loglik", 1, MOST_PATIENTS * smallest_log, _LOGLIK_BITS),
            Block("counts", 2, MOST_PATIENTS),
        ]
        return Layout(tuple([*blocks, Block("levels", levels, MOST_PATIENTS)] if levels else blocks))

    @property
    def max_rounds(self) -> int:
        return 12

    @property
    def sensitivity(self) -> float:
        return math.inf

    def steps_per_unit(self, sites: int) -> None:
        """Exact: there is no noise."""

    @property
    def _groupings(self) -> list[Grouping]:
        return [covariate for covariate in self.covariates if isinstance(covariate, Grouping)]

    @property
    def _levels(self) -> int:
        return sum(len(grouping.factor.levels) for grouping in self._groupings)

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self._cohort(rows)))

    def _cohort(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,): who is complete, with known levels only: an unknown one would pass for the reference."""
        known = [grouping.factor.indices(rows) >= 0 for grouping in self._groupings]
        cohort: NDArray[np.bool_] = np.logical_and.reduce([complete(rows, self.columns), *known])
        return cohort

    def begin(self) -> Next:
        beta = np.zeros(len(self.terms))
        return Next(beta, Search(beta))

    def check_input(self, values: Floats) -> None:
        # A far iterate weighs one patient against all others: the bound limits what it can single out.
        if values.shape != (len(self.terms),) or not np.abs(values).sum() <= LARGEST_PREDICTOR * (1 + 1e-9):
            raise Refused("The coefficients asked about are outside the declared bounds.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:
        cohort = self._cohort(rows)
        rows = {name: rows[name][cohort] for name in self.columns}
        events = rows[self.event.name] == 1
        x = np.hstack([covariate.design(rows) for covariate in self.covariates])
        here = partial_likelihood(rows[self.time.name], events, x, values)
        counts = [len(events), np.count_nonzero(events)]
        levels = [self._level_counts(grouping, rows) for grouping in self._groupings]
        return np.concatenate([here.gradient, here.triangle, [here.loglik], counts, *levels]).astype(np.float64)

    @staticmethod
    def _level_counts(grouping: Grouping, rows: Rows) -> Floats:
        positions = grouping.factor.indices(rows)
        return np.bincount(positions, minlength=len(grouping.factor.levels)).astype(np.float64)

    def advance(self, memory: Any, sums: Sums) -> Next | Done:
        search: Search = memory
        blocks = sums.blocks
        patients, events = (int(count) for count in blocks["counts"])
        if search.best is None:
            self._check_groups(patients, events, sums)
        here = Likelihood.from_triangle(float(blocks["loglik"][0]), blocks["gradient"], blocks["information"])
        outcome = improve(search, here, [term.label for term in self.terms], self.max_rounds)
        if isinstance(outcome, Search):
            return Next(outcome.beta, outcome)
        return Done(self._result(outcome, patients, events))

    def _check_groups(self, patients: int, events: int, sums: Sums) -> None:
        fewest = max(1, sums.min_patients)
        if patients < fewest:
            raise RoundFailed("Too few patients have a value in every column.", "Use fewer covariates or more sites.")
        if events == 0:
            raise RoundFailed("No patient had the event: there is no hazard to compare.", "Choose another event.")
        labels = [
            f"{grouping.column.label}: {label}" for grouping in self._groupings for _, label in grouping.factor.levels
        ]
        for label, count in zip(labels, sums.blocks.get("levels", ()), strict=True):
            if count < fewest:
                raise RoundFailed(
                    f"Too few patients are in the group '{label}'.",
                    "Leave the covariate out, or ask the sites for one with larger groups.",
                )

    def _result(self, estimate: Estimate, patients: int, events: int) -> dict[str, Json]:
        statistic = 2 * (estimate.loglik - estimate.loglik_null)
        degrees = len(self.terms)
        return {
            "kind": self.name,
            "title": self.title,
            "time": self.time.to_dict(),
            "event": {"column": self.event.name, "label": self.event.label},
            "stratified_by": "site",
            "ties": "breslow",
            "confidence": self.confidence,
            "patients": patients,
            "events": events,
            "rounds": estimate.rounds,
            "log_likelihood": estimate.loglik,
            "log_likelihood_null": estimate.loglik_null,
            "likelihood_ratio": {
                "statistic": statistic,
                "degrees": degrees,
                "p": float(chdtrc(degrees, max(0.0, statistic))),
            },
            "terms": [
                self._term(term, float(beta), float(error))
                for term, beta, error in zip(self.terms, estimate.beta, estimate.standard_error, strict=True)
            ],
        }

    def _term(self, term: Term, beta: float, error: float) -> dict[str, Json]:
        coefficient, standard_error, z = beta / term.scale, error / term.scale, beta / error
        reach = float(ndtri(0.5 + self.confidence / 2)) * standard_error
        return {
            "name": term.name,
            "label": term.label,
            "unit": term.unit,
            "coefficient": coefficient,
            "standard_error": standard_error,
            "hazard_ratio": _exp(coefficient),
            "lower": _exp(coefficient - reach),
            "upper": _exp(coefficient + reach),
            "z": z,
            "p": 2 * float(ndtr(-abs(z))),
            "per": term.per,
        }


def _exp(value: float) -> float | None:
    """None where JSON has no number for it: a coefficient per unit can be huge on a tiny range."""
    return math.exp(value) if value < 700 else None
