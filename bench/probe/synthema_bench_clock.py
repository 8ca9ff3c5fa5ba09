"""What a Round took: the clock's seconds, and those of the processors that all processes of the bench used."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_USER, _SYSTEM = 11, 12  # in /proc/PID/stat, counted from what follows the name


class Moment(NamedTuple):
    """One reading, in seconds since times of their own."""

    clock: float
    processors: float


def now() -> Moment:
    """Of the processes that the bench's own interpreter runs; of one that has ended, nothing is counted."""
    return Moment(time.monotonic(), sum(map(_used, filter(_is_ours, Path("/proc").glob("[0-9]*")))))


def _is_ours(process: Path) -> bool:
    with suppress(OSError):
        return (process / "cmdline").read_bytes().startswith(sys.prefix.encode())
    return False


def _used(process: Path) -> float:
    with suppress(OSError):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
    return 0.0
