"""A Job's messages: what they carry is what was meant, or an IntegrityFailure; never a broken reader."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema_core import wire
from synthema_core.errors import IntegrityFailure
from synthema_core.wire import JobMessage, Kind, from_fields, to_fields

ROUND = JobMessage(Kind.ROUND, {"job": "j1", "round": 3}, np.array([0.5, -1.0]))
MASKED = JobMessage(Kind.MASKED, {"job": "j1", "round": 3}, np.array([1, 2**64 - 1], dtype=np.uint64))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "message",
    [
        ROUND,
        MASKED,
        JobMessage(Kind.CLOSED),
        JobMessage(Kind.ROUND, {"roster": {"announcements": [{"site": "é"}]}}, np.zeros(0)),
        JobMessage(Kind.ROUND, {}, np.arange(6.0)[::2]),
        JobMessage(Kind.ROUND, {}, np.array([np.nan, -0.0, 5e-324, np.inf])),
    ],
    ids=["input", "contribution", "neither", "empty input", "every other value", "odd values"],
)
def test_a_message_comes_back_from_its_fields(message: JobMessage) -> None:
    """Bit for bit: an input's digest is part of every mask."""
    fields = to_fields(message)
    assert all(isinstance(value, str | bytes) for value in fields.values())
    again = from_fields(fields)
    assert (again.kind, again.body) == (message.kind, message.body)
    if message.array is None:
        assert again.array is None
    else:
        assert again.array is not None
        assert (again.array.dtype, again.array.tobytes()) == (message.array.dtype, message.array.tobytes())


def test_what_is_asked_for_is_what_is_there() -> None:
    assert (ROUND.text("job"), ROUND.count("round")) == ("j1", 3)
    assert ROUND.values().tolist() == [0.5, -1.0]
    assert MASKED.ring().tolist() == [1, 2**64 - 1]


@pytest.mark.parametrize(
    ("read", "value"),
    [(JobMessage.text, value) for value in (None, True, 3, 3.0, ["x"], {"x": 1})]
    + [(JobMessage.count, value) for value in (None, True, 3.0, "3", [3], {"x": 1})],
)
def test_a_part_of_another_type_is_refused(read: Callable[[JobMessage, str], Any], value: Any) -> None:
    with pytest.raises(IntegrityFailure, match="A 'open' message lacks its 'it'"):
        read(JobMessage(Kind.OPEN, {"it": value}), "it")


def test_a_part_that_is_not_there_is_refused() -> None:
    for read in (JobMessage.text, JobMessage.count):
        with pytest.raises(IntegrityFailure):
            read(JobMessage(Kind.OPEN), "job")


@pytest.mark.parametrize(
    "array",
    [
        None,
        np.zeros(2, dtype=np.float32),
        np.zeros(2, dtype=np.int64),
        np.zeros(2, dtype=">f8"),
        np.zeros((2, 1)),
        np.zeros((2, 1), dtype=np.uint64),
        np.float64(1),
        np.array(["1.0"], dtype=object),
    ],
    ids=repr,
)
def test_an_array_of_another_form_is_refused(array: Any) -> None:
    message = JobMessage(Kind.ROUND, {}, array)
    for read in (message.values, message.ring):
        with pytest.raises(IntegrityFailure):
            read()


def test_an_input_is_no_contribution_and_a_contribution_no_input() -> None:
    with pytest.raises(IntegrityFailure):
        ROUND.ring()
    with pytest.raises(IntegrityFailure):
        MASKED.values()


CLOSED = {"head": '{"kind":"closed","body":{}}'}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"head": None},
        {"head": b"\xff"},
        {"head": "{"},
        {"head": "[" * 100_000},
        {"head": '{"kind":"run","body":{}}'},
        {"head": '{"kind":"closed"}'},
        {"head": '{"kind":"closed","body":3}'},
        {**CLOSED, "array": bytes(8)},
        {**CLOSED, "array": bytes(8), "dtype": "object"},
        {**CLOSED, "array": bytes(8), "dtype": "float32"},
        {**CLOSED, "array": bytes(8), "dtype": ["float64"]},
        {**CLOSED, "array": bytes(7), "dtype": "uint64"},
        {**CLOSED, "array": "12345678", "dtype": "uint64"},
        {**CLOSED, "array": None, "dtype": "uint64"},
        {**CLOSED, "array": 8, "dtype": "uint64"},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_fields_that_are_no_message_are_refused(fields: dict[str, Any]) -> None:
    assert from_fields(CLOSED) == JobMessage(Kind.CLOSED)
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        from_fields(fields)


@given(st.one_of(json_values, st.fixed_dictionaries({"kind": json_values, "body": json_values})))
def test_any_json_is_a_message_or_refused(head: Any) -> None:
    try:
        message = from_fields({"head": json.dumps(head)})
    except IntegrityFailure:
        return
    assert message.kind in Kind
    assert isinstance(message.body, dict)


def test_the_docstring_lists_every_kind() -> None:
    assert wire.__doc__ is not None
    rows = re.findall(r"^(\w+) {2,}\w", wire.__doc__, re.MULTILINE)
    assert rows == ["kind", *Kind]
