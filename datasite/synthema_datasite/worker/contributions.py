"""Where a Job's numbers come from: the engine's own analysis of rows, code in a sandbox, or what a site has staged."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthema_core.analyses.base import Analysis, Patients, Rows
from synthema_core.code.combine import summed
from synthema_core.code.questions import PerBlock, PerPatient
from synthema_core.cohort import Cohort
from synthema_core.errors import Refused, SynthemaError
from synthema_core.plan import Plan
from synthema_core.ports import RowStore
from synthema_core.sandbox.port import Limits, Sandbox
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats
from synthema_core.staged import StagedQuestion
from synthema_datasite.worker.cohorts import check_apart

OpenSandbox = Callable[[], AbstractContextManager[Sandbox]]
Clock = Callable[[], float]
_DICE = secrets.SystemRandom()


class Contribution(Protocol):
    """One site's numbers for each Round, before they are quantised, noised and masked."""

    def values(self, round_input: Floats) -> Floats:
        """(layout.length,) float64."""
        ...

    def wait(self) -> None:
        """Return when the answer to the Round may leave."""
        ...


class OfEngine:
    """A built-in analysis of rows that are read once.

    Parameters
    ----------
    schema
        Of the Dataset. Its patient id is read for private analyses, which bound what each patient adds.
    key
        For choosing among a patient's rows.
    earlier
        The Cohorts of earlier exact answers about the Dataset.

    Raises
    ------
    Refused
        On opening, for exact Plans: if fewer patients than the Plan's `min_patients` enter the computation, or
        differ from those of an earlier answer. Private Plans are not checked: whether a site has few patients is
        itself private.
    """

    def __init__(
        self,
        plan: Plan,
        analysis: Analysis,
        store: RowStore,
        schema: Schema,
        key: bytes,
        earlier: Sequence[Cohort] = (),
    ) -> None:
        self._analysis = analysis
        read = plan.cohort.reads(analysis.columns)
        if analysis.private:
            found = store.load((schema.patient_id, *read))
            self._rows, chosen = plan.cohort.apply(without(found, schema.patient_id), schema)
            self._patients = Patients(found[schema.patient_id][chosen], key)
            return
        self._rows, chosen = plan.cohort.apply(store.load(read), schema)
        self._patients = Patients.one_a_row(self._rows)  # an exact analysis refuses schemas with more rows a patient
        if analysis.cohort_size(self._rows) < plan.output.min_patients:
            raise Refused("Too few patients here have all the columns asked for.", rule="min_patients")
        check_apart(chosen, earlier, store, schema, plan.output.min_patients)

    def values(self, round_input: Floats) -> Floats:
        return self._analysis.contribution(self._rows, round_input, self._patients)

    def wait(self) -> None:
        """An analysis takes no time that is worth hiding: it is ours, and says the same for all rows."""


class OfCode:
    """Code whose privacy does not depend on what it does: evaluated apart, clipped, and answered at one moment.

    Nothing that happens while it runs is told: an evaluation that fails counts for the declared defaults, and whatever
    goes wrong beside it is an error of one kind, raised at the moment at which the answer was due.

    Parameters
    ----------
    patient_id
        The column that says who each row is about. The code is not given it.
    key
        For drawing blocks.
    """

    def __init__(
        self,
        question: PerPatient | PerBlock,
        store: RowStore,
        patient_id: str,
        key: bytes,
        open_sandbox: OpenSandbox,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._question, self._store, self._patient_id, self._key = question, store, patient_id, key
        self._open_sandbox, self._clock, self._sleep = open_sandbox, clock, sleep
        self._due = 0.0  # before every moment: a process that did not begin the answer does not know its moment
        self._failed = self._answered = False

    def values(self, round_input: Floats) -> Floats:  # noqa: ARG002  code takes no input
        self._due = self._clock() + self._question.answer_seconds
        try:
            return summed(self._vectors(), self._question.outputs, self._question.clip)
        except Exception as error:  # of any kind: raised here it would be told sooner, and as another
            said = error if isinstance(error, SynthemaError) else type(error).__name__
            print(f"Code was not evaluated: {said}", flush=True)  # noqa: T201  to the site's log
            self._failed = True
            return np.zeros(self._question.outputs.length)

    def wait(self) -> None:
        """Asked again after the answer has left, there is nothing to wait for."""
        if self._answered:
            return
        late = self._clock() > self._due
        self._sleep(max(0.0, self._due - self._clock()))
        if late or self._failed:
            raise Refused("This site had no answer at the moment that the Plan fixes.", rule="answer-time")
        self._answered = True

    def _vectors(self) -> Iterator[Floats | None]:
        question = self._question
        rows = self._store.load((self._patient_id, *question.columns))
        patients = rows[self._patient_id]
        groups = question.groups(without(rows, self._patient_id), patients, self._key)
        if len(groups) > question.capacity:
            raise Refused("There are more patients here than the Plan has time for.", rule="capacity")
        _DICE.shuffle(groups)  # whoever still finds out which evaluation it is has found out about nobody
        with self._open_sandbox() as sandbox:
            for outcome in sandbox.evaluate_all(groups, Limits(cpu_seconds=question.cpu_seconds)):
                if self._clock() > self._due:
                    raise Refused("The evaluations took longer than the Plan has time for.", rule="answer-time")
                yield question.outputs.flatten(outcome.arrays)


def without(rows: Rows, column: str) -> Rows:
    return {name: values for name, values in rows.items() if name != column}


@dataclass(frozen=True, slots=True)
class OfStaged:
    """Numbers that a steward has looked at and cleared."""

    question: StagedQuestion
    staged: Floats

    def values(self, round_input: Floats) -> Floats:  # noqa: ARG002  they are fixed
        return self.staged

    def wait(self) -> None:
        """They were computed before: there is nothing to hide in the time."""
