"""How much else this machine did meanwhile: what makes one run of the bench worth more than another."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

_IDLE = ("idle", "iowait", "guest", "guest_nice")


@dataclass(slots=True)
class Others:
    """The share of all processors that work of others took, from 0 to 1, once the block has ended.

    What children of children did that nobody waited for counts as others'.
    """

    share: float = 0.0

    @property
    def told(self) -> str:
        return f"other work took {self.share:.0%} of the machine meanwhile"


@contextmanager
def others() -> Iterator[Others]:
    found = Others()
    began, all_before, own_before = time.monotonic(), _all_seconds(), _own_seconds()
    yield found
    available = (time.monotonic() - began) * (os.cpu_count() or 1)
    by_others = (_all_seconds() - all_before) - (_own_seconds() - own_before)
    found.share = min(1.0, max(0.0, by_others / available))


def _all_seconds() -> float:
    return sum(seconds for name, seconds in psutil.cpu_times()._asdict().items() if name not in _IDLE)


def _own_seconds() -> float:
    """Of this process, and of the children that have ended with theirs."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
