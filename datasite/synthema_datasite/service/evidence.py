"""The site's own trial of code on Mock rows: what came out, how long it took. Once a Request, in the site's sandbox.

Of the code alone it says something, of no patient: a Mock is made from the Schema. Kept in the Journal's stream
``evidence/REQUEST`` as one entry of kind ``mock-run``.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Self

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.canonical import Json
from synthema_core.code.outputs import Outputs
from synthema_core.code.questions import CodeQuestion, PerBlock
from synthema_core.errors import Unavailable
from synthema_core.journal import Draft
from synthema_core.mock import mock_rows
from synthema_core.ports import JournalReader
from synthema_core.request import Status
from synthema_core.request_record import request_record
from synthema_core.sandbox.port import Backend, End, Limits, Outcome
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.service.code_reading import question_of
from synthema_datasite.service.records import dataset_records
from synthema_datasite.service.register import Line, Register
from synthema_datasite.service.site import Site

EVIDENCE, MOCK_RUN = "evidence/", "mock-run"
PATIENTS = 60
_SEED = 1
_MOST_BLOCKS = 100
_MOST_SECONDS = 120.0
_MOST_VALUES, _LONGEST_LOG = 200, 5_000
_IDLE_SECONDS, _RETRY_SECONDS = 1.0, 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MockRun:
    """What a trial on Mock rows showed. All of it but the counts was made by the code: believe none of it.

    Parameters
    ----------
    ends
        How many evaluations ended how.
    planned
        Evaluations that were to be made; more than were, if the trial took too long.
    usable
        Evaluations that returned exactly what the Plan declares.
    slowest_seconds, peak_bytes
        Of any one evaluation, processor time and memory.
    values
        The first usable output, in the declared order; cut.
    log
        What the evaluations printed, the failed ones' first; cut.
    """

    plan_digest: str
    sandbox: str
    patients: int
    planned: int
    ends: Mapping[str, int]
    usable: int
    seconds: float
    slowest_seconds: float
    peak_bytes: int
    values: tuple[float, ...]
    log: str

    @property
    def evaluations(self) -> int:
        return sum(self.ends.values())

    @property
    def complete(self) -> bool:
        return self.evaluations == self.planned

    def to_dict(self) -> dict[str, Json]:
        return {**asdict(self), "ends": dict(self.ends), "values": list[Json](self.values)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{**data, "values": tuple(data["values"])})


def mock_run_of(journal: JournalReader, request: str) -> MockRun | None:
    """The trial of that Request's code, if it was made."""
    entries = [entry for entry in journal.entries(EVIDENCE + request) if entry.kind == MOCK_RUN]
    return MockRun.from_dict(entries[-1].body) if entries else None


def named_values(outputs: Outputs, values: Sequence[float]) -> list[tuple[str, tuple[float, ...]]]:
    """As much of each output as the values, which may be cut, say."""
    named, start = [], 0
    for output in outputs.outputs:
        named.append((output.name, tuple(values[start : start + output.length])))
        start += output.length
    return [(name, part) for name, part in named if part]


def _choose_backend(name: str) -> Backend:
    from synthema_core.sandbox.choose import choose_backend

    return choose_backend(name)


class Evidence:
    """Makes the trials that are due, one a turn.

    Parameters
    ----------
    sandbox
        Name of the backend in which code runs here; empty: none is tried.
    find
        The backend of that name, or Unavailable; by default the real ones, which are attacked first.
    """

    def __init__(self, site: Site, sandbox: str, find: Callable[[str], Backend] = _choose_backend) -> None:
        self._site, self._sandbox, self._find = site, sandbox, find
        self._register = Register(site)
        self._backend: Backend | None = None
        self._not_before = dict[str, float]()

    def turn(self) -> float:
        """Make the next trial that is due; the seconds to wait before the next turn."""
        line = next((line for line in self._register.lines() if self._is_due(line)), None)
        if line is None or not self._sandbox:
            return _IDLE_SECONDS
        try:
            found = self._try(line)
        except Unavailable as error:  # says nothing about the code
            _log.warning("The code of request %s could not be tried: %s", line.id, error)
            self._backend = None
            self._not_before[line.id] = time.monotonic() + _RETRY_SECONDS
            return _IDLE_SECONDS
        if found is None:
            self._not_before[line.id] = float("inf")
            return 0.0
        with self._site.journal.writing() as journal:
            if mock_run_of(journal, line.id) is None:
                body = found.to_dict()
                journal.append(Draft(EVIDENCE + line.id, MOCK_RUN, self._site.name, self._site.now(), body))
        return 0.0

    def _is_due(self, line: Line) -> bool:
        waits = line.status is Status.UNDER_REVIEW and bool(line.code_digest)
        if not waits or time.monotonic() < self._not_before.get(line.id, 0.0):
            return False
        if mock_run_of(self._site.journal, line.id) is None:
            return True
        self._not_before[line.id] = float("inf")
        return False

    def _try(self, line: Line) -> MockRun | None:
        """None for code that cannot be tried here: its dataset is not here, or its columns are not the dataset's."""
        record = request_record(self._site.journal, line.id, self._site.name)
        question, dataset = question_of(record.plan), dataset_records(self._site.journal).get(line.dataset)
        if question is None or dataset is None:
            return None
        if not set(question.columns_read) <= {field.name for field in dataset.facts.schema.fields}:
            return None
        if self._backend is None:
            self._backend = self._find(self._sandbox)
        return try_on_mock(question, dataset.facts.schema, self._backend, record.plan.digest)


def try_on_mock(question: CodeQuestion, schema: Schema, backend: Backend, plan_digest: str) -> MockRun:
    """Evaluate the code on the rows of a Mock, as it would be on patients'.

    Raises
    ------
    Unavailable
        If the sandbox broke. Whatever the code does is an outcome, and no error.
    """
    groups = _groups(question, schema)
    begun = time.monotonic()
    with backend.open(question.code, question.outputs) as sandbox:
        limits = Limits(cpu_seconds=question.cpu_seconds)
        outcomes = list(_in_time(sandbox.evaluate_all(groups, limits), begun + _MOST_SECONDS))
    vectors = [question.outputs.flatten(outcome.arrays) for outcome in outcomes]
    usable = [vector for vector in vectors if vector is not None]
    return MockRun(
        plan_digest=plan_digest,
        sandbox=backend.name,
        patients=PATIENTS,
        planned=len(groups),
        ends=dict(Counter(outcome.end.value for outcome in outcomes)),
        usable=len(usable),
        seconds=round(time.monotonic() - begun, 3),
        slowest_seconds=round(max((outcome.cpu_seconds for outcome in outcomes), default=0.0), 4),
        peak_bytes=max((outcome.peak_bytes for outcome in outcomes), default=0),
        values=_first_values(usable),
        log=_log_of(outcomes),
    )


def _groups(question: CodeQuestion, schema: Schema) -> list[Rows]:
    """As at the real run, but of so many blocks only."""
    if isinstance(question, PerBlock):
        question = replace(question, capacity=min(question.capacity, _MOST_BLOCKS))
    rows = mock_rows(schema, PATIENTS, _SEED)
    given = {name: rows[name] for name in question.columns}
    return question.groups(given, np.asarray(rows[schema.patient_id], dtype=object), b"of no patient")


def _in_time(outcomes: Iterable[Outcome], deadline: float) -> Iterable[Outcome]:
    for outcome in outcomes:
        yield outcome
        if time.monotonic() >= deadline:
            return


def _first_values(usable: list[Floats]) -> tuple[float, ...]:
    return tuple(float(value) for value in usable[0][:_MOST_VALUES]) if usable else ()


def _log_of(outcomes: list[Outcome]) -> str:
    """Those that failed have more to tell. As text that any encoding can hold."""
    spoken = sorted((outcome for outcome in outcomes if outcome.log), key=lambda outcome: outcome.end is End.RETURNED)
    parts = dict.fromkeys(outcome.log for outcome in islice(spoken, _MOST_BLOCKS))
    return "\n".join(parts)[:_LONGEST_LOG].encode(errors="replace").decode()
