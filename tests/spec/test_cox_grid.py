"""Without strata, on a grid: the model of all patients with their times rounded up, as lifelines fits it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from statsmodels.duration.hazard_regression import PHReg

from support.cox_reference import Pooled
from synthema_core import analyses
from synthema_core.analyses.columns import MOST_PATIENTS
from synthema_core.analyses.regression.cox import Cox
from synthema_core.analyses.regression.cox_stages import Stage
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, RoundFailed

NAMES = ["z1", "z2", "z8", "z10"]
TYPED = {"time": "t2", "event": "d3", "covariates": ",".join(NAMES), "stratify": "none"}


def gridded(bmt, step=30):
    return bmt.assign(end=np.ceil(bmt["t2"] / step) * step)


def column(result, name):
    return np.array([term[name] for term in result["terms"]])


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("step", [30, 90, 365])
def test_it_is_the_model_of_times_on_the_grid(bmt, schema, fed, step, ties):
    question = Cox.from_options(TYPED | {"step": str(step), "ties": ties}, schema)
    result = fed.run(question, fed.split(bmt, bmt["z9"]), min_patients=5)
    table = gridded(bmt, step)
    reference = PHReg(table["end"], table[NAMES].astype(float), status=table["d3"], ties=ties).fit(disp=0)
    assert np.allclose(column(result, "coefficient"), reference.params, rtol=0, atol=1e-6)
    assert np.allclose(column(result, "standard_error"), reference.bse, rtol=0, atol=1e-6)
    assert result["log_likelihood"] == pytest.approx(reference.llf, abs=1e-6)
    assert question.time_step == step
    assert (result["stratified_by"], result["concordance"]) == (None, None)


def test_it_is_what_lifelines_says(bmt, schema, fed):
    """Methotrexate was a hospital's choice: only without strata does it have a coefficient."""
    result = fed.run(Cox.from_options(TYPED, schema), fed.split(bmt, bmt["z9"]))
    frame = gridded(bmt)[[*NAMES, "end", "d3"]]
    reference = CoxPHFitter().fit(frame, "end", "d3", fit_options={"precision": 1e-12})
    assert np.allclose(column(result, "coefficient"), reference.params_, rtol=0, atol=1e-6)
    assert np.allclose(column(result, "standard_error"), reference.standard_errors_, rtol=0, atol=1e-6)
    assert result["log_likelihood"] == pytest.approx(reference.log_likelihood_, abs=1e-6)
    assert result["likelihood_ratio"]["statistic"] == pytest.approx(
        reference.log_likelihood_ratio_test().test_statistic, abs=1e-6
    )


def test_the_result_says_what_a_grid_does(bmt, schema, fed):
    result = fed.run(Cox.from_options(TYPED, schema), fed.split(bmt, bmt["z9"]))
    said = " ".join(result["notes"])
    assert "steps of 30 days" in said
    assert all(number in said for number in ("0.07", "0.28", "0.89"))
    assert "stratified" not in result["title"]


def _km(table):
    def g(time, _):
        alive = 1.0
        for event in np.unique(table["end"][table["d3"] == 1]):
            if event < time:
                alive *= 1 - ((table["end"] == event) & (table["d3"] == 1)).sum() / (table["end"] >= event).sum()
        return 1 - alive

    return g


def _rank(table):
    own = table["end"][table["d3"] == 1]
    return lambda time, _: ((own < time).sum() + (own <= time).sum() + 1) / 2 / len(own)


@pytest.mark.parametrize(
    ("scale", "g"),
    [("identity", lambda _: lambda time, _: time), ("log", lambda _: lambda time, _: np.log(time)), ("km", _km),
     ("rank", _rank)],
)  # fmt: skip
def test_proportional_hazards_are_checked_on_the_scale_of_all_patients(bmt, schema, fed, scale, g):
    result = fed.run(Cox.from_options(TYPED | {"ph": scale}, schema), fed.split(bmt, bmt["z9"]))
    table = gridded(bmt)
    reference = Pooled(table["end"], table["d3"], table[NAMES], np.zeros(len(table)))
    beta, checked = column(result, "coefficient"), result["proportional_hazards"]
    for place, part in enumerate(checked["covariates"]):
        expected = reference.changing(beta, g(table), [place])
        assert part["test"]["statistic"] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert checked["global"]["statistic"] == pytest.approx(reference.changing(beta, g(table), range(4)), rel=1e-5)


def test_a_category_and_a_site_without_events(bmt, schema, fed):
    table = gridded(bmt.assign(d3=np.where(bmt["z9"] == 3, 0, bmt["d3"])))
    result = fed.run(Cox.from_options(TYPED | {"covariates": "disease,z1"}, schema), fed.split(table, table["z9"]))
    x = np.column_stack([table["disease"] == "2", table["disease"] == "3", table["z1"]]).astype(float)
    reference = PHReg(table["end"], x, status=table["d3"], ties="efron").fit(disp=0)
    assert np.allclose(column(result, "coefficient"), reference.params, rtol=0, atol=1e-6)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), sites=st.integers(2, 6), ties=st.sampled_from(["efron", "breslow"]))
def test_any_split_gives_the_same(bmt, schema, fed, seed, sites, ties):
    site = np.random.default_rng(seed).integers(0, sites, len(bmt))
    question = Cox.from_options(TYPED | {"ties": ties, "ph": "none"}, schema)
    result, whole = (fed.run(question, fed.split(bmt, split)) for split in (site, np.zeros(len(bmt))))
    assert np.allclose(column(result, "coefficient"), column(whole, "coefficient"), rtol=0, atol=1e-9)
    assert np.allclose(column(result, "standard_error"), column(whole, "standard_error"), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        (TYPED | {"step": "29"}, InvalidPlan),
        (TYPED | {"step": "0"}, InvalidPlan),
        (TYPED | {"step": "9999"}, InvalidPlan),
        (TYPED | {"stratify": "hospital"}, InvalidInput),
        (TYPED | {"stratify": "site", "step": "30"}, InvalidInput),
        (TYPED | {"robust": ""}, InvalidPlan),
        (TYPED | {"l2": "1"}, InvalidPlan),
        (TYPED | {"strata": "z3"}, InvalidPlan),
        (TYPED | {"entry": "ferritin"}, InvalidPlan),
        (TYPED | {"baseline-step": "30"}, InvalidPlan),
        (TYPED | {"time": "ferritin"}, InvalidPlan),
    ],
)
def test_what_cannot_be_asked(schema, typed, error):
    with pytest.raises(error) as caught:
        Cox.from_options(typed, schema)
    assert caught.value.hint


def test_parameters_come_back(schema):
    question = Cox.from_options(TYPED | {"step": "60"}, schema)
    assert analyses.from_plan("cox", question.parameters()) == question
    question.check_against(schema)


def test_a_site_takes_no_hazards_out_of_bounds(schema):
    question = Cox.from_options(TYPED, schema)
    steps = 2 * question.grid.cells
    question.check_input(np.array([Stage.CURVE, 0, 0, 0, 0, *np.ones(steps)]))
    question.check_input(np.array([Stage.RISK_SETS, 0, 0, 0, 0], dtype=float))
    for wrong in (
        [Stage.CURVE, 0, 0, 0, 0],
        [Stage.CURVE, 0, 0, 0, 0, *np.ones(steps + 1)],
        [Stage.CURVE, 0, 0, 0, 0, *np.full(steps, 1e13)],
        [Stage.CURVE, 0, 0, 0, 0, *np.full(steps, np.nan)],
        [Stage.CURVE, 30, 0, 0, 0, *np.ones(steps)],
        [Stage.RISK_SETS, 0, 0, 0, 0, 1],
        [Stage.FIT, 0, 0, 0, 0],
    ):
        with pytest.raises(Refused) as refusal:
            question.check_input(np.array(wrong, dtype=float))
        assert refusal.value.rule == "iterate"


def test_sums_stay_within_the_layout(bmt, schema, fed):
    question = Cox.from_options(TYPED, schema)
    question.layout.check_sum_fits(100)
    rows = fed.rows(bmt)
    values = question.contribution(rows, np.array([Stage.RISK_SETS, 0, 0, 20, 0], dtype=float))
    question.layout.quantise(values)
    assert np.abs(values).max() <= len(bmt) < MOST_PATIENTS


def test_separation_is_named(bmt, schema, fed):
    table = bmt.assign(d3=bmt["d3"] * bmt["z8"])
    with pytest.raises(RoundFailed, match="FAB 4 or 5"):
        fed.run(Cox.from_options(TYPED | {"covariates": "z8"}, schema), fed.split(table, table["z9"]))
