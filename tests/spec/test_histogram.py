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
from synthema_core.analyses.base import Patients, Rows, Sums
from synthema_core.analyses.descriptive.histogram import Histogram
from synthema_core.canonical import canonical
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_core.privacy.bounding import Bounding
from synthema_core.schemas import Field, Kind, Schema
from synthema_core.secure_sum.layout import Floats, Layout

ONE_ROW = {"rows_per_patient", "cells_per_patient", "cuts_counted"}
A_PATIENT = 2.0**16
"""In ring steps."""
NOTHING = np.zeros(0)
VISITS = Schema(
    "visits",
    (
        Field("patient", Kind.IDENTIFIER),
        Field("drug", Kind.CATEGORY, codes=tuple((code, code) for code in "abcdef")),
        Field("age", Kind.NUMBER, unit="years", minimum=0, maximum=100),
    ),
    "patient",
    rows_per_patient=4,
)


def counts(result):
    return [cell["count"] for cell in result["cells"]]


def alone(question: Histogram, rows: Rows) -> Floats:
    """What these rows add, each of another patient."""
    return question.contribution(rows, NOTHING, Patients.one_a_row(rows))


def of_visits(question: Histogram, visits: list[tuple[str, str]], key: bytes = b"a key") -> Floats:
    """What these (patient, drug) add."""
    patients, drugs = (np.array(column, dtype=object) for column in zip(*visits, strict=True))
    return question.contribution({"drug": drugs}, NOTHING, Patients(patients, key))


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
    before = alone(question, {column: np.array(values)})
    after = alone(question, {column: np.array([*values, extra])})
    assert np.linalg.norm(after - before) * A_PATIENT <= question.sensitivity == A_PATIENT
    assert before.sum() <= len(values)


@settings(max_examples=50, deadline=None)
@given(codes=st.lists(st.sampled_from(["1", "2", "3", "", "9"]), max_size=30), extra=st.sampled_from(["1", "", "9"]))
def test_unknown_and_missing_codes_count_nowhere(schema, codes, extra):
    question = Histogram.from_options({"column": "disease"}, schema)
    before = alone(question, {"disease": np.array(codes, dtype=object)})
    after = alone(question, {"disease": np.array([*codes, extra], dtype=object)})
    assert before.tolist() == [codes.count("1"), codes.count("2"), codes.count("3")]
    assert np.abs(after - before).sum() == (1 if extra == "1" else 0)


def test_more_patients_than_the_bound_are_clipped_not_refused(schema, monkeypatch):
    monkeypatch.setattr("synthema_core.analyses.descriptive.histogram._MOST_PATIENTS", 100.0)
    question = Histogram.from_options({}, schema)
    contribution = alone(question, {"t2": np.ones(101)})
    assert question.layout.quantise(contribution).tolist() == [100 * A_PATIENT]


def test_intervals_tell_the_noise_and_counts_are_not_clamped(schema):
    question = Histogram.from_options({"column": "disease", "confidence": "0.9"}, schema)
    result = question.advance(
        None, Sums({"cells": np.array([-3.0, 10.0, 2.0])}, 4, noise_variance=(3 * A_PATIENT) ** 2)
    ).result
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
        result = question.advance(None, Sums({"cells": noisy}, 4, noise_variance=(5 * A_PATIENT) ** 2)).result
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
        without = {key: value for key, value in parameters.items() if key != part}
        for wrong in ({**parameters, part: 7.5}, *([] if part in ONE_ROW else [without])):
            with pytest.raises(InvalidPlan):
                Histogram.from_parameters(wrong)
    with pytest.raises(InvalidPlan):
        Histogram.from_parameters({**parameters, "more": 1})


def test_plans_from_before_patients_had_several_rows_are_read(schema):
    question = Histogram.from_options({"column": "disease"}, schema)
    before = {key: value for key, value in question.parameters().items() if key not in ONE_ROW}
    assert analyses.from_plan("histogram", before) == question


def test_cells_that_are_not_the_schemas_are_refused(schema):
    ages = Histogram.from_options({"column": "z1"}, schema)
    groups = Histogram.from_options({"column": "disease"}, schema)
    for other in (
        replace(ages, edges=(0.0, 90.0)),
        replace(ages, edges=(10.0, 20.0)),
        replace(ages, missing=True),
        replace(groups, column=replace(groups.column, levels=groups.column.levels[:2])),
        replace(Histogram.from_options({}, schema), counted="z1"),
        replace(groups, bounding=Bounding(2, 1)),
    ):
        with pytest.raises(InvalidInput):
            other.check_against(schema)


# Several rows a patient


def drugs(**typed: str) -> Histogram:
    options = {"column": "drug", **{name.replace("_", "-"): value for name, value in typed.items()}}
    question = Histogram.from_options(options, VISITS)
    question.check_against(VISITS)
    assert analyses.from_plan("histogram", question.parameters()) == question
    return question


def test_patients_are_counted_and_not_their_rows():
    question = drugs()
    assert of_visits(question, [("p1", "a"), ("p1", "a"), ("p1", "b"), ("p2", "a")]).tolist() == [2, 1, 0, 0, 0, 0]
    assert question.sensitivity == 2 * A_PATIENT  # four cells
    assert question.advance(None, Sums({"cells": np.zeros(6)}, 3)).result["total"] is None


def test_what_the_schema_allows_is_kept_and_costs_nothing_more():
    assert [block.name for block in drugs().layout.blocks] == ["cells"]
    assert [block.name for block in drugs(cells_per_patient="4").layout.blocks] == ["cells"]
    assert [block.name for block in drugs(rows_per_patient="3").layout.blocks] == ["cells", "cut"]
    everybody = Histogram.from_options({}, VISITS)
    assert (everybody.bounding.cells_per_patient, everybody.sensitivity) == (1, A_PATIENT)


def test_patients_for_whom_something_was_cut_are_counted_at_little_cost():
    question = drugs(cells_per_patient="1")
    added = of_visits(question, [("p1", "a"), ("p1", "b"), ("p1", "c"), ("p2", "a"), ("p2", "a"), ("p3", "d")])
    assert (added[:6].sum(), added[6]) == (3, 1)
    assert A_PATIENT < question.sensitivity < 1.04 * A_PATIENT
    for cells in "1234":
        asked = drugs(rows_per_patient="4", cells_per_patient=cells)
        assert asked.sensitivity <= 1.04 * A_PATIENT * int(cells) ** 0.5


def test_a_result_says_how_many_were_cut_with_its_noise():
    question = drugs(cells_per_patient="1", confidence="0.9")
    blocks = {"cells": np.zeros(6), "cut": np.array([12.4])}
    told = question.advance(None, Sums(blocks, 4, noise_variance=A_PATIENT**2)).result["bounding"]
    assert told["statement"] == "Each patient counts once, by at most 4 rows. About 12 (± 7) patients had values cut."
    assert told["cut"]["noise_standard_deviation"] == 4
    assert told["cut"]["upper"] == pytest.approx(12.4 + 4 * norm.ppf(0.95))
    whole = drugs().advance(None, Sums({"cells": np.zeros(6)}, 4)).result["bounding"]
    assert whole["statement"] == "Each patient counts in up to 4 cells, by at most 4 rows; nothing was cut."
    assert whole["cut"] is None


@pytest.mark.parametrize(
    "typed",
    [{"rows-per-patient": "5"}, {"rows-per-patient": "0"}, {"rows-per-patient": "1.5"}, {"cells-per-patient": "5"},
     {"rows-per-patient": "2", "cells-per-patient": "3"}],
)  # fmt: skip
def test_no_more_is_used_than_the_schema_allows(typed):
    with pytest.raises(InvalidInput, match="takes a whole number from 1 to"):
        Histogram.from_options({"column": "drug", **typed}, VISITS)


@pytest.mark.parametrize("analysis", ["kaplan-meier", "cox"])
def test_exact_analyses_refuse_several_rows_a_patient(analysis):
    with pytest.raises(InvalidInput, match=r"in 'visits' a patient may have 4 rows\."):
        analyses.find(analysis).from_options({"time": "age", "event": "drug"}, VISITS)
