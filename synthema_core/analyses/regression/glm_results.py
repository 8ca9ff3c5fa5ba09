"""The result of a generalised linear model as JSON, from what its Rounds have summed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtrc, ndtr, ndtri, stdtr, stdtrit

from synthema_core.analyses.regression.glm_course import Course, Maximum
from synthema_core.analyses.regression.glm_response import Family
from synthema_core.analyses.regression.model_tests import chi_squared, finite_exp, wald_test
from synthema_core.canonical import Json
from synthema_core.errors import RoundFailed
from synthema_core.secure_sum.layout import Floats

if TYPE_CHECKING:
    from synthema_core.analyses.regression.covariates import Term
    from synthema_core.analyses.regression.glm import Glm

EFFECTS = {
    Family.GAUSSIAN: "difference",
    Family.BINOMIAL: "odds ratio",
    Family.POISSON: "rate ratio",
}
TITLES = {
    Family.GAUSSIAN: "Linear regression",
    Family.BINOMIAL: "Logistic regression",
    Family.POISSON: "Poisson regression",
}


@dataclass(frozen=True, slots=True)
class _Fit:
    """All that the numbers of a result follow from; coefficients in original units, the common intercept first."""

    question: Glm
    maximum: Maximum
    told: dict[str, Floats]
    sites: int
    coefficients: Floats
    covariance: Floats
    model_covariance: Floats
    effective: float

    @property
    def family(self) -> Family:
        return self.question.response.family

    @property
    def patients(self) -> int:
        return round(float(self.told["counts"][0]))

    @property
    def contributing(self) -> int:
        """Sites, of which each has patients, with a finite intercept of their own."""
        return round(float(self.told["counts"][2]))

    @property
    def all_contribute(self) -> bool:
        always = self.family is Family.GAUSSIAN or not self.question.site_effects
        return always or self.contributing == self.sites

    @property
    def intercepts(self) -> int:
        return self.contributing if self.question.site_effects else 1

    @property
    def parameters(self) -> float:
        """Coefficients and intercepts; with a ridge, effective ones."""
        return self.effective + (self.intercepts if self.question.site_effects else 0)

    @property
    def residual_degrees(self) -> float:
        """Of a model to which all patients contribute."""
        return self.patients - self.parameters

    @property
    def deviance_unit(self) -> float:
        return self.question.response.unit**2 if self.family is Family.GAUSSIAN else 1.0

    @property
    def deviance(self) -> float:
        return max(0.0, -2 * self.maximum.loglik * self.deviance_unit)

    @property
    def null_deviance(self) -> float | None:
        null = self.maximum.loglik_null
        return None if null is None else max(0.0, -2 * null * self.deviance_unit)

    @property
    def loglik(self) -> float | None:
        response = self.question.response
        constant = float(self.told["totals"][3])
        if self.family is not Family.GAUSSIAN:
            return -self.deviance / 2 + constant * response.heaviest
        if not self.deviance > 0:
            return None
        weights = constant + self.patients * math.log(response.heaviest)
        return -self.patients / 2 * (math.log(2 * math.pi * self.deviance / self.patients) + 1) + weights / 2


def described(question: Glm, course: Course) -> dict[str, Json]:
    """The released result."""
    fit = _fit_of(question, course)
    errors = np.sqrt(np.clip(np.diag(fit.covariance), 0, None))
    model_errors = np.sqrt(np.clip(np.diag(fit.model_covariance), 0, None))
    first = 0 if question.site_effects else 1
    numbers = list(zip(fit.coefficients.tolist(), errors.tolist(), model_errors.tolist(), strict=True))
    loglik = fit.loglik
    return {
        "kind": question.name,
        "title": f"{TITLES[fit.family]}{', an intercept for each site' if question.site_effects else ''}",
        "formula": question.formula,
        "family": str(fit.family),
        "link": {"gaussian": "identity", "binomial": "logit", "poisson": "log"}[fit.family],
        "effect": EFFECTS[fit.family],
        "outcome": _outcome(fit),
        "offset": question.response.offset.text if question.response.offset else None,
        "weights": question.response.weights.text if question.response.weights else None,
        "site_effects": question.site_effects,
        "robust": question.robust,
        "l2": question.l2,
        "confidence": question.confidence,
        "statistic": "t" if fit.family is Family.GAUSSIAN else "z",
        **_counts(fit),
        "iterations": fit.maximum.iterations,
        "converged": True,
        "residual_degrees": fit.residual_degrees if fit.all_contribute else None,
        "deviance": fit.deviance,
        "null_deviance": fit.null_deviance,
        "log_likelihood": loglik,
        "parameters": fit.parameters,
        "aic": None if loglik is None else 2 * fit.parameters - 2 * loglik,
        **_spread(fit),
        "overall": _overall(fit),
        "intercept": None if question.site_effects else _intercept(fit, *numbers[0]),
        "terms": [_term(fit, term, *each) for term, each in zip(question.design.terms, numbers[first:], strict=True)],
        "covariates": [
            {
                "name": block.text,
                "label": block.label,
                "terms": _names(question, block.places),
                "smooth": block.smooth,
                "wald": _joint(fit, block.places, first),
            }
            for block in question.design.blocks
        ],
        "covariance": {
            "terms": [*([] if question.site_effects else ["Intercept"]), *_names(question, None)],
            "values": fit.covariance.tolist(),
        },
        "notes": list[Json](_notes(fit)),
    }


def _names(question: Glm, places: Sequence[int] | None) -> list[Json]:
    names = [term.name for term in question.design.terms]
    return list[Json](names if places is None else [names[place] for place in places])


def _fit_of(question: Glm, course: Course) -> _Fit:
    """Raises RoundFailed where nothing is left to estimate a variance from."""
    maximum, response, gaussian = course.maximum, question.response, question.response.family is Family.GAUSSIAN
    assert maximum is not None, "the Rounds are over"
    bread: Floats = np.linalg.inv(maximum.information + course.penalty).astype(np.float64)
    effective = float(np.trace(bread @ maximum.information)) if question.l2 else float(len(bread))
    scale = 1.0
    if gaussian:
        intercepts = course.told["counts"][2] if question.site_effects else 0
        left = float(course.told["counts"][0] - intercepts) - effective
        if left < 1:
            raise RoundFailed("There are fewer patients than coefficients.", "Use fewer terms or more sites.")
        scale = max(0.0, -2 * maximum.loglik) / left
    model = bread * scale
    covariance = model if course.sandwich is None else bread @ course.sandwich @ bread
    way = question.design.to_original(intercept=not question.site_effects)
    unit = response.unit if gaussian else 1.0
    theta = maximum.theta * unit
    coefficients = way @ theta
    if not question.site_effects:
        coefficients[0] += _moved(question)
    back = way * unit
    return _Fit(
        question,
        maximum,
        course.told,
        course.sites,
        coefficients,
        back @ covariance @ back.T,
        back @ model @ back.T,
        effective,
    )


def _moved(question: Glm) -> float:
    """From the intercept of the scaled outcome and centred offset to that of the outcome itself."""
    response = question.response
    if response.family is Family.GAUSSIAN:
        return response.centre
    return (math.log(response.unit) if response.family is Family.POISSON else 0.0) - response.offset_centre


def _outcome(fit: _Fit) -> dict[str, Json]:
    """With its mean, by the weights where there are some; of a gaussian one less its offset."""
    outcome, response = fit.question.response.outcome, fit.question.response
    total, weighted = float(fit.told["totals"][0]), float(fit.told["totals"][1])
    return {
        "text": outcome.text,
        "label": outcome.label,
        "unit": outcome.values.unit,
        "mean": response.centre + response.unit * weighted / total if total > 0 else None,
    }


def _counts(fit: _Fit) -> dict[str, Json]:
    """Patients, those with the event, and the sites of which the model is, as their outcome varies."""
    return {
        "patients": fit.patients,
        "events": None if fit.family is Family.GAUSSIAN else round(float(fit.told["counts"][1])),
        "sites_contributing": fit.contributing,
        "all_contribute": fit.all_contribute,
    }


def _spread(fit: _Fit) -> dict[str, Json]:
    """Of a gaussian model: the residual standard deviation, and the shares of the variance that are explained."""
    if fit.family is not Family.GAUSSIAN:
        return {"residual_sd": None, "r_squared": None, "r_squared_within": None}
    response = fit.question.response
    weight, total, squares, _ = (float(value) for value in fit.told["totals"])
    about = (squares - total**2 / weight) * response.heaviest * fit.deviance_unit
    null = fit.null_deviance
    return {
        "residual_sd": math.sqrt(fit.deviance / fit.residual_degrees),
        "r_squared": 1 - fit.deviance / about if about > 0 else None,
        "r_squared_within": 1 - fit.deviance / null if null and fit.question.site_effects else None,
    }


def _overall(fit: _Fit) -> Json:
    """That no covariate has an effect: likelihood ratio test, or F test of a gaussian model; none with a ridge."""
    null, terms = fit.null_deviance, len(fit.question.design.terms)
    if null is None or fit.question.l2:
        return None
    if fit.family is not Family.GAUSSIAN:
        return {"test": "likelihood ratio", **chi_squared(null - fit.deviance, terms), "residual_degrees": None}
    if not fit.deviance > 0:
        return None
    statistic = (null - fit.deviance) / terms / (fit.deviance / fit.residual_degrees)
    return {"test": "F", **_f(statistic, terms, fit.residual_degrees)}


def _f(statistic: float, degrees: float, residual: float) -> dict[str, Json]:
    p = float(fdtrc(degrees, residual, max(0.0, statistic)))
    return {"statistic": statistic, "degrees": degrees, "residual_degrees": residual, "p": p}


def _joint(fit: _Fit, places: Sequence[int], first: int) -> Json:
    """That all coefficients of a term are 0: chi-squared, or F of a gaussian model."""
    test = wald_test(fit.coefficients, fit.covariance, [first + place for place in places])
    if test is None or fit.family is not Family.GAUSSIAN:
        return test
    return _f(float(str(test["statistic"])) / len(places), len(places), fit.residual_degrees)


def _term(fit: _Fit, term: Term, coefficient: float, error: float, model_error: float) -> dict[str, Json]:
    return {
        "name": term.name,
        "label": term.label,
        "unit": term.unit,
        "per": term.per,
        **_numbers(fit, coefficient, error, model_error),
    }


def _intercept(fit: _Fit, coefficient: float, error: float, model_error: float) -> dict[str, Json]:
    return {"name": "Intercept", "label": "Intercept", **_numbers(fit, coefficient, error, model_error)}


def _numbers(fit: _Fit, coefficient: float, error: float, model_error: float) -> dict[str, Json]:
    """The coefficient with its error and test, and the effect with its interval: a difference, or a ratio."""
    gaussian, level = fit.family is Family.GAUSSIAN, 0.5 + fit.question.confidence / 2
    reach = error * float(stdtrit(fit.residual_degrees, level) if gaussian else ndtri(level))
    statistic = coefficient / error if error > 0 else None
    p = None
    if statistic is not None:
        p = 2 * float(stdtr(fit.residual_degrees, -abs(statistic)) if gaussian else ndtr(-abs(statistic)))
    ends = (coefficient, coefficient - reach, coefficient + reach)
    told = [value if gaussian else finite_exp(value) for value in ends]
    return {
        "coefficient": coefficient,
        "standard_error": error,
        "model_standard_error": model_error,
        "statistic": statistic,
        "p": p,
        "effect": told[0],
        "lower": told[1],
        "upper": told[2],
    }


def _notes(fit: _Fit) -> list[str]:
    """What a reader of the numbers should know of how they were made."""
    question, notes = fit.question, []
    if question.site_effects:
        notes.append(
            "Each site has an intercept of its own, which never left it: patients are compared within their site."
        )
    if not fit.all_contribute:
        what = "no patient, or every patient, has the outcome" if fit.family is Family.BINOMIAL else "the count is 0"
        notes.append(
            f"Sites where {what} add nothing: their intercept would be infinite. How many patients they have is not "
            "told, so there are no residual degrees of freedom."
        )
    if any(len(term) > 1 for term in question.design.spelled):
        notes.append(
            "Beside a product of covariates, the effect of one is that where the others are 0 or at their reference."
        )
    if question.robust:
        notes.append("Standard errors, intervals and Wald tests are robust (HC0); the test of the whole model is not.")
    if question.l2:
        notes.append(
            f"A ridge penalty of {question.l2:g} on standardised coefficients draws them towards 0: intervals do not "
            "contain its bias, and the degrees of freedom are effective ones."
        )
    if question.response.weights is not None:
        notes.append("Weights are prior weights: a patient of weight 2 has half the variance and is one patient.")
    intercepts = f"{fit.intercepts} site intercepts" if question.site_effects else "the intercept"
    apart = " (R's AIC of a linear model counts the variance too: 2 more)" if fit.family is Family.GAUSSIAN else ""
    notes.append(f"AIC counts the coefficients and {intercepts}{apart}.")
    return notes
