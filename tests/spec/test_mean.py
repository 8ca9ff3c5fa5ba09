"""The mean equals numpy's where there is no noise, counts each patient once, and says all that makes it uncertain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from synthema_core import analyses
from synthema_core.analyses.base import Patients, Sums
from synthema_core.analyses.descriptive.mean import Mean
from synthema_core.canonical import canonical
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_core.schemas import Field, Kind, Schema

NOTHING = np.zeros(0)
STEPS = 2.0**20
VISITS = Schema(
    "visits",
    (Field("patient", Kind.IDENTIFIER), Field("weight", Kind.NUMBER, "Weight", "kg", 0, 200)),
    "patient",
    rows_per_patient=5,
)


def means(schema, **typed):
    question = Mean.from_options({name.replace("_", "-"): value for name, value in typed.items()}, schema)
    question.check_against(schema)
    assert analyses.from_plan("mean", question.parameters()) == question
    return question


def test_it_is_the_mean_over_all_sites(bmt, schema, fed):
    result = fed.run(means(schema, column="z1"), fed.split(bmt, bmt["z9"]))
    assert result["mean"]["value"] == pytest.approx(bmt["z1"].mean(), abs=1e-4)
    assert result["spread"]["value"] == pytest.approx(bmt["z1"].std(ddof=0), abs=1e-3)
    assert result["patients"]["count"] == 137
    assert result["column"] == {"column": "z1", "label": "Patient age", "unit": "years"}
    assert result["bounding"]["statement"] == (
        "Each patient counts once, with values from 0 to 80 years; nothing was cut."
    )


def test_without_noise_the_interval_is_students(bmt, schema, fed):
    for few in (8, 20, 137):
        table = bmt.head(few)
        told = fed.run(means(schema, column="z1"), [fed.rows(table)])["mean"]
        reach = t.ppf(0.975, few - 1) * table["z1"].std() / math.sqrt(few)
        assert (told["upper"] - told["lower"]) / 2 == pytest.approx(reach, rel=0.25 if few < 10 else 0.05)
        assert told["noise"] == 0


def test_values_beyond_the_clip_are_moved_to_it_and_their_patients_counted(bmt, schema, fed):
    result = fed.run(means(schema, column="z1", clip="20,40"), fed.split(bmt, bmt["z9"]))
    assert result["mean"]["value"] == pytest.approx(bmt["z1"].clip(20, 40).mean(), abs=1e-4)
    outside = int(((bmt["z1"] < 20) | (bmt["z1"] > 40)).sum())
    assert result["bounding"]["cut"]["count"] == outside
    assert f"About {outside} (± 0) patients had values cut." in result["bounding"]["statement"]


def test_patients_without_a_value_are_not_counted(schema, fed):
    table = pd.DataFrame({"ferritin": [100.0, np.nan, 300.0, np.nan]})
    result = fed.run(means(schema, column="ferritin"), [fed.rows(table)])
    assert result["mean"]["value"] == pytest.approx(200, abs=0.01)
    assert result["patients"]["count"] == 2


def test_a_patient_with_many_visits_counts_once():
    question = means(VISITS, column="weight")
    patients = Patients(np.array(["often", "often", "often", "once"], dtype=object), b"a key")
    added = question.contribution({"weight": np.array([80.0, 90.0, 100.0, 50.0])}, NOTHING, patients)
    sums = question.layout.dequantise(question.layout.quantise(added))
    result = question.advance(None, Sums(sums, 3)).result
    assert result["mean"]["value"] == pytest.approx(70, abs=1e-3)
    assert "by the mean of at most 5 rows" in result["bounding"]["statement"]


def test_the_standard_deviation_is_free_and_a_cut_costs_little(schema):
    """Count and sum alone would have this sensitivity."""
    assert means(schema, column="z1").sensitivity == pytest.approx(math.sqrt(1.25) * STEPS)
    assert means(schema, column="z1", clip="20,60").sensitivity < 1.03 * math.sqrt(1.25) * STEPS
    widest = means(schema, column="z1")
    for value in (*np.linspace(0, 80, 161), 40 + 40 / STEPS, 40 - 40 / STEPS, 80 - 40 / STEPS):
        rows = {"z1": np.array([value])}
        added = widest.layout.quantise(widest.contribution(rows, NOTHING, Patients.one_a_row(rows)))
        count, total, spread = added.view(np.int64).tolist()
        assert count == STEPS / 2
        assert total**2 + spread**2 <= 4**20, "in whole numbers, where a single step too much shows"


def noisy(question, count, total, complement, deviation=0.0):
    """A result of sums in units, with so much noise in a sum of values."""
    blocks = {"count": count, "sum": total, "spread": complement, "cut": 0.0}
    sums = {block.name: np.array([float(blocks[block.name])]) for block in question.layout.blocks}
    result = question.advance(None, Sums(sums, 3, noise_variance=(deviation * STEPS) ** 2)).result
    canonical(result)
    return result


def test_more_noise_is_a_wider_interval_up_to_all_that_can_be(schema):
    question = means(schema, column="z1")
    widths = []
    for deviation in (0.0, 1.0, 5.0, 20.0):
        told = noisy(question, 100, 10, 90, deviation)["mean"]
        assert told["lower"] <= told["value"] <= told["upper"]
        assert told["value"] == pytest.approx(44)
        assert told["noise"] == pytest.approx(40 * deviation * math.hypot(1, 0.1 * 2) / 100)
        widths.append(told["upper"] - told["lower"])
    assert widths == sorted(widths)


@pytest.mark.parametrize(("count", "deviation"), [(0.0, 0.0), (-12.5, 5.0), (1e-9, 5.0), (19.0, 5.0), (0.0, 5.0)])
def test_where_noise_may_hide_all_patients_nothing_is_claimed(schema, count, deviation):
    result = noisy(means(schema, column="z1"), count, 3, -2, deviation)
    assert (result["mean"]["lower"], result["mean"]["upper"]) == (0, 80)
    assert {result["mean"]["value"], result["spread"]["value"], result["mean"]["noise"]} == {None}
    assert result["patients"]["count"] == count


def test_noise_beyond_what_values_can_be_is_held_to_the_range(schema):
    result = noisy(means(schema, column="z1"), 20, 60, -20, 5.0)
    assert 0 <= result["mean"]["lower"] <= result["mean"]["value"] == 80 == result["mean"]["upper"]
    assert 0 <= result["spread"]["lower"] <= result["spread"]["value"] <= result["spread"]["upper"] <= 40


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({}, InvalidInput),
        ({"column": "age"}, NotFound),
        ({"column": "disease"}, InvalidInput),
        ({"column": "d3"}, InvalidInput),
        ({"column": "patient"}, InvalidInput),
        ({"column": "z1", "clip": "20"}, InvalidInput),
        ({"column": "z1", "clip": "20,30,40"}, InvalidInput),
        ({"column": "z1", "clip": "40,20"}, InvalidInput),
        ({"column": "z1", "clip": "-1,20"}, InvalidInput),
        ({"column": "z1", "clip": "20,81"}, InvalidInput),
        ({"column": "z1", "clip": "a,b"}, InvalidInput),
        ({"column": "z1", "rows-per-patient": "2"}, InvalidInput),
        ({"column": "z1", "bins": "2"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(schema, typed, error):
    with pytest.raises(error) as caught:
        Mean.from_options(typed, schema)
    assert caught.value.hint


@pytest.mark.parametrize("typed", [{"column": "z1"}, {"column": "ferritin", "clip": "50,500.5", "confidence": "0.9"}])
def test_nothing_else_is_read_than_was_written(schema, typed):
    parameters = means(schema, **typed).parameters()
    for part in parameters:
        for wrong in ({**parameters, part: 7.5}, {key: value for key, value in parameters.items() if key != part}):
            with pytest.raises(InvalidPlan):
                Mean.from_parameters(wrong)


def test_a_clip_that_is_not_the_schemas_or_hides_its_cuts_is_refused(schema):
    ages = means(schema, column="z1", clip="20,60")
    for other in (replace(ages, cuts=False), replace(means(schema, column="z1"), cuts=True)):
        with pytest.raises(InvalidPlan):
            other.check_against(schema)
    for other in (replace(ages, high=90.0), replace(ages, rows_per_patient=3)):
        with pytest.raises(InvalidInput):
            other.check_against(schema)


def test_a_site_refuses_any_input(schema):
    with pytest.raises(Refused):
        means(schema, column="z1").check_input(np.zeros(3))
