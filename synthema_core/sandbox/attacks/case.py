"""What an attack is, how it is run and how it is judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.source import MAIN, Code
from synthema_core.sandbox.attacks.bait import Bait, laid_out
from synthema_core.sandbox.port import Backend, End, Limits, Outcome, Sandbox

LIMITS = Limits(cpu_seconds=0.5, memory_bytes=64 << 20, output_bytes=1 << 20, log_bytes=4 << 10)
_LATEST_SECONDS = 2.0
"""After its wall limit an evaluation has ended, even on a busy machine."""
OUTPUTS = Outputs((Output("got", (), 1.0),))
_HONEST = "def attempt(rows, bait):\n    return float(rows['turn'].sum() / 2)\n"
_SOURCE = '''
import ctypes, fcntl, gc, importlib, json, mmap, multiprocessing, os, pickle, re, resource, select, shutil, signal
import socket, sqlite3, struct, subprocess, sys, tempfile, threading, time
import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

def works(attempt, *arguments, **named):
    """1.0 if it can be done at all."""
    try:
        attempt(*arguments, **named)
    except (OSError, RuntimeError, ImportError, ValueError, sqlite3.Error, MemoryError):
        return 0.0
    return 1.0

def any_of(attempts):
    return max(works(attempt) for attempt in attempts)

def call(numbers):
    """System calls without Python's or libc's wrappers around them."""
    def make(name, *arguments):
        values = [value if isinstance(value, (bytes, type(None))) or not isinstance(value, int)
                  else ctypes.c_long(value) for value in arguments]
        result = LIBC.syscall(ctypes.c_long(numbers[name]), *values)
        if result == -1:
            raise OSError(ctypes.get_errno(), name)
        return result
    return make

def run(rows):
    bait = json.loads(rows["bait"].iloc[0])
    space = dict(globals(), syscall=call(bait["numbers"]))
    exec(rows["source"].iloc[0], space)
    return space["attempt"](rows, bait)
'''
CODE = Code({MAIN: _SOURCE}, "run")


class Field(StrEnum):
    """What an attack is on."""

    FILES = "files"
    NETWORK = "network"
    PROCESSES = "processes"
    KERNEL = "the kernel"
    ORDER = "what ties evaluations"
    MEMORY = "what others left in memory"
    OUTPUT = "the output"
    LIMITS = "limits"


@dataclass(frozen=True, slots=True)
class Attack:
    """A piece of hostile code.

    Parameters
    ----------
    source
        Defines ``attempt(rows, bait)``, which returns 1 if it got what it wanted, else 0.
    ends
        How an evaluation of it may end. What an attack returns counts wherever it ends.
    turns
        Evaluations one after the other; ``rows["turn"]`` says which one it is. The last one's result counts.
    provable
        Whether it gets through where nothing confines: tests show that it does.
    quick
        Whether it is tried whenever a backend is chosen.
    bearable
        Whether a backend that does not hold against it is offered all the same, with a remark: some kernels do not let
        a process part with its clocks.
    """

    field: Field
    name: str
    tries: str
    source: str
    ends: tuple[End, ...] = (End.RETURNED,)
    turns: int = 1
    provable: bool = True
    quick: bool = False
    bearable: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of an attack; `why` says how it got through, and is empty if the sandbox held."""

    name: str
    tries: str
    why: str
    bearable: bool = False

    @property
    def held(self) -> bool:
        return not self.why

    @property
    def disqualifies(self) -> bool:
        return not self.held and not self.bearable


def attack(backend: Backend, cases: Iterable[Attack]) -> tuple[Finding, ...]:
    """Try each in turn, and honest code before them all. Raises Unavailable if the backend does not work."""
    with laid_out() as bait, backend.open(CODE, OUTPUTS) as sandbox:
        honest = sandbox.evaluate(_rows(_HONEST, bait, 2), LIMITS)
        works = honest.arrays is not None and float(honest.arrays.get("got", np.zeros(()))) == 1.0
        why = "" if works else f"it was {honest.end.value}"
        first = Finding("honest code", "Computes what it declares.", why)
        return (first, *(Finding(case.name, case.tries, attempt(sandbox, case, bait), case.bearable) for case in cases))


def attempt(sandbox: Sandbox, case: Attack, bait: Bait) -> str:
    """How it got through; empty if it did not."""
    for turn in range(1, case.turns + 1):
        outcome = sandbox.evaluate(_rows(case.source, bait, turn), LIMITS)
        if turn < case.turns and outcome.end is not End.RETURNED:
            return f"its first part was {outcome.end.value}"
    touched = bait.touched()
    return _judge(case, outcome) or touched


def _rows(source: str, bait: Bait, turn: int) -> Rows:
    """For one evaluation; the secret is in the first turn's rows only."""
    texts = {"source": source, "bait": bait.told, "note": bait.secret if turn == 1 else "nothing"}
    columns = {name: np.array([text], dtype=object) for name, text in texts.items()}
    return {**columns, "turn": np.array([float(turn)])}


def _judge(case: Attack, outcome: Outcome) -> str:
    values = OUTPUTS.flatten(outcome.arrays)
    if values is not None and np.any(values):
        return "it got what it wanted"
    if outcome.end not in case.ends:
        return f"it was {outcome.end.value}"
    if outcome.wall_seconds > LIMITS.wall_seconds + _LATEST_SECONDS:
        return f"it took {outcome.wall_seconds:.1f} s"
    if len(outcome.log.encode()) > 4 * LIMITS.log_bytes or outcome.peak_bytes > 2 * LIMITS.memory_bytes:
        return "it took more than its share"
    return ""
