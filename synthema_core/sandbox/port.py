"""The seam between those who need code run and the backends that confine it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Arrays, Outputs
from synthema_core.code.source import Code
from synthema_core.code.timing import LANES, WALL_FACTOR
from synthema_core.errors import InvalidInput

__all__ = ["LANES", "Backend", "End", "Limits", "Outcome", "Sandbox"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one evaluation may use. Beyond it, it is killed.

    Parameters
    ----------
    cpu_seconds
        Of its process. The wall limit is `WALL_FACTOR` times that: code that only waits is ended, too.
    memory_bytes
        Above what the libraries take.
    """

    cpu_seconds: float = 1.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 16 << 20
    log_bytes: int = 64 << 10

    def __post_init__(self) -> None:
        if not 0.01 <= self.cpu_seconds <= 3600 or not 16 << 20 <= self.memory_bytes <= 64 << 30:
            raise InvalidInput("An evaluation may take 0.01 to 3600 seconds and 16 MiB to 64 GiB.")

    @property
    def wall_seconds(self) -> float:
        return WALL_FACTOR * self.cpu_seconds


class End(StrEnum):
    """How an evaluation ended."""

    RETURNED = "returned"
    RAISED = "raised"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    KILLED = "killed"
    BAD_OUTPUT = "bad output"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of one evaluation. Everything in it was made by the code: believe none of it.

    Parameters
    ----------
    arrays
        What the code returned, numeric arrays by name; None unless it `RETURNED`. Not yet held against what the Plan
        declares: `Outputs.flatten` does that.
    log
        What the code printed, and the error that ended it. Holds what rows hold: for a steward's eyes, or nobody's.
    """

    end: End
    arrays: Arrays | None
    log: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


class Sandbox(Protocol):
    """One Code, ready to be evaluated again and again; no evaluation can tell what was evaluated before it."""

    def evaluate(self, rows: Rows, limits: Limits) -> Outcome:
        """Call the code's function once with these rows, in a process that is made for it and ends with it.

        Raises
        ------
        Unavailable
            If the sandbox itself broke; never because of what the code did.
        """
        ...

    def evaluate_all(self, groups: Iterable[Rows], limits: Limits) -> Iterator[Outcome]:
        """One evaluation for each group, `LANES` at a time; the outcomes in the groups' order."""
        ...


class Backend(Protocol):
    """One way to confine."""

    @property
    def name(self) -> str:
        """`bubblewrap` or `landlock`."""
        ...

    def missing(self) -> str:
        """One sentence saying why this machine cannot offer it, or empty."""
        ...

    def open(self, code: Code, outputs: Outputs) -> AbstractContextManager[Sandbox]:
        """A sandbox for this code; ends with all its processes when left. `outputs` name what a bare return means."""
        ...
