"""Invented patients for generalised linear models, and statsmodels' answer about all of them in one place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from formulaic import model_matrix

from synthema_core.analyses.regression.glm import Glm
from synthema_core.schemas import Field, Kind, Schema

FAMILIES = {"gaussian": sm.families.Gaussian(), "binomial": sm.families.Binomial(), "poisson": sm.families.Poisson()}
OUTCOMES = {"gaussian": "hb", "binomial": "response", "poisson": "infections"}
TRIAL = Schema(
    name="trial",
    patient_id="patient",
    fields=(
        Field("patient", Kind.IDENTIFIER),
        Field("hb", Kind.NUMBER, "Haemoglobin", "g/dl", 2, 22),
        Field("response", Kind.BOOLEAN, "Complete remission"),
        Field("infections", Kind.INTEGER, "Infections", "", 0, 40),
        Field("age", Kind.INTEGER, "Age", "years", 18, 90),
        Field("year", Kind.INTEGER, "Year of diagnosis", "", 1990, 2025),
        Field("arm", Kind.CATEGORY, "Arm", codes=(("a", "Standard"), ("b", "New"), ("c", "Both"))),
        Field("male", Kind.BOOLEAN, "Male"),
        Field("log_days", Kind.NUMBER, "Logarithm of days at risk", "", 0, 8),
        Field("weight", Kind.NUMBER, "Weight", "", 0, 5),
    ),
)


def trial(patients=400, sites=4, seed=1):
    """Invented patients, and the site of each."""
    dice = np.random.default_rng(seed)
    site = np.arange(patients) % sites
    table = pd.DataFrame(
        {
            "age": dice.integers(18, 91, patients),
            "year": dice.integers(1990, 2026, patients),
            "arm": dice.choice(["a", "b", "c"], patients),
            "male": dice.integers(0, 2, patients),
            "log_days": dice.uniform(3, 7, patients),
            "weight": dice.uniform(0.2, 4, patients),
        }
    )
    new = (table["arm"] == "b").to_numpy()
    line = 0.03 * (table["age"] - 55) + 0.7 * new - 0.02 * (table["year"] - 2010) + 0.3 * (site - 1)
    table["hb"] = np.clip(11 + line + dice.normal(0, 1.5, patients), 2, 22)
    table["response"] = (dice.random(patients) < 1 / (1 + np.exp(-line))).astype(int)
    table["infections"] = np.minimum(dice.poisson(np.exp(-4.5 + 0.5 * line + table["log_days"])), 40)
    return table, site


def typed(family, right, **more):
    return {"formula": f"{OUTCOMES[family]} ~ {right}", "family": family} | more


def told_matrix(question, table, rows):
    """The question's own columns in original units, from its matrix and its way back."""
    z = np.column_stack([np.ones(len(table)), question.design.matrix(rows)])
    return (z @ np.linalg.inv(question.design.to_original(intercept=True)))[:, 1:]


def reference(question, table, site, rows, right, **fit):
    """The pooled model; columns as formulaic makes them of `right`, in the question's order."""
    told = told_matrix(question, table, rows)
    made = np.asarray(model_matrix(right, table).astype(float))
    order = [
        next(j for j in range(made.shape[1]) if np.allclose(made[:, j], one, rtol=1e-9, atol=1e-8)) for one in told.T
    ]
    assert len(set(order)) == made.shape[1] - 1
    x = made[:, order]
    intercepts = np.asarray(pd.get_dummies(site), dtype=float) if question.site_effects else np.ones((len(table), 1))
    family = str(question.response.family)
    more = {key: fit.pop(key) for key in ("offset", "var_weights") if key in fit}
    model = sm.GLM(table[OUTCOMES[family]], np.hstack([x, intercepts]), family=FAMILIES[family], **more)
    return model.fit(tol=1e-13, **fit), x.shape[1]


def column(result, name):
    return np.array([term[name] for term in result["terms"]])


def assert_equal(result, pooled, terms):
    params, errors = np.asarray(pooled.params), np.asarray(pooled.bse)
    assert np.allclose(column(result, "coefficient"), params[:terms], rtol=1e-6, atol=1e-6)
    assert np.allclose(column(result, "standard_error"), errors[:terms], rtol=1e-6, atol=1e-6)
    if result["intercept"]:
        assert result["intercept"]["coefficient"] == pytest.approx(params[-1], rel=1e-6, abs=1e-6)
        assert result["intercept"]["standard_error"] == pytest.approx(errors[-1], rel=1e-6, abs=1e-6)
    assert result["deviance"] == pytest.approx(pooled.deviance, rel=1e-6)


def asked(fed, table, site, options, right, schema=TRIAL, **fit):
    """The federated result, the pooled one, and how many terms they have."""
    question = Glm.from_options(options, schema)
    pooled, terms = reference(question, table, site, fed.rows(table), right, **fit)
    return fed.run(question, fed.split(table, site)), pooled, terms
