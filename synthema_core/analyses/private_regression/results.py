"""The result of a private regression as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from synthema_core.analyses.private_regression.course import Course
from synthema_core.analyses.regression.model_tests import finite_exp, wald_test
from synthema_core.canonical import Json
from synthema_core.design import Design
from synthema_core.secure_sum.layout import Floats


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
    """From white covariates to original units.

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
    terms = course.terms
    first = len(fit.theta) - terms
    back = np.zeros((1 + terms, len(fit.theta)))
    back[1:, first:] = course.frame.whitening.T
    if course.intercepts == 1:
        back[0, 0] = 1.0
        back[0, 1:] = -course.frame.centre @ course.frame.whitening.T
    way = design.to_original(intercept=True) @ back * unit
    covariance, without_noise = (way @ part @ way.T for part in (fit.covariance(dispersion), fit.sampling(dispersion)))
    values = way @ fit.theta
    values[0] += moved
    shares = 1 - np.diag(without_noise) / np.maximum(np.diag(covariance), 1e-300)
    start = 0 if course.intercepts == 1 else 1
    kept = slice(start, None)
    return Estimates(values[kept], covariance[kept, kept], np.clip(shares[kept], 0.0, 1.0), effect, confidence)


def term_entries(design: Design, estimates: Estimates, first: int) -> list[Json]:
    """One a coefficient; `first`: the place of the first term among the estimates."""
    return [
        {"name": term.name, "label": term.label, "unit": term.unit, "per": term.per, **estimates.number(first + place)}
        for place, term in enumerate(design.terms)
    ]


def covariate_entries(design: Design, estimates: Estimates, first: int) -> list[Json]:
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


def patients_entry(course: Course, deviation: float, confidence: float) -> dict[str, Json]:
    """How many patients there are, from all Rounds; `deviation`: of the noise in one Round's number."""
    error = deviation / math.sqrt(len(course.patients))
    reach = float(ndtri(0.5 + confidence / 2)) * error
    number = course.mean_patients
    return {"count": number, "shown": max(0, round(number)), "lower": number - reach, "upper": number + reach}


def notes_of(own: Sequence[str]) -> list[Json]:
    return [
        *own,
        "Intervals and tests contain the privacy noise and the chance of other patients of this kind.",
        "Patients with far covariates count for less, so that nobody's part in a sum is large.",
        "Deviance, AIC and R² are not told: each would cost noise of its own.",
    ]
