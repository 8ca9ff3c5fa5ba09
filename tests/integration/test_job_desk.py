"""The desk that answers a Job's messages: whatever goes wrong, what leaves is a rule's name and a sentence of ours."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from support.builders import KEYS
from support.models import model_site, waiting
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import code_site, plan_for, staged
from synthema_core.analyses import from_plan
from synthema_core.errors import IntegrityFailure, Refused, RoundFailed, Unavailable, from_wire
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.request import Status, Verb
from synthema_core.secure_sum import Announcement, Moment, Survivors
from synthema_core.secure_sum.keys import JobKeys
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.service.claims import Claim
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.job_desk import ClaimedJobs
from synthema_datasite.service.records import charges
from synthema_datasite.worker.process import WorkerProcess

PLANTED = "Leningrad-4711"
NOTHING = np.zeros(0)


class ScriptedWorker:
    """Implements JobWorker: answers with what it was given, or fails with what it was given."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.failure: BaseException | None = None
        self.closed = 0

    def announce(self) -> Announcement:
        self._fail()
        return Announcement("alder", self.claim.job, self.claim.plan.digest, ("aa" * 32,))

    def deal(self, roster: Mapping[str, Any]) -> dict[str, Any]:
        self._fail()
        return {"birch": "5ea1ed"}

    def answer(
        self,
        round_index: int,
        values: Floats,
        roster: Mapping[str, Any] | None,
        dealt: Mapping[str, Any] | None,
    ) -> Ring:
        self._fail()
        return np.arange(self.claim.plan.layout.length, dtype=np.uint64)

    def choose(self, round_index: int, survivors: Sequence[str]) -> tuple[Survivors, bool]:
        self._fail()
        return Survivors(Moment("5e55", round_index, "5ee4"), tuple(survivors)), len(survivors) == 3

    def reveal(self, round_index: int, signatures: Mapping[str, str]) -> dict[str, Any]:
        self._fail()
        return {"seeds": {}, "keys": dict(signatures)}

    def close(self) -> None:
        self.closed += 1

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Desk:
    """A site's desk with scripted workers, and the hub's messages to it."""

    def __init__(self, here: TrialSite) -> None:
        self.here = here
        self.workers: dict[str, ScriptedWorker] = {}
        self.failing: BaseException | None = None
        self.in_step = True
        self.jobs = ClaimedJobs(here.site, self.start, lambda: self.in_step)

    def start(self, claim: Claim) -> ScriptedWorker:
        worker = self.workers[claim.job] = ScriptedWorker(claim)
        worker.failure = self.failing
        return worker

    def approved(self, number: int = 1) -> Plan:
        return self.here.approved(self.here.plan(purpose=f"Question {number}"), f"r{number}")

    def says(self, kind: Kind, array: Any = None, **body: Any) -> JobMessage:
        answer = self.jobs.answer(JobMessage(kind, body, array))
        assert answer is not None
        return answer

    def open(self, plan: Plan, job: str = "j1", request: str = "r1") -> JobMessage:
        return self.says(Kind.OPEN, job=job, request=request, plan_digest=plan.digest)

    def round(self, job: str = "j1", index: int = 1) -> JobMessage:
        return self.says(Kind.ROUND, NOTHING, job=job, round=index, roster=None)

    def status(self, request: str = "r1") -> Status:
        return self.here.record(request).request.status


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(TrialSite(tmp_path))


def refused(answer: JobMessage) -> str:
    """The rule that a refusal names; and the refusal holds nothing but that, a sentence and a hint."""
    assert answer.kind is Kind.REFUSED
    assert answer.array is None
    assert answer.body.keys() == {"error"}
    assert answer.body["error"].keys() <= {"error", "message", "hint", "rule"}
    assert PLANTED not in repr(answer)
    error = from_wire(answer.body["error"])
    assert isinstance(error, Refused)
    return error.rule


def test_a_job_is_opened_answered_and_closed(desk: Desk) -> None:
    plan = desk.approved()
    answer = desk.open(plan)
    assert answer.kind is Kind.ANNOUNCED
    announced = Announcement.from_dict(answer.body["announcement"])
    assert (announced.site, announced.job, announced.plan_digest) == ("alder", "j1", plan.digest)
    announced.check_signature(public_key(desk.here.state.identity()))
    masked = desk.round()
    assert (masked.kind, masked.body) == (Kind.MASKED, {"job": "j1", "round": 1})
    assert masked.ring().tolist() == list(range(plan.layout.length))
    assert desk.says(Kind.CLOSE, job="j1").kind is Kind.CLOSED
    assert desk.workers["j1"].closed == 1
    assert desk.says(Kind.CLOSE, job="j1").kind is Kind.CLOSED, "idempotent"


def test_without_an_approval_no_worker_is_started(desk: Desk) -> None:
    plan = desk.here.plan()
    assert refused(desk.open(plan)) == "approval"
    desk.here.submitted(plan)
    assert refused(desk.open(plan)) == "approval"
    assert desk.workers == {}


def test_another_plan_than_the_approved_one_starts_no_worker(desk: Desk) -> None:
    desk.approved()
    assert refused(desk.open(desk.here.plan(purpose="Another"))) == "plan-digest"
    assert desk.workers == {}


def test_a_job_that_is_not_open_gets_no_round(desk: Desk) -> None:
    assert refused(desk.round()) == "protocol"
    desk.open(desk.approved())
    assert refused(desk.round("j2")) == "protocol"
    desk.says(Kind.CLOSE, job="j1")
    assert refused(desk.round()) == "protocol"


def test_a_job_opened_twice_is_refused_and_goes_on(desk: Desk) -> None:
    plan = desk.approved()
    desk.open(plan)
    worker = desk.workers["j1"]
    assert refused(desk.open(plan)) == "approval"
    assert refused(desk.open(desk.approved(2), request="r2")) == "job-id"
    assert desk.status("r2") is Status.APPROVED
    assert desk.workers == {"j1": worker}
    assert desk.round().kind is Kind.MASKED


def test_while_the_journals_do_not_agree_no_job_is_opened_and_no_approval_spent(desk: Desk) -> None:
    """A site's journal that was set back has forgotten which approvals were used."""
    plan = desk.approved()
    desk.in_step = False
    assert refused(desk.open(plan)) == "heads"
    assert (desk.workers, desk.status()) == ({}, Status.APPROVED)
    desk.in_step = True
    assert desk.open(plan).kind is Kind.ANNOUNCED
    desk.in_step = False
    assert desk.round().kind is Kind.MASKED, "a job in hand goes on"


FAILURES = {
    "a rule": (Refused("A value is outside the bound declared in the Plan.", rule="bound"), "bound"),
    "a signature": (IntegrityFailure(f"The key of {PLANTED} does not hold."), "integrity"),
    "a dead worker": (RoundFailed(f"The worker process ended early at {PLANTED}."), "engine"),
    "a full disk": (Unavailable(f"No room for {PLANTED}."), "engine"),
    "a value": (ValueError(f"could not convert string to float: '{PLANTED}'"), "engine"),
    "a key": (KeyError(PLANTED), "engine"),
    "memory": (MemoryError(PLANTED), "engine"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("when", ["open", "round"])
def test_a_failure_ends_the_job_for_good_and_tells_no_text_of_it(
    desk: Desk, caplog: pytest.LogCaptureFixture, when: str, failure: str
) -> None:
    error, rule = FAILURES[failure]
    plan = desk.approved()
    with caplog.at_level(logging.INFO):
        if when == "open":
            desk.failing = error
            assert refused(desk.open(plan)) == rule
        else:
            desk.open(plan)
            desk.workers["j1"].failure = error
            assert refused(desk.round()) == rule
    assert desk.workers["j1"].closed == 1
    desk.failing = desk.workers["j1"].failure = None
    assert refused(desk.round()) == "protocol"
    assert refused(desk.open(plan)) == "approval", "the approval is spent"
    assert desk.workers["j1"].closed == 1
    if isinstance(error, ValueError | KeyError | MemoryError):
        assert PLANTED not in caplog.text, "nor is a foreign error's text logged"


def test_a_worker_that_cannot_be_started_refuses_and_leaves_the_desk_free(tmp_path: Path) -> None:
    here = TrialSite(tmp_path)

    def start(_: Claim) -> ScriptedWorker:
        raise Unavailable(f"No worker process could be started: {PLANTED}.")

    jobs = ClaimedJobs(here.site, start, lambda: True)
    for number in range(6):
        plan = here.approved(here.plan(purpose=f"Question {number}"), f"r{number}")
        body = {"job": f"j{number}", "request": f"r{number}", "plan_digest": plan.digest}
        answer = jobs.answer(JobMessage(Kind.OPEN, body))
        assert answer is not None
        assert refused(answer) == "engine"


def test_no_more_than_four_jobs_are_open_and_the_fifth_keeps_its_approval(desk: Desk) -> None:
    plans = {number: desk.approved(number) for number in range(1, 6)}
    for number in range(1, 5):
        assert desk.open(plans[number], f"j{number}", f"r{number}").kind is Kind.ANNOUNCED
    assert refused(desk.open(plans[5], "j5", "r5")) == "busy"
    assert desk.status("r5") is Status.APPROVED
    desk.says(Kind.CLOSE, job="j2")
    assert desk.open(plans[5], "j5", "r5").kind is Kind.ANNOUNCED
    desk.jobs.close_all()
    assert [worker.closed for worker in desk.workers.values()] == [1] * 5


@pytest.mark.parametrize(
    ("kind", "body", "rule"),
    [
        (Kind.OPEN, {}, "integrity"),
        (Kind.OPEN, {"job": 7, "request": "r1", "plan_digest": "0"}, "integrity"),
        (Kind.OPEN, {"job": ["j1"], "request": "r1", "plan_digest": "0"}, "integrity"),
        (Kind.OPEN, {"job": "j2", "plan_digest": "0"}, "integrity"),
        (Kind.OPEN, {"job": "j2", "request": "r1"}, "integrity"),
        (Kind.OPEN, {"job": "j2", "request": {"id": "r1"}, "plan_digest": "0"}, "integrity"),
        (Kind.ROUND, {"round": 1}, "integrity"),
        (Kind.CLOSE, {}, "integrity"),
        (Kind.ANNOUNCED, {"job": "j1"}, "protocol"),
        (Kind.MASKED, {"job": "j1"}, "protocol"),
        (Kind.CLOSED, {"job": "j1"}, "protocol"),
        (Kind.REFUSED, {"job": "j1"}, "protocol"),
    ],
)
def test_a_malformed_message_is_refused_and_changes_nothing(
    desk: Desk, kind: Kind, body: dict[str, Any], rule: str
) -> None:
    desk.open(desk.approved())
    before = desk.here.site.journal.head()
    assert refused(desk.says(kind, **body)) == rule
    assert desk.here.site.journal.head() == before
    assert desk.round().kind is Kind.MASKED


def test_where_a_site_may_be_missing_shares_are_dealt_and_revealed(desk: Desk) -> None:
    desk.open(desk.approved())
    dealt = desk.says(Kind.ROSTER, job="j1", roster={})
    assert (dealt.kind, dealt.body) == (Kind.DEALT, {"job": "j1", "sealed": {"birch": "5ea1ed"}})
    whole = desk.says(Kind.UNMASK, job="j1", round=1, survivors=["alder", "birch", "cedar"])
    assert (whole.kind, whole.body["shares"]) == (Kind.REVEALED, {"seeds": {}, "keys": {}})


def test_where_one_is_missing_a_site_signs_first_and_reveals_on_the_signatures_of_others(desk: Desk) -> None:
    desk.open(desk.approved())
    signed = desk.says(Kind.UNMASK, job="j1", round=1, survivors=["alder", "birch"])
    assert signed.kind is Kind.SIGNED and "shares" not in signed.body
    chosen = Survivors(Moment("5e55", 1, "5ee4"), ("alder", "birch"))
    chosen.check_signature(public_key(desk.here.state.identity()), signed.body["signature"])
    revealed = desk.says(Kind.CERTIFIED, job="j1", round=1, signatures={"alder": "aa", "birch": "bb"})
    assert revealed.body["shares"]["keys"] == {"alder": "aa", "birch": "bb"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.ROSTER, {"job": "j1"}),
        (Kind.UNMASK, {"job": "j1", "round": 1}),
        (Kind.UNMASK, {"job": "j1", "round": 1, "survivors": ["alder", 3]}),
        (Kind.UNMASK, {"job": "j1", "survivors": ["alder"]}),
        (Kind.CERTIFIED, {"job": "j1"}),
    ],
)
def test_a_malformed_step_ends_the_job_here(desk: Desk, kind: Kind, body: dict[str, Any]) -> None:
    desk.open(desk.approved())
    assert refused(desk.says(kind, **body)) == "integrity"
    assert desk.workers["j1"].closed == 1


def test_what_is_only_late_is_refused_and_the_job_goes_on(desk: Desk) -> None:
    desk.open(desk.approved())
    desk.workers["j1"].failure = Refused("Round 1 is over at this site.", rule="protocol")
    assert refused(desk.round()) == "protocol"
    desk.workers["j1"].failure = None
    assert desk.round(index=2).kind is Kind.MASKED


@pytest.mark.parametrize("index", [None, "1", 1.0, True, [1]])
def test_a_rounds_number_is_a_whole_number(desk: Desk, index: Any) -> None:
    desk.open(desk.approved())
    assert refused(desk.says(Kind.ROUND, NOTHING, job="j1", round=index)) == "integrity"


@pytest.mark.parametrize(
    "array",
    [None, np.zeros(2, dtype=np.float32), np.zeros(2, dtype=np.uint64), np.zeros((1, 2)), np.array(1.0)],
    ids=["none", "float32", "uint64", "matrix", "number"],
)
def test_a_rounds_input_is_one_row_of_float64(desk: Desk, array: Any) -> None:
    desk.open(desk.approved())
    assert refused(desk.says(Kind.ROUND, array, job="j1", round=1)) == "integrity"
    assert desk.workers["j1"].closed == 1


def test_a_job_that_the_hub_ended_is_dropped_although_no_message_said_so(desk: Desk) -> None:
    desk.open(desk.approved(), "j1")
    desk.open(desk.approved(2), "j2", "r2")
    desk.jobs.tend()
    assert (desk.workers["j1"].closed, desk.workers["j2"].closed) == (0, 0)
    desk.here.told(Verb.FAIL, "r1", {"failure": {"error": "round-failed", "message": "A site was away."}})
    desk.jobs.tend()
    assert (desk.workers["j1"].closed, desk.workers["j2"].closed) == (1, 0)
    assert refused(desk.round("j1")) == "protocol"


def test_work_is_expected_from_the_approval_to_the_end(desk: Desk) -> None:
    assert not desk.jobs.expects_work()
    plan = desk.here.plan()
    desk.here.submitted(plan)
    assert not desk.jobs.expects_work()
    desk.here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert desk.jobs.expects_work()
    desk.open(plan)
    assert desk.jobs.expects_work()
    desk.here.told(Verb.FAIL, "r1", {})
    assert not desk.jobs.expects_work()


def real_desk(here: TrialSite) -> ClaimedJobs:
    """With the worker process that a served datasite starts."""

    def start(claim: Claim) -> WorkerProcess:
        rows, folder = here.state.folder / claim.dataset.path, here.state.job_folder(claim.job)
        return WorkerProcess(claim, "alder", rows, here.state.salt(), folder)

    return ClaimedJobs(here.site, start, lambda: True)


def a_patient_less(path: Path) -> None:
    """A file is changed on the disk after it was taken in."""
    table = parquet.read_table(path)
    parquet.write_table(table.slice(1), path)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [(a_patient_less, "integrity"), (Path.unlink, "engine"), (lambda path: path.write_text(PLANTED), "integrity")],
    ids=["another table", "no table", "no Parquet"],
)
def test_spoilt_rows_refuse_the_job_through_a_real_worker(
    tmp_path: Path, spoil: Callable[[Path], None], rule: str
) -> None:
    here = TrialSite(tmp_path)
    plan = here.approved(here.plan())
    (path,) = here.state.rows_folder.rglob("*.parquet")
    spoil(path)
    jobs = real_desk(here)
    answer = jobs.answer(JobMessage(Kind.OPEN, {"job": "j1", "request": "r1", "plan_digest": plan.digest}))
    assert answer is not None
    assert refused(answer) == rule
    assert str(path) not in repr(answer)


# Started anew


def real_round(jobs: ClaimedJobs, plan: Plan, here: TrialSite, job: str = "j1") -> tuple[JobMessage, JobMessage]:
    """The hub's first Round, with a roster of this site and two that the test plays; the answer to it."""
    opened = jobs.answer(JobMessage(Kind.OPEN, {"job": job, "request": "r1", "plan_digest": plan.digest}))
    assert opened is not None and opened.kind is Kind.ANNOUNCED, opened
    rounds = from_plan(plan.analysis, plan.parameters).max_rounds
    announced = [Announcement.from_dict(opened.body["announcement"])]
    for name in ("birch", "cedar"):
        keys = JobKeys(name.encode().ljust(32))
        announced.append(Announcement.of(name, job, plan.digest, keys, rounds, recovers=False).signed(KEYS[name]))
    roster = {"announcements": [announcement.to_dict() for announcement in announced]}
    message = JobMessage(Kind.ROUND, {"job": job, "round": 1, "roster": roster}, NOTHING)
    answer = jobs.answer(message)
    assert answer is not None
    return message, answer


def test_a_server_that_was_killed_gives_the_same_answers_when_it_is_started_again(tmp_path: Path) -> None:
    here = TrialSite(tmp_path)
    plan = here.approved(here.plan())
    first = real_desk(here)
    message, before = real_round(first, plan, here)
    assert before.kind is Kind.MASKED
    first.close_all()  # as the kernel does it when the server dies
    second = real_desk(here)
    after = second.answer(message)
    assert after is not None
    np.testing.assert_array_equal(after.ring(), before.ring())
    assert len(here.site.journal.entries("job/j1")) == 1
    assert second.answer(JobMessage(Kind.CLOSE, {"job": "j1"})) is not None
    assert not here.state.job_folder("j1").exists()
    refusal = second.answer(message)
    assert refusal is not None and refused(refusal) == "protocol"


def test_a_server_that_was_killed_announces_the_same_keys_again(tmp_path: Path) -> None:
    here = TrialSite(tmp_path)
    plan = here.approved(here.plan())
    message = JobMessage(Kind.OPEN, {"job": "j1", "request": "r1", "plan_digest": plan.digest})
    first, second = real_desk(here), real_desk(here)
    before = first.answer(message)
    first.close_all()
    after = second.answer(message)
    second.close_all()
    assert before is not None and after is not None
    assert before.body["announcement"] == after.body["announcement"]
    assert len(charges(here.site.journal, "trial")) == 0


def test_keys_of_a_job_that_ended_while_the_site_was_away_are_removed(tmp_path: Path) -> None:
    here = TrialSite(tmp_path)
    plan = here.approved(here.plan())
    first = real_desk(here)
    message, _ = real_round(first, plan, here)
    first.close_all()
    second = real_desk(here)
    second.tend()
    assert here.state.job_folder("j1").exists(), "the job may still go on"
    here.told(Verb.FAIL, "r1", {"failure": {}})
    second.tend()
    assert not here.state.job_folder("j1").exists()
    refusal = second.answer(message)
    assert refusal is not None and refused(refusal) == "protocol"


def test_a_job_that_is_over_does_not_go_on_although_its_keys_are_still_there(tmp_path: Path) -> None:
    here = TrialSite(tmp_path)
    plan = here.approved(here.plan())
    first = real_desk(here)
    message, _ = real_round(first, plan, here)
    first.close_all()
    here.told(Verb.FAIL, "r1", {"failure": {}})
    assert here.state.job_folder("j1").exists()
    refusal = real_desk(here).answer(message)
    assert refusal is not None and refused(refusal) == "protocol"


def test_a_job_whose_keys_are_gone_is_not_opened_again(tmp_path: Path) -> None:
    """New ones would mask the same numbers a second time, with other noise, for one charge."""
    here = TrialSite(tmp_path)
    plan = here.approved(here.plan())
    jobs = real_desk(here)
    real_round(jobs, plan, here)
    jobs.answer(JobMessage(Kind.CLOSE, {"job": "j1"}))
    again = jobs.answer(JobMessage(Kind.OPEN, {"job": "j1", "request": "r1", "plan_digest": plan.digest}))
    assert again is not None and refused(again) == "approval"


@pytest.mark.parametrize("kind", ["code", "diffprivlib"])
def test_a_sum_of_what_was_cleared_goes_on_when_the_server_is_started_again(tmp_path: Path, kind: str) -> None:
    """With what stewards looked at, without what they kept back, and with what it cost."""
    here, output = (code_site(tmp_path), "deaths[1]") if kind == "code" else (model_site(tmp_path), "intercepts")
    made = staged(here) if kind == "code" else waiting(here)
    Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=made, redacted=[output])
    first, second = Remembering(here), Remembering(here)
    message, before = real_round(first.jobs, here.record().plan, here)
    first.jobs.close_all()
    after = second.jobs.answer(message)
    second.jobs.close_all()
    assert after is not None
    np.testing.assert_array_equal(after.ring(), before.ring())
    (claimed,), (resumed,) = first.claims, second.claims
    assert resumed == claimed
    assert (claimed.left_out, claimed.staged is None) == ((output,), False)
    assert (claimed.spent is None) == (kind == "code"), "what was charged when it was fitted"


class Remembering:
    """A desk with real workers, and the claims that they were started with."""

    def __init__(self, here: TrialSite) -> None:
        self.claims: list[Claim] = []
        self.jobs = real_desk(here)
        start = self.jobs._start_worker

        def noted(claim: Claim) -> Any:
            self.claims.append(claim)
            return start(claim)

        self.jobs._start_worker = noted


# Code


@pytest.fixture
def code_desk(tmp_path: Path) -> Desk:
    return Desk(code_site(tmp_path))


def cleared(desk: Desk, request: str = "r1") -> Plan:
    output = staged(desk.here, request, purpose=f"Question {request}")
    Clearing(desk.here.site).clear(request, STEWARD, PASSPHRASE, output=output, redacted=["deaths[1]"])
    return desk.here.record(request).plan


def test_what_is_opened_of_code_with_a_release_decision_is_its_sum(code_desk: Desk) -> None:
    plan = cleared(code_desk)
    assert code_desk.open(plan).kind is Kind.ANNOUNCED
    claimed = code_desk.workers["j1"].claim
    assert claimed.staged is not None
    assert claimed.left_out == ("deaths[1]",)
    assert code_desk.status() is Status.SUMMING
    assert code_desk.round().kind is Kind.MASKED


def test_a_sum_is_tended_like_any_other_job(code_desk: Desk) -> None:
    """Its Request started twice: the run that was staged is not what goes on now."""
    code_desk.open(cleared(code_desk))
    code_desk.jobs.tend()
    assert code_desk.workers["j1"].closed == 0
    assert code_desk.jobs.expects_work()
    code_desk.here.told(Verb.FAIL, "r1", {"failure": {}})
    code_desk.jobs.tend()
    assert code_desk.workers["j1"].closed == 1


def test_a_cleared_output_is_expected_to_be_summed(code_desk: Desk) -> None:
    output = staged(code_desk.here)
    assert not code_desk.jobs.expects_work(), "stewards take days"
    Clearing(code_desk.here.site).clear("r1", STEWARD, PASSPHRASE, output=output)
    assert code_desk.jobs.expects_work()


def test_code_that_is_only_approved_or_staged_is_not_summed(code_desk: Desk) -> None:
    """Whatever the hub opens: it may not skip the run, nor the release decision."""
    plan = plan_for(code_desk.here)
    code_desk.here.approved(plan)
    assert refused(code_desk.open(plan)) == "approval"
    assert code_desk.status() is Status.APPROVED
    staged(code_desk.here, "r2", purpose="Again")
    assert refused(code_desk.open(code_desk.here.record("r2").plan, "j2", "r2")) == "approval"
    assert code_desk.workers == {}


def test_code_with_a_guarantee_is_an_ordinary_job(code_desk: Desk) -> None:
    plan = plan_for(code_desk.here, "per-patient", epsilon=1.0, delta=1e-6)
    code_desk.here.submitted(plan)
    code_desk.here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["mean_age"])
    assert code_desk.open(plan).kind is Kind.ANNOUNCED
    claimed = code_desk.workers["j1"].claim
    assert (claimed.staged, claimed.left_out) == (None, ("mean_age",))
    assert len(charges(code_desk.here.site.journal, "trial")) == 1


# Several at a time


def at_once(works: Sequence[Callable[[], Any]]) -> None:
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        ready.wait()
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_many_jobs_at_once_no_more_than_four_are_open(desk: Desk) -> None:
    plans = {number: desk.approved(number) for number in range(1, 9)}
    start, answers = desk.jobs._start_worker, list[JobMessage]()

    def slow(claim: Claim) -> Any:
        threading.Event().wait(0.05)
        return start(claim)

    desk.jobs._start_worker = slow

    def opens(number: int) -> Callable[[], None]:
        return lambda: answers.append(desk.open(plans[number], f"j{number}", f"r{number}"))

    at_once([opens(number) for number in plans])
    kinds = sorted(answer.kind for answer in answers)
    assert kinds == sorted([Kind.ANNOUNCED] * 4 + [Kind.REFUSED] * 4)
    statuses = [desk.status(f"r{number}") for number in plans]
    assert sorted(statuses) == sorted([Status.RUNNING] * 4 + [Status.APPROVED] * 4), "no approval is spent for nothing"


def test_a_job_that_is_opened_while_the_desk_is_tended_stays_open(desk: Desk) -> None:
    """Tending reads the journal; a Job that was opened after that is not one whose Request has ended."""
    desk.open(desk.approved(1), "j1", "r1")
    plan, read = desk.approved(2), desk.jobs._read_journal

    def read_then_open() -> None:
        read()
        assert desk.open(plan, "j2", "r2").kind is Kind.ANNOUNCED

    desk.jobs._read_journal = read_then_open  # type: ignore[method-assign]
    desk.jobs.tend()
    assert (desk.workers["j1"].closed, desk.workers["j2"].closed) == (0, 0)
    assert desk.round("j2").kind is Kind.MASKED


def test_a_job_that_is_being_opened_keeps_no_other_waiting(desk: Desk) -> None:
    """Rows are read, and a sandbox is tried, before it is announced."""
    begun, go = threading.Event(), threading.Event()
    start = desk.jobs._start_worker

    def slow(claim: Claim) -> Any:
        worker: Any = start(claim)
        if claim.job == "j1":
            announce = worker.announce
            worker.announce = lambda: (begun.set(), go.wait(20), announce())[2]
        return worker

    desk.jobs._start_worker = slow
    plans = [desk.approved(1), desk.approved(2)]
    first = threading.Thread(target=lambda: desk.open(plans[0], "j1", "r1"))
    first.start()
    assert begun.wait(20)
    assert desk.open(plans[1], "j2", "r2").kind is Kind.ANNOUNCED
    assert desk.round("j2").kind is Kind.MASKED
    go.set()
    first.join()
    assert desk.round("j1").kind is Kind.MASKED
