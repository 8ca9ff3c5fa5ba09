"""The trusted side's half of what travels: rows to bytes, and bytes that nobody trusts to arrays. Never pickle."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from synthema_core.analyses.base import Rows

_LONGEST_HEAD_BYTES = 64 << 10
_MOST_DIMENSIONS = 8
_DTYPES: dict[str, Any] = {
    "BOOL": np.uint8,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "F32": np.float32,
    "U64": np.uint64,
    "I64": np.int64,
    "F64": np.float64,
}


class Malformed(ValueError):
    """A result that is not numeric arrays by name."""


def encode_rows(rows: Rows) -> bytes:
    """All columns as two blocks: numbers, (columns, n) float64, and texts, (columns, n) int32 into their levels.

    Missing texts get the code -1. Every size but the rows' own number is the same for all groups of one Dataset.
    """
    length = len(next(iter(rows.values()))) if rows else 0
    numbers: dict[str, NDArray[Any]] = {}
    texts: list[tuple[str, list[str]]] = []
    codes: list[list[int]] = []
    for name, values in rows.items():
        if values.dtype.kind in "biuf":
            numbers[name] = values
        else:
            levels, column = _factorised(values.tolist())
            texts.append((name, levels))
            codes.append(column)
    tensors: dict[str, NDArray[Any]] = {
        "numbers": np.array(list(numbers.values()), dtype=np.float64).reshape(len(numbers), length),
        "texts": np.array(codes, dtype=np.int32).reshape(len(codes), length),
    }
    about = {"order": list(rows), "numbers": list(numbers), "texts": texts, "rows": length}
    return save(tensors, {name: json.dumps(value) for name, value in about.items()})


def _factorised(values: list[Any]) -> tuple[list[str], list[int]]:
    """The different texts, and the place of each value among them; -1 for a missing one."""
    places: dict[str, int] = {"": -1}
    codes = [places.setdefault(str(value), len(places) - 1) for value in values]
    return list(places)[1:], codes


def decode_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Numeric arrays by name from what untrusted code wrote.

    Raises
    ------
    Malformed
        For anything but a well-formed safetensors file of integers, booleans and floats.
    """
    if len(content) < 8 or int.from_bytes(content[:8], "little") > _LONGEST_HEAD_BYTES:
        raise Malformed("no head, or a very long one")
    try:
        return {name: _array(tensor) for name, tensor in deserialize(content)}  # type: ignore[no-untyped-call]
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise Malformed(type(error).__name__) from None


def _array(tensor: Any) -> NDArray[Any]:
    shape, dtype = tuple(tensor["shape"]), _DTYPES[tensor["dtype"]]
    if len(shape) > _MOST_DIMENSIONS or math.prod(shape) * np.dtype(dtype).itemsize != len(tensor["data"]):
        raise Malformed("a shape that its bytes do not fill")
    array = np.frombuffer(bytes(tensor["data"]), dtype=dtype).reshape(shape)
    return np.asarray(array != 0) if tensor["dtype"] == "BOOL" else array  # a byte of 7 is no numpy boolean
