"""The result of a private regression as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Sums
from synthema_core.analyses.private_regression.course import Course
from synthema_core.analyses.private_regression.question import PrivateRegression
from synthema_core.analyses.private_regression.vectors import deviations
from synthema_core.analyses.regression.model_tests import finite_exp, wald_test
from synthema_core.canonical import Json
from synthema_core.design import Design
from synthema_core.secure_sum.layout import Floats

_NOT_TOLD: Mapping[str, Json] = {
    "offset": None,
    "weights": None,
    "l2": 0.0,
    "robust": False,
    "site_effects": False,
    "statistic": "z",
    "events": None,
    "overall": None,
    "r_squared": None,
    "residual_sd": None,
    "dispersion": None,
}
"""What results of exact forms, or of other families, have besides."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """Coefficients in original units.

    Parameters
    ----------
    values, covariance
        (terms,), (terms, terms); an intercept before the terms, if there is one.
    noise_share
        Of each variance, what comes from the noise.
    """

    values: Floats
    covariance: Floats
    noise_share: Floats
    effect: str
    confidence: float

    @property
    def errors(self) -> Floats:
        found: Floats = np.sqrt(np.clip(np.diag(self.covariance), 0.0, None))
        return found

    def number(self, place: int) -> dict[str, Json]:
        """A coefficient with its error and test, and the effect with its interval: a difference, or a ratio."""
        value, error = float(self.values[place]), float(self.errors[place])
        reach = error * float(ndtri(0.5 + self.confidence / 2))
        ends = (value, value - reach, value + reach)
        told = [end if self.effect == "difference" else finite_exp(end) for end in ends]
        return {
            "coefficient": value,
            "standard_error": error,
            "noise_share": float(self.noise_share[place]),
            "statistic": value / error if error > 0 else None,
            "p": 2 * float(ndtr(-abs(value) / error)) if error > 0 else None,
            "effect": told[0],
            "lower": told[1],
            "upper": told[2],
        }


def estimates_of(
    course: Course, design: Design, unit: float, moved: float, effect: str, confidence: float, dispersion: float
) -> Estimates:
    """Of the columns as a researcher knows them.

    Parameters
    ----------
    unit
        What a coefficient of the fit is in units of the outcome.
    moved
        What is added to the intercept; only of models with a single one.
    dispersion
        Variance of the scores in units of the information.
    """
    fit = course.fit
    assert fit is not None, "the Rounds are over"
    first = len(fit.theta) - course.terms
    single = int(course.intercepts == 1)
    kept = np.zeros((1 + course.terms, len(fit.theta)))
    kept[0, 0], kept[1:, first:] = single, np.eye(course.terms)
    way = (design.to_original(intercept=True) @ kept * unit)[1 - single :]
    values = way @ fit.theta
    values[0] += moved * single
    covariance, without_noise = (way @ part @ way.T for part in (fit.covariance(dispersion), fit.sampling(dispersion)))
    shares = 1 - np.diag(without_noise) / np.maximum(np.diag(covariance), 1e-300)
    return Estimates(values, covariance, np.clip(shares, 0.0, 1.0), effect, confidence)


def told(question: PrivateRegression, course: Course, sums: Sums, estimates: Estimates) -> dict[str, Json]:
    """What results of all private regressions have."""
    deviation = sums.deviation(question.layout.blocks[0])
    counted = _patients(course, deviations(deviation).patients, question.confidence)
    first = int(course.intercepts == 1)
    names = [*(["Intercept"] if first else []), *(term.name for term in question.design.terms)]
    intercept: Json = {"name": "Intercept", "label": "Intercept", **estimates.number(0)} if first else None
    return {
        **_NOT_TOLD,
        "private": True,
        "confidence": question.confidence,
        "effect": estimates.effect,
        "patients": counted["shown"],
        "counted": counted,
        "intercept": intercept,
        "terms": _terms(question.design, estimates, first),
        "covariates": _covariates(question.design, estimates, first),
        "covariance": {"terms": list[Json](names), "values": estimates.covariance.tolist()},
        "noise_in_sums": deviation,
        "bounding": cuts.told_of_one_row(sums, question.cut_block, question.confidence),
    }


def _terms(design: Design, estimates: Estimates, first: int) -> list[Json]:
    """One a coefficient; `first`: the place of the first term among the estimates."""
    return [
        {"name": term.name, "label": term.label, "unit": term.unit, "per": term.per, **estimates.number(first + place)}
        for place, term in enumerate(design.terms)
    ]


def _covariates(design: Design, estimates: Estimates, first: int) -> list[Json]:
    """One a term of the formula, with the Wald test of it as a whole."""
    names = [term.name for term in design.terms]
    return [
        {
            "term": block.text,
            "label": block.label,
            "smooth": block.smooth,
            "terms": list[Json]([names[place] for place in block.places]),
            "wald": wald_test(estimates.values, estimates.covariance, [first + place for place in block.places]),
        }
        for block in design.blocks
    ]


def _patients(course: Course, deviation: float, confidence: float) -> dict[str, Json]:
    """How many patients there are, from all Rounds; `deviation`: of the noise in one Round's number."""
    error = deviation / math.sqrt(len(course.patients))
    reach = float(ndtri(0.5 + confidence / 2)) * error
    number = course.mean_patients
    return {"count": number, "shown": max(0, round(number)), "lower": number - reach, "upper": number + reach}


def notes_of(own: Sequence[str], kept_back: str) -> list[Json]:
    return [
        *own,
        "Intervals and tests contain the privacy noise and the chance of other patients of this kind.",
        "Patients with far covariates count for less, so that nobody's part in a sum is large.",
        f"{kept_back}: each would cost noise of its own.",
    ]
