"""The private Table 1 is the exact one where there is no noise, bounds each patient, and is plausible otherwise."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema_core import analyses
from synthema_core.analyses.base import Patients, Sums
from synthema_core.analyses.descriptive.noisy_tables import consistent, plausible
from synthema_core.analyses.descriptive.noisy_tree import Quantiles, Tree
from synthema_core.analyses.descriptive.summary_private import PrivateSummary
from synthema_core.canonical import canonical
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_core.schemas import Field, Kind, Schema
from synthema_kernel.figures import summary as figure
from synthema_kernel.tables import summary as tables

NOTHING = np.zeros(0)
A_PATIENT = 2.0**20
CODES = tuple((code, f"Level {code}") for code in "abc")
LABS = Schema(
    "labs",
    (
        Field("patient", Kind.IDENTIFIER),
        Field("age", Kind.NUMBER, "Age", "years", 0, 100),
        Field("blasts", Kind.NUMBER, "Blasts", "%", -3, 100, required=False),
        Field("kind", Kind.CATEGORY, "Kind", codes=CODES, required=False),
        Field("fit", Kind.BOOLEAN, "Fit"),
        Field("arm", Kind.CATEGORY, "Arm", codes=CODES, required=False),
    ),
    "patient",
)


def asks(schema=LABS, **typed):
    question = PrivateSummary.from_options({name.replace("_", "-"): value for name, value in typed.items()}, schema)
    question.check_against(schema)
    assert analyses.from_plan("summary-private", question.parameters()) == question
    return question


def variable(result, name):
    return next(part for part in result["variables"] if part["column"] == name)


def invented(patients, seed):
    dice = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": np.clip(dice.normal(55, 14, patients), 0, 100),
            "blasts": np.where(dice.random(patients) < 0.2, np.nan, dice.uniform(0, 100, patients)),
            "kind": dice.choice(["a", "b", "c", ""], patients).astype(object),
            "fit": (dice.random(patients) < 0.4).astype(float),
            "arm": dice.choice(["a", "b", "c", ""], patients, p=[0.4, 0.3, 0.2, 0.1]).astype(object),
        }
    )
    return table, dice.integers(0, 4, patients)


def noisy(question, sites, deviation, seed=0):
    """The result with so much noise, in patients, on each value of weight 1."""
    total = np.zeros(question.layout.length, dtype=np.uint64)
    for rows in sites:
        only = {name: rows[name] for name in question.columns}
        total += question.layout.quantise(question.contribution(only, NOTHING, Patients.one_a_row(only)))
    steps = np.rint(np.random.default_rng(seed).normal(0, deviation * A_PATIENT, len(total)))
    total += steps.astype(np.int64).view(np.uint64)
    result = question.advance(None, Sums(question.layout.dequantise(total), 3, (deviation * A_PATIENT) ** 2)).result
    canonical(result)
    return result


def test_without_noise_it_is_the_pooled_table(fed):
    table, site = invented(2000, 1)
    result = noisy(asks(by="arm"), fed.split(table, site), 0.0)
    kept = table[table["arm"] != ""]
    assert (result["patients"], result["without_group"]) == (len(kept), 2000 - len(kept))
    for place, part in enumerate([kept, *(kept[kept["arm"] == arm] for arm in "abc")]):
        for name in ("age", "blasts"):
            told = variable(result, name)
            own = (told["overall"], *told["groups"])[place]
            known = part[name].dropna()
            assert (own["n"], own["missing"]) == (len(known), len(part) - len(known))
            assert own["mean"] == pytest.approx(known.mean(), abs=1e-3)
            assert own["sd"] == pytest.approx(known.std(ddof=0), rel=1e-3)
            on_grid = np.floor(known / told["resolution"] + 0.5) * told["resolution"]
            expected = np.quantile(on_grid, result["quantiles"], method="inverted_cdf")
            assert own["quantiles"] == pytest.approx(expected)
        told = variable(result, "kind")
        own = (told["overall"], *told["groups"])[place]
        assert own["counts"] == [int((part["kind"] == level).sum()) for level in "abc"]
        assert own["missing"] == (part["kind"] == "").sum()
        assert own["proportions"] == pytest.approx([count / own["n"] for count in own["counts"]])


def steps_of(question, rows, patients=None):
    added = question.contribution(rows, NOTHING, patients or Patients.one_a_row(rows))
    return question.layout.quantise(added).view(np.int64).astype(object)


VALUES = {
    "age": st.floats(-10, 110),
    "blasts": st.one_of(st.just(np.nan), st.floats(-3, 100)),
    "kind": st.sampled_from(["a", "b", "c", "", "z"]),
    "fit": st.sampled_from([0.0, 1.0]),
    "arm": st.sampled_from(["a", "b", "c", ""]),
}


@settings(max_examples=200, deadline=None)
@given(values=st.fixed_dictionaries(VALUES), by=st.sampled_from([{}, {"by": "arm"}]))
def test_no_patient_adds_more_than_the_sensitivity(values, by):
    question = asks(**by)
    rows = {
        name: np.array([value], dtype=float if name in ("age", "blasts", "fit") else object)
        for name, value in values.items()
    }
    added = steps_of(question, {name: rows[name] for name in question.columns})
    assert sum(step**2 for step in added) <= question.sensitivity**2 * (1 + 1e-12)


def test_the_bound_is_reached():
    """By somebody in the middle of both ranges."""
    rows = {"age": [50.0], "blasts": [48.5], "fit": [1.0], "kind": ["a"], "arm": ["b"]}
    question = asks(by="arm")
    rows = {name: np.array(rows[name], dtype=object if name in ("kind", "arm") else float) for name in question.columns}
    assert sum(step**2 for step in steps_of(question, rows)) == pytest.approx(question.sensitivity**2)


def test_one_patient_more_changes_the_sum_by_that_patients_vector():
    dice = np.random.default_rng(4)
    schema = replace(LABS, rows_per_patient=3)
    question = asks(schema, by="arm")
    table, _ = invented(60, 5)
    who = np.array([f"p{number}" for number in dice.integers(0, 30, 60)], dtype=object)
    whole = {name: table[name].to_numpy() for name in question.columns}
    for gone in ("p1", "p7", "p20"):
        rest = {name: values[who != gone] for name, values in whole.items()}
        alone = {name: values[who == gone] for name, values in whole.items()}
        key = b"a key"
        change = steps_of(question, whole, Patients(who, key)) - steps_of(
            question, rest, Patients(who[who != gone], key)
        )
        own = steps_of(question, alone, Patients(who[who == gone], key))
        assert (change == own).all()
        assert sum(step**2 for step in own) <= question.sensitivity**2 * (1 + 1e-12)


def test_several_rows_a_patient_are_cut_and_said():
    schema = replace(LABS, rows_per_patient=3)
    question = asks(schema, columns="age")
    rows = {"age": np.array([40.0, 50.0, 60.0, 30.0])}
    patients = Patients(np.array(["often", "often", "often", "once"], dtype=object), b"a key")
    sums = question.layout.dequantise(question.layout.quantise(question.contribution(rows, NOTHING, patients)))
    result = question.advance(None, Sums(sums, 3)).result
    assert (result["patients"], result["bounding"]["cut"]["count"]) == (2, 1)


def test_groups_cost_nothing():
    assert asks(columns="age,kind").sensitivity == asks(columns="age,kind", by="arm").sensitivity
    assert asks(columns="age", quantiles="none").sensitivity == pytest.approx(np.sqrt(2) * A_PATIENT)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), patients=st.integers(5, 300), deviation=st.sampled_from([0.5, 5.0, 50.0, 1e4]))
def test_noisy_tables_are_plausible(fed, seed, patients, deviation):
    table, site = invented(patients, seed)
    result = noisy(asks(by="arm"), fed.split(table, site), deviation, seed)
    assert result["patients"] == sum(group["patients"] for group in result["groups"])
    sizes = [result["patients"], *(group["patients"] for group in result["groups"])]
    for part in result["variables"]:
        for size, own in zip(sizes, (part["overall"], *part["groups"]), strict=True):
            assert own["n"] + own["missing"] == size and min(own["n"], own["missing"]) >= 0
            if part["kind"] == "category":
                assert sum(own["counts"]) == own["n"] and min(own["counts"]) >= 0
                for share, low, high in zip(own["proportions"], own["lower"], own["upper"], strict=True):
                    assert 0 <= low <= (low if share is None else share) <= high <= 1
                continue
            low, high = part["range"]
            assert low - 1e-9 <= own["lower"] <= own["upper"] <= high + 1e-9
            told = [value for value in own["quantiles"] if value is not None]
            assert told == sorted(told)
            for value, (lower, upper) in zip(own["quantiles"], own["quantile_intervals"], strict=True):
                assert lower <= (lower if value is None else value) <= upper
        for index in range(len(part.get("levels", []))):
            assert part["overall"]["counts"][index] == sum(group["counts"][index] for group in part["groups"])
    tables.tables(result)
    list(tables.records(result))
    ElementTree.fromstring(figure.draw(result))


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.floats(-50, 50), min_size=1, max_size=6).map(np.array), total=st.integers(-3, 80))
def test_the_nearest_plausible_table(counts, total):
    found = plausible(counts, total)
    assert sum(found) == max(0, total) and min(found) >= 0
    if total > 0 and np.floor(counts).min() >= 0 and counts.sum() == total:
        assert np.abs(found - counts).max() < 1


def test_a_total_known_from_many_categories_is_known_better():
    made = consistent(100.0, [np.array([40.0, 70.0]), np.array([30.0, 30.0, 30.0])], 9.0)
    assert made.size == pytest.approx((100 + 110 / 2 + 90 / 3) / (1 + 1 / 2 + 1 / 3))
    assert made.size_variance == pytest.approx(9 / (1 + 1 / 2 + 1 / 3))
    assert [table.sum() for table in made.tables] == pytest.approx([made.size] * 2)


@pytest.mark.parametrize("cells", [1, 2, 4, 5, 64, 65, 200])
def test_a_tree_counts_everybody_on_each_level(cells):
    tree = Tree(cells)
    values = np.random.default_rng(cells).integers(0, cells, 500)
    counts = tree.counts(values)
    assert len(counts) == tree.nodes
    assert counts.sum() == 500 * tree.levels
    found = Quantiles(tree, counts, 0.0, 1.96)
    assert found.total == pytest.approx(500)
    for share in (0.1, 0.5, 0.9):
        place, low, high = found.at(share)
        assert place == np.quantile(values, share, method="inverted_cdf")
        assert low <= place <= high


def test_quantiles_ascend_whatever_the_noise():
    """And cumulative counts that dip are pooled with their neighbours."""
    dice, tree = np.random.default_rng(8), Tree(64)
    for _ in range(50):
        nodes = tree.counts(dice.integers(0, 64, 200)) + dice.normal(0, 6, tree.nodes)
        read = Quantiles(tree, nodes, 6.0, 1.96)
        places = [read.at(share)[0] for share in np.linspace(0.02, 0.98, 49)]
        assert places == sorted(places)
    flat = Quantiles(Tree(4), np.array([10.0, -6.0, 2.0, 14.0]), 1e-9, 1.96)
    assert [flat.at(share)[0] for share in (0.2, 0.3, 0.4)] == [0, 0, 3]


def test_two_sums_of_a_number_are_bounded_in_whole_steps():
    """A single step too much shows."""
    question = asks(columns="age", quantiles="none")
    for value in (*np.linspace(0, 100, 201), 50 + 50 / A_PATIENT, 50 - 50 / A_PATIENT, 100 - 50 / A_PATIENT):
        _, one, total, spread = steps_of(question, {"age": np.array([value])})
        assert one == A_PATIENT and total**2 + spread**2 <= 4**20


def test_a_tree_has_less_noise_than_a_list_of_counts():
    dice, tree = np.random.default_rng(7), Tree(64)
    noise = [Quantiles(tree, dice.normal(0, 1, tree.nodes), 1.0, 2.0)._cumulative for _ in range(300)]
    assert np.var(noise, axis=0).mean() * tree.levels < 64 / 2


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"columns": "shoe"}, NotFound),
        ({"columns": "patient"}, InvalidInput),
        ({"tests": "welch"}, InvalidInput),
        ({"by": "age"}, InvalidInput),
        ({"columns": "age", "resolution": "age=0.01"}, InvalidPlan),
        ({"quantiles": "1"}, InvalidPlan),
        ({"confidence": "0.2"}, InvalidPlan),
    ],
)
def test_what_cannot_be_asked(typed, error):
    with pytest.raises(error) as caught:
        PrivateSummary.from_options(typed, LABS)
    assert caught.value.hint


def test_nothing_else_is_read_than_was_written():
    question = asks(by="arm")
    parameters = question.parameters()
    for part in parameters:
        for wrong in ({**parameters, part: 7.5}, {key: value for key, value in parameters.items() if key != part}):
            with pytest.raises(InvalidPlan):
                PrivateSummary.from_parameters(wrong)
    with pytest.raises(InvalidPlan):
        replace(question, cuts=True).check_against(LABS)
    with pytest.raises(Refused):
        question.check_input(np.zeros(2))


def test_empty_values_where_none_may_be_refuse_nothing(fed):
    """With noise, no refusal may depend on rows."""
    table, site = invented(200, 9)
    table.loc[:20, ["age", "fit"]] = np.nan
    assert noisy(asks(), fed.split(table, site), 1.0)["patients"] > 0
