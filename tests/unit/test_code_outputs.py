"""What code declares that it returns: all else does not count, and nothing that it returns breaks the reading."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from support.code import OUTPUTS
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.errors import InvalidPlan

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": "2a"},
        {"name": "a b"},
        {"name": "a-b"},
        {"name": "a\n"},
        {"name": "\u00e4"},
        {"name": "a" * 41},
        {"name": "__import__('os')"},
        {"name": "a[1]"},
        {"shape": (0,)},
        {"shape": (-1,)},
        {"shape": (2, 0)},
        {"shape": (1, 1, 1, 1)},
        {"shape": (2.0,)},
        {"shape": (True,)},
        {"shape": ("2",)},
        {"shape": (None,)},
        {"bound": 0.0},
        {"bound": -1.0},
        {"bound": NAN},
        {"bound": INF},
        {"bound": 1.1e12},
        {"default": 1.5},
        {"default": -1.5},
        {"default": NAN},
        {"default": INF},
    ],
    ids=str,
)
def test_an_output_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlan):
        Output(**{"name": "a", "shape": (2,), "bound": 1.0, **bad})


@pytest.mark.parametrize(
    "good", [{"name": "_a1"}, {"shape": ()}, {"shape": (1, 2, 3)}, {"bound": 1e12}, {"default": -1.0}]
)
def test_an_output_that_can(good: dict[str, Any]) -> None:
    assert Output(**{"name": "a", "shape": (2,), "bound": 1.0, **good})


def test_outputs_have_different_names_and_are_not_too_many() -> None:
    one = Output("a", (), 1.0)
    for bad in ((), (one, one), (one, Output("a", (2,), 3.0))):
        with pytest.raises(InvalidPlan, match="at least one output, and each name once"):
            Outputs(bad)
    assert Outputs((Output("a", (100_000,), 1.0),)).length == 100_000
    for shapes in (((100_000,), ()), ((100, 100, 11),), ((10**6, 10**6, 10**6),)):
        with pytest.raises(InvalidPlan, match="more than 100,000"):
            Outputs(tuple(Output(f"o{n}", shape, 1.0) for n, shape in enumerate(shapes)))


def test_bounds_and_defaults_are_of_each_value() -> None:
    assert OUTPUTS.length == 4
    assert OUTPUTS.bounds.tolist() == [100.0, 2.0, 2.0, 2.0]
    assert OUTPUTS.defaults.tolist() == [50.0, 0.0, 0.0, 0.0]


def test_an_output_is_spelled_as_it_is_typed() -> None:
    spelled = [Output("a", (), 100.0), Output("b", (4,), 0.5), Output("c", (2, 3), 1e6)]
    assert [output.spell() for output in spelled] == ["a=100", "b[4]=0.5", "c[2,3]=1e+06"]


GOOD = {"age": np.array(3.0), "flags": np.array([1.0, -5.0, 0.0])}


def test_what_was_declared_is_taken_in_its_order() -> None:
    flat = OUTPUTS.flatten(dict(reversed(GOOD.items())))
    assert flat is not None
    assert flat.tolist() == [3.0, 1.0, -5.0, 0.0]
    assert flat.dtype == np.float64


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i8", "u8", "f2", "f4", "f8", ">f8", ">i4"])
def test_every_kind_of_number_is_taken(dtype: str) -> None:
    flat = OUTPUTS.flatten({"age": np.ones((), dtype), "flags": np.ones(3, dtype)})
    assert flat is not None
    assert flat.tolist() == [1.0] * 4


BAD: dict[str, Any] = {
    "nothing": None,
    "no arrays": {},
    "a name is missing": {"age": GOOD["age"]},
    "a name too many": {**GOOD, "more": np.array(1.0)},
    "another name": {"age": GOOD["age"], "Flags": GOOD["flags"]},
    "too short": {**GOOD, "flags": np.zeros(2)},
    "too long": {**GOOD, "flags": np.zeros(4)},
    "another shape": {**GOOD, "flags": np.zeros((3, 1))},
    "a row for a number": {**GOOD, "age": np.zeros(1)},
    "empty": {**GOOD, "flags": np.zeros(0)},
    "NaN": {**GOOD, "flags": np.array([1.0, NAN, 0.0])},
    "infinite": {**GOOD, "age": np.array(INF)},
    "minus infinite": {**GOOD, "age": np.array(-INF)},
    "beyond float64": {**GOOD, "age": np.array(np.finfo(np.longdouble).max)},
    "complex": {**GOOD, "age": np.array(1j)},
    "text": {**GOOD, "age": np.array("1")},
    "bytes": {**GOOD, "age": np.array(b"1")},
    "objects": {**GOOD, "flags": np.array([1.0, None, 2.0], dtype=object)},
    "times": {**GOOD, "age": np.array(0, dtype="M8[s]")},
    "records": {**GOOD, "flags": np.zeros(3, dtype=[("x", "f8")])},
}


@pytest.mark.parametrize("arrays", BAD.values(), ids=BAD)
def test_all_else_counts_as_nothing(arrays: Any) -> None:
    assert OUTPUTS.flatten(arrays) is None


DTYPES = st.one_of(
    nps.scalar_dtypes(),
    nps.byte_string_dtypes(max_len=4),
    nps.unicode_string_dtypes(max_len=4),
    nps.array_dtypes(max_size=2),
    st.just(np.dtype(np.longdouble)),
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: nps.arrays(dtype, nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
RIGHT_SHAPES = st.fixed_dictionaries(
    {
        "age": DTYPES.flatmap(lambda dtype: nps.arrays(dtype, ())),
        "flags": DTYPES.flatmap(lambda dtype: nps.arrays(dtype, (3,))),
    }
)
NAMES = st.sampled_from(["age", "flags", "", "more"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(RIGHT_SHAPES, st.dictionaries(NAMES, ARRAYS, max_size=3)))
def test_flattening_never_raises_and_gives_finite_values_or_nothing(arrays: Any) -> None:
    flat = OUTPUTS.flatten(arrays)
    if flat is not None:
        assert flat.shape == (4,)
        assert flat.dtype == np.float64
        assert np.all(np.isfinite(flat))


@given(nps.arrays(np.float64, 4, elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_unflattening_undoes_flattening(values: Any) -> None:
    flat = OUTPUTS.flatten(OUTPUTS.unflatten(values))
    assert flat is not None
    assert flat.tolist() == values.tolist()


def test_outputs_read_back_as_themselves() -> None:
    written = json.loads(json.dumps(OUTPUTS.to_list()))
    assert Outputs.from_list(written) == OUTPUTS
    assert written[0] == {"name": "age", "shape": [], "bound": 100.0, "content": "numbers", "default": 50.0}
    counted = Outputs((Output("n", (2, 3), 10.0, Content.COUNTS),))
    assert Outputs.from_list(json.loads(json.dumps(counted.to_list()))) == counted


ONE = {"name": "a", "shape": [2], "bound": 1.0, "content": "numbers", "default": 0.0}


@pytest.mark.parametrize(
    "data",
    [
        None,
        3,
        "a",
        {},
        {"name": "a"},
        [3],
        ["a"],
        [None],
        [{**ONE, "content": "rows"}],
        [{**ONE, "content": None}],
        [{**ONE, "shape": 2}],
        [{**ONE, "shape": "22"}],
        [{**ONE, "shape": [2.0]}],
        [{**ONE, "shape": [[2]]}],
        [{**ONE, "bound": "x"}],
        [{**ONE, "bound": None}],
        [{**ONE, "bound": [1.0]}],
        [{**ONE, "bound": 10**400}],
        [{**ONE, "default": {}}],
        [{key: ONE[key] for key in ONE if key != "default"}],
        [],
    ],
    ids=str,
)
def test_json_that_declares_no_outputs_is_refused(data: Any) -> None:
    with pytest.raises(InvalidPlan):
        Outputs.from_list(data)
