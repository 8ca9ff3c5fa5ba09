"""Cumulative incidence over any split is that of the pooled patients, exact or with noise that its errors contain."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.statistics import logrank_test
from statsmodels.duration.survfunc import CumIncidenceRight

from support.invented_registry import SCHEMA, drawn
from support.noisy_sums import release
from synthema_core import analyses
from synthema_core.analyses.base import Patients
from synthema_core.analyses.survival.competing_curves import Arm, Shape, gray
from synthema_core.analyses.survival.incidence import CumulativeIncidence
from synthema_core.analyses.survival.incidence_private import PrivateCumulativeIncidence
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound
from synthema_kernel.figures import incidence as figure
from synthema_kernel.tables import incidence as tables

TYPED = {"time": "years", "event": "relapsed", "competing": "died"}
FORMS = {"cumulative-incidence": CumulativeIncidence, "cumulative-incidence-private": PrivateCumulativeIncidence}


def asks(analysis="cumulative-incidence", schema=SCHEMA, **more):
    question = FORMS[analysis].from_options(TYPED | {"step": "0.25"} | more, schema)
    question.check_against(schema)
    assert analyses.from_plan(analysis, question.parameters()) == question
    return question


def status_of(rows):
    return np.where(rows["relapsed"] == 1, 1, np.where(rows["died"] == 1, 2, 0))


def third(rows, place):
    return {name: column[place::3] for name, column in rows.items()}


@pytest.fixture(scope="module")
def rows():
    return drawn(np.random.default_rng(1), 600)


@given(seed=st.integers(0, 2**16), sites=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_any_split_is_the_pooled_estimate_with_its_errors(fed, seed, sites):
    dice = np.random.default_rng(seed)
    rows = drawn(dice, 200)
    of = dice.integers(0, sites, 200)
    split = [{name: column[of == site] for name, column in rows.items()} for site in range(sites)]
    told = fed.run(asks(), split)
    reference = CumIncidenceRight(np.ceil(rows["years"] / 0.25 - 1e-9) * 0.25, status_of(rows))
    places = [told["grid"].index(time) for time in reference.times]
    for cause, value, error in zip(told["arms"][0]["causes"], reference.cinc, reference.cinc_se, strict=True):
        assert np.array(cause["incidence"])[places] == pytest.approx(value, abs=1e-9)
        inner = slice(None, -1)  # where the last patient has an event, theirs divides by nobody
        assert np.array(cause["standard_error"])[places][inner] == pytest.approx(error[inner], abs=1e-9)
        low, high = np.array(cause["lower"], float), np.array(cause["upper"], float)
        assert np.all((low >= 0) & (low <= np.array(cause["incidence"])) & (high <= 1))
    assert told["arms"][0]["events"] == [int((status_of(rows) == which).sum()) for which in (1, 2)]
    assert told["patients"] == 200


def test_grays_numbers_are_those_of_a_loop(rows, fed):
    """With the covariance left out: events less expected ones, from subdistribution risk sets."""
    shape = Shape(2, 40, 0.0)
    cell = np.minimum(np.ceil(rows["years"] / 0.25 - 1e-9), 40).astype(int) - 1
    status, male = status_of(rows), rows["male"].astype(int)
    arms, found = [], []
    for group in (0, 1):
        own = np.zeros((3, 40))
        for kind, row in ((1, 0), (2, 1), (0, 2)):
            own[row] = np.bincount(cell[(male == group) & (status == kind)], minlength=40)
        arms.append(Arm(shape, np.append(own.ravel(), 0.0), 0.0))
    survival, incidence, away = [1.0, 1.0], [0.0, 0.0], 0.0
    for step in range(40):
        at_risk = [int(((male == group) & (cell >= step)).sum()) for group in (0, 1)]
        events = [int(((male == group) & (cell == step) & (status == 1)).sum()) for group in (0, 1)]
        others = [int(((male == group) & (cell == step) & (status == 2)).sum()) for group in (0, 1)]
        exposed = [
            at_risk[group] * (1 - incidence[group]) / survival[group] if survival[group] > 0 else 0.0
            for group in (0, 1)
        ]
        if sum(exposed):
            away += events[0] - exposed[0] / sum(exposed) * sum(events)
        for group in (0, 1):
            if at_risk[group]:
                incidence[group] += survival[group] * events[group] / at_risk[group]
                survival[group] *= 1 - (events[group] + others[group]) / at_risk[group]
        found.append(away)
    test = gray(arms, 0)
    assert test["degrees"] == 1
    told = fed.run(asks(group="male"), [rows])["tests"][0]["test"]
    assert told["statistic"] == pytest.approx(test["statistic"], rel=1e-9)
    bootstrap = np.random.default_rng(1)
    variance = np.var([_excess(bootstrap, male, cell, status) for _ in range(400)])
    assert test["statistic"] == pytest.approx(away**2 / variance, rel=0.35)


def test_gray_compares_incidence_and_not_hazards(rows, fed):
    """Men have the event at the same rate as women, while they can: most of them have the competing one first."""
    dice = np.random.default_rng(4)
    male = rows["male"] == 1
    relapse, death = dice.exponential(10, 600), dice.exponential(np.where(male, 2, 200))
    ends = np.minimum(np.minimum(relapse, death), 9.9)
    table = {**rows, "years": ends, "relapsed": (relapse == ends) * 1.0, "died": (death == ends) * 1.0}
    hazards = logrank_test(ends[male], ends[~male], table["relapsed"][male], table["relapsed"][~male])
    assert hazards.p_value > 0.05
    assert fed.run(asks(group="male"), [table])["tests"][0]["test"]["p"] < 1e-6


def _excess(dice, male, cell, status):
    """Gray's number of the first group, of patients drawn again within groups: an own computation of its spread."""
    drawn_ = np.concatenate([dice.choice(np.flatnonzero(male == group), (male == group).sum()) for group in (0, 1)])
    male, cell, status = male[drawn_], cell[drawn_], status[drawn_]
    counts = np.zeros((2, 3, 40))
    np.add.at(counts, (male, np.array([2, 0, 1])[status], cell), 1)
    risk = counts.sum(1)[:, ::-1].cumsum(1)[:, ::-1]
    hazards = np.divide(counts[:, :2], risk[:, None], out=np.zeros((2, 2, 40)), where=risk[:, None] > 0)
    survival = np.concatenate([np.ones((2, 1)), np.cumprod(1 - hazards.sum(1), 1)[:, :-1]], 1)
    incidence = np.cumsum(hazards[:, 0] * survival, 1)
    before = np.concatenate([np.zeros((2, 1)), incidence[:, :-1]], 1)
    exposed = risk * np.divide(1 - before, survival, out=np.zeros_like(survival), where=survival > 0)
    whole = exposed.sum(0)
    share = np.divide(exposed[0], whole, out=np.zeros(40), where=whole > 0)
    return (counts[0, 0] - share * counts[:, 0].sum(0)).sum()


def test_a_small_group_is_in_no_number(rows, fed):
    few = {
        name: np.concatenate([column[rows["male"] == 1], column[rows["male"] == 0][:3]])
        for name, column in rows.items()
    }
    told = fed.run(asks(group="male"), [few], min_patients=5)
    assert told["suppressed"] == ["no"]
    assert [arm["label"] for arm in told["arms"]] == ["yes"]
    assert told["patients"] == int((rows["male"] == 1).sum())
    assert told["tests"] == []


def test_after_the_last_patient_nothing_is_told(fed):
    """The last two of six leave at 3 years: to then, and within its step, there is an incidence."""
    rows = {
        "years": np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0]),
        "relapsed": np.array([1.0, 0, 1, 0, 1, 0]),
        "died": np.zeros(6),
    }
    told = fed.run(asks(at="0.1,1,1.2,3,3.2,3.25,9"), [rows])["arms"][0]["causes"][0]["at"]
    assert [one["incidence"] for one in told] == pytest.approx([0, 1 / 6, 1 / 6, 0.6875, 0.6875, None, None])


def test_between_the_ends_of_steps_a_life_table_is_straight(rows):
    question = asks("cumulative-incidence-private", at="0.125,0.25,0.375,0.5")
    told = release(question, [third(rows, place) for place in range(3)], 1.0, np.random.default_rng(1))
    half, one, more, two = (own["incidence"] for own in told["arms"][0]["causes"][0]["at"])
    assert half == pytest.approx(one / 2)
    assert more == pytest.approx((one + two) / 2)


def test_of_events_at_one_time_the_first_named_counts(fed):
    rows = {"years": np.array([1.0] * 6), "relapsed": np.array([1.0] * 6), "died": np.array([1.0] * 6)}
    assert fed.run(asks(), [rows])["arms"][0]["events"] == [6, 0]
    assert fed.run(asks(event="died", competing="relapsed"), [rows])["arms"][0]["events"] == [6, 0]


@pytest.mark.parametrize("more", [{"group": "male", "at": "2,5"}, {"group": "arm"}, {"at": "3"}])
def test_with_next_to_no_noise_the_private_form_is_a_life_table(rows, more):
    """Up to the last few patients, of whom half a step is much."""
    sites, dice = [third(rows, place) for place in range(3)], np.random.default_rng(1)
    told = release(asks("cumulative-incidence-private", **more), sites, 1.0, dice)
    exact = release(asks(**more), sites, 0.0, dice)
    for own, other in zip(told["arms"], exact["arms"], strict=True):
        for curve, reference in zip(own["causes"], other["causes"], strict=True):
            assert curve["incidence"][:30] == pytest.approx(reference["incidence"][1:31], abs=0.02)
            assert curve["standard_error"][:30] == pytest.approx(reference["standard_error"][1:31], abs=0.004)
    for own, other in zip(told["tests"], exact["tests"], strict=True):
        assert own["test"]["statistic"] == pytest.approx(other["test"]["statistic"], rel=0.2, abs=0.1)
    for result in (told, exact):
        ElementTree.fromstring(figure.draw(result))
        assert all(table.rows for table in tables.tables(result))
        assert len(list(tables.records(result))) == len(result["grid"]) * 2 * len(result["arms"])


def test_what_noise_hides_is_not_told(rows):
    few = {name: column[:90] for name, column in rows.items()}
    sites = [third(few, place) for place in range(3)]
    told = release(
        asks("cumulative-incidence-private", group="arm", at="9"), sites, 8 * 2.0**16, np.random.default_rng(1)
    )
    assert any(value is None for arm in told["arms"] for value in arm["causes"][0]["incidence"])
    assert all(test["test"] is None or test["test"]["p"] > 0 for test in told["tests"])
    ElementTree.fromstring(figure.draw(told))
    assert all(table.rows for table in tables.tables(told))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), rows_each=st.sampled_from([1, 4]))
def test_one_patient_changes_the_sum_by_no_more_than_the_sensitivity(data, rows_each):
    question = asks("cumulative-incidence-private", replace(SCHEMA, rows_per_patient=rows_each), group="arm")
    owners = np.array(["a", "b", "b", "b", "c"] if rows_each > 1 else list("abcde"), dtype=object)

    def column(values, kind=float):
        return np.array(data.draw(st.lists(values, min_size=5, max_size=5)), dtype=kind)

    columns = {
        "years": column(st.floats(-1e9, 1e9) | st.just(np.nan)),
        "relapsed": column(st.sampled_from([0.0, 1.0, 2.0, np.nan])),
        "died": column(st.sampled_from([0.0, 1.0, np.nan])),
        "arm": column(st.sampled_from(["x", "y", "z", "", "q"]), object),
    }

    def steps(kept):
        own = {name: values[kept] for name, values in columns.items()}
        with np.errstate(all="raise"):
            added = question.contribution(own, np.zeros(0), Patients(owners[kept], b"key"))
        return question.layout.quantise(added).view(np.int64).astype(float)

    change = steps(np.ones(5, bool)) - steps(owners != "b")
    assert np.sqrt((change**2).sum()) <= question.sensitivity


@pytest.mark.parametrize("analysis", sorted(FORMS))
@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"competing": "relapsed"}, InvalidPlan),
        ({"competing": "nobody"}, NotFound),
        ({"competing": "age"}, InvalidInput),
        ({"competing": ""}, InvalidInput),
        ({"step": "0"}, InvalidInput),
        ({"at": "11"}, InvalidPlan),
        ({"event": "arm"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(analysis, typed, error):
    with pytest.raises(error) as caught:
        FORMS[analysis].from_options(TYPED | {"step": "0.25"} | typed, SCHEMA)
    assert caught.value.hint


def test_without_a_competing_event_it_is_another_question():
    with pytest.raises(InvalidInput) as caught:
        CumulativeIncidence.from_options({"time": "years", "event": "died"}, SCHEMA)
    assert "kaplan-meier" in caught.value.hint


@pytest.mark.parametrize("analysis", sorted(FORMS))
def test_a_plan_of_another_schema_is_refused(analysis):
    other = replace(SCHEMA, fields=tuple(replace(f, title="Other") if f.name == "died" else f for f in SCHEMA.fields))
    with pytest.raises(InvalidPlan):
        asks(analysis).check_against(other)
