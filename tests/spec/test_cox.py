"""Site-stratified Cox over sites equals lifelines and statsmodels over the pooled patients, stratified by site."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from scipy.stats import chi2, norm
from statsmodels.duration.hazard_regression import PHReg

from synthema_core import analyses
from synthema_core.analyses.columns import MOST_PATIENTS
from synthema_core.analyses.regression.cox import Cox
from synthema_core.analyses.regression.cox_site import SANDWICH_UNIT
from synthema_core.analyses.regression.cox_stages import Stage
from synthema_core.analyses.regression.partial_likelihood import Ties, partial_likelihood
from synthema_core.analyses.regression.risk_sets import RiskSets
from synthema_core.analyses.regression.time_scales import TimeScale
from synthema_core.canonical import canonical
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused, RoundFailed
from synthema_core.secure_sum.layout import Layout

TYPED = {"time": "t2", "event": "d3", "covariates": "disease,z1,z2,z8,z3"}


def design(table):
    """The covariates of TYPED in original units."""
    return np.column_stack(
        [table["disease"] == "2", table["disease"] == "3", table["z1"], table["z2"], table["z8"], table["z3"]]
    ).astype(float)


def pooled(table, site, x, ties="efron"):
    return PHReg(table["t2"], x, status=table["d3"], ties=ties, strata=np.asarray(site)).fit(disp=0)


def by_lifelines(table, site, x):
    frame = pd.DataFrame(x).assign(time=table["t2"].to_numpy(), event=table["d3"].to_numpy(), site=np.asarray(site))
    return CoxPHFitter().fit(frame, "time", "event", strata="site", fit_options={"precision": 1e-12})


def column(result, name):
    return np.array([term[name] for term in result["terms"]])


def assert_equal(result, reference):
    assert np.allclose(column(result, "coefficient"), reference.params, rtol=0, atol=1e-6)
    assert np.allclose(column(result, "standard_error"), reference.bse, rtol=0, atol=1e-6)
    assert result["log_likelihood"] == pytest.approx(reference.llf, abs=1e-6)


def assert_equal_to_lifelines(result, reference):
    assert np.allclose(column(result, "coefficient"), reference.params_, rtol=0, atol=1e-6)
    assert np.allclose(column(result, "standard_error"), reference.standard_errors_, rtol=0, atol=1e-6)
    assert result["log_likelihood"] == pytest.approx(reference.log_likelihood_, abs=1e-6)
    assert result["aic"] == pytest.approx(reference.AIC_partial_, abs=1e-5)
    assert result["concordance"]["value"] == pytest.approx(reference.concordance_index_, abs=1e-12)


def simulated(patients, sites, seed, ties=30):
    generator = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "disease": generator.choice(["1", "2", "3"], patients),
            "z1": generator.integers(10, 70, patients),
            "z2": generator.integers(10, 70, patients),
            "z8": generator.integers(0, 2, patients),
            "z3": generator.integers(0, 2, patients),
        }
    )
    hazard = np.exp(0.02 * table["z1"] - 0.8 * table["z8"] + 0.5 * (table["disease"] == "3"))
    time, end = generator.exponential(900 / hazard), generator.uniform(100, 2600, patients)
    table["t2"] = np.ceil(np.minimum(np.minimum(time, end), 2600) / ties) * ties
    table["d3"] = (time <= end).astype(int)
    return table, generator.integers(0, sites, patients)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_four_hospitals_equal_statsmodels(bmt, schema, fed, ties):
    result = fed.run(Cox.from_options(TYPED | {"ties": ties}, schema), fed.split(bmt, bmt["z9"]), min_patients=5)
    assert_equal(result, pooled(bmt, bmt["z9"], design(bmt), ties))
    assert (result["patients"], result["events"]) == (137, 83)
    assert (result["stratified_by"], result["ties"]) == ("site", ties)
    assert [term["name"] for term in result["terms"]] == ["disease=2", "disease=3", "z1", "z2", "z8", "z3"]
    assert [term["per"] for term in result["terms"]][:3] == ["AML low vs ALL", "AML high vs ALL", "1 year"]


def test_the_four_hospitals_equal_lifelines(bmt, schema, fed):
    result = fed.run(Cox.from_options(TYPED, schema), fed.split(bmt, bmt["z9"]))
    assert_equal_to_lifelines(result, by_lifelines(bmt, bmt["z9"], design(bmt)))


def test_what_is_derived_from_the_coefficients(bmt, schema, fed):
    result = fed.run(Cox.from_options(TYPED | {"confidence": "0.9"}, schema), fed.split(bmt, bmt["z9"]))
    reference = pooled(bmt, bmt["z9"], design(bmt))
    low, high = np.exp(reference.conf_int(0.1)).T
    assert np.allclose(column(result, "lower"), low, rtol=1e-6)
    assert np.allclose(column(result, "upper"), high, rtol=1e-6)
    assert np.allclose(column(result, "hazard_ratio"), np.exp(reference.params), rtol=1e-6)
    assert np.allclose(column(result, "z"), reference.tvalues, atol=1e-5)
    assert np.allclose(column(result, "p"), 2 * norm.sf(np.abs(reference.tvalues)), atol=1e-6)
    null = reference.model.loglike(np.zeros(6))
    assert result["log_likelihood_null"] == pytest.approx(null, abs=1e-6)
    ratio = 2 * (reference.llf - null)
    assert result["likelihood_ratio"]["statistic"] == pytest.approx(ratio, abs=1e-6)
    assert result["likelihood_ratio"]["degrees"] == 6
    assert result["likelihood_ratio"]["p"] == pytest.approx(chi2.sf(ratio, 6), abs=1e-9)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("step", [1, 200, 900])
def test_a_simulated_study_with_ties_equals_both_packages(schema, fed, step, ties):
    table, site = simulated(900, 5, seed=3, ties=step)
    result = fed.run(Cox.from_options(TYPED | {"ties": ties}, schema), fed.split(table, site))
    assert_equal(result, pooled(table, site, design(table), ties))
    if ties == "efron":
        assert_equal_to_lifelines(result, by_lifelines(table, site, design(table)))


def test_a_site_without_events_and_one_where_covariates_are_constant(schema, fed):
    table, site = simulated(300, 4, seed=5)
    table.loc[site == 1, "d3"] = 0
    table.loc[site == 2, ["z8", "z3"]] = 1
    table.loc[site == 2, "disease"] = "2"
    assert_equal(fed.run(Cox.from_options(TYPED, schema), fed.split(table, site)), pooled(table, site, design(table)))


def test_a_group_absent_at_a_site(schema, fed):
    table, site = simulated(300, 4, seed=7)
    keep = (site != 0) | (table["disease"] != "1")
    table, site = table[keep], site[keep]
    assert_equal(fed.run(Cox.from_options(TYPED, schema), fed.split(table, site)), pooled(table, site, design(table)))


def test_incomplete_patients_are_left_out(bmt, schema, fed):
    holes = bmt.astype({"z1": float, "d3": float})
    holes.loc[3, "z1"] = np.nan
    holes.loc[77, "d3"] = np.nan
    holes.loc[120, "disease"] = ""
    kept = bmt.drop(index=[3, 77, 120])
    question = Cox.from_options(TYPED, schema)
    assert fed.run(question, fed.split(holes, holes["z9"])) == fed.run(question, fed.split(kept, kept["z9"]))
    assert question.cohort_size(fed.rows(holes)) == 134


def test_unknown_levels_and_an_empty_cohort_add_nothing(bmt, schema, fed):
    question = Cox.from_options(TYPED, schema)
    nobody = fed.rows(bmt.head(5).assign(disease=["9", "", "9", "", "9"]))
    sites = fed.split(bmt, bmt["z9"])
    assert question.cohort_size(nobody) == 0
    assert fed.run(question, [*sites, nobody]) == fed.run(question, sites)


def test_a_strong_effect_far_from_the_start_still_converges(schema, fed):
    generator = np.random.default_rng(1)
    age = generator.uniform(0, 80, 400)
    table = pd.DataFrame({"z1": age, "t2": np.clip(generator.exponential(np.exp(9 - 0.2 * age)), 1e-6, 2600), "d3": 1})
    table.loc[table["t2"] == 2600, "d3"] = 0
    site = generator.integers(0, 3, 400)
    result = fed.run(Cox.from_options(TYPED | {"covariates": "z1"}, schema), fed.split(table, site))
    assert_equal(result, pooled(table, site, table[["z1"]].to_numpy()))
    assert result["iterations"] <= 10


def test_separation_is_named(bmt, schema, fed):
    table = bmt.assign(d3=bmt["d3"] * bmt["z8"])
    with pytest.raises(RoundFailed, match="FAB 4 or 5") as failure:
        fed.run(Cox.from_options(TYPED | {"covariates": "z1,z8"}, schema), fed.split(table, table["z9"]))
    assert "separation" in failure.value.hint


def test_perfect_order_is_separation_too(schema, fed):
    table = pd.DataFrame({"z1": np.arange(60.0), "t2": 2000 - 10 * np.arange(60.0), "d3": 1})
    with pytest.raises(RoundFailed, match="Patient age"):
        fed.run(Cox.from_options(TYPED | {"covariates": "z1"}, schema), fed.split(table, np.arange(60) % 3))


def test_collinear_covariates_are_named(bmt, schema, fed):
    table = bmt.assign(z2=80 - bmt["z1"])
    with pytest.raises(RoundFailed, match="'Patient age', 'Donor age' are collinear"):
        fed.run(Cox.from_options(TYPED, schema), fed.split(table, table["z9"]))


def test_a_covariate_constant_within_every_site_is_named(bmt, schema, fed):
    """Methotrexate was a hospital's choice."""
    with pytest.raises(RoundFailed, match="'Methotrexate' does not vary") as failure:
        fed.run(Cox.from_options(TYPED | {"covariates": "z1,z10"}, schema), fed.split(bmt, bmt["z9"]))
    assert "same site" in failure.value.hint


def test_without_events_there_is_no_model(bmt, schema, fed):
    with pytest.raises(RoundFailed, match="No patient had the event"):
        fed.run(Cox.from_options(TYPED, schema), fed.split(bmt.assign(d3=0), bmt["z9"]))


def test_too_few_events_get_no_model(bmt, schema, fed):
    """Of three events, sums over events of times would be near to their times."""
    few = bmt.assign(d3=(bmt.index < 3).astype(int))
    with pytest.raises(RoundFailed, match="Too few patients had the event"):
        fed.run(Cox.from_options(TYPED, schema), fed.split(few, bmt["z9"]), min_patients=5)


def test_small_groups_and_cohorts_get_no_model(bmt, schema, fed):
    question = Cox.from_options(TYPED, schema)
    with pytest.raises(RoundFailed, match="group 'Disease: ALL'"):
        fed.run(question, fed.split(bmt, bmt["z9"]), min_patients=39)
    with pytest.raises(RoundFailed, match="Too few patients have a value"):
        fed.run(question, fed.split(bmt, bmt["z9"]), min_patients=138)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    sites=st.integers(2, 6),
    step=st.sampled_from([1, 30, 150]),
    ties=st.sampled_from(["efron", "breslow"]),
)
def test_any_split_equals_the_pooled_model_stratified_by_it(schema, fed, seed, sites, step, ties):
    table, site = simulated(150, sites, seed, step)
    x = table[["z1", "z8"]].to_numpy(dtype=float)
    assume(table["d3"].sum() > 20)
    typed = TYPED | {"covariates": "z1,z8", "ties": ties}
    assert_equal(fed.run(Cox.from_options(typed, schema), fed.split(table, site)), pooled(table, site, x, ties))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), stage=st.sampled_from(list(Stage)[:5]), ties=st.sampled_from(["efron", "breslow"]))
def test_no_contribution_within_the_bounds_exceeds_the_layout(schema, data, stage, ties):
    size = data.draw(st.integers(1, 30))
    whole = st.lists(st.integers(0, 80), min_size=size, max_size=size)
    names = ("t2", "z1", "z2")
    rows = {name: np.array(data.draw(whole), dtype=float) for name in names}
    rows |= {name: np.array(data.draw(whole), dtype=float) % 2 for name in ("d3", "z3", "z8")}
    rows["disease"] = np.array([str(value % 3 + 1) for value in data.draw(whole)], dtype=object)
    more = {"ties": ties, "l2": "1", "robust": "", "baseline-step": "30", "ph": data.draw(st.sampled_from(TimeScale))}
    question = Cox.from_options(TYPED | more, schema)
    beta = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=6, max_size=6)))
    beta *= 20 / max(1e-3, np.abs(beta).sum())
    asked = np.array([stage, *beta])
    question.check_input(asked)
    contribution = question.contribution(rows, asked)
    question.layout.quantise(contribution)  # refuses what is outside
    start = 0
    for block in question.layout.blocks:  # and the bounds are as many patients' worth as a site may have
        part = np.abs(contribution[start : start + block.length])
        share = (size / MOST_PATIENTS) ** (2 if block.name == "counts" and stage is Stage.CHECK else 1)
        if (block.name, stage) == ("information", Stage.SANDWICH):
            share = 3 * size * (2 + size / 2) / SANDWICH_UNIT / MOST_PATIENTS
        assert np.all(part <= block.bound * share * (1 + 1e-9))
        start += block.length


@pytest.mark.parametrize("ties", Ties)
def test_the_gradient_and_information_are_derivatives(ties):
    generator = np.random.default_rng(2)
    times, events = generator.integers(1, 20, 60).astype(float), generator.random(60) < 0.6
    x, beta = generator.uniform(-1, 1, (60, 3)), np.array([0.3, -1.0, 2.0])
    risk, small = RiskSets.of(times, events), 1e-6
    here = partial_likelihood(risk, x, beta, ties)
    for axis in range(3):
        moved = np.eye(3)[axis] * small
        above, below = (partial_likelihood(risk, x, beta + sign * moved, ties) for sign in (1, -1))
        assert here.gradient[axis] == pytest.approx((above.loglik - below.loglik) / (2 * small), abs=1e-6)
        assert np.allclose(here.information[axis], (below.gradient - above.gradient) / (2 * small), atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [(), (2, 0, 0, 0, 0, 0), (2, 0, 0, 0, 0, 0, 0, 0), (2, 20.1, 0, 0, 0, 0, 0), (2, *[3.4] * 6),
     (2, np.nan, 0, 0, 0, 0, 0), (2, -np.inf, 0, 0, 0, 0, 0)] + [(stage, 0, 0, 0, 0, 0, 0)
     for stage in (0, 1, 2.5, 5, 6, 7, 8, -2, np.nan, np.inf)],
)  # fmt: skip
def test_a_site_refuses_coefficients_out_of_bounds(schema, values):
    with pytest.raises(Refused) as refusal:
        Cox.from_options(TYPED, schema).check_input(np.array(values, dtype=float))
    assert refusal.value.rule == "iterate"


def test_the_sum_over_a_hundred_sites_fits_with_at_least_32_fractional_bits(schema):
    layout = Cox.from_options(TYPED, schema).layout
    layout.check_sum_fits(100)
    bits = {block.name: block.fractional_bits for block in layout.blocks}
    assert bits.pop("counts") == bits.pop("groups") == 0
    assert all(value >= 32 for value in bits.values())


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"time": "t2", "event": "d3"}, InvalidInput),
        (TYPED | {"covariates": "z1,z1"}, InvalidInput),
        (TYPED | {"covariates": "z1,t2"}, InvalidInput),
        (TYPED | {"covariates": "z1,d3"}, InvalidInput),
        (TYPED | {"covariates": "patient"}, InvalidInput),
        (TYPED | {"covariates": "age"}, NotFound),
        (TYPED | {"time": "disease"}, InvalidInput),
        (TYPED | {"event": "disease"}, InvalidInput),
        (TYPED | {"confidence": "nan"}, InvalidInput),
        (TYPED | {"strata": "z9"}, NotFound),
        (TYPED | {"strata": "z1"}, InvalidInput),
        (TYPED | {"strata": "disease"}, InvalidPlan),
        (TYPED | {"entry": "disease"}, InvalidInput),
        (TYPED | {"entry": "t2"}, InvalidPlan),
        (TYPED | {"entry": "ferritin", "baseline-step": "30"}, InvalidPlan),
        (TYPED | {"ties": "exact"}, InvalidInput),
        (TYPED | {"ph": "weibull"}, InvalidInput),
        (TYPED | {"l2": "-1"}, InvalidPlan),
        (TYPED | {"l2": "much"}, InvalidInput),
        (TYPED | {"robust": "perhaps"}, InvalidInput),
        (TYPED | {"baseline-step": "0"}, InvalidPlan),
        (TYPED | {"baseline-step": "0.5"}, InvalidPlan),
        (TYPED | {"baseline-step": "9999"}, InvalidPlan),
        (TYPED | {"weights": "z1"}, InvalidInput),
        (TYPED | {"formula": "z1"}, InvalidInput),
        ({"time": "t2", "event": "d3", "formula": "z1 + t2"}, InvalidInput),
        ({"time": "t2", "event": "d3", "formula": "z1 +"}, InvalidInput),
        ({"time": "t2", "event": "d3", "formula": "0 + z1"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(schema, typed, error):
    with pytest.raises(error) as caught:
        Cox.from_options(typed, schema)
    assert caught.value.hint


def test_parameters_come_back_and_nothing_else_is_read(schema):
    more = {"ties": "breslow", "robust": "", "l2": "0.5", "strata": "z10", "entry": "ferritin", "ph": "log"}
    for typed in (TYPED, TYPED | more, TYPED | {"baseline-step": "30", "ph": "none"}):
        _comes_back(Cox.from_options(typed, schema), schema)


def _comes_back(question, schema):
    parameters = question.parameters()
    assert analyses.from_plan("cox", parameters) == question
    question.check_against(schema)
    assert canonical(Layout.from_list(question.layout.to_list()).to_list()) == canonical(question.layout.to_list())
    for part in parameters:
        for wrong in ({**parameters, part: "x"}, {key: value for key, value in parameters.items() if key != part}):
            with pytest.raises(InvalidPlan):
                Cox.from_parameters(wrong)
    for wrong in ({**parameters, "more": 1}, {**parameters, "design": {**parameters["design"], "terms": []}}):
        with pytest.raises(InvalidPlan):
            Cox.from_parameters(wrong)


def test_constants_that_are_not_the_schemas_are_refused(schema):
    question = Cox.from_options(TYPED, schema)
    groups, age, *others = question.design.fields
    for fields in (
        (groups, replace(age, maximum=1.0), *others),
        (groups, replace(age, minimum=-80.0), *others),
        (replace(groups, codes=groups.codes[:2]), age, *others),
        (replace(groups, codes=groups.codes[::-1]), age, *others),
    ):
        with pytest.raises(InvalidInput):
            replace(question, design=replace(question.design, fields=fields)).check_against(schema)
    with pytest.raises(InvalidInput):
        replace(question, longest=1.0).check_against(schema)
