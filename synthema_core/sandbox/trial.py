"""Trying code where there are no patients: on Mocks, in the same sandbox and under the same limits as at a site."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile, zip_longest

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Arrays, Output, Outputs
from synthema_core.code.questions import CodeQuestion, PerBlock, PerPatient
from synthema_core.code.timing import WALL_FACTOR
from synthema_core.mock import mock_rows
from synthema_core.sandbox.port import Backend, End, Limits, Outcome
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

MOST_EVALUATIONS = 60
_PATIENCE_SECONDS = 30.0
_PATIENTS_PER_BLOCK = 10
_PATIENTS_PER_MOCK = 200
_MOST_FAILURES = 3
_LONGEST_FAILURE = 4_000
_KEY = b"mock"
_NUMBERS = re.compile(r"[\d.]+")


@dataclass(frozen=True, slots=True)
class Spread:
    """What the evaluations of a trial gave for one output.

    Parameters
    ----------
    lowest, highest
        Over all cells of all evaluations that returned it, as returned.
    beyond
        Evaluations in which a cell was beyond the declared bound, and was cut to it.
    """

    name: str
    lowest: float
    highest: float
    beyond: int


@dataclass(frozen=True, slots=True)
class Trial:
    """How code fared on Mocks. Says nothing of any patient.

    Parameters
    ----------
    backend
        The sandbox it ran in.
    asked
        Evaluations that were wanted; fewer were made where time ran out.
    ends
        How many evaluations ended how; one that returned something else than declared ended as BAD_OUTPUT.
    spreads
        By output; empty where no evaluation returned what was declared.
    shortened
        Evaluations whose vector was longer than the clip.
    cpu_seconds, wall_seconds, peak_bytes
        The most that an evaluation took.
    failures
        What the first evaluations that failed each in a way of their own printed last: made from Mocks, by the code.
    """

    backend: str
    asked: int
    ends: tuple[tuple[End, int], ...]
    spreads: tuple[Spread, ...]
    shortened: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    failures: tuple[str, ...]

    @property
    def evaluations(self) -> int:
        return sum(count for _, count in self.ends)

    @property
    def returned(self) -> int:
        """Evaluations that gave what was declared."""
        return dict(self.ends).get(End.RETURNED, 0)


def try_out(
    question: CodeQuestion,
    schema: Schema,
    backend: Backend,
    *,
    sites: int,
    most: int = MOST_EVALUATIONS,
    patience_seconds: float = _PATIENCE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Trial:
    """Evaluate the code on one Mock for each of `sites` sites: at most `most` evaluations, in turn.

    Parameters
    ----------
    patience_seconds
        After that long, the evaluations under way are the last.

    Raises
    ------
    Unavailable
        If the sandbox broke.
    """
    groups = list(islice(_in_turn(question, schema, sites, most), most))
    until = clock() + patience_seconds
    tally = _Tally(question)
    with backend.open(question.code, question.outputs) as sandbox:
        in_time = takewhile(lambda _: clock() < until, groups)
        for outcome in sandbox.evaluate_all(in_time, Limits(cpu_seconds=question.cpu_seconds)):
            tally.add(outcome)
    return tally.trial(backend.name, len(groups))


def _in_turn(question: CodeQuestion, schema: Schema, sites: int, most: int) -> Iterator[Rows]:
    """The rows of the evaluations: the first of each site, then the second of each."""
    patients = _patients(question, sites, most)
    at_sites = [_groups(question, schema, patients, seed) for seed in range(sites)]
    return (rows for rows in chain.from_iterable(zip_longest(*at_sites)) if rows is not None)


def _patients(question: CodeQuestion, sites: int, most: int) -> int:
    if isinstance(question, PerPatient):
        return math.ceil(most / sites)
    return _PATIENTS_PER_BLOCK * question.capacity if isinstance(question, PerBlock) else _PATIENTS_PER_MOCK


def _groups(question: CodeQuestion, schema: Schema, patients: int, seed: int) -> list[Rows]:
    rows = mock_rows(schema, patients, seed)
    read = {column: rows[column] for column in question.columns_read}
    return question.groups(read, rows[schema.patient_id], _KEY)


@dataclass(slots=True)
class _Tally:
    """What has been seen of a trial's outcomes."""

    question: CodeQuestion
    ends: Counter[End] = field(default_factory=Counter)
    vectors: list[Floats] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0

    def add(self, outcome: Outcome) -> None:
        self.cpu_seconds = max(self.cpu_seconds, outcome.cpu_seconds)
        self.wall_seconds = max(self.wall_seconds, outcome.wall_seconds)
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        vector = self.question.outputs.flatten(outcome.arrays)
        if vector is not None:
            self.ends[End.RETURNED] += 1
            self.vectors.append(vector)
            return
        end = End.BAD_OUTPUT if outcome.end is End.RETURNED else outcome.end
        self.ends[end] += 1
        text = _failure(outcome, end, self.question)
        if len(self.failures) < _MOST_FAILURES:
            self.failures.setdefault(f"{end} {_way(text)}", text)

    def trial(self, backend: str, asked: int) -> Trial:
        ends = tuple((end, self.ends[end]) for end in End if self.ends[end])
        return Trial(
            backend,
            asked,
            ends,
            self._spreads(),
            self._shortened(),
            self.cpu_seconds,
            self.wall_seconds,
            self.peak_bytes,
            tuple(self.failures.values()),
        )

    def _spreads(self) -> tuple[Spread, ...]:
        if not self.vectors:
            return ()
        outputs = self.question.outputs
        by_output = [outputs.unflatten(vector) for vector in self.vectors]
        return tuple(
            _spread(o, np.stack([arrays[o.name].reshape(-1) for arrays in by_output])) for o in outputs.outputs
        )

    def _shortened(self) -> int:
        if not isinstance(self.question, PerPatient | PerBlock):
            return 0
        outputs, most = self.question.outputs, self.question.clip * (1 + 1e-9)
        return sum(float(np.linalg.norm(np.clip(v / outputs.bounds, -1, 1))) > most for v in self.vectors)


def _spread(output: Output, values: Floats) -> Spread:
    """Parameters
    ----------
    values
        (evaluations, cells)
    """
    return Spread(
        output.name,
        float(values.min()),
        float(values.max()),
        int(np.any(np.abs(values) > output.bound, axis=1).sum()),
    )


def _failure(outcome: Outcome, end: End, question: CodeQuestion) -> str:
    """What its author needs to mend it: the printed end, or how what it returned differs from what was declared."""
    if outcome.arrays is not None:
        return difference(outcome.arrays, question.outputs)
    said = outcome.log.strip()[-_LONGEST_FAILURE:]
    told = {
        End.TIMEOUT: f"It took longer than {question.cpu_seconds:g} CPU-seconds, or waited {WALL_FACTOR:g} times that.",
        End.MEMORY: "It needed more memory than an evaluation gets.",
        End.KILLED: "It did something that the sandbox forbids, and was ended.",
    }
    return "\n".join(part for part in (said, told.get(end, "")) if part) or "It said nothing."


def _way(text: str) -> str:
    """Its last line without the numbers in it: two of one way are told apart by their rows only."""
    return _NUMBERS.sub("", text.rpartition("\n")[2])


def difference(arrays: Arrays, outputs: Outputs) -> str:
    """The first way in which what was returned is not what was declared."""
    declared = {output.name: output for output in outputs.outputs}
    for name in [*declared, *sorted(arrays)]:
        if name not in arrays:
            return f"It returned no '{name}', which is declared."
        if name not in declared:
            return f"It returned '{name}', which is not declared."
        array, output = arrays[name], declared[name]
        if array.shape != output.shape:
            return f"'{name}' has the shape {list(array.shape)}, and {list(output.shape)} is declared."
        if array.dtype.kind not in "biuf":
            return f"'{name}' is not made of numbers."
        if not np.all(np.isfinite(array)):
            return f"'{name}' holds a value that is missing or infinite."
    return "It returned what was declared."
