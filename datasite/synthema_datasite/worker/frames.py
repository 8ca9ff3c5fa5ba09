"""What a datasite's server and a Job's worker process say to each other: frames of JSON and one array, over pipes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure
from synthema_core.wire import Array

_SIZES = struct.Struct(">IQ")
_LARGEST_BYTES = 1 << 31
_DTYPES: Mapping[str, Any] = {"float64": np.float64, "uint64": np.uint64}


@dataclass(frozen=True, slots=True)
class Frame:
    """A JSON object and at most one row of float64 or uint64."""

    body: Mapping[str, Any]
    array: Array | None = None


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    dtype = None if frame.array is None else str(frame.array.dtype)
    head: dict[str, Json] = {"body": dict(frame.body), "dtype": dtype}
    text = json.dumps(head).encode()
    content = b"" if frame.array is None else np.ascontiguousarray(frame.array).tobytes()
    stream.write(_SIZES.pack(len(text), len(content)) + text)
    stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame; None at the end of the stream."""
    sizes = stream.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        return None
    text_size, content_size = _SIZES.unpack(sizes)
    if text_size > _LARGEST_BYTES or content_size > _LARGEST_BYTES:
        raise IntegrityFailure("A worker's frame is too large.")
    text, content = stream.read(text_size), stream.read(content_size)
    if len(text) < text_size or len(content) < content_size:
        return None
    head = json.loads(text)
    array = None if head["dtype"] is None else np.frombuffer(content, dtype=_DTYPES[head["dtype"]])
    return Frame(head["body"], array)
