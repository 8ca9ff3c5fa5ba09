"""Generalised linear models where there is little to go by, and what no Plan, iterate or contribution can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.glm_reference import (
    FAMILIES,
    OUTCOMES,
    TRIAL,
    asked,
    assert_equal,
    column,
    reference,
    told_matrix,
    trial,
    typed,
)
from synthema_core import analyses
from synthema_core.analyses.columns import MOST_PATIENTS
from synthema_core.analyses.regression.glm import Glm
from synthema_core.analyses.regression.glm_course import Stage
from synthema_core.canonical import canonical
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused, RoundFailed
from synthema_core.secure_sum.layout import Layout


def test_incomplete_patients_are_left_out(fed):
    table, site = trial()
    holes = table.astype({"age": float, "response": float})
    holes.loc[3, "age"], holes.loc[77, "response"] = np.nan, np.nan
    holes.loc[120, "arm"], holes.loc[121, "arm"] = "", "z"
    kept = table.drop(index=[3, 77, 120, 121])
    question = Glm.from_options(typed("binomial", "age * arm"), TRIAL)
    assert question.cohort_size(fed.rows(holes)) == 396
    assert fed.run(question, fed.split(holes, site)) == fed.run(
        question, fed.split(kept, np.delete(site, [3, 77, 120, 121]))
    )


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_a_site_without_any_outcome_adds_nothing_and_that_is_said(fed, family):
    table, site = trial()
    table.loc[site == 2, OUTCOMES[family]] = 0
    question = Glm.from_options(typed(family, "age + arm"), TRIAL)
    result = fed.run(question, fed.split(table, site), min_patients=5)
    rest = table[site != 2].reset_index(drop=True)
    pooled, terms = reference(question, rest, site[site != 2], fed.rows(rest), "age + arm")
    assert_equal(result, pooled, terms)
    assert (result["patients"], result["sites_contributing"], result["all_contribute"]) == (400, 3, False)
    assert result["residual_degrees"] is None, "with it, all could compute how many patients the site has"
    assert result["aic"] == pytest.approx(pooled.aic, rel=1e-7)
    assert any("add nothing" in note for note in result["notes"])


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_the_size_of_a_site_without_any_outcome_is_in_no_sum_by_itself(fed, family):
    """Other sites' number tells it from all patients; so the hub sees it in what has all patients, and nowhere else."""
    table, _ = trial(60, 1)
    table[OUTCOMES[family]] = 0
    question = Glm.from_options(typed(family, "age + arm", l2="0.1", robust=""), TRIAL)
    for stage in Stage:
        added = [_blocks(question, fed.rows(table.head(size)), stage) for size in (20, 60)]
        fewer, more = ({name: values.tolist() for name, values in blocks.items()} for blocks in added)
        spread = {"gradient", "information"} if stage is Stage.SPREAD else set()
        assert {name for name in more if fewer[name] != more[name]} <= {"counts", "totals", "cells"} | spread
        if stage is not Stage.SANDWICH:
            assert (fewer["counts"], more["counts"]) == ([20, 0, 0], [60, 0, 0])


def _blocks(question, rows, stage):
    added = question.contribution(rows, np.array([float(stage), 0.0, 0.0, 0.0, 0.0]))
    return question.layout.dequantise(question.layout.quantise(added))


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_a_model_of_one_site_alone_is_refused(fed, family):
    table, site = trial()
    table.loc[site != 2, OUTCOMES[family]] = 0
    sites = fed.split(table, site)
    with pytest.raises(RoundFailed, match="varies within fewer than two sites"):
        fed.run(Glm.from_options(typed(family, "age + arm"), TRIAL), sites)
    common = typed(family, "age + arm", **{"site-effects": "no"})
    assert fed.run(Glm.from_options(common, TRIAL), sites)["residual_degrees"] == 396


def test_a_site_where_every_patient_has_the_outcome(fed):
    table, site = trial()
    table.loc[site == 0, "response"] = 1
    question = Glm.from_options(typed("binomial", "age + arm"), TRIAL)
    result = fed.run(question, fed.split(table, site))
    rest = table[site != 0].reset_index(drop=True)
    assert_equal(result, *reference(question, rest, site[site != 0], fed.rows(rest), "age + arm"))


def test_a_site_without_a_level_one_with_one_patient_and_one_with_none(fed):
    table, site = trial()
    keep = ~((site == 1) & (table["arm"] == "a")) & ~((site == 3) & (np.arange(400) > 3))
    table, site = table[keep].reset_index(drop=True), site[keep]
    for family in FAMILIES:
        question = Glm.from_options(typed(family, "age + arm"), TRIAL)
        sites = [*fed.split(table, site), fed.rows(table.head(0))]
        result = fed.run(question, sites)
        alone = family == "binomial" or (table.loc[site == 3, "infections"].iloc[0] == 0 and family == "poisson")
        rest = table[site != 3].reset_index(drop=True) if alone else table
        at = site[site != 3] if alone else site
        assert_equal(result, *reference(question, rest, at, fed.rows(rest), "age + arm"))


def test_separation_is_named(fed):
    table, site = trial()
    table["response"] = table["response"] * (table["arm"] != "b")
    for site_effects in ("yes", "no"):
        with pytest.raises(RoundFailed, match="'Arm: New' grows without end") as failure:
            options = typed("binomial", "arm + age", **{"site-effects": site_effects})
            fed.run(Glm.from_options(options, TRIAL), fed.split(table, site))
        assert "separation" in failure.value.hint
    ridge = fed.run(Glm.from_options(typed("binomial", "arm + age", l2="0.1"), TRIAL), fed.split(table, site))
    assert column(ridge, "coefficient")[0] < -1


@pytest.mark.parametrize("site_effects", ["yes", "no"])
def test_a_group_without_events_has_no_rate(fed, site_effects):
    table, site = trial()
    table["infections"] = table["infections"] * (table["arm"] != "b")
    with pytest.raises(RoundFailed, match="did not converge") as failure:
        options = typed("poisson", "arm + age", **{"site-effects": site_effects})
        fed.run(Glm.from_options(options, TRIAL), fed.split(table, site))
    assert "separation" in failure.value.hint


@pytest.mark.parametrize("site_effects", ["yes", "no"])
@pytest.mark.parametrize("family", FAMILIES)
def test_collinear_columns_are_named(fed, family, site_effects):
    table, site = trial()
    table["age"] = (table["age"] - 18) // 3 * 3 + 18
    table["year"] = 1990 + (table["age"] - 18) // 3
    options = typed(family, "age + year + male", **{"site-effects": site_effects})
    with pytest.raises(RoundFailed, match="'Age', 'Year of diagnosis' are collinear"):
        fed.run(Glm.from_options(options, TRIAL), fed.split(table, site))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_column_constant_within_every_site_is_named(fed, family):
    table, site = trial()
    table["male"] = site % 2
    with pytest.raises(RoundFailed, match="'Male' does not vary among the patients within any site"):
        fed.run(Glm.from_options(typed(family, "age + male"), TRIAL), fed.split(table, site))
    common = typed(family, "age + male", **{"site-effects": "no"})
    assert fed.run(Glm.from_options(common, TRIAL), fed.split(table, site))["converged"]


def test_small_groups_get_no_model(fed):
    table, site = trial()
    table.loc[(table["arm"] == "b") & (table["male"] == 1) & (table.index > 30), "male"] = 0
    sites = fed.split(table, site)
    fed.run(Glm.from_options(typed("gaussian", "arm + male"), TRIAL), sites, min_patients=10)
    with pytest.raises(RoundFailed, match="group 'Arm: New, Male: yes'"):
        fed.run(Glm.from_options(typed("gaussian", "arm * male"), TRIAL), sites, min_patients=10)
    with pytest.raises(RoundFailed, match="Too few patients have a value"):
        fed.run(Glm.from_options(typed("gaussian", "age"), TRIAL), sites, min_patients=401)
    few = fed.split(table.assign(response=(table.index < 3).astype(int)), site)
    for right, match in (("age", "Too few patients have the outcome"),):
        with pytest.raises(RoundFailed, match=match):
            fed.run(Glm.from_options(typed("binomial", right), TRIAL), few, min_patients=5)
    most = fed.split(table.assign(response=(table.index > 3).astype(int)), site)
    with pytest.raises(RoundFailed, match="do not have the outcome"):
        fed.run(Glm.from_options(typed("binomial", "age"), TRIAL), most, min_patients=5)


def test_more_coefficients_than_patients(fed):
    table, site = trial(6, 2)
    with pytest.raises(RoundFailed):
        fed.run(Glm.from_options(typed("gaussian", "poly(age, 3) + year"), TRIAL), fed.split(table, site))


def test_the_four_hospitals(bmt, schema, fed):
    """Real patients: relapse by disease and ages."""
    rows = fed.rows(bmt)
    for site_effects in ("yes", "no"):
        options = {"formula": "d3 ~ disease + z1 * z2", "family": "binomial", "site-effects": site_effects}
        question = Glm.from_options(options, schema)
        result = fed.run(question, fed.split(bmt, bmt["z9"]), min_patients=5)
        x = told_matrix(question, bmt, rows)
        intercepts = pd.get_dummies(bmt["z9"]) if site_effects == "yes" else np.ones((len(bmt), 1))
        pooled = sm.GLM(bmt["d3"], np.hstack([x, np.asarray(intercepts, dtype=float)]), family=FAMILIES["binomial"])
        assert_equal(result, pooled.fit(tol=1e-13), 5)


def test_a_spline_that_reaches_beyond_the_patients_says_so(bmt, schema, fed):
    """They are 7 to 52 years old, and the schema says 0 to 80: the curve at 80 is anybody's guess."""
    options = {"formula": "d3 ~ bs(z1, df=3)", "family": "binomial"}
    with pytest.raises(RoundFailed, match="did not converge") as failure:
        fed.run(Glm.from_options(options, schema), fed.split(bmt, bmt["z9"]))
    assert "lower_bound" in failure.value.hint


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    sites=st.integers(2, 6),
    family=st.sampled_from(sorted(FAMILIES)),
    site_effects=st.sampled_from(["yes", "no"]),
)
def test_any_split_equals_the_pooled_model(fed, seed, sites, family, site_effects):
    table, _ = trial(150, sites, seed)
    site = np.random.default_rng(seed).integers(0, sites, 150)
    for at in range(sites):  # so that each site's intercept is finite
        table.loc[np.flatnonzero(site == at)[:2], ["response", "infections"]] = [[0, 0], [1, 3]]
    assert_equal(*asked(fed, table, site, typed(family, "age + male", **{"site-effects": site_effects}), "age + male"))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), family=st.sampled_from(sorted(FAMILIES)), own=st.booleans())
def test_no_contribution_within_the_bounds_exceeds_the_layout(data, family, own):
    size = data.draw(st.integers(1, 12))

    def drawn(low, high):
        return np.array(
            data.draw(st.lists(st.sampled_from([low, (low + high) / 2, high]), min_size=size, max_size=size))
        )

    rows = {"age": drawn(18, 90), "year": drawn(1990, 2025), "log_days": drawn(0, 8), "weight": drawn(1e-5, 5)}
    rows |= {"hb": drawn(2, 22), "response": drawn(0, 1).round(), "infections": drawn(0, 40)}
    options = {
        "offset": "log_days",
        "weights": "weight",
        "l2": "1",
        "robust": "",
        "site-effects": "yes" if own else "no",
    }
    question = Glm.from_options(typed(family, "age * year", **options), TRIAL)
    theta = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=3 + (not own), max_size=3 + (not own))))
    theta *= 20 / max(1e-3, np.abs(theta).sum())
    for stage in Stage:
        asks_nothing = stage is Stage.SPREAD or (stage is Stage.FIT and family == "gaussian")
        at = np.zeros_like(theta) if asks_nothing else theta.copy()
        if family == "poisson" and not own and stage is Stage.FIT:
            at[0] = 0
        values = np.concatenate([[float(stage), 60.0 if stage is Stage.SANDWICH else 0.0], at])
        question.check_input(values)
        question.layout.quantise(question.contribution(rows, values))
    question.layout.check_sum_fits(100)


def test_bounds_of_large_sites(fed):
    """A site of as many patients as there may be, all at the ends of their ranges."""
    dice = np.random.default_rng(3)
    size = int(MOST_PATIENTS)
    rows = {"age": dice.choice([18.0, 90.0], size), "year": dice.choice([1990.0, 2025.0], size)}
    rows |= {"log_days": dice.choice([0.0, 8.0], size), "infections": np.full(size, 40.0)}
    for own in ("yes", "no"):
        question = Glm.from_options(typed("poisson", "age + year", offset="log_days", **{"site-effects": own}), TRIAL)
        values = np.zeros(2 + 2 + (own == "no"))
        values[0], values[-2:] = Stage.FIT, (10.0, -10.0)
        question.layout.quantise(question.contribution(rows, values))


def test_iterates_out_of_bounds_are_refused():
    options = typed("binomial", "age + male", robust="")
    question = Glm.from_options(options, TRIAL)
    fit, sandwich = float(Stage.FIT), float(Stage.SANDWICH)
    question.check_input(np.array([fit, 0, 10.0, -10.0]))
    question.check_input(np.array([sandwich, 12, 10.0, -10.0]))
    for wrong in (
        [fit, 0, 10.1, -10.0],
        [fit, 1, 0, 0],
        [fit, 0, np.nan, 0],
        [fit, 0, np.inf, 0],
        [float(Stage.SPREAD), 0, 0, 0],
        [sandwich, 61, 0, 0],
        [sandwich, 0.5, 0, 0],
        [7.0, 0, 0, 0],
        [fit, 0, 0],
    ):
        with pytest.raises(Refused):
            question.check_input(np.array(wrong))
    linear = Glm.from_options(typed("gaussian", "age + male"), TRIAL)
    linear.check_input(np.array([fit, 0, 0, 0]))
    with pytest.raises(Refused):
        linear.check_input(np.array([fit, 0, 0.1, 0]))
    rates = Glm.from_options(typed("poisson", "age", **{"site-effects": "no"}), TRIAL)
    rates.check_input(np.array([fit, 0, 0, 20.0]))
    with pytest.raises(Refused):
        rates.check_input(np.array([fit, 0, 0.1, 0]))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, InvalidInput),
        ({"formula": "hb"}, InvalidInput),
        ({"formula": "hb ~"}, InvalidInput),
        ({"formula": "hb ~ 1"}, InvalidInput),
        ({"formula": "hb ~ age - 1"}, InvalidInput),
        ({"formula": "hb ~ 0 + age"}, InvalidInput),
        ({"formula": "hb ~ nobody"}, NotFound),
        ({"formula": "hb ~ patient"}, InvalidInput),
        ({"formula": "hb ~ age + hb"}, InvalidInput),
        ({"formula": "hb ~ age +"}, InvalidInput),
        ({"formula": "arm ~ age"}, InvalidInput),
        ({"formula": "hb ~ age", "family": "gamma"}, InvalidInput),
        ({"formula": "hb ~ age", "family": "binomial"}, InvalidInput),
        ({"formula": "arm ~ age", "family": "poisson"}, InvalidInput),
        ({"formula": "hb ~ age", "l2": "-1"}, InvalidPlan),
        ({"formula": "hb ~ age", "offset": "arm"}, InvalidInput),
        ({"formula": "infections ~ age", "family": "poisson", "offset": "year"}, None),
        ({"formula": "hb ~ age", "weights": "arm"}, InvalidInput),
        ({"formula": "hb ~ age", "confidence": "2"}, InvalidPlan),
        ({"formula": "hb ~ age", "colour": "red"}, InvalidInput),
        ({"formula": "hb ~ C(age)"}, InvalidInput),
        ({"formula": "hb ~ C(arm, Treatment('z'))"}, InvalidInput),
        ({"formula": "hb ~ bs(age)"}, InvalidInput),
        ({"formula": "hb ~ bs(age, df=2)"}, InvalidInput),
        ({"formula": "hb ~ bs(age, knots=(60, 40))"}, InvalidInput),
        ({"formula": "hb ~ bs(age, knots=(6,))"}, InvalidInput),
        ({"formula": "hb ~ bs(arm, df=3)"}, InvalidInput),
        ({"formula": "hb ~ poly(age, 99)"}, InvalidInput),
        ({"formula": "hb ~ poly(age, 2, raw=False)"}, InvalidInput),
        ({"formula": "hb ~ arm + C(arm)"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(options, error):
    if error is None:
        assert Glm.from_options(options, TRIAL).response.offset_reach == 17.5
        return
    with pytest.raises(error) as caught:
        Glm.from_options(options, TRIAL)
    assert caught.value.hint


def test_parameters_come_back_and_nothing_else_is_read():
    for more in ({}, {"offset": "log_days", "weights": "weight", "l2": "0.5", "robust": "", "site-effects": "no"}):
        for right in ("age * arm", "bs(age, df=4) + C(arm, Treatment('b')):male + poly(year, 2)"):
            question = Glm.from_options(typed("poisson", right, **more), TRIAL)
            parameters = question.parameters()
            assert analyses.from_plan("glm", parameters) == question
            question.check_against(TRIAL)
            layout = question.layout.to_list()
            assert canonical(Layout.from_list(layout).to_list()) == canonical(layout)
            for part in parameters:
                for wrong in (
                    {**parameters, part: "x"},
                    {key: value for key, value in parameters.items() if key != part},
                ):
                    with pytest.raises(InvalidPlan):
                        Glm.from_parameters(wrong)
            with pytest.raises(InvalidPlan):
                Glm.from_parameters({**parameters, "more": 1})


def test_constants_that_are_not_the_schemas_are_refused():
    question = Glm.from_options(typed("gaussian", "age + arm", weights="weight"), TRIAL)
    for name, change in (("age", {"maximum": 91.0}), ("hb", {"minimum": 1.0}), ("weight", {"maximum": 6.0})):
        fields = tuple(replace(field, **change) if field.name == name else field for field in TRIAL.fields)
        with pytest.raises(InvalidPlan):
            question.check_against(replace(TRIAL, fields=fields))
    with pytest.raises(InvalidInput):
        question.check_against(replace(TRIAL, rows_per_patient=2))
