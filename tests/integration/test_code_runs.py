"""Runs of code with a release decision: begun once, and ended in a recorded state whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import OUTPUTS, VALUES, code_site, plan_for
from synthema_core.errors import IntegrityFailure, Refused, RoundFailed, SynthemaError, Unavailable, from_wire
from synthema_core.plan import Plan
from synthema_core.request import Status, Verb
from synthema_core.sandbox.port import End
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.service.claims import Claim, Claims
from synthema_datasite.service.code_runs import CodeRuns
from synthema_datasite.service.staging import run_log, staged_output

PLANTED = "Leningrad-4711"
PATIENCE = 20.0
REPORT: dict[str, Any] = {
    "end": "returned",
    "log": PLANTED,
    "cpu_seconds": 0.5,
    "wall_seconds": 0.75,
    "peak_bytes": 80 << 20,
    "findings": [],
    "suggestion": [],
    "left_out_each": True,
}
Result = tuple[Floats | None, dict[str, Any]]


class ScriptedRun:
    """Implements CodeWorker: gives what it was told to give, at once or when it is let; a kill ends it as a process."""

    def __init__(self, gives: Result | BaseException, go: threading.Event) -> None:
        self._gives, self._go = gives, go
        self.killed = False
        self.closed = 0

    def run(self) -> Result:
        assert self._go.wait(PATIENCE)
        if self.killed:
            raise RoundFailed("The job's worker process ended early.")
        if isinstance(self._gives, BaseException):
            raise self._gives
        return self._gives

    def kill(self) -> None:
        self.killed = True
        self._go.set()

    def close(self) -> None:
        self.closed += 1


class Runs:
    """A site's CodeRuns with scripted workers."""

    def __init__(self, here: TrialSite) -> None:
        self.here = here
        self.gives: Result | BaseException = (VALUES, REPORT)
        self.cannot_start: BaseException | None = None
        self.at_once = True
        self.started = threading.Event()
        self.workers: list[tuple[Claim, ScriptedRun]] = []
        self.in_step = threading.Event()
        self.in_step.set()
        self.runs = CodeRuns(here.site, self._start, self.in_step)

    def _start(self, claim: Claim) -> ScriptedRun:
        if self.cannot_start is not None:
            raise self.cannot_start
        go = threading.Event()
        if self.at_once:
            go.set()
        worker = ScriptedRun(self.gives, go)
        self.workers.append((claim, worker))
        self.started.set()
        return worker

    def approved(self, request: str = "r1", **more: Any) -> Plan:
        return self.here.approved(plan_for(self.here, purpose=f"Question {request}", **more), request)

    def done(self, *begun: str) -> None:
        """Begin these, and wait until the line is empty."""
        for request in begun:
            self.runs.begin(request, f"run-{request}")
        self.runs._line.submit(lambda: None).result(PATIENCE)

    def status(self, request: str = "r1") -> Status:
        return self.here.record(request).request.status

    def failure(self, request: str = "r1") -> str:
        """The kind recorded; and what is recorded beside it is the researcher's sentence and the report's digest."""
        event = self.here.record(request).last(Verb.FAIL)
        assert event is not None
        assert event.detail.keys() <= {"kind", "failure", "report"}
        error = from_wire(event.detail["failure"])
        assert isinstance(error, RoundFailed)
        assert PLANTED not in repr(error)
        assert PLANTED not in self.journal()
        return str(event.detail["kind"])

    def journal(self) -> str:
        return repr(list(self.here.site.journal.all_entries()))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(code_site(tmp_path))
    yield made
    made.runs.close()


@contextmanager
def held(runs: Runs) -> Iterator[ScriptedRun]:
    """While a worker is at it."""
    runs.at_once = False
    runs.runs.begin("r1", "run-r1")
    assert runs.started.wait(PATIENCE)
    yield runs.workers[0][1]


# What goes well


def test_a_run_is_claimed_evaluated_and_staged(runs: Runs) -> None:
    plan = runs.approved()
    runs.done("r1")
    (claim, worker), *others = runs.workers
    assert (claim.plan, claim.job, claim.request) == (plan, "run-r1", "r1")
    assert claim.numbers_per_patient == 50.0
    assert (worker.closed, others) == (1, [])
    assert runs.status() is Status.STAGED
    record = runs.here.record()
    assert staged_output(runs.here.site, record).arrays["deaths"].tolist() == VALUES[:3].tolist()
    assert run_log(runs.here.site, record) == PLANTED
    assert [event.verb for event in record.events][-3:] == [Verb.START, Verb.STAGE, Verb.HOLD]


def test_what_was_begun_twice_runs_once(runs: Runs) -> None:
    runs.approved()
    runs.done("r1", "r1")
    runs.runs.begin("r1", "another-job")
    runs.done()
    assert len(runs.workers) == 1
    assert runs.status() is Status.STAGED


def test_a_second_start_while_it_runs_changes_nothing(runs: Runs) -> None:
    runs.approved()
    with held(runs) as worker:
        runs.runs.begin("r1", "another-job")
        worker._go.set()
    runs.done()
    assert len(runs.workers) == 1
    assert (runs.status(), runs.here.record().job) == (Status.STAGED, "run-r1")


def test_runs_come_one_after_the_other(runs: Runs) -> None:
    runs.approved("r1")
    runs.approved("r2")
    with held(runs) as worker:
        runs.runs.begin("r2", "run-r2")
        assert (runs.status("r1"), runs.status("r2")) == (Status.RUNNING, Status.APPROVED)
        runs.at_once = True
        worker._go.set()
    runs.done()
    assert [runs.status(request) for request in ("r1", "r2")] == [Status.STAGED] * 2


# What is not begun


def not_begun(runs: Runs, request: str = "r1") -> None:
    before = runs.here.site.journal.head()
    runs.done(request)
    assert runs.here.site.journal.head() == before
    assert runs.workers == []


def test_without_an_approval_nothing_runs(runs: Runs) -> None:
    not_begun(runs, "unheard-of")
    runs.here.submitted(plan_for(runs.here))
    not_begun(runs)
    runs.here.reviewing.reject("r1", STEWARD, PASSPHRASE, "No.")
    not_begun(runs)


@pytest.mark.parametrize("shape", ["per-patient", "per-block", "histogram"])
def test_the_hub_cannot_spend_an_approval_of_another_kind_by_beginning_a_run(runs: Runs, shape: str) -> None:
    here = runs.here
    private = {"epsilon": 1.0, "delta": 1e-6}
    here.approved(here.plan("histogram", epsilon=1.0) if shape == "histogram" else plan_for(here, shape, **private))
    not_begun(runs)
    assert runs.status() is Status.APPROVED


def test_while_the_journals_do_not_agree_nothing_is_claimed(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.approved()
    runs.in_step.clear()
    monkeypatch.setattr("synthema_datasite.service.code_runs._IN_STEP_SECONDS", 0.3)
    not_begun(runs)
    assert runs.status() is Status.APPROVED
    runs.in_step.set()
    runs.done("r1")
    assert runs.status() is Status.STAGED


def test_it_waits_for_the_journals_to_agree(runs: Runs) -> None:
    runs.approved()
    runs.in_step.clear()
    runs.runs.begin("r1", "run-r1")
    assert runs.status() is Status.APPROVED
    runs.in_step.set()
    runs.done()
    assert runs.status() is Status.STAGED


# What fails

ENDS = {
    End.RAISED: "raised",
    End.TIMEOUT: "timeout",
    End.MEMORY: "memory",
    End.KILLED: "killed",
    End.BAD_OUTPUT: "output",
}


@pytest.mark.parametrize("end", ENDS)
def test_code_that_failed_is_recorded_by_the_kind_of_failure(runs: Runs, end: End) -> None:
    runs.approved()
    runs.gives = (None, {**REPORT, "end": end.value, "log": f"ValueError: {PLANTED}"})
    runs.done("r1")
    assert runs.status() is Status.FAILED
    assert runs.failure() == ENDS[end]
    assert run_log(runs.here.site, runs.here.record()) == f"ValueError: {PLANTED}", "for stewards"
    assert runs.workers[0][1].closed == 1


def test_every_end_but_one_is_a_failure_of_its_own() -> None:
    assert {*ENDS, End.RETURNED} == set(End)
    assert len(set(ENDS.values())) == len(ENDS)


ERRORS: dict[str, tuple[BaseException, str]] = {
    "a rule": (Refused("Too few patients here for an answer.", rule="min_patients"), "refused"),
    "changed rows": (IntegrityFailure("The rows were changed."), "engine"),
    "a dead worker": (RoundFailed("The job's worker process ended early."), "engine"),
    "a broken sandbox": (Unavailable("The sandbox broke twice."), "engine"),
    "an error of the engine": (SynthemaError("The engine failed with ValueError."), "engine"),
    "a foreign error": (ValueError(PLANTED), "engine"),
    "a key": (KeyError(PLANTED), "engine"),
    "memory": (MemoryError(), "engine"),
}


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_breaks_is_recorded_and_the_next_run_is_made(
    runs: Runs, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    runs.approved("r1")
    runs.approved("r2")
    runs.gives, kind = ERRORS[error]
    runs.done("r1")
    assert runs.status() is Status.FAILED
    assert runs.failure() == kind
    assert PLANTED not in run_log(runs.here.site, runs.here.record())
    assert PLANTED not in caplog.text
    assert runs.workers[0][1].closed == 1
    runs.gives = (VALUES, REPORT)
    runs.done("r2")
    assert runs.status("r2") is Status.STAGED


def test_a_worker_that_cannot_be_started_is_a_failure(runs: Runs) -> None:
    runs.approved()
    runs.cannot_start = Unavailable("No worker process could be started.")
    runs.done("r1")
    assert (runs.status(), runs.failure()) == (Status.FAILED, "engine")


def test_a_report_without_its_end_is_a_failure(runs: Runs) -> None:
    runs.approved()
    runs.gives = (None, {"log": PLANTED})
    runs.done("r1")
    assert runs.failure() == "engine"


def test_a_report_with_an_unknown_end_is_a_failure(runs: Runs) -> None:
    runs.approved()
    runs.gives = (None, {**REPORT, "end": PLANTED})
    runs.done("r1")
    assert runs.failure() == "engine"


def in_the_way(here: TrialSite) -> None:
    """No folder can be made where outputs wait."""
    (here.state.folder / "staged").write_text("a file")


@pytest.mark.parametrize("values", [VALUES, None], ids=["an output", "a failure"])
def test_without_room_for_output_or_report_the_failure_is_recorded_all_the_same(runs: Runs, values: Any) -> None:
    runs.approved()
    in_the_way(runs.here)
    runs.gives = (values, {**REPORT, "end": "returned" if values is not None else "timeout"})
    runs.done("r1")
    assert runs.status() is Status.FAILED
    assert runs.failure() == ("engine" if values is not None else "timeout")
    assert run_log(runs.here.site, runs.here.record()) == ""


def test_a_log_that_is_no_text_is_lost_and_the_failure_is_not(runs: Runs) -> None:
    runs.approved()
    runs.gives = (None, {**REPORT, "end": "raised", "log": "\ud800"})
    runs.done("r1")
    assert (runs.status(), runs.failure()) == (Status.FAILED, "raised")


def test_values_of_another_length_are_staged_for_nobody(runs: Runs) -> None:
    runs.approved()
    runs.gives = (np.zeros(OUTPUTS.length - 1), REPORT)
    runs.done("r1")
    assert (runs.status(), runs.failure()) == (Status.FAILED, "engine")


def test_a_run_that_the_hub_gave_up_stays_failed(runs: Runs) -> None:
    runs.approved()
    with held(runs) as worker:
        runs.here.told(Verb.FAIL, "r1", {"failure": {"error": "round-failed", "message": "Too late."}})
        worker._go.set()
    runs.done()
    assert runs.status() is Status.FAILED
    assert len([event for event in runs.here.record().events if event.verb is Verb.FAIL]) == 1


# Ends and beginnings of a server


def test_closing_ends_a_run_as_interrupted(runs: Runs) -> None:
    runs.approved()
    with held(runs) as worker:
        runs.runs.close()
    assert worker.closed == 1
    assert (runs.status(), runs.failure()) == (Status.FAILED, "interrupted")


def test_closing_leaves_what_waits_its_approval(runs: Runs) -> None:
    runs.approved("r1")
    runs.approved("r2")
    with held(runs):
        runs.runs.begin("r2", "run-r2")
        runs.runs.close()
    assert (runs.status("r1"), runs.status("r2")) == (Status.FAILED, Status.APPROVED)
    assert len(runs.workers) == 1


def test_after_closing_nothing_begins_and_nothing_breaks(runs: Runs) -> None:
    runs.approved()
    runs.runs.close()
    runs.runs.begin("r1", "run-r1")
    assert runs.status() is Status.APPROVED


def test_closing_does_not_wait_for_journals_that_never_agree(runs: Runs) -> None:
    runs.approved()
    runs.in_step.clear()
    runs.runs.begin("r1", "run-r1")
    closing = threading.Thread(target=runs.runs.close)
    closing.start()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert (runs.status(), runs.workers) == (Status.APPROVED, [])


def test_a_run_that_starts_while_the_server_closes_is_not_left_running(runs: Runs) -> None:
    """The worker is started, and the server learns of it only afterwards."""
    runs.approved()
    runs.at_once = False
    start = runs.runs._start_worker
    closing = threading.Thread(target=runs.runs.close)

    def slow(claim: Claim) -> Any:
        closing.start()
        closing.join(0.3)  # time enough to look for a worker to kill, were it not made to wait
        return start(claim)

    runs.runs._start_worker = slow
    runs.runs.begin("r1", "run-r1")
    runs.runs._line.shutdown()
    closing.join(PATIENCE)
    worker = runs.workers[0][1]
    assert (worker.killed, worker.closed) == (True, 1)
    assert (runs.status(), runs.failure()) == (Status.FAILED, "interrupted")


def test_what_an_earlier_server_left_running_has_failed(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    """A crash: the claim is in the journal, and nothing else."""
    plan = runs.approved("r1")
    Claims(runs.here.site).claim("run-r1", "r1", plan.digest)
    histogram = runs.here.approved(runs.here.plan("histogram", epsilon=1.0), "r2")
    Claims(runs.here.site).claim("j2", "r2", histogram.digest)
    runs.approved("r3")
    runs.done("r3")
    with caplog.at_level(logging.INFO):
        runs.runs.settle()
    assert (runs.status("r1"), runs.failure("r1")) == (Status.FAILED, "interrupted")
    assert runs.status("r2") is Status.RUNNING, "a Job on Flower is the hub's to end"
    assert runs.status("r3") is Status.STAGED
    runs.runs.settle()
    assert len([event for event in runs.here.record("r1").events if event.verb is Verb.FAIL]) == 1
    runs.done("r1")
    assert runs.status("r1") is Status.FAILED, "its approval is used up"


@pytest.mark.parametrize("gives", [(VALUES, REPORT), (None, {**REPORT, "end": "raised"})], ids=["staged", "failed"])
def test_what_is_put_away_is_for_the_sites_user_alone(runs: Runs, gives: Result) -> None:
    runs.approved()
    runs.gives = gives
    runs.done("r1")
    files = list(runs.here.state.staged_folder("r1").iterdir())
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_nothing_of_a_run_is_logged_but_our_own_sentences(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    makes: list[Callable[[], Result | BaseException]] = [
        lambda: (None, {**REPORT, "end": "raised"}),
        lambda: (VALUES, REPORT),
        lambda: RuntimeError(PLANTED),
    ]
    runs = Runs(code_site(tmp_path))
    with caplog.at_level(logging.DEBUG):
        for number, make in enumerate(makes):
            runs.approved(f"r{number}")
            runs.gives = make()
            runs.done(f"r{number}")
    runs.runs.close()
    assert PLANTED not in caplog.text + "".join(capfd.readouterr())
