"""A private table of two categories: its counts add up, its tests know the noise, and nobody adds more than one."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import Table2x2

from support.invented_registry import SCHEMA, drawn
from support.noisy_sums import release
from synthema_core import analyses
from synthema_core.analyses.base import Patients
from synthema_core.analyses.descriptive.crosstab_private import PrivateCrosstab
from synthema_core.analyses.descriptive.noisy_contingency import effects, independence
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound
from synthema_kernel.figures import crosstab as figure
from synthema_kernel.tables import crosstab as tables

PATIENT = 2.0**16


def asks(schema: Any = SCHEMA, **typed: str) -> PrivateCrosstab:
    question = PrivateCrosstab.from_options({"rows": "arm", "columns": "remission"} | typed, schema)
    question.check_against(schema)
    assert analyses.from_plan("crosstab-private", question.parameters()) == question
    return question


def third(rows: Any, place: int) -> Any:
    return {name: column[place::3] for name, column in rows.items()}


@pytest.fixture(scope="module")
def rows() -> Any:
    return drawn(np.random.default_rng(1), 3000)


def test_with_next_to_no_noise_it_is_the_table_with_its_tests(rows):
    result = release(asks(rows="male"), [third(rows, place) for place in range(3)], 1.0, np.random.default_rng(1))
    expected = pd.crosstab(rows["male"], rows["remission"]).to_numpy()
    assert result["counts"] == expected.tolist()
    assert [level["patients"] for level in result["columns"]["levels"]] == expected.sum(0).tolist()
    assert (result["total"], result["left_out"]) == (3000, 0)
    plain = stats.chi2_contingency(expected, correction=False)
    assert result["tests"]["chi_square"]["statistic"] == pytest.approx(plain.statistic, rel=1e-3)
    assert result["tests"]["chi_square"]["p"] == pytest.approx(plain.pvalue, abs=0.03)
    known = Table2x2(expected)
    low, high = known.oddsratio_confint()
    told = result["effects"]["odds_ratio"]
    assert (told["value"], told["lower"], told["upper"]) == pytest.approx((known.oddsratio, low, high), rel=0.01)


def test_what_is_shown_adds_up_and_is_never_below_none(rows):
    for seed in range(20):
        dice = np.random.default_rng(seed)
        few = {name: column[:90] for name, column in rows.items()}
        result = release(asks(missing="yes"), [third(few, place) for place in range(3)], 20 * PATIENT, dice)
        counts = np.array(result["counts"])
        assert counts.min() >= 0
        assert counts.sum() == result["total"]
        assert counts.sum(1).tolist() == [level["patients"] for level in result["rows"]["levels"]]
        assert counts.sum(0).tolist() == [level["patients"] for level in result["columns"]["levels"]]
        ElementTree.fromstring(figure.draw(result))
        assert all(table.rows for table in tables.tables(result))


def test_where_all_may_be_noise_there_is_no_test(rows):
    few = {name: column[:30] for name, column in rows.items()}
    noisy = release(
        asks(rows="male"), [third(few, place) for place in range(3)], 30 * PATIENT, np.random.default_rng(2)
    )
    assert noisy["tests"] is None
    assert noisy["effects"] is None
    assert any("there is no test" in note for note in tables.notes(noisy))


def test_a_trend_is_told_where_one_side_has_two_levels():
    rising = np.array([[90.0, 10.0], [80.0, 20.0], [60.0, 40.0]])
    told = independence(rising, 1.0)
    assert told["trend"]["p"] < 0.001 and told["trend"]["z"] > 4
    turned = independence(rising.T, 1.0)
    assert turned["trend"]["z"] == pytest.approx(told["trend"]["z"])
    assert independence(rising[:2], 1.0)["trend"] is None


def test_cells_are_weighed_by_all_of_their_variance():
    table = np.array([[400.0, 100.0], [300.0, 200.0]])
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    told = independence(table, 15.0)["chi_square"]["statistic"]
    assert told == pytest.approx(((table - expected) ** 2 / (expected + 15.0**2)).sum())


def test_more_noise_is_wider():
    table = np.array([[400.0, 100.0], [300.0, 200.0]])
    quiet, loud = (effects(table, deviation, 0.95)["odds_ratio"] for deviation in (0.0, 20.0))
    assert loud["lower"] < quiet["lower"] < quiet["value"] < quiet["upper"] < loud["upper"]


def test_a_risk_that_noise_puts_at_nothing_has_no_ratio():
    told = effects(np.array([[400.0, -3.0], [300.0, 200.0]]), 5.0, 0.95)
    assert told["odds_ratio"] == told["risk_ratio"] == {"value": None, "lower": None, "upper": None}
    assert told["risk_difference"]["lower"] < 0.4 < told["risk_difference"]["upper"]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), missing=st.sampled_from(["yes", "no"]))
def test_one_patient_changes_the_sum_by_no_more_than_the_sensitivity(data, missing):
    several = replace(SCHEMA, rows_per_patient=4)
    question = asks(several, missing=missing)
    owners = np.array(["a", "b", "b", "b", "c"], dtype=object)
    columns = {
        "arm": np.array(data.draw(st.lists(st.sampled_from(["x", "y", "z", "", "q"]), min_size=5, max_size=5)), object),
        "remission": np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=5, max_size=5))),
    }

    def steps(kept):
        own = {name: column[kept] for name, column in columns.items()}
        added = question.contribution(own, np.zeros(0), Patients(owners[kept], b"key"))
        return question.layout.quantise(added).view(np.int64).astype(float)

    change = steps(np.ones(5, bool)) - steps(owners != "b")
    assert 0 < np.sqrt((change**2).sum()) <= question.sensitivity


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"rows": "arm", "columns": "arm"}, InvalidInput),
        ({"rows": "arm"}, InvalidInput),
        ({"rows": "arm", "columns": "age"}, InvalidInput),
        ({"rows": "arm", "columns": "nobody"}, NotFound),
        ({"rows": "arm", "columns": "died", "missing": "perhaps"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(typed, error):
    with pytest.raises(error) as caught:
        PrivateCrosstab.from_options(typed, SCHEMA)
    assert caught.value.hint


def test_a_plan_of_another_schema_is_refused():
    for other in (replace(SCHEMA, rows_per_patient=2), replace(SCHEMA, fields=SCHEMA.fields[:3])):
        with pytest.raises((InvalidPlan, NotFound)):
            asks().check_against(other)
