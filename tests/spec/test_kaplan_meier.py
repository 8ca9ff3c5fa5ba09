"""Kaplan-Meier over sites equals lifelines over the pooled, gridded patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test

from synthema_core import analyses
from synthema_core.analyses.survival.kaplan_meier import KaplanMeier
from synthema_core.canonical import canonical
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_core.schemas import Field, Kind, Schema
from synthema_core.secure_sum.layout import Layout

TYPED = {"time": "t2", "event": "d3", "group": "disease", "step": "30"}


def pooled(table, question):
    """(time on the grid, event within the horizon) of every patient."""
    time = np.ceil(table["t2"] / question.step) * question.step
    inside = time <= question.horizon
    return np.where(inside, time, question.horizon + question.step), np.where(inside, table["d3"], 0)


def assert_arm_is_lifelines(arm, grid, time, event, confidence):
    reference = KaplanMeierFitter(alpha=1 - confidence).fit(time, event)
    last = time.max()
    shown = [index for index, moment in enumerate(grid) if moment <= last]
    moments = np.array(grid)[shown]
    assert np.allclose(np.array(arm["survival"])[shown], reference.predict(moments), atol=1e-6)
    interval = reference.confidence_interval_survival_function_
    position = np.searchsorted(interval.index, moments, side="right") - 1
    for bound, column in (("lower", 0), ("upper", 1)):
        assert np.allclose(np.array(arm[bound])[shown], interval.iloc[position, column], atol=1e-6)
    counts = reference.event_table.reindex(moments).fillna(0)
    assert np.array_equal(np.array(arm["deaths"])[shown], counts["observed"])
    median = reference.median_survival_time_
    assert arm["median"] == (None if np.isinf(median) else median)


@pytest.mark.parametrize("confidence", [0.95, 0.8])
@pytest.mark.parametrize(
    "options", [{"step": "30"}, {"step": "7"}, {"step": "30", "horizon": "700"}, {"step": "0.5"}, {"exact-times": ""}]
)
def test_the_four_hospitals_equal_lifelines(bmt, schema, fed, options, confidence):
    typed = {name: value for name, value in TYPED.items() if name != "step"} | options
    question = KaplanMeier.from_options(typed | {"confidence": str(confidence)}, schema)
    result = fed.run(question, fed.split(bmt, bmt["z9"]))
    time, event = pooled(bmt, question)
    assert [arm["patients"] for arm in result["arms"]] == [38, 54, 45]
    for arm in result["arms"]:
        chosen = (bmt["disease"] == arm["code"]).to_numpy()
        assert_arm_is_lifelines(arm, result["grid"], time[chosen], event[chosen], confidence)
    reference = multivariate_logrank_test(time, bmt["disease"], event)
    assert result["log_rank"]["statistic"] == pytest.approx(reference.test_statistic, abs=1e-6)
    assert result["log_rank"]["p"] == pytest.approx(reference.p_value, abs=1e-9)
    assert result["log_rank"]["degrees"] == 2
    assert result["patients"] == 137
    assert result["suppressed"] == []


def test_standard_errors_are_greenwoods(bmt, schema, fed):
    question = KaplanMeier.from_options({"time": "t2", "event": "d3"}, schema)
    (arm,) = fed.run(question, fed.split(bmt, bmt["z9"]))["arms"]
    n, d = np.array(arm["at_risk"]), np.array(arm["deaths"])
    seen = n > 0
    variance = np.cumsum(d[seen] / (n[seen] * (n[seen] - d[seen])))
    assert np.allclose(np.array(arm["standard_error"])[seen], np.array(arm["survival"])[seen] * np.sqrt(variance))


def test_one_arm_of_all_patients_has_no_test(bmt, schema, fed):
    result = fed.run(KaplanMeier.from_options({"time": "t2", "event": "d3"}, schema), fed.split(bmt, bmt["z9"]))
    assert result["group"] is None
    assert result["log_rank"] is None
    assert result["arms"][0]["label"] == "all patients"
    assert result["time"] == {
        "column": "t2", "label": "Disease-free survival", "unit": "days", "step": 30.0, "horizon": 2700.0,
    }  # fmt: skip


def test_a_group_absent_at_a_site_and_a_site_without_events(bmt, schema, fed):
    site = np.where(bmt["disease"] == "1", 1, np.where(bmt["d3"] == 1, 2, 3))
    question = KaplanMeier.from_options(TYPED, schema)
    assert fed.run(question, fed.split(bmt, site)) == fed.run(question, [fed.rows(bmt)])


def test_a_small_arm_gets_no_number_anywhere(bmt, schema, fed):
    rare = bmt[(bmt["disease"] != "2") | (bmt.groupby("disease").cumcount() < 4)]
    question = KaplanMeier.from_options(TYPED, schema)
    result = fed.run(question, fed.split(rare, rare["z9"]), min_patients=5)
    without = rare[rare["disease"] != "2"]
    assert result["suppressed"] == ["AML low"]
    assert result == fed.run(question, fed.split(without, without["z9"]), min_patients=5)
    assert result["patients"] == len(without)
    time, event = pooled(without, question)
    reference = multivariate_logrank_test(time, without["disease"], event)
    assert result["log_rank"]["statistic"] == pytest.approx(reference.test_statistic, abs=1e-6)


def test_with_every_arm_too_small_nothing_is_shown(bmt, schema, fed):
    result = fed.run(KaplanMeier.from_options(TYPED, schema), fed.split(bmt, bmt["z9"]), min_patients=100)
    assert (result["arms"], result["patients"], result["log_rank"]) == ([], 0, None)
    assert result["suppressed"] == ["ALL", "AML low", "AML high"]


def test_an_empty_arm_is_suppressed_even_without_a_minimum(bmt, schema, fed):
    some = bmt[bmt["disease"] == "1"]
    result = fed.run(KaplanMeier.from_options(TYPED, schema), [fed.rows(some)], min_patients=0)
    assert result["suppressed"] == ["AML low", "AML high"]
    assert result["log_rank"] is None


def test_incomplete_patients_are_left_out(bmt, schema, fed):
    holes = bmt.astype({"t2": float, "d3": float})
    holes.loc[0, "t2"] = np.nan
    holes.loc[50, "d3"] = np.nan
    holes.loc[100, "disease"] = ""
    question = KaplanMeier.from_options(TYPED, schema)
    kept = bmt.drop(index=[0, 50, 100])
    assert fed.run(question, fed.split(holes, holes["z9"])) == fed.run(question, fed.split(kept, kept["z9"]))
    assert question.cohort_size(fed.rows(holes)) == 134


def test_an_empty_cohort_adds_nothing(bmt, schema, fed):
    question = KaplanMeier.from_options(TYPED, schema)
    nobody = fed.rows(bmt.head(3).assign(disease=["9", "", "9"]))
    sites = fed.split(bmt, bmt["z9"])
    assert fed.run(question, [*sites, nobody]) == fed.run(question, sites)


def test_chosen_levels_only(bmt, schema, fed):
    question = KaplanMeier.from_options(TYPED | {"by-levels": "3,2"}, schema)
    assert [arm["code"] for arm in fed.run(question, fed.split(bmt, bmt["z9"]))["arms"]] == ["2", "3"]
    assert question.cohort_size(fed.rows(bmt)) == 99


def test_a_boolean_makes_two_arms(bmt, schema, fed):
    result = fed.run(KaplanMeier.from_options(TYPED | {"group": "z10"}, schema), fed.split(bmt, bmt["z9"]))
    assert [(arm["label"], arm["patients"]) for arm in result["arms"]] == [("no", 97), ("yes", 40)]


def test_when_everybody_dies_the_curve_ends_at_zero(schema, fed):
    table = pd.DataFrame({"t2": [10, 40, 40, 70], "d3": [1, 1, 1, 1]})
    (arm,) = fed.run(KaplanMeier.from_options({"time": "t2", "event": "d3"}, schema), [fed.rows(table)])["arms"]
    assert arm["survival"][:4] == [1.0, 0.75, 0.25, 0.0]
    assert (arm["lower"][3], arm["upper"][3], arm["standard_error"][3]) == (0.0, 0.0, None)
    assert arm["median"] == 60.0
    assert arm["at_risk"][:5] == [4, 4, 3, 1, 0]


@pytest.mark.parametrize("patients", [2, 6, 10, 14, 22, 30, 38])
def test_the_median_is_reached_at_exactly_one_half(schema, fed, patients):
    """A product of fractions comes out a rounding error above or below one half."""
    table = pd.DataFrame({"t2": 30 * np.arange(1, patients + 1), "d3": 1})
    (arm,) = fed.run(KaplanMeier.from_options({"time": "t2", "event": "d3"}, schema), [fed.rows(table)])["arms"]
    assert arm["median"] == 30 * patients / 2


def test_times_on_a_fractional_grid_stay_where_they_are(fed):
    time = Field("t", Kind.NUMBER, unit="years", minimum=0, maximum=1)
    schema = Schema("s", (Field("id", Kind.IDENTIFIER), time, Field("e", Kind.BOOLEAN)), "id")
    table = pd.DataFrame({"t": [0.1 * 3, 0.7, 0.0], "e": [1, 1, 0]})
    question = KaplanMeier.from_options({"time": "t", "event": "e", "step": "0.1"}, schema)
    (arm,) = fed.run(question, [fed.rows(table)])["arms"]
    assert [index for index, deaths in enumerate(arm["deaths"]) if deaths] == [3, 7]
    assert arm["censored"][0] == 1


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_split_gives_the_same_answer(schema, fed, data):
    size = data.draw(st.integers(2, 40))
    whole = st.lists(st.integers(0, 400), min_size=size, max_size=size)
    table = pd.DataFrame(
        {
            "t2": data.draw(whole),
            "d3": [value % 2 for value in data.draw(whole)],
            "disease": [str(value % 3 + 1) for value in data.draw(whole)],
        }
    )
    sites = [value % 5 for value in data.draw(whole)]
    question = KaplanMeier.from_options(TYPED | {"horizon": "300"}, schema)
    result = fed.run(question, fed.split(table, sites))
    assert result == fed.run(question, [fed.rows(table)])
    time, event = pooled(table, question)
    for arm in result["arms"]:
        chosen = (table["disease"] == arm["code"]).to_numpy()
        reference = KaplanMeierFitter().fit(time[chosen], event[chosen])
        assert np.allclose(arm["survival"], reference.predict(result["grid"]), atol=1e-9)


def test_a_site_refuses_any_input(schema):
    with pytest.raises(Refused) as refusal:
        KaplanMeier.from_options(TYPED, schema).check_input(np.zeros(1))
    assert refusal.value.rule == "iterate"


def test_the_grid_is_declared_to_the_policy(schema):
    assert KaplanMeier.from_options(TYPED, schema).time_step == 30
    exact = KaplanMeier.from_options({"time": "t2", "event": "d3", "exact-times": "true"}, schema)
    assert (exact.exact_times, exact.time_step) == (True, 1)


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"time": "t9", "event": "d3"}, NotFound),
        ({"time": "d3", "event": "d3"}, InvalidInput),
        ({"time": "t2", "event": "z1"}, InvalidInput),
        ({"time": "t2"}, InvalidInput),
        ({"time": "t2", "event": "d3", "group": "z1"}, InvalidInput),
        ({"time": "t2", "event": "d3", "group": "patient"}, InvalidInput),
        ({"time": "t2", "event": "d3", "by-levels": "1"}, InvalidInput),
        (TYPED | {"by-levels": "1,4"}, InvalidInput),
        (TYPED | {"by-levels": "1,,2"}, InvalidInput),
        (TYPED | {"step": "0"}, InvalidInput),
        (TYPED | {"step": "-3"}, InvalidInput),
        (TYPED | {"step": "nan"}, InvalidInput),
        (TYPED | {"step": "1e-9"}, InvalidInput),
        (TYPED | {"step": "0.01"}, InvalidInput),
        (TYPED | {"horizon": "0"}, InvalidInput),
        (TYPED | {"horizon": "inf"}, InvalidInput),
        (TYPED | {"exact-times": ""}, InvalidInput),
        (TYPED | {"confidence": "95"}, InvalidInput),
        (TYPED | {"colour": "blue"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(schema, typed, error):
    with pytest.raises(error) as caught:
        KaplanMeier.from_options(typed, schema)
    assert caught.value.hint


@pytest.mark.parametrize(
    "typed",
    [TYPED, {"time": "t2", "event": "d3"}, TYPED | {"by-levels": "1,3", "horizon": "365"},
     {"time": "t2", "event": "d3", "exact_times": "yes"}, TYPED | {"step": "0.1", "horizon": "7"}],
)  # fmt: skip
def test_parameters_come_back_and_nothing_else_is_read(schema, typed):
    question = KaplanMeier.from_options(typed, schema)
    parameters = question.parameters()
    assert analyses.from_plan("kaplan-meier", parameters) == question
    question.check_against(schema)
    assert canonical(Layout.from_list(question.layout.to_list()).to_list()) == canonical(question.layout.to_list())
    for part in parameters:
        for wrong in ({**parameters, part: "x"}, {key: value for key, value in parameters.items() if key != part}):
            with pytest.raises(InvalidPlan):
                KaplanMeier.from_parameters(wrong)
    for wrong in ({**parameters, "more": 1}, {**parameters, "step": float("nan")}, {**parameters, "horizon": 1e300}):
        with pytest.raises(InvalidPlan):
            KaplanMeier.from_parameters(wrong)


def test_constants_that_are_not_the_schemas_are_refused(schema):
    question = KaplanMeier.from_options(TYPED, schema)
    group = question.group
    for other in (
        replace(question, time=replace(question.time, label="Something else")),
        replace(question, time=replace(question.time, name="z1")),
        replace(question, group=replace(group, levels=(("1", "AML low"), ("2", "ALL")))),
        replace(question, group=replace(group, levels=group.levels[::-1])),
    ):
        with pytest.raises(InvalidInput):
            other.check_against(schema)


def test_the_registry_knows_the_analyses_and_the_shapes_of_code():
    code = ("code-aggregate", "code-per-block", "code-per-patient")
    built_in = (
        "cox",
        "cox-private",
        "crosstab",
        "crosstab-private",
        "cumulative-incidence",
        "cumulative-incidence-private",
        "diffprivlib",
        "glm",
        "glm-private",
        "histogram",
        "histogram-exact",
        "kaplan-meier",
        "kaplan-meier-private",
        "mean",
        "summary",
        "summary-private",
    )
    assert analyses.names() == (*code, *built_in)
    with pytest.raises(NotFound) as missing:
        analyses.find("regression")
    assert "kaplan-meier" in missing.value.hint
