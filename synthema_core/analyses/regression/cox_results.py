"""The result of a Cox model as JSON, from what its Rounds have summed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from synthema_core.analyses.regression.covariates import Term
from synthema_core.analyses.regression.cox_site import SANDWICH_UNIT
from synthema_core.analyses.regression.cox_stages import Course, Stage
from synthema_core.analyses.regression.model_tests import added_test, chi_squared, finite_exp, score_test, wald_test
from synthema_core.analyses.regression.partial_likelihood import Likelihood
from synthema_core.analyses.regression.ridge import penalised
from synthema_core.analyses.regression.time_scales import TimeScale
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats

if TYPE_CHECKING:
    from synthema_core.analyses.regression.cox import Cox

_SCALES = {
    TimeScale.IDENTITY: "time",
    TimeScale.LOG: "the logarithm of time",
    TimeScale.RANK: "the rank of an event's time at its site",
    TimeScale.KM: "one minus each site's own Kaplan-Meier survival",
}

_POOLED_SCALES = {
    **_SCALES,
    TimeScale.RANK: "the rank of an event's time",
    TimeScale.KM: "one minus the Kaplan-Meier survival of all patients",
}


@dataclass(frozen=True, slots=True)
class _Told:
    """The estimate in original units.

    Parameters
    ----------
    way
        (p, p): from computed coefficients to those told.
    model, covariance
        (p, p): the model's own covariance, and the one in use.
    """

    way: Floats
    beta: Floats
    model: Floats
    covariance: Floats

    @classmethod
    def of(cls, way: Floats, beta: Floats, model: Floats, course: Course, *, robust: bool) -> _Told:
        inner = course.matrix(Stage.SANDWICH) * SANDWICH_UNIT if robust else None
        covariance = model if inner is None else model @ inner @ model  # Lin and Wei (1989)
        return cls(way, way @ beta, way @ model @ way.T, way @ covariance @ way.T)


def described(question: Cox, course: Course, fewest: int) -> dict[str, Json]:
    """The released result; `fewest` patients at least stand behind each of its numbers."""
    start, end, estimate = course.start, course.end, course.estimate
    assert start is not None and end is not None and estimate is not None, "the Rounds are over"
    model: Floats = np.linalg.inv(penalised(end, estimate.beta, course.penalty).information).astype(np.float64)
    told = _Told.of(question.design.to_original(), estimate.beta, model, course, robust=question.robust)
    degrees: float = float(np.trace(model @ end.information)) if question.l2 else len(told.beta)
    loglik = estimate.loglik + float(estimate.beta @ course.penalty @ estimate.beta) / 2
    return {
        "kind": question.name,
        "title": "Cox proportional hazards, on a time grid" if question.grid else question.title,
        "time": question.time.to_dict(),
        "event": {"column": question.event.name, "label": question.event.label},
        "entry": question.entry.to_dict() if question.entry else None,
        "formula": question.design.formula,
        "stratified_by": _strata(question),
        "step": question.grid.step if question.grid else None,
        "strata": question.strata.column.to_dict() if question.strata else None,
        "ties": str(question.ties),
        "robust": question.robust,
        "l2": question.l2,
        "confidence": question.confidence,
        "patients": course.patients,
        "events": course.events,
        "iterations": estimate.rounds,
        "log_likelihood": loglik,
        "log_likelihood_null": estimate.loglik_null,
        "degrees": degrees,
        "aic": 2 * degrees - 2 * loglik,
        "likelihood_ratio": chi_squared(2 * (loglik - estimate.loglik_null), degrees),
        "wald": wald_test(told.beta, told.covariance, range(len(told.beta))),
        "score": score_test(start.gradient, start.information),
        "concordance": None if question.grid else _concordance(course.gathered[Stage.CHECK]),
        "terms": list[Json](_terms(question, told)),
        "covariates": list[Json](_covariates(question, told)),
        "proportional_hazards": _proportional(question, course, end) if question.time_scale else None,
        "baseline": _baseline(question, course, estimate.beta, fewest) if question.baseline else None,
        "notes": list[Json](_notes(question)),
    }


def _covariates(question: Cox, told: _Told) -> Iterator[dict[str, Json]]:
    """Each term of the formula as a whole: all levels of a category together."""
    for block in question.design.blocks:
        names = list[Json]([question.terms[place].name for place in block.places])
        yield {"label": block.label, "terms": names, "wald": wald_test(told.beta, told.covariance, block.places)}


def _terms(question: Cox, told: _Told) -> list[dict[str, Json]]:
    deviations = (np.sqrt(np.clip(np.diag(of), 0, None)).tolist() for of in (told.covariance, told.model))
    return [
        _term(term, beta, error, model_error, question.confidence)
        for term, beta, error, model_error in zip(question.terms, told.beta.tolist(), *deviations, strict=True)
    ]


def _strata(question: Cox) -> str | None:
    if question.grid:
        return None
    return f"site and {question.strata.column.label}" if question.strata else "site"


def _term(term: Term, beta: float, error: float, model_error: float, confidence: float) -> dict[str, Json]:
    z = beta / error if error > 0 else None
    reach = float(ndtri(0.5 + confidence / 2)) * error
    return {
        "name": term.name,
        "label": term.label,
        "unit": term.unit,
        "coefficient": beta,
        "standard_error": error,
        "model_standard_error": model_error,
        "hazard_ratio": finite_exp(beta),
        "lower": finite_exp(beta - reach),
        "upper": finite_exp(beta + reach),
        "z": z,
        "p": None if z is None else 2 * float(ndtr(-abs(z))),
        "per": term.per,
    }


def _concordance(blocks: Mapping[str, Floats]) -> dict[str, Json]:
    """Harrell's C over all pairs of one stratum; None where no two patients can be compared."""
    twice, pairs = (int(count) for count in blocks["counts"])
    return {"value": twice / (2 * pairs) if pairs else None, "pairs": pairs}


def _proportional(question: Cox, course: Course, end: Likelihood) -> dict[str, Json]:
    """Score tests that log hazard ratios do not change with g(t), as R's ``cox.zph`` since survival 3.0 has them.

    The sites' sums are of g itself. Centred at its mean over events, the tests say the same, with less rounding.
    """
    scale = question.time_scale
    assert scale is not None, "asked for"
    first = course.gathered[Stage.CHECK]
    mean = float(first["loglik"][0]) / course.events
    along, both = course.matrix(Stage.CHECK), course.matrix(Stage.CURVATURE)
    own = end.information + course.penalty
    told = np.linalg.inv(question.design.to_original())  # from computed columns to those told, but for a constant
    gradient = (first["gradient"] - mean * end.gradient) @ told
    mixed = (along - mean * end.information) @ told
    second = told.T @ (both - 2 * mean * along + mean**2 * end.information) @ told

    def test(places: Any) -> Json:
        return added_test(gradient, own, mixed, second, places)

    return {
        "scale": str(scale),
        "against": (_POOLED_SCALES if question.grid else _SCALES)[scale],
        "covariates": [{"label": block.label, "test": test(block.places)} for block in question.design.blocks],
        "terms": [{"name": term.name, "test": test([place])} for place, term in enumerate(question.terms)],
        "global": test(range(len(gradient))),
    }


def _baseline(question: Cox, course: Course, beta: Floats, fewest: int) -> dict[str, Json]:
    """Of a patient whose columns are all 0 as they are told: numbers at 0, categories at their reference."""
    assert question.baseline is not None, "asked for"
    sums = [course.gathered[Stage.CHECK][block.name] for block in question.baseline.blocks]
    at_zero = float((question.design.to_original(intercept=True) @ np.concatenate([[0.0], beta]))[0])
    return {
        "step": question.baseline.step,
        "what": "average over sites of the cumulative baseline hazard (Breslow); a time counts as the end of its step",
        "at": "every number 0, every category at its reference",
        "points": question.baseline.result(sums, float(np.abs(beta).sum()) - at_zero, fewest),
    }


def _notes(question: Cox) -> list[str]:
    """What a reader of the numbers should know of how they were made."""
    if question.grid:
        steps = f"{question.grid.step:g} {question.time.unit}".rstrip()
        return [
            f"Times count as the end of steps of {steps}, and the model is that of the times on this grid.",
            "On real data, grids of 7, 30 and 90 days moved coefficients by 0.07, 0.28 and 0.89 standard errors.",
            "All sites share one baseline hazard: a difference between sites counts as one between their patients.",
            "The hub has seen sums over the patients at risk in each step: neighbours differ by those who left.",
        ]
    notes = ["Patients are compared within their site only: each site has its own baseline hazard."]
    if question.robust:
        notes.append(
            "Standard errors, intervals and Wald tests are robust (Lin and Wei); the likelihood ratio and score tests "
            "are not."
        )
    if question.l2:
        notes.append(
            f"A ridge penalty of {question.l2:g} draws the coefficients towards 0: their intervals do not contain its "
            "bias, and the degrees of freedom are effective ones."
        )
    if question.time_scale in (TimeScale.RANK, TimeScale.KM):
        notes.append("Proportional hazards are checked against a scale of time that is each site's own.")
    if question.baseline:
        notes.append(
            "The baseline hazard is an average over sites on the declared grid, where enough patients' times ended "
            "since the point before."
        )
    return notes
