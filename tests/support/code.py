"""Code, questions asked in it, Plans, and a sandbox that does as it is told: what tests of code start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np

from support.builders import NOW, SITES, card
from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Arrays, Output, Outputs
from synthema_core.code.questions import Aggregate, CodeQuestion, PerBlock, PerPatient
from synthema_core.code.source import MAIN, Code
from synthema_core.plan import Plan
from synthema_core.planning import plan_of
from synthema_core.sandbox.port import End, Limits, Outcome

CODE_POLICY = """
[defaults]
min_patients = 5
min_sites = 3
exact = true
max_numbers_per_patient = 50.0
epsilon_per_request = 100.0
epsilon_per_researcher = 1000.0
code = ["per-patient", "per-block", "aggregate"]
max_patients = 60

[datasets.trial.budget]
epsilon = 100.0
delta = 1e-3
"""
"""The policy of a TrialSite that takes code."""
PATIENTS = 60
"""What that policy's sites may have at most."""

AGES = """
def patient(rows):
    return {"age": float(rows["age"].iloc[0]), "flags": [1.0, 0.0, 1.0]}
"""
SUMS = """
def aggregate(rows):
    return {"deaths": [float((rows["died"] == 1).sum()), float(len(rows))], "years": float(rows["age"].sum())}
"""

OUTPUTS = Outputs((Output("age", (), 100.0, default=50.0), Output("flags", (3,), 2.0)))
SUMMED = Outputs((Output("deaths", (2,), 1000.0), Output("years", (), 1e6)))

Q = TypeVar("Q", bound=CodeQuestion)


def code(source: str = AGES, function: str = "", **helpers: str) -> Code:
    """The source as study.py; helper modules by name."""
    named = function or source.partition("def ")[2].partition("(")[0]
    return Code({MAIN: source, **{f"{name}.py": text for name, text in helpers.items()}}, named)


def _made(kind: type[Q], usual: dict[str, Any], changes: dict[str, Any]) -> Q:
    return kind(**{**usual, **changes})


def per_patient(**changes: Any) -> PerPatient:
    usual = {"code": code(), "outputs": OUTPUTS, "columns_read": ("age", "died"), "cpu_seconds": 0.1}
    return _made(PerPatient, {**usual, "clip": 1.0, "capacity": PATIENTS}, changes)


def per_block(**changes: Any) -> PerBlock:
    usual = {"code": code(), "outputs": OUTPUTS, "columns_read": ("age", "died"), "cpu_seconds": 0.1}
    return _made(PerBlock, {**usual, "clip": 1.0, "capacity": 8}, changes)


def aggregate(**changes: Any) -> Aggregate:
    usual = {"code": code(SUMS), "outputs": SUMMED, "columns_read": ("age", "died"), "cpu_seconds": 1.0}
    return _made(Aggregate, usual, changes)


QUESTIONS: dict[str, Callable[..., CodeQuestion]] = {
    "per-patient": per_patient,
    "per-block": per_block,
    "aggregate": aggregate,
}


def code_plan(
    question: CodeQuestion, *, epsilon: float | None = None, delta: float | None = None, **changes: Any
) -> Plan:
    """A Plan of that question to three sites that take code."""
    policy = {"code": [question.shape], "max_patients": PATIENTS}
    made = plan_of(
        question,
        [card(site, policy=policy) for site in SITES],
        requester="rosalind",
        purpose="Does it hold?",
        now=NOW,
        epsilon=epsilon,
        delta=delta,
    )
    return replace(made, **changes) if changes else made


class InMemory:
    """A RowStore of these rows; or of the failure that reading them is."""

    def __init__(self, rows: Rows, failure: BaseException | None = None) -> None:
        self._rows, self._failure = rows, failure
        self.asked: list[tuple[str, ...]] = []

    def load(self, columns: Sequence[str]) -> Rows:
        self.asked.append(tuple(columns))
        if self._failure is not None:
            raise self._failure
        return {column: self._rows[column] for column in columns}


class FakeTime:
    """A clock that only sleeping and evaluating move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def returned(arrays: Arrays | None, log: str = "") -> Outcome:
    return Outcome(End.RETURNED, arrays, log, 0.01, 0.01, 1 << 20)


def ended(end: End, log: str = "") -> Outcome:
    return Outcome(end, None, log, 0.01, 0.01, 1 << 20)


Scripted: TypeAlias = Callable[[Rows], Outcome | Arrays | None]


@dataclass
class ScriptedSandbox:
    """Implements Sandbox. What an evaluation gives is what `function` makes of its rows; what it raises, the code did.

    Parameters
    ----------
    seconds
        By which an evaluation moves `time`.
    breaks
        What the sandbox itself fails with, at the evaluation `breaks_at`; -1: when it is opened.
    """

    function: Scripted
    time: FakeTime = field(default_factory=FakeTime)
    seconds: Callable[[Rows], float] = lambda _: 0.0
    breaks: BaseException | None = None
    breaks_at: int = 0
    evaluated: list[Rows] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)
    closed: int = 0

    @contextmanager
    def open(self) -> Iterator[ScriptedSandbox]:
        if self.breaks is not None and self.breaks_at == -1:
            raise self.breaks
        try:
            yield self
        finally:
            self.closed += 1

    def evaluate(self, rows: Rows, limits: Limits) -> Outcome:
        if self.breaks is not None and len(self.evaluated) == self.breaks_at:
            raise self.breaks
        self.evaluated.append(rows)
        self.limits.append(limits)
        self.time.now += self.seconds(rows)
        try:
            made = self.function(rows)
        except Exception as error:
            return ended(End.RAISED, f"{type(error).__name__}: {error}")
        return made if isinstance(made, Outcome) else returned(made)

    def evaluate_all(self, groups: Iterable[Rows], limits: Limits) -> Iterator[Outcome]:
        for rows in groups:
            yield self.evaluate(rows, limits)


def table(ages: Sequence[float], ids: Sequence[str] | None = None) -> Rows:
    """Rows of the small trial, one a patient unless `ids` say otherwise."""
    names = [f"p{number}" for number in range(len(ages))] if ids is None else list(ids)
    return {
        "id": np.array(names, dtype=object),
        "age": np.array(ages, dtype=np.float64),
        "died": np.zeros(len(ages)),
    }
