"""Private proportional hazards are Cox's where there is no noise, and bound what a patient adds, whatever is asked."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg

from support.invented_registry import QUESTIONS, SCHEMA, drawn
from support.noisy_sums import release
from synthema_core import analyses
from synthema_core.analyses.base import Patients
from synthema_core.analyses.private_regression.covariates import Frame
from synthema_core.analyses.private_regression.cox_private import PrivateCox
from synthema_core.analyses.private_regression.hazards import Observed
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, RoundFailed
from synthema_kernel.figures import glm as figure
from synthema_kernel.tables import glm as tables


def asks(right="age + arm + male", schema=SCHEMA, **more):
    question = PrivateCox.from_options({"time": "years", "event": "died", "formula": right, **more}, schema)
    question.check_against(schema)
    assert analyses.from_plan("cox-private", question.parameters()) == question
    return question


def third(rows, place):
    return {name: column[place::3] for name, column in rows.items()}


@pytest.fixture(scope="module")
def cohort():
    return drawn(np.random.default_rng(3), 15_000)


def test_with_next_to_no_noise_it_is_the_pooled_cox_model(cohort):
    """Up to what it costs that patients are followed until one event is expected of them."""
    question = PrivateCox.from_options(QUESTIONS["hazards"][1], SCHEMA)
    result = release(question, [third(cohort, place) for place in range(3)], 1.0, np.random.default_rng(1))
    x = np.column_stack([cohort["age"], cohort["wbc"], cohort["arm"] == "y", cohort["arm"] == "z", cohort["male"]])
    pooled = PHReg(cohort["years"], x.astype(float), status=cohort["died"]).fit()
    assert result["patients"] == 15_000
    for own, value, error in zip(result["terms"], pooled.params, pooled.bse, strict=True):
        assert abs(own["coefficient"] - value) < 1.5 * error
        assert error < own["standard_error"] < 1.6 * error
        assert own["effect"] == pytest.approx(np.exp(own["coefficient"]))
        assert own["noise_share"] < 0.01
    ElementTree.fromstring(figure.draw(result))
    assert all(table.rows for table in tables.tables(result))
    assert [record["name"] for record in tables.records(result)] == [term["name"] for term in result["terms"]]


def test_the_baseline_is_the_hazard_of_an_average_patient():
    """A hazard of 0.1 a year, then of 0.3: no covariate has an effect."""
    dice = np.random.default_rng(5)
    rows = drawn(dice, 12_000)
    early, late = dice.exponential(10, 12_000), 2.5 + dice.exponential(1 / 0.3, 12_000)
    dies = np.where(early < 2.5, early, late)
    rows["years"], rows["died"] = np.minimum(dies, 10.0), (dies < 10).astype(float)
    result = release(asks("age + male"), [third(rows, place) for place in range(3)], 100.0, dice)
    ends = [step["to"] for step in result["baseline"]]
    assert ends == [0.3125, 0.625, 1.25, 2.5, 5.0, 10.0]
    for step in result["baseline"]:
        assert step["lower"] < step["hazard"] < step["upper"]
        assert step["hazard"] == pytest.approx(0.1 if step["to"] <= 2.5 else 0.3, rel=0.25)


def test_an_event_is_in_the_step_in_which_it_happens():
    ends = np.array([1.0, 2.0, 4.0])
    times, died = np.array([0.0, 1.0, 1.5, 4.0, 5.0]), np.array([1.0, 1.0, 1.0, 1.0, 1.0])
    observed = Observed.until(times, died, np.zeros((5, 1)), ends)
    assert observed.events.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert observed.exposure.tolist() == [[0, 0, 0], [1, 0, 0], [1, 0.5, 0], [1, 1, 1], [1, 1, 1]]


def test_nobody_is_followed_beyond_one_expected_event():
    observed = Observed.until(np.array([4.0, 4.0]), np.array([1.0, 0.0]), np.zeros((2, 1)), np.array([1.0, 2.0, 4.0]))
    parts = observed.scores(Frame.plain(1), np.log([0.4, 0.4, 0.4, 1.0]))
    left = np.array([-0.4, -0.4, -0.2, 0.0]) / np.sqrt(2)
    assert parts.score == pytest.approx(np.array([left, left])), "the event is after they were"


@settings(max_examples=150, deadline=None)
@given(data=st.data(), first=st.booleans())
def test_whatever_is_asked_one_patient_changes_the_sum_by_no_more_than_the_sensitivity(data, first):
    question = asks()
    size = len(question.begin().input)
    numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, -1.0, 1e6, -1e6, 1e-300]))
    asked = np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)))
    asked[0], asked[1:3] = float(first), np.maximum(np.abs(asked[1:3]), 1e-300)
    question.check_input(asked)
    odd = st.floats(-1e9, 1e9) | st.just(np.nan)

    def column(values):
        return data.draw(st.lists(values, min_size=3, max_size=3))

    rows = {
        "age": np.array(column(odd)),
        "arm": np.array(column(st.sampled_from(["x", "y", "z", "", "q"])), dtype=object),
        "male": np.array(column(st.sampled_from([0.0, 1.0, np.nan]))),
        "years": np.array(column(odd)),
        "died": np.array(column(st.sampled_from([0.0, 1.0, 2.0, np.nan]))),
    }

    def steps(of):
        values = question.contribution(of, asked, Patients.one_a_row(of))
        return question.layout.quantise(values).view(np.int64).astype(float)

    with np.errstate(all="ignore"):
        change = steps(rows) - steps({name: values[:2] for name, values in rows.items()})
    assert np.sqrt((change**2).sum()) <= question.sensitivity


@pytest.mark.parametrize("epsilon_like", [2.0**15, 2.0**19, 2.0**22])
def test_two_covariates_that_are_one_have_no_estimate(cohort, epsilon_like):
    """Also where the noise is large enough to make them look like two."""
    twin = {**{name: column[:3000] for name, column in cohort.items()}, "wbc": cohort["age"][:3000] / 5}
    dice = np.random.default_rng(1)
    answered = 0
    for _ in range(10):
        try:
            release(asks("age + wbc"), [third(twin, place) for place in range(3)], epsilon_like, dice)
            answered += 1
        except RoundFailed as failure:
            assert "noise may hide" in str(failure)
    assert answered <= 2


def test_without_an_event_there_is_no_model(cohort):
    alive = {**cohort, "died": np.zeros_like(cohort["died"])}
    with pytest.raises(RoundFailed, match="noise may hide"):
        release(asks("age"), [third(alive, place) for place in range(3)], 2.0**22, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"event": "died", "formula": "age"}, InvalidInput),
        ({"time": "years", "event": "died"}, InvalidInput),
        ({"time": "years", "event": "died", "formula": "age", "covariates": "age"}, InvalidInput),
        ({"time": "years", "event": "died", "formula": "nobody"}, NotFound),
        ({"time": "years", "event": "died", "formula": "years"}, InvalidPlan),
        ({"time": "years", "event": "died", "formula": "age", "horizon": "0"}, InvalidPlan),
        ({"time": "years", "event": "died", "formula": "age", "robust": "yes"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(typed, error):
    with pytest.raises(error) as caught:
        PrivateCox.from_options(typed, SCHEMA)
    assert caught.value.hint


def test_a_plan_of_another_schema_is_refused():
    other_unit = replace(SCHEMA, fields=tuple(replace(f, unit="d") if f.name == "years" else f for f in SCHEMA.fields))
    older = replace(SCHEMA, fields=tuple(replace(f, maximum=90) if f.name == "age" else f for f in SCHEMA.fields))
    for other in (other_unit, older, replace(SCHEMA, rows_per_patient=3)):
        with pytest.raises(InvalidPlan):
            asks().check_against(other)
