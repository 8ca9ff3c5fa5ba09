"""Rows and results as a child meets them: a DataFrame, and numeric arrays by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import deserialize
from safetensors.numpy import save

Declared = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and shapes of the outputs, in order."""
_HEAD = 8
_ODD = (np.dtype(np.float16), np.dtype(np.longdouble))
"""Floats that do not travel as they are."""


class BadOutput(Exception):
    """What the function returned is not what numbers by name can be made of."""


def read_rows(content: bytes) -> pd.DataFrame:
    """The DataFrame that `frames.encode_rows` wrote."""
    size = int.from_bytes(content[:_HEAD], "little")
    about = json.loads(content[_HEAD : _HEAD + size])["__metadata__"]
    tensors = {name: _array(tensor) for name, tensor in deserialize(content)}  # type: ignore[no-untyped-call]
    columns: dict[str, Any] = dict(zip(json.loads(about["numbers"]), tensors["numbers"], strict=True))
    for (name, levels), codes in zip(json.loads(about["texts"]), tensors["texts"], strict=True):
        columns[name] = np.array([*levels, np.nan], dtype=object)[codes]
    order = json.loads(about["order"])
    return pd.DataFrame({name: columns[name] for name in order}, index=range(int(about["rows"])), copy=False)


def _array(tensor: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.float64 if tensor["dtype"] == "F64" else np.int32
    return np.frombuffer(bytearray(tensor["data"]), dtype=dtype).reshape(tensor["shape"])


def write_arrays(returned: object, declared: Declared) -> bytes:
    """What goes back, as safetensors. Raises BadOutput if `returned` cannot be read as numbers by name."""
    return save({name: _numeric(name, value) for name, value in _by_name(returned, declared).items()})


def _by_name(returned: object, declared: Declared) -> Mapping[str, object]:
    """A mapping as it is; a bare value is the only output; a sequence fills the outputs in their order."""
    if isinstance(returned, Mapping):
        return {str(name): value for name, value in returned.items()}
    if len(declared) == 1:
        return {declared[0][0]: returned}
    if isinstance(returned, (Sequence, np.ndarray, pd.Series)) and not isinstance(returned, str):
        values = list(returned)
        if len(values) == len(declared):
            return {name: value for (name, _), value in zip(declared, values, strict=True)}
        if len(values) == sum(math.prod(shape) for _, shape in declared):
            return _split(np.asarray(values), declared)
    raise BadOutput("The function must return a dict of its outputs by name, or a value for each in their order.")


def _split(values: NDArray[Any], declared: Declared) -> dict[str, object]:
    parts: dict[str, object] = {}
    start = 0
    for name, shape in declared:
        end = start + math.prod(shape)
        parts[name] = values[start:end].reshape(shape)
        start = end
    return parts


def _numeric(name: str, value: object) -> NDArray[Any]:
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" or array.dtype in _ODD:
            array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadOutput(f"The output '{name}' is not made of numbers.") from None
    if array.dtype.kind not in "biuf":
        raise BadOutput(f"The output '{name}' is not made of numbers.")
    return np.ascontiguousarray(array).reshape(array.shape)
