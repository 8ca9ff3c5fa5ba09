"""The mathematics on which the guarantee of code rests: whatever code does, a patient changes the sum by so much.

Two tables of rows that differ by one patient, and any function at all of what one evaluation is given: the two
Contributions differ by at most the question's sensitivity, in ring steps (L2). Nothing here depends on the sandbox.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray

from support.code import per_block, per_patient
from synthema_core.analyses.base import Rows
from synthema_core.code.combine import FRACTIONAL_BITS, block_of, bounded, by_block, by_patient, summed
from synthema_core.code.outputs import Arrays, Output, Outputs
from synthema_core.code.questions import PerBlock, PerPatient
from synthema_core.secure_sum.layout import Floats

Steps: TypeAlias = NDArray[np.int64]
Question: TypeAlias = PerPatient | PerBlock
STEP = 2.0**FRACTIONAL_BITS
ROUNDING = 1 + 1e-12
"""The clip itself is a float64."""

OUTPUT = st.builds(
    lambda shape, bound, default: (shape, bound, default * bound),
    st.sampled_from([(), (1,), (2,), (2, 2), (7,)]),
    st.sampled_from([1e-300, 1e-6, 0.1, 1.0, 3.0, 1e6, 1e12]),
    st.sampled_from([0.0, 1.0, -1.0, 0.3, -1e-9]),
)
OUTPUTS = st.lists(OUTPUT, min_size=1, max_size=3).map(
    lambda parts: Outputs(tuple(Output(f"o{n}", shape, bound, default=d) for n, (shape, bound, d) in enumerate(parts)))
)
FLOATS = st.one_of(
    st.floats(width=64),
    st.floats(-2, 2),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1.7e308, -1.7e308, 0.1, 1 / 3, 1e12]),
)
DTYPES = st.sampled_from(["f8", "f4", "f2", "i8", "u8", "?", "c16", "U3", "O"])


def arrays_of(outputs: Outputs) -> st.SearchStrategy[Arrays | None]:
    """What an evaluation may give: what was declared with any values, something else, or nothing."""
    declared = {o.name: nps.arrays(np.float64, o.shape, elements=FLOATS) for o in outputs.outputs}
    any_array = DTYPES.flatmap(lambda dtype: nps.arrays(dtype, nps.array_shapes(min_dims=0, max_dims=2, max_side=3)))
    names = st.sampled_from([*declared, "more"])
    return st.one_of(
        st.none(),
        st.fixed_dictionaries(declared),
        st.fixed_dictionaries(declared),
        st.fixed_dictionaries(declared),
        st.dictionaries(names, any_array, max_size=3),
    )


CLIPS = st.floats(1e-3, 1.0)
"""As a part of the largest that a question may have."""


def clip_of(part: float, outputs: Outputs) -> float:
    return part * math.sqrt(outputs.length)


def norm(steps: Steps) -> float:
    """Exact up to the last rounding: whole numbers are squared and added as whole numbers."""
    return math.sqrt(sum(int(step) ** 2 for step in steps))


# One evaluation


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_one_evaluation_never_adds_more_than_the_clip(data: st.DataObject) -> None:
    outputs = data.draw(OUTPUTS)
    clip = clip_of(data.draw(CLIPS), outputs)
    steps = bounded(outputs.flatten(data.draw(arrays_of(outputs))), outputs, clip)
    assert steps.dtype == np.int64
    assert norm(steps) <= clip * STEP * ROUNDING
    assert np.all(np.abs(steps) <= STEP), "nor any value more than its bound"


@pytest.mark.parametrize("length", [1, 2, 3, 5, 10, 100, 1000, 10_000, 100_000])
@pytest.mark.parametrize("part", [1.0, 0.9999999999, 0.5, 1 / 3, 0.001])
def test_nor_where_the_vector_is_long(length: int, part: float) -> None:
    outputs = Outputs((Output("a", (length,), 1.0),))
    clip = clip_of(part, outputs)
    for values in (
        np.ones(length),
        np.full(length, -1e300),
        np.linspace(-1, 1, length),
        1 / np.arange(1.0, length + 1),
    ):
        assert norm(bounded(values, outputs, clip)) <= clip * STEP * ROUNDING


def test_what_is_within_bounds_and_clip_is_kept_to_the_step() -> None:
    outputs = Outputs((Output("a", (), 100.0), Output("b", (2,), 2.0)))
    steps = bounded(np.array([50.0, -1.0, 0.5]), outputs, clip=math.sqrt(3))
    assert steps.tolist() == [2**19, -(2**19), 2**18]


def test_a_longer_vector_is_shortened_and_keeps_its_direction() -> None:
    outputs = Outputs((Output("a", (2,), 10.0),))
    steps = bounded(np.array([8.0, 6.0]), outputs, clip=0.5)
    assert steps.tolist() == pytest.approx([0.4 * STEP, 0.3 * STEP], abs=1)


def test_where_nothing_came_the_declared_defaults_count() -> None:
    outputs = Outputs((Output("a", (), 100.0, default=50.0), Output("b", (2,), 2.0, default=-1.0)))
    expected = [2**19, -(2**19), -(2**19)]
    assert bounded(None, outputs, clip=math.sqrt(3)).tolist() == expected
    for nothing in (None, {}, {"a": np.array(math.nan), "b": np.zeros(2)}, {"a": np.array(1.0), "b": np.zeros(3)}):
        assert bounded(outputs.flatten(nothing), outputs, clip=math.sqrt(3)).tolist() == expected
    assert norm(bounded(None, outputs, clip=0.25)) <= 0.25 * STEP, "defaults are clipped, too"


# The sum


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_vectors_are_whole_numbers_before_they_are_summed(data: st.DataObject) -> None:
    """So their sum is exact, whatever the order, and the layout's own rounding changes nothing."""
    outputs = data.draw(OUTPUTS)
    clip = clip_of(data.draw(CLIPS), outputs)
    vectors = [outputs.flatten(arrays) for arrays in data.draw(st.lists(arrays_of(outputs), max_size=8))]
    expected = sum((bounded(vector, outputs, clip) for vector in vectors), np.zeros(outputs.length, dtype=np.int64))
    question = per_patient(outputs=outputs, clip=clip)
    for order in (vectors, vectors[::-1]):
        ring = question.layout.quantise(summed(order, outputs, clip))
        assert ring.view(np.int64).tolist() == expected.tolist()


def test_the_sum_is_exact_at_the_largest_number_of_evaluations() -> None:
    outputs = Outputs((Output("a", (2,), 1.0),))
    most = 1_000_000
    total = np.array([most * 2**FRACTIONAL_BITS, -(most * 2**FRACTIONAL_BITS) + 1], dtype=np.int64)
    question = per_patient(outputs=outputs, clip=1.0)
    ring = question.layout.quantise(np.ldexp(total.astype(np.float64), -FRACTIONAL_BITS))
    assert ring.view(np.int64).tolist() == total.tolist()


# Neighbouring tables

TABLE = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=14)
"""(patient, age) of each row: a patient may have several."""


def rows_of(entries: Sequence[tuple[int, int]]) -> tuple[Rows, NDArray[np.object_]]:
    ages = np.array([age for _, age in entries], dtype=np.float64)
    return {"age": ages}, np.array([f"p{patient}" for patient, _ in entries], dtype=object)


class AnyFunction:
    """A function of one evaluation's rows about which nothing is known but that it is one."""

    def __init__(self, data: st.DataObject, outputs: Outputs) -> None:
        self._data, self._outputs = data, outputs
        self._known: dict[bytes, Arrays | None] = {}

    def __call__(self, rows: Rows) -> Floats | None:
        key = rows["age"].tobytes()
        if key not in self._known:
            self._known[key] = self._data.draw(arrays_of(self._outputs))
        return self._outputs.flatten(self._known[key])


def contribution(question: Question, entries: Sequence[tuple[int, int]], function: Callable[[Rows], Any]) -> Steps:
    rows, patients = rows_of(entries)
    groups = question.groups(rows, patients, KEY)
    return question.layout.quantise(summed(map(function, groups), question.outputs, question.clip)).view(np.int64)


KEY = b"a site's secret"


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.parametrize("make", [per_patient, per_block], ids=["per-patient", "per-block"])
def test_a_patient_changes_a_contribution_by_at_most_the_sensitivity(
    make: Callable[..., Question], data: st.DataObject
) -> None:
    outputs = data.draw(OUTPUTS)
    capacity = 20 if make is per_patient else data.draw(st.integers(1, 4))
    question = make(outputs=outputs, clip=clip_of(data.draw(CLIPS), outputs), capacity=capacity, columns_read=("age",))
    entries = data.draw(TABLE)
    leaves = data.draw(st.sampled_from(sorted({patient for patient, _ in entries})))
    function = AnyFunction(data, outputs)
    with_all = contribution(question, entries, function)
    without = contribution(question, [entry for entry in entries if entry[0] != leaves], function)
    assert norm(with_all - without) <= question.sensitivity * ROUNDING


def test_one_patient_can_reach_the_sensitivity() -> None:
    """A bound that nobody can reach would only be too much noise."""
    outputs = Outputs((Output("a", (4,), 1.0),))
    for make, entries, values in (
        (per_patient, [(1, 1), (2, 2)], {1: 1e9, 2: 1e9}),
        (per_block, [(1, 1), (2, 2)], {1: -1e9, 3: 1e9, 2: 1e9}),
    ):
        question: Question = make(outputs=outputs, clip=1.0, capacity=20 if make is per_patient else 1)  # type: ignore[assignment]

        def function(rows: Rows, values: dict[int, float] = values) -> Floats:
            return np.full(4, values[int(rows["age"].sum())])

        change = norm(contribution(question, entries, function) - contribution(question, entries[:1], function))
        assert change == pytest.approx(question.sensitivity, rel=1e-5)


@given(TABLE, st.integers(1, 5))
def test_one_patient_is_in_one_block_and_changes_no_other(entries: list[tuple[int, int]], blocks: int) -> None:
    leaves = entries[0][0]
    rows, patients = rows_of(entries)
    less, others = rows_of([entry for entry in entries if entry[0] != leaves])
    before, after = by_block(rows, patients, blocks, KEY), by_block(less, others, blocks, KEY)
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a["age"].tolist() != b["age"].tolist()]
    assert changed == [block_of(f"p{leaves}", blocks, KEY)]
    assert len(before) == len(after) == blocks, "how many there are is fixed"
    assert sum(len(block["age"]) for block in before) == len(entries)


@given(TABLE, st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_patients_block_depends_on_the_patient_and_the_key_alone(
    entries: list[tuple[int, int]], blocks: int, dice: Any
) -> None:
    shuffled = list(entries)
    dice.shuffle(shuffled)
    for table in (entries, shuffled, entries[:1]):
        rows, patients = rows_of(table)
        for number, block in enumerate(by_block({**rows, "who": patients}, patients, blocks, KEY)):
            assert {block_of(who, blocks, KEY) for who in block["who"]} <= {number}


def test_with_another_key_the_blocks_are_others() -> None:
    names = [f"p{number}" for number in range(200)]
    one, other = ([block_of(name, 8, key) for name in names] for key in (b"one", b"other"))
    assert one != other
    assert set(one) == set(other) == set(range(8))


@given(TABLE)
def test_each_patient_is_evaluated_once_with_all_their_rows(entries: list[tuple[int, int]]) -> None:
    rows, patients = rows_of(entries)
    groups = by_patient({**rows, "who": patients}, patients)
    order = list(dict.fromkeys(f"p{patient}" for patient, _ in entries))
    assert [set(group["who"]) for group in groups] == [{who} for who in order]
    for who, group in zip(order, groups, strict=True):
        assert group["age"].tolist() == [float(age) for patient, age in entries if f"p{patient}" == who]


def test_no_patients_are_no_evaluations_but_as_many_blocks() -> None:
    rows, patients = rows_of([])
    assert by_patient(rows, patients) == []
    assert [len(block["age"]) for block in by_block(rows, patients, 3, KEY)] == [0, 0, 0]
