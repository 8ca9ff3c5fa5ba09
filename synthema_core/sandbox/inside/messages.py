"""What the trusted side, a template and its children say to each other.

A template must not learn anything about an evaluation: what it knows, the next child knows, too. So orders say the
same every time, children answer for themselves, and the template neither waits for them nor looks at a clock.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ROWS, LOG, ERRORS, RESULT = 0, 1, 2, 3
"""Where a child finds its pipes. It has no other file."""
READY = b"ready"
LARGEST_BYTES = 256
MOST_FILES = 64

CONFINED, NOT_CONFINED = b"\x06", b"\x15"
"""The first byte of every result, written before the code's first line: what follows is the code's, believe none."""


class Order(NamedTuple):
    """Fork a child for one evaluation. Along with it travel files: its rows, its result, its log.

    Any more files are handles of children that have ended: they are to be forgotten.

    Parameters
    ----------
    lane
        By which the child announces itself: one byte, sent with its process number by the kernel.
    """

    lane: int
    cpu_seconds: float
    memory_bytes: int

    def pack(self) -> bytes:
        return _ORDER.pack(*self)


class Exit:
    """What a child that came to an end of its own says last."""

    RETURNED, RAISED, MEMORY, BAD_OUTPUT = range(4)


class Farewell(NamedTuple):
    """The last bytes of a result: how it ended, and the memory it took, KiB. As untrusted as all before it."""

    exit: int
    peak_kib: int

    def pack(self) -> bytes:
        return _FAREWELL.pack(*self)


_ORDER = struct.Struct("=BdQ")
_FAREWELL = struct.Struct("=BQ")
FAREWELL_BYTES = _FAREWELL.size


def read_order(message: bytes) -> Order:
    return Order(*_ORDER.unpack(message))


def read_farewell(content: bytes) -> tuple[bytes, Farewell] | None:
    """What was before it, and the farewell; None if there is none."""
    if len(content) < FAREWELL_BYTES:
        return None
    return content[:-FAREWELL_BYTES], Farewell(*_FAREWELL.unpack(content[-FAREWELL_BYTES:]))
