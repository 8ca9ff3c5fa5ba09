"""The histogram counts each patient once, tells its noise, and never refuses because of rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from synthema_core import analyses
from synthema_core.analyses.base import Sums
from synthema_core.analyses.histogram import Histogram
from synthema_core.canonical import canonical
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_core.secure_sum.layout import Layout


def counts(result):
    return [cell["count"] for cell in result["cells"]]


def test_a_category_is_counted_by_code(bmt, schema, fed):
    result = fed.run(Histogram.from_options({"column": "disease"}, schema), fed.split(bmt, bmt["z9"]))
    assert [cell["label"] for cell in result["cells"]] == ["ALL", "AML low", "AML high"]
    assert counts(result) == [38, 54, 45]
    assert result["total"]["count"] == 137
    assert result["column"] == {"column": "disease", "label": "Disease", "unit": ""}


def test_a_boolean_has_two_cells(bmt, schema, fed):
    result = fed.run(Histogram.from_options({"column": "z10"}, schema), fed.split(bmt, bmt["z9"]))
    assert [(cell["label"], cell["count"]) for cell in result["cells"]] == [("no", 97), ("yes", 40)]


def test_without_a_column_all_patients_are_counted(bmt, schema, fed):
    question = Histogram.from_options({}, schema)
    result = fed.run(question, fed.split(bmt, bmt["z9"]))
    assert (result["column"], counts(result)) == (None, [137])
    assert question.columns == ("t2",)  # not the patients' pseudonyms


@pytest.mark.parametrize("bins", [1, 4, 10, 37])
def test_bins_of_a_number_equal_numpys(bmt, schema, fed, bins):
    result = fed.run(Histogram.from_options({"column": "z1", "bins": str(bins)}, schema), fed.split(bmt, bmt["z9"]))
    assert counts(result) == np.histogram(bmt["z1"], bins=bins, range=(0, 80))[0].tolist()


def test_edges_are_completed_to_the_schemas_range(bmt, schema, fed):
    result = fed.run(Histogram.from_options({"column": "z1", "edges": "20, 40"}, schema), [fed.rows(bmt)])
    assert [(cell["low"], cell["high"]) for cell in result["cells"]] == [(0, 20), (20, 40), (40, 80)]
    assert counts(result) == np.histogram(bmt["z1"], bins=[0, 20, 40, 80])[0].tolist()


def test_missing_values_have_a_cell_where_the_schema_allows_them(schema, fed):
    table = pd.DataFrame({"ferritin": [0.0, 4999.0, 5000.0, np.nan, np.nan]})
    result = fed.run(Histogram.from_options({"column": "ferritin", "bins": "2"}, schema), [fed.rows(table)])
    assert [(cell["label"], cell["count"]) for cell in result["cells"]] == [
        ("0 to 2500", 1), ("2500 to 5000", 2), ("missing", 2),
    ]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(float("nan")), st.just(float("inf"))), max_size=30),
    extra=st.one_of(st.floats(-1e9, 1e9), st.just(float("nan"))),
    column=st.sampled_from(["z1", "ferritin", "z8"]),
)
def test_one_patient_changes_one_cell_by_one(schema, values, extra, column):
    """Whatever a row holds: the noise is calibrated to this sensitivity."""
    question = Histogram.from_options({"column": column}, schema)
    before = question.contribution({column: np.array(values)}, np.zeros(0))
    after = question.contribution({column: np.array([*values, extra])}, np.zeros(0))
    assert np.linalg.norm(after - before) <= question.sensitivity == 1
    assert before.sum() <= len(values)


@settings(max_examples=50, deadline=None)
@given(codes=st.lists(st.sampled_from(["1", "2", "3", "", "9"]), max_size=30), extra=st.sampled_from(["1", "", "9"]))
def test_unknown_and_missing_codes_count_nowhere(schema, codes, extra):
    question = Histogram.from_options({"column": "disease"}, schema)
    before = question.contribution({"disease": np.array(codes, dtype=object)}, np.zeros(0))
    after = question.contribution({"disease": np.array([*codes, extra], dtype=object)}, np.zeros(0))
    assert before.tolist() == [codes.count("1"), codes.count("2"), codes.count("3")]
    assert np.abs(after - before).sum() == (1 if extra == "1" else 0)


def test_more_patients_than_the_bound_are_clipped_not_refused(schema):
    question = Histogram.from_options({}, schema)
    crowd = np.broadcast_to(np.float64(1), 10_000_001)
    contribution = question.contribution({"t2": crowd}, np.zeros(0))
    assert question.layout.quantise(contribution).tolist() == [10_000_000]


def test_intervals_tell_the_noise_and_counts_are_not_clamped(schema):
    question = Histogram.from_options({"column": "disease", "confidence": "0.9"}, schema)
    result = question.advance(None, Sums({"cells": np.array([-3.0, 10.0, 2.0])}, 4, noise_variance=9.0)).result
    reach = norm.ppf(0.95) * 3
    assert result["noise_standard_deviation"] == 3
    assert counts(result) == [-3, 10, 2]
    assert [cell["shown"] for cell in result["cells"]] == [0, 10, 2]
    assert [cell["lower"] for cell in result["cells"]] == pytest.approx([-3 - reach, 10 - reach, 2 - reach])
    assert [cell["upper"] for cell in result["cells"]] == pytest.approx([-3 + reach, 10 + reach, 2 + reach])
    total = result["total"]
    assert total["count"] == 9
    assert (total["lower"], total["upper"]) == pytest.approx((9 - reach * 3**0.5, 9 + reach * 3**0.5))


def test_intervals_cover_as_often_as_they_say(schema):
    generator = np.random.default_rng(4)
    question = Histogram.from_options({"column": "disease"}, schema)
    covered = []
    for _ in range(2000):
        noisy = np.array([20.0, 5.0, 0.0]) + np.rint(generator.normal(0, 5, 3))
        result = question.advance(None, Sums({"cells": noisy}, 4, noise_variance=25.0)).result
        covered += [c["lower"] <= t <= c["upper"] for c, t in zip(result["cells"], (20, 5, 0), strict=True)]
    assert 0.93 < np.mean(covered) < 0.97


def test_a_site_refuses_any_input(schema):
    with pytest.raises(Refused):
        Histogram.from_options({}, schema).check_input(np.zeros(3))


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"column": "age"}, NotFound),
        ({"column": "patient"}, InvalidInput),
        ({"bins": "3"}, InvalidInput),
        ({"column": "disease", "bins": "3"}, InvalidInput),
        ({"column": "z1", "bins": "0"}, InvalidInput),
        ({"column": "z1", "bins": "2.5"}, InvalidInput),
        ({"column": "z1", "bins": "1e9"}, InvalidInput),
        ({"column": "z1", "edges": "40,20"}, InvalidInput),
        ({"column": "z1", "edges": "20,20"}, InvalidInput),
        ({"column": "z1", "edges": "20,900"}, InvalidInput),
        ({"column": "z1", "edges": "a,b"}, InvalidInput),
        ({"column": "z1", "edges": "20", "bins": "3"}, InvalidInput),
        ({"column": "z1", "epsilon": "1"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(schema, typed, error):
    with pytest.raises(error) as caught:
        Histogram.from_options(typed, schema)
    assert caught.value.hint


@pytest.mark.parametrize(
    "typed",
    [{}, {"column": "disease"}, {"column": "z8"}, {"column": "z1", "bins": "7"}, {"column": "z1", "edges": "18,65"},
     {"column": "ferritin"}],
)  # fmt: skip
def test_parameters_come_back_and_nothing_else_is_read(schema, typed):
    question = Histogram.from_options(typed, schema)
    parameters = question.parameters()
    assert analyses.from_plan("histogram", parameters) == question
    question.check_against(schema)
    assert canonical(Layout.from_list(question.layout.to_list()).to_list()) == canonical(question.layout.to_list())
    for part in parameters:
        for wrong in ({**parameters, part: 7}, {key: value for key, value in parameters.items() if key != part}):
            with pytest.raises(InvalidPlan):
                Histogram.from_parameters(wrong)
    with pytest.raises(InvalidPlan):
        Histogram.from_parameters({**parameters, "more": 1})


def test_cells_that_are_not_the_schemas_are_refused(schema):
    ages = Histogram.from_options({"column": "z1"}, schema)
    groups = Histogram.from_options({"column": "disease"}, schema)
    for other in (
        replace(ages, edges=(0.0, 90.0)),
        replace(ages, edges=(10.0, 20.0)),
        replace(ages, missing=True),
        replace(groups, column=replace(groups.column, levels=groups.column.levels[:2])),
        replace(Histogram.from_options({}, schema), counted="z1"),
    ):
        with pytest.raises(InvalidInput):
            other.check_against(schema)
