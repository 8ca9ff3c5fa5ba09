"""A Cox model of a formula: interactions, splines and other references, as lifelines fits what formulaic makes."""

from __future__ import annotations

import numpy as np
import pytest
from formulaic import model_matrix
from lifelines import CoxPHFitter

from support.cox_reference import Pooled
from synthema_core import analyses
from synthema_core.analyses.regression.cox import Cox
from synthema_core.errors import RoundFailed

TYPED = {"time": "t2", "event": "d3"}
FORMULAE = [
    "z1 + z2",
    "z1 + C(disease) + z1:C(disease)",
    "z1 * z2",
    "z1:z2 + z8",
    "disease:z1 + z8",
    "C(disease, Treatment('3')) + z1",
    "z3 * disease",
]


def ask(fed, bmt, schema, formula, **more):
    question = Cox.from_options(TYPED | {"formula": formula} | more, schema)
    assert analyses.from_plan("cox", question.parameters()) == question
    question.check_against(schema)
    return fed.run(question, fed.split(bmt, bmt["z9"]))


def matrix(bmt, formula):
    """As formulaic has it, without the intercept, which is a stratum's own."""
    table = bmt.assign(z1=bmt["z1"].astype(float), z2=bmt["z2"].astype(float))
    return model_matrix(formula.replace("Treatment(", "contr.treatment("), table).drop(columns="Intercept")


def column(result, name):
    return np.array([term[name] for term in result["terms"]])


@pytest.mark.parametrize("formula", FORMULAE)
def test_it_is_the_pooled_model_of_the_same_formula(bmt, schema, fed, formula):
    result = ask(fed, bmt, schema, formula, robust="")
    x = matrix(bmt, formula)
    frame = x.set_axis([f"x{place}" for place in range(x.shape[1])], axis=1).astype(float)
    frame = frame.assign(time=bmt["t2"], event=bmt["d3"], site=bmt["z9"])
    reference = CoxPHFitter().fit(frame, "time", "event", strata="site", fit_options={"precision": 1e-12})
    assert result["log_likelihood"] == pytest.approx(reference.log_likelihood_, abs=1e-6)
    assert np.allclose(column(result, "coefficient"), reference.params_, rtol=1e-6, atol=1e-6)
    assert np.allclose(column(result, "model_standard_error"), reference.standard_errors_, rtol=1e-6, atol=1e-6)
    pooled = Pooled(bmt["t2"], bmt["d3"], x.astype(float), bmt["z9"])
    assert np.allclose(column(result, "standard_error"), pooled.robust(column(result, "coefficient")), rtol=1e-5)


def test_the_checks_are_of_the_columns_that_are_told(bmt, schema, fed):
    """Not of those that are computed, which are centred: a product's own test would be another."""
    result = ask(fed, bmt, schema, "z1 * z2", ph="identity")
    pooled = Pooled(bmt["t2"], bmt["d3"], matrix(bmt, "z1 * z2").astype(float), bmt["z9"])
    beta = column(result, "coefficient")
    found = result["proportional_hazards"]
    for place, part in enumerate(found["covariates"]):
        expected = pooled.changing(beta, lambda time, _: time / 2700, [place])
        assert part["test"]["statistic"] == pytest.approx(expected, rel=1e-4)
    assert found["global"]["statistic"] == pytest.approx(
        pooled.changing(beta, lambda time, _: time / 2700, range(3)), rel=1e-4
    )


def test_a_ridge_counts_the_columns_that_are_told(bmt, schema, fed):
    result = ask(fed, bmt, schema, "z1 * z2", l2="0.1")
    x = matrix(bmt, "z1 * z2").astype(float).set_axis(["a", "b", "c"], axis=1)
    frame = x.assign(time=bmt["t2"], event=bmt["d3"], site=bmt["z9"])
    reference = CoxPHFitter(penalizer=0.1).fit(frame, "time", "event", strata="site", fit_options={"precision": 1e-12})
    assert np.allclose(column(result, "coefficient"), reference.params_, rtol=1e-5, atol=1e-7)
    assert np.allclose(column(result, "standard_error"), reference.standard_errors_, rtol=1e-5, atol=1e-7)


def test_splines_are_told_as_a_whole(bmt, schema, fed):
    result = ask(fed, bmt, schema, "bs(z1, df=4, lower_bound=5, upper_bound=55) + z8")
    x = matrix(bmt, "bs(z1, knots=[30.], lower_bound=5, upper_bound=55) + z8")
    reference = Pooled(bmt["t2"], bmt["d3"], x.astype(float), bmt["z9"])
    assert [len(part["terms"]) for part in result["covariates"]] == [4, 1]
    assert result["covariates"][0]["wald"]["degrees"] == 4
    assert result["log_likelihood"] == pytest.approx(reference.derivatives(reference.maximum())[0], abs=1e-6)


def test_a_baseline_is_at_zero_in_original_units(bmt, schema, fed):
    result = ask(fed, bmt, schema, "z1 * z8", **{"baseline-step": "90"})
    weight = np.exp(matrix(bmt, "z1 * z8").astype(float).to_numpy() @ column(result, "coefficient"))
    end = np.ceil(bmt["t2"] / 90) * 90
    for point in result["baseline"]["points"]:
        steps = np.arange(0, point["time"] + 1, 90)
        expected = sum(bmt["d3"][end == step].sum() / max(1e-9, weight[end >= step].sum()) for step in steps)
        assert point["cumulative_hazard"] == pytest.approx(expected, rel=1e-6)


def test_a_combination_of_groups_with_too_few_patients_is_named(bmt, schema, fed):
    question = Cox.from_options(TYPED | {"formula": "disease * z8"}, schema)
    with pytest.raises(RoundFailed, match="Disease: ALL, FAB 4 or 5: yes"):
        fed.run(question, fed.split(bmt, bmt["z9"]), min_patients=5)


def test_the_formula_is_told(bmt, schema, fed):
    assert ask(fed, bmt, schema, "z1 + C(disease)")["formula"] == "z1 + disease"
