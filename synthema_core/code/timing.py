"""When a site answers: at one moment that a Plan fixes, so that how long the code took tells nothing.

Every evaluation has its own limit, and there is time for all of them at their limit: what the code does with one
patient cannot take time from another's.
"""

from __future__ import annotations

import math

LANES = 2
"""Evaluations at a time, at every site: were it the machine's cores, Plans would differ between sites."""
WALL_FACTOR = 4.0
"""An evaluation is ended at this many times its CPU-seconds: code that only waits must end, too. With less, a busy
machine would end honest code, and count it for its default without anybody being told."""
LONGEST_CPU_SECONDS = 300.0
LONGEST_ANSWER_SECONDS = 3600.0
_OVERHEAD_SECONDS = 0.025
"""For making and clearing away one evaluation's process."""
_START_SECONDS = 10.0
"""For reading rows and making the sandbox, on a machine that has other things to do."""


def answer_seconds(evaluations: int, cpu_seconds: float) -> float:
    """From the question's arrival to the answer, whatever happens in between."""
    return _START_SECONDS + math.ceil(evaluations / LANES) * (WALL_FACTOR * cpu_seconds + _OVERHEAD_SECONDS)
