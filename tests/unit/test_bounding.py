"""Whatever rows a patient has, in whatever order, one patient more or less changes a sum by no more than is declared.

Each bug that would break this is planted here, and seen by the same search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from synthema_core.analyses.base import Patients, Rows
from synthema_core.analyses.columns import Column, Factor
from synthema_core.analyses.descriptive.histogram import Histogram
from synthema_core.analyses.descriptive.mean import Mean
from synthema_core.errors import InvalidPlan
from synthema_core.privacy.bounding import Bounding
from synthema_core.secure_sum.layout import Floats

KEY = b"the site's"
LEVELS = tuple((code, code) for code in "abcd")
Row: TypeAlias = tuple[str, str, float]
"""(patient, code, value)."""
Question: TypeAlias = Histogram | Mean
Sum: TypeAlias = Callable[[Question, Sequence[Row]], Floats]
"""What rows add, in ring steps."""

values = st.one_of(st.floats(), st.floats(-2, 12), st.sampled_from([0.0, -0.0, 10.0, 5.0, math.nan, math.inf]))
codes = st.sampled_from(["a", "b", "c", "d", "", "?"])
names = st.sampled_from(["p1", "p2", "p3", "p2\0", ""])
tables = st.lists(st.tuples(names, codes, values), max_size=14)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    rows = draw(st.integers(1, 4))
    cells = draw(st.integers(1, min(rows, len(LEVELS))))
    return Histogram(Factor(Column("code", "Code"), LEVELS), "", (), False, 0.95, Bounding(rows, cells), cuts=True)


means = st.builds(
    lambda rows, clip: Mean(Column("value", "Value"), *clip, rows, cuts=True, confidence=0.95),
    st.integers(1, 4),
    st.sampled_from([(0.0, 10.0), (-1.0, 1.0), (2.0, 2.1), (-1e300, 1e300)]),
)
questions: st.SearchStrategy[Question] = st.one_of(histograms(), means)


def rows_of(table: Sequence[Row]) -> Rows:
    return {
        "code": np.array([code for _, code, _ in table], dtype=object),
        "value": np.array([value for _, _, value in table], dtype=np.float64),
    }


def added(question: Question, table: Sequence[Row], key: bytes = KEY) -> Floats:
    """The real one."""
    patients = Patients(np.array([patient for patient, _, _ in table], dtype=object), key)
    ring = question.layout.quantise(question.contribution(rows_of(table), np.zeros(0), patients))
    return ring.view(np.int64).astype(np.float64)


def change(sum_of: Sum, question: Question, table: Sequence[Row], patient: str) -> float:
    """L2 norm, in ring steps, by which that patient's rows change the sum."""
    others = [row for row in table if row[0] != patient]
    return float(np.linalg.norm(sum_of(question, table) - sum_of(question, others)))


@settings(max_examples=250, deadline=None)
@given(questions, tables, names, st.randoms(use_true_random=False))
def test_one_patient_changes_a_sum_by_at_most_the_sensitivity(question, table, patient, dice) -> None:
    shuffled = list(table)
    dice.shuffle(shuffled)
    assert change(added, question, table, patient) <= question.sensitivity
    np.testing.assert_array_equal(added(question, shuffled), added(question, table))


@settings(max_examples=200, deadline=None)
@given(questions, tables, tables)
def test_what_a_patient_adds_does_not_depend_on_the_others(question, table, others) -> None:
    """So that a sum is that of each patient's own vector, also where it is made of many."""
    renamed = [(f"other {patient}", code, value) for patient, code, value in others]
    both = [row for pair in zip(table, renamed, strict=False) for row in pair]
    both += table[len(renamed) :] + renamed[len(table) :]
    np.testing.assert_array_equal(added(question, both), added(question, table) + added(question, renamed))


@settings(max_examples=100, deadline=None)
@given(tables)
def test_the_mean_of_a_patients_rows_is_theirs_and_a_missing_value_counts_nowhere(table) -> None:
    question = Mean(Column("value", "Value"), 0.0, 10.0, 20, cuts=False, confidence=0.95)
    known = {patient: [v for name, _, v in table if name == patient and not math.isnan(v)] for patient, _, _ in table}
    expected = [(np.mean(np.clip(mine, 0, 10)) - 5) / 5 for mine in known.values() if mine]
    count, total, _ = added(question, table) * [2.0**-19, 2.0**-20, 2.0**-20]
    assert count == len(expected)
    assert total == pytest.approx(sum(expected), abs=2.0**-19 * (len(expected) + 1))


def test_those_for_whom_something_was_cut_are_counted() -> None:
    histogram = Histogram(Factor(Column("code", "Code"), LEVELS), "", (), False, 0.95, Bounding(2, 1), cuts=True)
    table = [
        ("whole", "a", 1.0),
        ("whole", "a", 1.0),
        ("a row", "a", 1.0), ("a row", "a", 1.0), ("a row", "a", 1.0),
        ("a cell", "a", 1.0), ("a cell", "b", 1.0),
        ("both", "a", 1.0), ("both", "b", 1.0), ("both", "c", 1.0),
    ]  # fmt: skip
    assert added(histogram, table)[-1] / 2**14 == 3
    mean = Mean(Column("value", "Value"), 0.0, 10.0, 2, cuts=True, confidence=0.95)
    table = [
        ("whole", "", 0.0), ("whole", "", 10.0), ("whole", "", math.nan),
        ("a row", "", 1.0), ("a row", "", 2.0), ("a row", "", 3.0),
        ("a value", "", 5.0), ("a value", "", 10.5),
        ("nothing known", "", math.nan),
    ]  # fmt: skip
    assert added(mean, table)[-1] / 2**18 == 2


def test_values_are_clipped_and_steps_are_too() -> None:
    """Each would do; neither relies on the other."""
    patients = Patients(np.array(["p1", "p2", "p3"], dtype=object), KEY)
    beyond = {"value": np.array([-math.inf, math.nan, 7.5])}
    bounded = Bounding(clips={"value": (0.0, 5.0)}).apply(beyond, patients)
    np.testing.assert_array_equal(bounded.rows["value"], [0.0, math.nan, 5.0])
    assert bounded.cut.tolist() == [True, False, True]
    assert bounded.averages(np.array([-1.5, 0.25, math.inf]), 4).tolist() == [-16, 4, 16]


def test_which_rows_are_kept_is_the_keys_choice_and_every_row_gets_its_turn() -> None:
    question = Mean(Column("value", "Value"), 0.0, 10.0, 1, cuts=False, confidence=0.95)
    table = [("p1", "", value) for value in (0.0, 5.0, 10.0)]
    seen = [float(added(question, table, key=str(key).encode())[1]) for key in range(300)]
    shares = [seen.count(steps) / len(seen) for steps in (-(2.0**20), 0.0, 2.0**20)]
    assert sum(shares) == 1
    assert min(shares) > 0.2
    patients = [(f"p{number}", "", value) for number in range(300) for value in (0.0, 10.0)]
    assert abs(added(question, patients)[1]) < 300 * 2.0**20 / 3, "one key keeps other rows of other patients"


@pytest.mark.parametrize(("rows", "cells"), [(0, 0), (1, 0), (1, 2), (0, 1)])
def test_what_is_no_bound_is_refused(rows: int, cells: int) -> None:
    with pytest.raises(InvalidPlan):
        Bounding(rows, cells)


@pytest.mark.parametrize("clip", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_what_is_no_clip_is_refused(clip: tuple[float, float]) -> None:
    with pytest.raises(InvalidPlan):
        Bounding(clips={"value": clip})


# Planted bugs


def in_stretches(question: Question, table: Sequence[Row]) -> Floats:
    """The table bounded two rows at a time: a patient whose rows lie in two stretches is bounded twice."""
    parts = [added(question, table[start : start + 2]) for start in range(0, len(table), 2)]
    return np.sum(parts, axis=0) if parts else added(question, [])


def kept_by_place(question: Question, table: Sequence[Row]) -> Floats:
    """Every third row is kept, over all patients: one patient more moves the others' places."""
    return added(question, [row for place, row in enumerate(table) if place % 3 == 0])


def rows_counted(question: Question, table: Sequence[Row]) -> Floats:
    """Each row counts for a patient of its own."""
    return added(question, [(f"row {place}", code, value) for place, (_, code, value) in enumerate(table)])


def sum_clipped(question: Question, table: Sequence[Row]) -> Floats:
    """Nobody is bounded; the sum is, at what ten patients may add."""
    return np.clip(rows_counted(question, table), -10 * 2.0**20, 10 * 2.0**20)


def sum_rounded(question: Question, table: Sequence[Row]) -> Floats:
    """On a grid as coarse as what a patient may add, whole numbers are made of the sum."""
    units = np.concatenate([np.full(block.length, 2.0**block.fractional_bits) for block in question.layout.blocks])
    return np.asarray(np.rint(added(question, table) / units) * units)


def key_of_all(question: Question, table: Sequence[Row]) -> Floats:
    """Which rows are kept depends on how many patients there are, as with a quota."""
    return added(question, table, key=str(len({patient for patient, _, _ in table})).encode())


BUGS: dict[str, Sum] = {
    "stretches of the table bounded one by one": in_stretches,
    "rows kept by their place among all": kept_by_place,
    "a row taken for a patient": rows_counted,
    "the sum clipped and not the vectors": sum_clipped,
    "the sum rounded and not the vectors": sum_rounded,
    "a choice that depends on the others": key_of_all,
}
search = settings(max_examples=2000, deadline=None, database=None, phases=[Phase.generate], derandomize=True)


def broken(sum_of: Sum, case: tuple[Question, Sequence[Row], str]) -> bool:
    question, table, patient = case
    return change(sum_of, question, table, patient) > question.sensitivity * (1 + 1e-9)


crowded = st.lists(
    st.tuples(st.sampled_from(["p1", "p2", "p3"]), st.sampled_from("abcd"), st.floats(0, 10)), min_size=3
)
cases = st.tuples(questions, crowded, st.just("p1"))


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_the_search_finds_a_planted_bug(bug: Sum) -> None:
    find(cases, lambda case: broken(bug, case), settings=search)


def test_and_finds_nothing_in_the_real_one() -> None:
    with pytest.raises(NoSuchExample):
        find(cases, lambda case: broken(added, case), settings=settings(search, max_examples=300))
