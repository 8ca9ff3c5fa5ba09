"""From a release decision to a part in the sum, at one real site: only what its stewards looked at, and only once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from support.builders import KEYS, at, days_later
from support.site import PASSPHRASE, STEWARD, TrialSite, write_patients, write_schema
from support.staged import OUTPUTS, POLICY, VALUES, code_site, plan_for, put_out, staged
from synthema_core.clearance import Clearance
from synthema_core.commitment import output_commitment
from synthema_core.errors import IntegrityFailure, Refused
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import draft_of
from synthema_core.review import Review, Verdict
from synthema_datasite.ingest import ingest
from synthema_datasite.service.approvals import left_out
from synthema_datasite.service.claims import Claim, Claims
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.stewards import add_steward
from synthema_datasite.store.staged import read_values

SECOND = "john"


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return code_site(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> TrialSite:
    """Where two stewards must agree."""
    made = code_site(tmp_path, stewards=2)
    add_steward(made.site, SECOND, PASSPHRASE)
    return made


def clear(here: TrialSite, request: str = "r1", *, steward: str = STEWARD, redacted: tuple[str, ...] = ()) -> Clearance:
    output = Clearing(here.site).staged(request).commitment
    return Clearing(here.site).clear(request, steward, PASSPHRASE, output=output, redacted=redacted)


def claim_sum(here: TrialSite, job: str = "j1", request: str = "r1") -> Claim:
    return Claims(here.site).claim_sum(job, request, here.record(request).plan.digest)


def refused_by(here: TrialSite, job: str = "j1", request: str = "r1") -> str:
    before = here.site.journal.head()
    with pytest.raises(Refused) as refused:
        claim_sum(here, job, request)
    assert here.site.journal.head() == before, "a refusal records nothing"
    return refused.value.rule


def append(here: TrialSite, *events: Event, request: str = "r1") -> None:
    """What somebody could do who writes to the journal but has no steward's passphrase."""
    with here.site.journal.writing() as journal:
        for event in events:
            journal.append(draft_of(request, event))


def set_policy(here: TrialSite, text: str) -> None:
    (here.state.folder / "policy.toml").write_text(text)


AGREE = Event(Verb.AGREE, "alder", Role.SITE, at(), "alder")


def clear_event(clearance: Clearance) -> Event:
    return Event(Verb.CLEAR, clearance.steward, Role.STEWARD, at(), "alder", True, clearance.to_dict())


def forged(here: TrialSite, **changes: Any) -> Clearance:
    """Over what is staged, as a steward of this site would write it; not signed."""
    record = here.record()
    staged_event = record.last(Verb.STAGE)
    assert staged_event is not None
    usual = {
        "request": "r1",
        "plan_digest": record.plan.digest,
        "site": "alder",
        "steward": STEWARD,
        "output": staged_event.detail["output"],
        "cleared": True,
        "reason": "",
        "decided_at": at(),
    }
    return Clearance(**{**usual, **changes})


# What is cleared is summed


def test_a_cleared_output_is_claimed_once_and_is_what_was_looked_at(here: TrialSite) -> None:
    staged(here)
    clear(here)
    assert here.record().request.status is Status.CLEARED
    claimed = claim_sum(here)
    assert here.record().request.status is Status.SUMMING
    assert here.record().job == "j1"
    assert claimed.staged is not None
    assert read_values(claimed.staged.path, claimed.staged.sha256, OUTPUTS).tolist() == VALUES.tolist()
    assert claimed.left_out == ()
    assert refused_by(here, "j2") == "approval"


def test_what_any_steward_left_out_at_any_time_is_left_out(two: TrialSite) -> None:
    two.submitted(plan_for(two))
    two.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["deaths[0]"])
    two.reviewing.approve("r1", SECOND, PASSPHRASE, without=["mean_age"])
    put_out(two)
    clear(two, redacted=("deaths[1]", "deaths[0]"))
    clear(two, steward=SECOND, redacted=("deaths[1]",))
    expected = ("deaths[0]", "mean_age", "deaths[1]")
    assert left_out(two.record()) == expected
    assert claim_sum(two).left_out == expected


def test_what_a_review_left_out_is_left_out_of_other_code_too(here: TrialSite) -> None:
    plan = plan_for(here, "per-patient", epsilon=1.0, delta=1e-6)
    here.submitted(plan)
    here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["mean_age"])
    assert Claims(here.site).claim("j1", "r1", plan.digest).left_out == ("mean_age",)


# What is not


def test_before_the_release_decision_nothing_is_summed(here: TrialSite) -> None:
    plan = plan_for(here)
    here.submitted(plan)
    assert refused_by(here) == "approval"
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert refused_by(here) == "approval"
    Claims(here.site).claim("run", "r1", plan.digest)
    assert refused_by(here) == "approval"


def test_what_waits_or_is_withheld_is_not_summed(here: TrialSite) -> None:
    output = staged(here)
    assert refused_by(here) == "approval"
    Clearing(here.site).withhold("r1", STEWARD, PASSPHRASE, "A count is small.", output=output)
    assert here.record().request.status is Status.WITHHELD
    assert refused_by(here) == "approval"


def test_a_release_decision_is_no_permission_to_run_again(here: TrialSite) -> None:
    staged(here)
    clear(here)
    for job in ("j1", "run-r1"):
        with pytest.raises(Refused) as refused:
            Claims(here.site).claim(job, "r1", here.record().plan.digest)
        assert refused.value.rule == "approval"


def test_another_plan_is_not_summed(here: TrialSite) -> None:
    staged(here)
    clear(here)
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim_sum("j1", "r1", plan_for(here, purpose="Another").digest)
    assert refused.value.rule == "plan-digest"


def test_a_revoked_or_ended_release_decision_is_void(here: TrialSite) -> None:
    for number, end in enumerate(("revoke", "withdraw", "another site", "fail")):
        request = f"r{number}"
        staged(here, request, purpose=f"Question {number}")
        clear(here, request)
        if end == "revoke":
            here.reviewing.revoke(request, STEWARD, PASSPHRASE)
        elif end == "withdraw":
            here.told(Verb.WITHDRAW, request, actor="rosalind")
        elif end == "another site":
            here.told(Verb.WITHHOLD, request, site="birch")
        else:
            here.told(Verb.FAIL, request, {"failure": {}})
        assert here.record(request).request.status is not Status.CLEARED
        assert refused_by(here, request=request) == "approval"


def test_a_release_decision_ends_with_the_approval(here: TrialSite) -> None:
    staged(here, until_days=3)
    clear(here)
    here.clock.now = days_later(3.01)
    assert refused_by(here) == "expiry"


def test_a_clock_that_was_set_back_revives_nothing(here: TrialSite) -> None:
    staged(here, until_days=3)
    clear(here)
    here.clock.now = days_later(4)
    staged(here, "r2", purpose="The journal goes on")
    here.clock.now = days_later(2)
    assert refused_by(here) == "clock"


def test_a_job_id_is_never_used_twice(here: TrialSite) -> None:
    staged(here)
    clear(here)
    assert refused_by(here, "run-r1") == "job-id"
    claim_sum(here)
    staged(here, "r2", purpose="Again")
    clear(here, "r2")
    assert refused_by(here, "j1", "r2") == "job-id"


@pytest.mark.parametrize("steward", [STEWARD, "eve", "policy:0000", ""])
@pytest.mark.parametrize("key", ["birch", "the site's", "none"])
def test_a_release_decision_without_the_stewards_signature_is_refused(here: TrialSite, steward: str, key: str) -> None:
    """Not even the site's own server can clear what its stewards did not."""
    staged(here)
    clearance = forged(here, steward=steward)
    if key != "none":
        clearance = clearance.signed(KEYS["birch"] if key == "birch" else here.state.identity())
    append(here, clear_event(clearance), AGREE)
    assert here.record().request.status is Status.CLEARED
    assert refused_by(here) == "signature"


def test_a_release_decision_that_nobody_gave_is_refused(here: TrialSite) -> None:
    staged(here)
    append(here, AGREE)
    assert here.record().request.status is Status.CLEARED
    assert refused_by(here) == "stewards"


OTHERWISE: dict[str, dict[str, Any]] = {
    "another request": {"request": "r0"},
    "another Plan": {"plan_digest": "0" * 64},
    "another site": {"site": "birch"},
    "another output": {"output": "0" * 64},
    "a no": {"cleared": False, "reason": "Small cells."},
}


@pytest.mark.parametrize("about", OTHERWISE)
def test_a_stewards_true_signature_over_something_else_does_not_count(here: TrialSite, about: str) -> None:
    staged(here)
    signed = forged(here, **OTHERWISE[about]).signed(here.state.unlock(STEWARD, PASSPHRASE))
    append(here, clear_event(signed), AGREE)
    assert refused_by(here) == "clearance"


def test_nor_does_one_beside_a_true_one(here: TrialSite) -> None:
    """All that is recorded must hold: what does not hold was put there by somebody."""
    staged(here)
    key = here.state.unlock(STEWARD, PASSPHRASE)
    append(here, clear_event(forged(here).signed(key)), clear_event(forged(here, output="0" * 64).signed(key)), AGREE)
    assert refused_by(here) == "clearance"


def test_a_replayed_release_decision_does_not_count(here: TrialSite) -> None:
    """The steward cleared the same numbers of another Request."""
    staged(here, "r0", purpose="Harmless")
    true_clearance = clear(here, "r0")
    staged(here)
    append(here, clear_event(true_clearance), AGREE)
    assert refused_by(here) == "clearance"


def test_the_approval_behind_it_is_checked_again(here: TrialSite) -> None:
    """A steward's true release decision over code that somebody else approved."""
    here.submitted(plan_for(here))
    review = Review("r1", here.record().plan.digest, "alder", "eve", Verdict.APPROVED, "", at(), at(20))
    event = Event(Verb.REVIEW, "eve", Role.STEWARD, at(), "alder", True, review.signed(KEYS["birch"]).to_dict())
    append(here, event, Event(Verb.APPROVE, "alder", Role.SITE, at(), "alder"))
    append(here, Event(Verb.START, "alder", Role.SITE, at(), detail={"job": "run"}))
    detail = {"output": output_commitment(here.state.salt(), "a" * 64, here.record().plan.digest), "sha256": "a" * 64}
    append(here, Event(Verb.STAGE, "alder", Role.SITE, at(), "alder", detail=detail))
    append(here, Event(Verb.HOLD, "alder", Role.SITE, at(), "alder"))
    append(here, clear_event(forged(here).signed(here.state.unlock(STEWARD, PASSPHRASE))), AGREE)
    assert refused_by(here) == "signature"


@pytest.mark.parametrize("spoilt", ["file", "commitment"])
def test_the_file_that_is_summed_is_the_one_that_the_commitment_names(here: TrialSite, spoilt: str) -> None:
    """A journal that names another file beside a commitment that was cleared."""
    plan = plan_for(here)
    here.approved(plan)
    Claims(here.site).claim("run", "r1", plan.digest)
    detail = {"output": output_commitment(here.state.salt(), "a" * 64, plan.digest), "sha256": "a" * 64}
    detail |= {"sha256": "b" * 64} if spoilt == "file" else {"output": "0" * 64}
    stage = Event(Verb.STAGE, "alder", Role.SITE, at(), "alder", detail=detail)
    append(here, stage, Event(Verb.HOLD, "alder", Role.SITE, at(), "alder"))
    append(here, clear_event(forged(here).signed(here.state.unlock(STEWARD, PASSPHRASE))), AGREE)
    assert refused_by(here) == "clearance"


# Two stewards


def test_where_two_must_clear_both_do(two: TrialSite) -> None:
    staged(two, by=(STEWARD, SECOND))
    clear(two)
    assert two.record().request.status is Status.STAGED
    assert refused_by(two) == "approval"
    clear(two, steward=SECOND)
    assert claim_sum(two).staged is not None


def test_where_two_must_clear_one_is_not_enough_however_the_journal_says_it(two: TrialSite) -> None:
    staged(two, by=(STEWARD, SECOND))
    key = two.state.unlock(STEWARD, PASSPHRASE)
    for alone in ({"stewards_needed": 1}, {"stewards_needed": 2}):
        append(two, clear_event(forged(two, **alone).signed(key)))
    append(two, AGREE)
    assert two.record().request.status is Status.CLEARED
    assert refused_by(two) == "stewards"


def test_what_was_promised_when_it_was_cleared_holds_under_a_laxer_policy(two: TrialSite) -> None:
    staged(two, by=(STEWARD, SECOND))
    clear(two)
    append(two, AGREE)
    set_policy(two, POLICY.format(stewards=1))
    assert refused_by(two) == "stewards"


def test_a_stricter_policy_holds_at_once(here: TrialSite) -> None:
    staged(here)
    clear(here)
    set_policy(here, POLICY.format(stewards=2))
    assert refused_by(here) == "stewards"
    set_policy(here, POLICY.format(stewards=1).replace('"aggregate"', ""))
    assert refused_by(here) == "code"


def test_whoever_asked_is_not_one_of_those_who_clear(here: TrialSite) -> None:
    add_steward(here.site, "rosalind", PASSPHRASE)
    staged(here)
    signed = forged(here, steward="rosalind").signed(here.state.unlock("rosalind", PASSPHRASE))
    append(here, clear_event(signed), AGREE)
    assert refused_by(here) == "stewards"


# The rows behind it


def test_after_a_new_version_of_the_dataset_the_old_output_is_not_summed(here: TrialSite, tmp_path: Path) -> None:
    staged(here)
    clear(here)
    table = write_patients(tmp_path / "newer.csv", 41, seed=2)
    ingest(here.state, here.site.journal, table, "trial", write_schema(tmp_path), "engineer", at())
    assert refused_by(here) == "dataset-version"


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "says"),
    [(spoil, "changed since"), (Path.unlink, "not where it was put"), (lambda path: path.write_bytes(b""), "changed")],
    ids=["edited", "missing", "empty"],
)
@pytest.mark.parametrize("which", ["output.safetensors", "report.json"])
def test_what_was_changed_since_the_run_is_not_cleared(
    here: TrialSite, which: str, change: Callable[[Path], Any], says: str
) -> None:
    output = staged(here)
    change(here.state.staged_folder("r1") / which)
    before = here.site.journal.head()
    with pytest.raises(Exception, match=says):
        Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=output)
    assert here.site.journal.head() == before


def test_what_was_changed_since_it_was_cleared_is_not_read(here: TrialSite) -> None:
    staged(here)
    clear(here)
    claimed = claim_sum(here)
    assert claimed.staged is not None
    spoil(claimed.staged.path)
    with pytest.raises(IntegrityFailure, match="changed since"):
        read_values(claimed.staged.path, claimed.staged.sha256, OUTPUTS)


# Two at a time


def claimed_by_threads(here: TrialSite, claim: Callable[[str], Claim], threads: int = 8) -> list[str]:
    """The jobs that got the claim, of many that want it at the same moment."""
    ready, got, refused = Barrier(threads), list[str](), list[str]()

    def run(job: str) -> None:
        ready.wait()
        try:
            got.append(claim(job).job)
        except Refused as error:
            refused.append(error.rule)
        finally:
            here.site.journal.close()

    workers = [Thread(target=run, args=(f"j{number}",)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert refused == ["approval"] * (threads - len(got))
    return got


def test_one_of_many_threads_gets_the_approval_and_one_the_release_decision(here: TrialSite) -> None:
    plan = plan_for(here)
    here.approved(plan)
    assert len(claimed_by_threads(here, lambda job: Claims(here.site).claim(job, "r1", plan.digest))) == 1
    staged(here, "r2", purpose="Again")
    clear(here, "r2")
    assert len(claimed_by_threads(here, lambda job: claim_sum(here, f"sum-{job}", "r2"))) == 1


OTHER_PROCESS = """
import sys
from pathlib import Path
from support.builders import NOW
from synthema_core.errors import Refused
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.site import Site
from synthema_datasite.state import SiteState

folder, step, job, plan = sys.argv[1:]
claims = Claims(Site.open(SiteState(Path(folder)), lambda: NOW))
print("ready", flush=True)
sys.stdin.readline()
try:
    getattr(claims, step)(job, "r1", plan)
    print("claimed")
except Refused as error:
    print(error.rule)
"""


@pytest.mark.parametrize("step", ["claim", "claim_sum"])
def test_one_of_two_processes_on_one_journal_gets_it(here: TrialSite, step: str) -> None:
    if step == "claim":
        here.approved(plan_for(here))
    else:
        staged(here)
        clear(here)
    plan = here.record().plan.digest
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, str(here.state.folder), step, f"j{number}", plan],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(said) == ["approval", "claimed"]
    verb = Verb.START if step == "claim" else Verb.SUM
    assert len([event for event in here.record().events if event.verb is verb]) == 1


def test_the_review_stays_what_it_was(here: TrialSite) -> None:
    """A release decision adds to the approval and replaces nothing of it."""
    staged(here, without=["deaths[0]"])
    with pytest.raises(Exception, match="leaves nothing"):
        clear(here, redacted=("deaths", "mean_age"))
    clear(here, redacted=("deaths[2]",))
    review = here.record().last(Verb.REVIEW)
    assert review is not None
    assert review.detail["without"] == ["deaths[0]"]
    assert claim_sum(here).left_out == ("deaths[0]", "deaths[2]")
