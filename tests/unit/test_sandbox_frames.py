"""Rows and results as bytes: what was sent arrives, and what nobody trusts does no harm."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save

from synthema_core.code.outputs import Output, Outputs
from synthema_core.sandbox.frames import Malformed, decode_arrays, encode_rows
from synthema_core.sandbox.inside.tables import BadOutput, Declared, read_rows, write_arrays

NUMBERS = st.floats(width=64)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, NDArray[np.generic]]:
    length = draw(st.integers(0, 5))
    columns: dict[str, NDArray[np.generic]] = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=5)):
        if draw(st.booleans()):
            columns[name] = np.array(draw(st.lists(NUMBERS, min_size=length, max_size=length)), dtype=np.float64)
        else:
            columns[name] = np.array(draw(st.lists(TEXTS, min_size=length, max_size=length)), dtype=object)
    return columns


@given(tables())
def test_a_frame_has_the_rows_in_their_order_with_nan_for_what_is_missing(rows: dict[str, NDArray[np.generic]]) -> None:
    frame = read_rows(encode_rows(rows))
    assert list(frame.columns) == list(rows)
    for name, values in rows.items():
        missing = [value in ("", math.nan) or value != value for value in values]
        assert frame[name].dtype == values.dtype
        assert frame[name].isna().tolist() == missing
        assert frame[name].dropna().tolist() == [value for value, gone in zip(values, missing, strict=True) if not gone]


def test_a_frame_can_be_changed_and_numpys_own_texts_are_texts() -> None:
    frame = read_rows(
        encode_rows({"age": np.array([1.0, 2.0]), "sex": np.array(["f", ""]), "dead": np.array([True, False])})
    )
    frame.loc[0, "age"] = 7.0
    assert frame["age"].tolist() == [7.0, 2.0]
    assert frame["sex"].tolist()[0] == "f" and frame["sex"].isna().tolist() == [False, True]
    assert frame["dead"].tolist() == [1.0, 0.0]


def test_all_groups_of_a_dataset_look_alike_but_for_their_own_rows() -> None:
    frame = read_rows(encode_rows({}))
    assert frame.shape == (0, 0)
    assert read_rows(encode_rows({"age": np.zeros(0), "sex": np.array([], dtype=object)})).shape == (0, 2)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_result_are_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        decode_arrays(content)


@given(st.data())
def test_a_result_with_a_byte_changed_is_arrays_or_malformed(data: st.DataObject) -> None:
    content = bytearray(save({"got": np.arange(3.0), "n": np.array(2), "yes": np.array([True])}))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    try:
        arrays = decode_arrays(bytes(content))
    except Malformed:
        return
    assert all(array.dtype.kind in "biuf" and array.nbytes < 100 for array in arrays.values())


@given(
    st.dictionaries(NAMES, st.lists(st.integers(-3, 1 << 62), max_size=3), max_size=3),
    st.sampled_from(["F64", "BOOL", "U8", 3]),
)
def test_a_head_of_any_shape_is_arrays_or_malformed(shapes: dict[str, list[int]], dtype: object) -> None:
    head = {name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 8]} for name, shape in shapes.items()}
    text = json.dumps(head).encode()
    try:
        arrays = decode_arrays(struct.pack("<Q", len(text)) + text + bytes(8))
    except Malformed:
        return
    assert all(array.nbytes <= 8 for array in arrays.values())


def test_a_boolean_that_is_neither_is_one() -> None:
    text = json.dumps({"yes": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (array,) = decode_arrays(struct.pack("<Q", len(text)) + text + b"\x07\x00").values()
    assert array.tolist() == [True, False] and array.view(np.uint8).tolist() == [1, 0]


def test_a_long_head_is_not_even_read() -> None:
    head = json.dumps({"got": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}}).encode() + b" " * (64 << 10)
    with pytest.raises(Malformed, match="long"):
        decode_arrays(struct.pack("<Q", len(head)) + head + bytes(8))


ONE: Declared = (("rate", ()),)
TWO: Declared = (("rate", ()), ("counts", (2,)))
RETURNED = [
    pytest.param(0.5, ONE, {"rate": 0.5}, id="a bare number"),
    pytest.param(np.float32(0.5), ONE, {"rate": 0.5}, id="a number of numpy's"),
    pytest.param(True, ONE, {"rate": True}, id="a boolean"),
    pytest.param([1, 2], (("counts", (2,)),), {"counts": [1, 2]}, id="a bare list"),
    pytest.param(pd.Series([1.0, 2.0]), (("counts", (2,)),), {"counts": [1.0, 2.0]}, id="a column"),
    pytest.param({"rate": 1, "counts": (3, 4)}, TWO, {"rate": 1, "counts": [3, 4]}, id="by name"),
    pytest.param((1, [3, 4]), TWO, {"rate": 1, "counts": [3, 4]}, id="in order"),
    pytest.param(np.array([1.0, 3.0, 4.0]), TWO, {"rate": 1.0, "counts": [3.0, 4.0]}, id="one after the other"),
    pytest.param({"rate": np.float16(0.5)}, ONE, {"rate": 0.5}, id="a short float"),
    pytest.param({"rate": np.longdouble(0.5)}, ONE, {"rate": 0.5}, id="a long float"),
    pytest.param({"rate": [None, 1]}, ONE, {"rate": [math.nan, 1.0]}, id="nothing among numbers"),
    pytest.param({"rate": pd.NA}, ONE, None, id="pandas' missing value"),
    pytest.param({"rate": "1"}, ONE, None, id="a text"),
    pytest.param({"rate": {"a": 1}}, ONE, None, id="a mapping in it"),
    pytest.param({"rate": [[1], [2, 3]]}, ONE, None, id="rows of different length"),
    pytest.param({"rate": 1j}, ONE, None, id="a complex number"),
    pytest.param(pd.Timestamp("2020-01-01"), ONE, None, id="a date"),
    pytest.param(None, TWO, None, id="nothing"),
    pytest.param((1, 2, 3, 4), TWO, None, id="too many"),
    pytest.param("ab", TWO, None, id="a text for two"),
]


@pytest.mark.parametrize(("returned", "declared", "expected"), RETURNED)
def test_what_a_function_returns_becomes_numbers_by_name(
    returned: object, declared: Declared, expected: object
) -> None:
    if expected is None:
        with pytest.raises(BadOutput):
            write_arrays(returned, declared)
        return
    arrays = decode_arrays(write_arrays(returned, declared))
    assert isinstance(expected, dict) and set(arrays) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(arrays[name], values)


def test_a_number_keeps_its_shape_on_the_way() -> None:
    outputs = Outputs((Output("rate", (), 1.0), Output("table", (2, 1), 9.0)))
    arrays = decode_arrays(write_arrays({"rate": 0.5, "table": np.array([[1], [2]])[::-1]}, ()))
    flat = outputs.flatten(arrays)
    assert flat is not None and flat.tolist() == [0.5, 2.0, 1.0]
