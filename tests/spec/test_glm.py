"""Generalised linear models over sites equal statsmodels over the pooled patients, with site dummies and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import chi2

from support.glm_reference import (
    FAMILIES,
    OUTCOMES,
    TRIAL,
    asked,
    assert_equal,
    column,
    told_matrix,
    trial,
    typed,
)
from synthema_core import analyses
from synthema_core.analyses.regression.glm import Glm
from synthema_core.schemas import Field, Kind


@pytest.mark.parametrize("site_effects", ["yes", "no"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_equals_statsmodels(fed, family, site_effects):
    table, site = trial()
    options = typed(family, "age + C(arm) + male", **{"site-effects": site_effects})
    result, pooled, terms = asked(fed, table, site, options, "age + arm + male")
    assert_equal(result, pooled, terms)
    assert [term["name"] for term in result["terms"]] == ["age", "arm=b", "arm=c", "male"]
    assert [term["per"] for term in result["terms"]][:3] == ["1 year", "New vs Standard", "Both vs Standard"]
    assert result["patients"] == 400 and result["all_contribute"] and result["sites_contributing"] == 4
    assert result["residual_degrees"] == pooled.df_resid
    assert result["log_likelihood"] == pytest.approx(pooled.llf if family != "gaussian" else _ols(pooled).llf, rel=1e-6)
    assert result["iterations"] == 1 or family != "gaussian"
    if family != "gaussian":
        assert result["aic"] == pytest.approx(pooled.aic, rel=1e-6)
        assert np.allclose(column(result, "p"), np.asarray(pooled.pvalues)[:terms], atol=1e-7)
        assert np.allclose(column(result, "effect"), np.exp(np.asarray(pooled.params)[:terms]), rtol=1e-6)
        low, high = np.exp(np.asarray(pooled.conf_int())[:terms]).T
        assert np.allclose(column(result, "lower"), low, rtol=1e-5) and np.allclose(
            column(result, "upper"), high, rtol=1e-5
        )


def _ols(pooled):
    return sm.OLS(pooled.model.endog, pooled.model.exog).fit()


@pytest.mark.parametrize("site_effects", ["yes", "no"])
def test_a_linear_model_has_t_tests_and_shares_of_variance(fed, site_effects):
    table, site = trial()
    options = typed("gaussian", "age + arm", confidence="0.9", **{"site-effects": site_effects})
    result, pooled, terms = asked(fed, table, site, options, "age + arm")
    ols = _ols(pooled)
    assert np.allclose(column(result, "p"), ols.pvalues[:terms], atol=1e-8)
    assert np.allclose(column(result, "statistic"), ols.tvalues[:terms], rtol=1e-6)
    low, high = ols.conf_int(0.1)[:terms].T
    assert np.allclose(column(result, "lower"), low, rtol=1e-6) and np.allclose(
        column(result, "upper"), high, rtol=1e-6
    )
    assert result["residual_sd"] == pytest.approx(np.sqrt(ols.mse_resid), rel=1e-7)
    assert result["r_squared"] == pytest.approx(1 - ols.ssr / ols.centered_tss, abs=1e-7)
    assert result["aic"] == pytest.approx(ols.aic, rel=1e-7)
    assert result["outcome"]["mean"] == pytest.approx(table["hb"].mean(), abs=1e-9)
    test = ols.f_test(np.eye(len(ols.params))[:terms])
    assert result["overall"]["statistic"] == pytest.approx(float(test.fvalue), rel=1e-6)
    assert result["overall"]["p"] == pytest.approx(float(test.pvalue), abs=1e-9)
    joint = ols.f_test(np.eye(len(ols.params))[1:3])
    assert result["covariates"][1]["wald"]["p"] == pytest.approx(float(joint.pvalue), abs=1e-9)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("site_effects", ["yes", "no"])
def test_the_null_model_has_the_same_intercepts(fed, family, site_effects):
    table, site = trial()
    result, pooled, terms = asked(
        fed, table, site, typed(family, "age + arm", **{"site-effects": site_effects}), "age + arm"
    )
    null = sm.GLM(pooled.model.endog, pooled.model.exog[:, terms:], family=FAMILIES[family]).fit(tol=1e-13)
    assert result["null_deviance"] == pytest.approx(null.deviance, rel=1e-7)
    ratio = null.deviance - pooled.deviance
    assert result["overall"]["statistic"] == pytest.approx(ratio, rel=1e-6)
    assert result["overall"]["p"] == pytest.approx(chi2.sf(ratio, terms), abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("right", "same"),
    [
        ("age * arm", None),
        ("age * year", None),
        ("arm * male + age", None),
        ("age:arm", None),
        ("arm + age:arm", None),
        ("C(arm, Treatment('c')) + age", "C(arm, contr.treatment('c')) + age"),
        ("bs(age, df=4) + male", "bs(age, knots=[54], degree=3, lower_bound=18, upper_bound=90) + male"),
        ("bs(age, knots=(40, 60), degree=2)", "bs(age, knots=[40, 60], degree=2, lower_bound=18, upper_bound=90)"),
        ("bs(age, df=3) * male", "bs(age, df=3, lower_bound=18, upper_bound=90) * male"),
        ("poly(age, 3) + arm", "poly(age, 3, raw=True) + arm"),
        ("poly(year, 2) * male", "poly(year, 2, raw=True) * male"),
    ],
)
def test_formulae_equal_formulaic_in_original_units(fed, family, right, same):
    table, site = trial(300, 3, seed=4)
    assert_equal(*asked(fed, table, site, typed(family, right), same or right))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("right", "same"),
    [("age * year", None), ("poly(age, 2) * male", "poly(age, 2, raw=True) * male"), ("age:arm", None)],
)
def test_a_common_intercept_is_in_original_units_too(fed, family, right, same):
    table, site = trial(300, 3, seed=4)
    assert_equal(*asked(fed, table, site, typed(family, right, **{"site-effects": "no"}), same or right))


def test_natural_splines_are_patsys(fed):
    patsy = pytest.importorskip("patsy")
    table, site = trial(300, 3)
    question = Glm.from_options(typed("binomial", "cr(age, knots=(40, 60))"), TRIAL)
    result = fed.run(question, fed.split(table, site))
    basis = np.asarray(patsy.dmatrix("cr(age, knots=(40, 60), lower_bound=18, upper_bound=90) - 1", table))[:, 1:]
    x = np.hstack([basis, np.asarray(pd.get_dummies(site), dtype=float)])
    assert_equal(result, sm.GLM(table["response"], x, family=FAMILIES["binomial"]).fit(tol=1e-13), 3)


@pytest.mark.parametrize("site_effects", ["yes", "no"])
@pytest.mark.parametrize("family", FAMILIES)
def test_offsets_equal_statsmodels(fed, family, site_effects):
    table, site = trial()
    options = typed(family, "age + arm", offset="log_days", **{"site-effects": site_effects})
    assert_equal(*asked(fed, table, site, options, "age + arm", offset=table["log_days"]))


def test_expressions_of_outcome_offset_and_covariates(fed):
    """Logarithms, comparisons and products, as a paper has them."""
    table, site = trial()
    new = table.assign(young=(table["age"] < 50).astype(int), count=table["infections"] + 1)
    fields = (*TRIAL.fields, Field("days", Kind.NUMBER, "Days at risk", "days", 1, 3000))
    schema, days = replace(TRIAL, fields=fields), np.exp(table["log_days"])
    rate = Glm.from_options(
        typed("poisson", "I(age < 50) * male + log1p(hb)", offset="log(days / 30)", **{"site-effects": "no"}), schema
    )
    result = fed.run(rate, fed.split(new.assign(days=days), site))
    x = np.column_stack([new["young"], new["male"], np.log1p(new["hb"]), new["young"] * new["male"], np.ones(400)])
    poisson = sm.GLM(new["infections"], x, family=FAMILIES["poisson"], offset=np.log(days / 30)).fit(tol=1e-13)
    assert_equal(result, poisson, 4)
    assert [term["name"] for term in result["terms"]][::3] == ["age < 50", "age < 50:male"]
    for outcome, family, y in (
        ("log(hb)", "gaussian", np.log(table["hb"])),
        ("hb >= 11 and infections == 0", "binomial", (table["hb"] >= 11) & (table["infections"] == 0)),
        ("infections + 1", "poisson", new["count"]),
    ):
        options = {"formula": f"{outcome} ~ age + arm", "family": family}
        question = Glm.from_options(options, schema)
        columns = told_matrix(question, table, fed.rows(table))
        z = np.hstack([columns, np.asarray(pd.get_dummies(site), dtype=float)])
        pooled = sm.GLM(np.asarray(y, dtype=float), z, family=FAMILIES[family]).fit(tol=1e-13)
        assert_equal(fed.run(question, fed.split(table, site)), pooled, 3)
        assert analyses.from_plan("glm", question.parameters()) == question


@pytest.mark.parametrize("site_effects", ["yes", "no"])
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_statsmodels_var_weights(fed, family, site_effects):
    table, site = trial()
    options = typed(family, "age + arm", weights="weight", **{"site-effects": site_effects})
    result, pooled, terms = asked(fed, table, site, options, "age + arm", var_weights=table["weight"])
    assert_equal(result, pooled, terms)
    if family == "gaussian":
        wls = sm.WLS(pooled.model.endog, pooled.model.exog, weights=table["weight"]).fit()
        assert result["log_likelihood"] == pytest.approx(wls.llf, rel=1e-8)
    else:
        assert result["log_likelihood"] == pytest.approx(pooled.llf, rel=1e-7)


@pytest.mark.parametrize("site_effects", ["yes", "no"])
@pytest.mark.parametrize("family", FAMILIES)
def test_robust_errors_are_hc0(fed, family, site_effects):
    table, site = trial()
    options = typed(
        family, "age * arm", robust="", offset="log_days", weights="weight", **{"site-effects": site_effects}
    )
    fit = {"offset": table["log_days"], "var_weights": table["weight"], "cov_type": "HC0"}
    result, pooled, terms = asked(fed, table, site, options, "age * arm", **fit)
    assert_equal(result, pooled, terms)


def test_the_sandwich_finds_its_unit(fed):
    """Counts far more spread than a Poisson's: its sums leave their bound at first, and nothing is cut."""
    fields = tuple(replace(field, maximum=5000) if field.name == "infections" else field for field in TRIAL.fields)
    table, site = trial()
    table["infections"] = np.where(np.arange(400) % 40 < 4, 5000, 0) * (table["age"] > 40)
    table.loc[:3, "infections"] = 1
    options = typed("poisson", "age + male", robust="")
    schema = replace(TRIAL, fields=fields)
    assert_equal(*asked(fed, table, site, options, "age + male", schema=schema, cov_type="HC0"))


def test_who_has_no_weight_is_left_out(fed):
    table, site = trial()
    none = table.copy()
    none.loc[[5, 6], "weight"] = [0.0, np.nan]
    question = Glm.from_options(typed("gaussian", "age + arm", weights="weight"), TRIAL)
    kept, at = none.drop(index=[5, 6]), np.delete(site, [5, 6])
    assert question.cohort_size(fed.rows(none)) == 398
    assert fed.run(question, fed.split(none, site)) == fed.run(question, fed.split(kept, at))


@pytest.mark.parametrize("site_effects", ["yes", "no"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_ridge_is_the_closed_form(fed, family, site_effects):
    """Of standardised coefficients, intercepts free: at the maximum, the gradient is the penalty's."""
    table, site = trial()
    options = typed(family, "age * year + arm", l2="0.3", **{"site-effects": site_effects})
    question = Glm.from_options(options, TRIAL)
    result = fed.run(question, fed.split(table, site))
    x = told_matrix(question, table, fed.rows(table))
    penalty = np.zeros(x.shape[1] + (4 if question.site_effects else 1))
    penalty[: x.shape[1]] = 0.3 * 400 * x.var(axis=0, ddof=1)
    intercepts = np.asarray(pd.get_dummies(site), dtype=float) if question.site_effects else np.ones((400, 1))
    z, y = np.hstack([x - x.mean(axis=0), intercepts]), table[OUTCOMES[family]].to_numpy(dtype=float)
    theta = np.zeros(z.shape[1])
    for _ in range(60):
        mean = FAMILIES[family].link.inverse(z @ theta)
        information = (z * FAMILIES[family].variance(mean)[:, np.newaxis]).T @ z
        theta = theta + np.linalg.solve(information + np.diag(penalty), z.T @ (y - mean) - penalty * theta)
    inverse = np.linalg.inv(information + np.diag(penalty))
    degrees = np.trace(inverse @ information)
    scale = ((y - mean) ** 2).sum() / (400 - degrees) if family == "gaussian" else 1.0
    assert np.allclose(column(result, "coefficient"), theta[: x.shape[1]], rtol=1e-6, atol=1e-7)
    errors = np.sqrt(np.diag(inverse) * scale)[: x.shape[1]]
    assert np.allclose(column(result, "standard_error"), errors, rtol=1e-6)
    assert result["parameters"] == pytest.approx(degrees, rel=1e-6)
    assert result["overall"] is None


def test_the_ridge_is_statsmodels_on_standardised_columns(fed):
    table, site = trial()
    result = fed.run(
        Glm.from_options(typed("binomial", "age + male", l2="0.1", **{"site-effects": "no"}), TRIAL),
        fed.split(table, site),
    )
    x = sm.add_constant(table[["age", "male"]].apply(lambda c: (c - c.mean()) / c.std()).to_numpy())
    model = sm.GLM(table["response"], x, family=FAMILIES["binomial"])
    pooled = model.fit_regularized(alpha=[0, 0.1, 0.1], L1_wt=0.0, opt_method="bfgs", pgtol=1e-12)
    scaled = np.asarray(pooled.params)[1:] / table[["age", "male"]].std().to_numpy()
    assert np.allclose(column(result, "coefficient"), scaled, rtol=1e-4)
