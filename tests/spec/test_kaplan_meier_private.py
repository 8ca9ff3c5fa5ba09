"""Private survival is the life table where there is no noise, bounds each patient, and is plausible otherwise."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter, NelsonAalenFitter
from lifelines.statistics import multivariate_logrank_test

from support.noisy_sums import release
from synthema_core import analyses
from synthema_core.analyses.base import Patients
from synthema_core.analyses.survival.kaplan_meier_private import PrivateKaplanMeier
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_kernel.figures import kaplan_meier as figure
from synthema_kernel.tables import kaplan_meier as tables

NOTHING = np.zeros(0)
A_PATIENT = 2.0**16
STEP = 90


def asks(schema, **typed):
    options = {"time": "t2", "event": "d3", "step": str(STEP), **{k.replace("_", "-"): v for k, v in typed.items()}}
    question = PrivateKaplanMeier.from_options(options, schema)
    question.check_against(schema)
    assert analyses.from_plan("kaplan-meier-private", question.parameters()) == question
    return question


def noisy(question, sites, deviation, seed=0):
    return release(question, sites, deviation * A_PATIENT, np.random.default_rng(seed))


def without_censoring(bmt):
    """Everybody dies in the end: then the life table is Kaplan's and Meier's."""
    return bmt.assign(d3=1)


def test_without_noise_and_censoring_it_is_the_pooled_curve(bmt, schema, fed):
    table = without_censoring(bmt)
    result = noisy(asks(schema, group="disease", at="180,360", rmst="720"), fed.split(table, table["z9"]), 0.0)
    for told, (code, own) in zip(result["arms"], table.groupby("disease"), strict=True):
        times = np.ceil(own["t2"] / STEP) * STEP
        known = KaplanMeierFitter().fit(times, own["d3"])
        last = sum(value is not None for value in told["survival"])
        grid = result["grid"][:last]
        assert (told["code"], told["patients"], told["events"]) == (code, len(own), len(own))
        survival = known.survival_function_at_times(grid).to_numpy()
        greenwood = np.sqrt(survival * (1 - survival) / len(own))
        assert told["survival"][:last] == pytest.approx(survival, abs=1e-9)
        assert told["standard_error"][:last] == pytest.approx(greenwood, abs=1e-9)
        hazard = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(times, own["d3"]).cumulative_hazard_at_times(grid)
        assert told["hazard"][:last] == pytest.approx(hazard.to_numpy(), abs=1e-9)
        assert [own["survival"] for own in told["at"]] == pytest.approx(
            known.survival_function_at_times([180, 360]).to_numpy(), abs=1e-9
        )
        at_risk = [(times >= time).sum() for time in result["grid"]]
        assert told["at_risk"] == [len(own), *at_risk[1:]]
    known = multivariate_logrank_test(np.ceil(table["t2"] / STEP), table["disease"], table["d3"])
    assert result["log_rank"]["statistic"] == pytest.approx(known.test_statistic, rel=1e-6)
    assert result["log_rank"]["degrees"] == 2 and len(result["pairs"]) == 3


def test_those_censored_in_a_step_count_for_half_of_it(bmt, schema, fed):
    result = noisy(asks(schema), fed.split(bmt, bmt["z9"]), 0.0)
    survival, expected = 1.0, [1.0]
    for step in range(1, 31):
        inside = (bmt["t2"] > (step - 1) * STEP) & (bmt["t2"] <= step * STEP)
        deaths, censored = (inside & (bmt["d3"] == 1)).sum(), (inside & (bmt["d3"] == 0)).sum()
        risk = (bmt["t2"] > (step - 1) * STEP).sum() - censored / 2
        survival *= 1 - deaths / risk if risk else 1.0
        expected.append(survival)
    (told,) = result["arms"]
    known = [value for value in told["survival"] if value is not None]
    assert len(known) > 20
    assert known == pytest.approx(expected[: len(known)], abs=1e-9)


def test_lines_between_the_ends_of_steps(bmt, schema, fed):
    result = noisy(asks(schema, at="45,135", rmst="135"), fed.split(bmt, bmt["z9"]), 0.0)
    (arm,) = result["arms"]
    first, second, third = arm["survival"][:3]
    assert [own["survival"] for own in arm["at"]] == pytest.approx([(first + second) / 2, (second + third) / 2])
    area = STEP * (first + second) / 2 + STEP / 2 * (second + (second + third) / 2) / 2
    assert result["restricted_means"]["arms"][0]["value"] == pytest.approx(area)
    low, high = sorted((arm["lower"][1], arm["lower"][2]))
    assert low <= arm["at"][1]["lower"] <= high


def test_the_median_is_where_the_lines_cross_one_half(bmt, schema, fed):
    (arm,) = noisy(asks(schema), fed.split(bmt, bmt["z9"]), 0.0)["arms"]
    place = next(index for index, value in enumerate(arm["survival"]) if value <= 0.5)
    high, low = arm["survival"][place - 1 : place + 1]
    assert arm["median"] == pytest.approx(STEP * (place - 1 + (high - 0.5) / (high - low)))
    assert arm["median_interval"][0] < arm["median"]


@pytest.mark.parametrize("deviation", [0.5, 4.0, 30.0])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_shown_is_plausible(bmt, schema, fed, deviation, seed):
    result = noisy(asks(schema, group="disease", at="365", rmst="365"), fed.split(bmt, bmt["z9"]), deviation, seed)
    assert result["private"] and result["noise_in_counts"] == pytest.approx(deviation)
    for arm in result["arms"]:
        assert arm["at_risk"] == sorted(arm["at_risk"], reverse=True) and min(arm["at_risk"]) >= 0
        assert arm["at_risk"][0] == arm["patients"] >= arm["events"] == sum(arm["deaths"])
        known = [value for value in arm["survival"] if value is not None]
        assert known[0] == 1 and known == sorted(known, reverse=True)
        assert arm["survival"] == known + [None] * (len(arm["survival"]) - len(known))
        for low, value, high in zip(arm["lower"], known, arm["upper"], strict=False):
            assert 0 <= low <= value + 1e-9 and value - 1e-9 <= high <= 1
        assert arm["upper"] == sorted(arm["upper"], reverse=True)
        assert set(arm["lower"][len(known) :]) <= {0.0} and set(arm["upper"][len(known) :]) <= {arm["upper"][-1]}
        assert len({len(arm[part]) for part in ("survival", "lower", "upper", "hazard", "at_risk", "deaths")}) == 1
    ElementTree.fromstring(figure.draw(result))
    assert all(table.rows for table in tables.tables(result))
    assert len(list(tables.records(result))) == 3 * len(result["grid"])


def test_where_all_is_noise_no_curve_is_told(bmt, schema, fed):
    result = noisy(asks(schema, at="365", rmst="365"), fed.split(bmt, bmt["z9"]), 200.0, 1)
    (arm,) = result["arms"]
    assert arm["survival"][1:] == [None] * 30 and arm["lower"][1:] == [0.0] * 30 and arm["upper"][1:] == [1.0] * 30
    assert (arm["median"], arm["at"][0]["survival"], result["restricted_means"]["arms"]) == (None, None, [None])


@settings(max_examples=60, deadline=None)
@given(
    time=st.one_of(st.floats(-10, 1e5), st.just(np.nan)),
    died=st.sampled_from([0.0, 1.0, np.nan]),
    disease=st.sampled_from(["1", "2", "3", "", "x"]),
)
def test_one_patient_changes_one_cell_by_one(schema, time, died, disease):
    question = asks(schema, group="disease")
    rows = {
        "t2": np.array([400.0, 95.0, time]),
        "d3": np.array([1.0, 0.0, died]),
        "disease": np.array(["1", "3", disease], dtype=object),
    }
    fewer = {name: values[:2] for name, values in rows.items()}
    change = steps_of(question, rows) - steps_of(question, fewer)
    assert sorted(change)[:-1] == [0] * (len(change) - 1) and change.max() in (0, A_PATIENT)
    assert np.sqrt((change**2).sum()) <= question.sensitivity


def steps_of(question, rows, patients=None):
    added = question.contribution(rows, NOTHING, patients or Patients.one_a_row(rows))
    return question.layout.quantise(added).view(np.int64).astype(object)


def test_a_patient_with_many_rows_counts_once_and_as_one_that_is_cut(schema):
    several = replace(schema, rows_per_patient=5)
    question = asks(several, group="disease")
    rows = {
        "t2": np.array([400.0, 95.0, 10.0, 3000.0]),
        "d3": np.array([1.0, 0.0, 1.0, 0.0]),
        "disease": np.array(["1", "1", "2", "3"], dtype=object),
    }
    with_all = steps_of(question, rows, Patients(np.array(["a", "b", "b", "b"], dtype=object), b"key"))
    alone = {name: values[:1] for name, values in rows.items()}
    without = steps_of(question, alone, Patients(np.array(["a"], dtype=object), b"key"))
    change = with_all - without
    assert sorted(change[change != 0]) == [A_PATIENT / 4, A_PATIENT]
    assert float(np.sqrt((change**2).sum())) == pytest.approx(question.sensitivity)


def test_a_sum_at_its_bound_is_clipped_and_not_refused(schema, monkeypatch):
    monkeypatch.setattr("synthema_core.analyses.noisy_cells._MOST_PATIENTS", 2.0)
    question = asks(schema)
    rows = {"t2": np.full(9, 400.0), "d3": np.ones(9)}
    assert question.contribution(rows, NOTHING, Patients.one_a_row(rows)).max() == 2


def test_what_a_plan_carries(schema):
    question = asks(schema, group="disease", by_levels="1,3", horizon="720")
    assert (question.steps, question.layout.length, question.max_rounds) == (8, 2 * 17, 1)
    assert question.cohort_size({"t2": np.ones(3), "d3": np.ones(3), "disease": np.array(["1", "2", "3"], object)}) == 2
    usual = PrivateKaplanMeier.from_options({"time": "t2", "event": "d3"}, schema)
    assert usual.step == 200 and usual.horizon == 2800
    for wrong in (
        replace(question, cuts=True),
        replace(question, group=replace(question.group, levels=(("1", "ALL"), ("9", "else")))),
    ):
        with pytest.raises((InvalidPlan, InvalidInput, NotFound)):
            wrong.check_against(schema)
    for change in ({"step": 0.0}, {"step": 0.001}, {"horizon": 100.0}, {"at": (9999.0,)}, {"confidence": 1.5}):
        with pytest.raises(InvalidPlan):
            replace(question, **change)
    with pytest.raises(Refused):
        question.check_input(np.zeros(1))
    assert set(analyses.find("kaplan-meier-private").from_parameters(question.parameters()).columns) == {
        "t2",
        "d3",
        "disease",
    }


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"step": "0"}, InvalidInput),
        ({"step": "-3"}, InvalidInput),
        ({"step": "1"}, InvalidPlan),
        ({"by-levels": "1"}, InvalidInput),
        ({"group": "z1"}, InvalidInput),
        ({"time": "disease"}, InvalidInput),
        ({"event": "z1"}, InvalidInput),
        ({"time": "nobody"}, NotFound),
        ({"rmst": "1e9"}, InvalidPlan),
        ({"exact-times": "yes"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(schema, typed, error):
    with pytest.raises(error) as caught:
        PrivateKaplanMeier.from_options({"time": "t2", "event": "d3", **typed}, schema)
    assert caught.value.hint


def test_empty_sites(schema, fed, bmt):
    empty = fed.rows(bmt.head(0))
    result = noisy(asks(schema, group="disease"), [empty, empty], 0.0)
    assert (result["patients"], result["log_rank"]) == (0, None)
