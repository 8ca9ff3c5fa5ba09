"""Ways to run what nobody approved, or to release what nobody looked at. Each ends under the rule that stops it.

The attacker is a researcher, a hostile hub, or somebody who writes to the site's journal and files but has no steward's
passphrase.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.builders import KEYS, at, days_later
from support.pages import Browser
from support.site import PASSPHRASE, STEWARD, TrialSite, write_patients, write_schema
from support.staged import POLICY, SOURCE, VALUES, code_site, plan_for, staged
from synthema_core.clearance import Clearance
from synthema_core.errors import IntegrityFailure, Refused, SynthemaError, TransitionDenied
from synthema_core.plan import Plan
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import draft_of
from synthema_core.review import Review, Verdict
from synthema_datasite.ingest import ingest
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.heads import check_own_journal
from synthema_datasite.service.site import Site
from synthema_datasite.service.stewards import add_steward


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return code_site(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> TrialSite:
    """A site where two stewards must agree; there are three."""
    here = code_site(tmp_path, stewards=2)
    for name in ("otto", "nina"):
        add_steward(here.site, name, PASSPHRASE)
    return here


def refused(here: TrialSite, attempt: Callable[[], object]) -> str:
    """The rule under which it ends; nothing is recorded then."""
    before = here.site.journal.head()
    with pytest.raises(Refused) as told:
        attempt()
    assert here.site.journal.head() == before
    return told.value.rule


def run(here: TrialSite, plan: Plan, job: str = "j1", request: str = "r1") -> str:
    return refused(here, lambda: Claims(here.site).claim(job, request, plan.digest))


def add_up(here: TrialSite, request: str = "r1") -> str:
    digest = here.record(request).plan.digest
    return refused(here, lambda: Claims(here.site).claim_sum("sum", request, digest))


def write(here: TrialSite, request: str, *events: Event) -> None:
    """What somebody can do who writes to the journal."""
    with here.site.journal.writing() as journal:
        for event in events:
            journal.append(draft_of(request, event))


def reviewed(review: Review, *, done: bool = True) -> list[Event]:
    event = Event(Verb.REVIEW, review.steward, Role.STEWARD, at(), "alder", True, review.to_dict())
    return [event, Event(Verb.APPROVE, "alder", Role.SITE, at(), "alder")][: 2 if done else 1]


def cleared(clearance: Clearance) -> list[Event]:
    event = Event(Verb.CLEAR, clearance.steward, Role.STEWARD, at(), "alder", True, clearance.to_dict())
    return [event, Event(Verb.AGREE, "alder", Role.SITE, at(), "alder")]


def a_review(here: TrialSite, request: str = "r1", who: str = STEWARD, **changes: Any) -> Review:
    plan = here.record(request).plan
    made = Review(request, plan.digest, "alder", who, Verdict.APPROVED, "", at(), at(20))
    return replace(made, **changes)


def a_clearance(here: TrialSite, output: str, request: str = "r1", **changes: Any) -> Clearance:
    plan = here.record(request).plan
    made = Clearance(request, plan.digest, "alder", STEWARD, output, True, "", at())
    return replace(made, **changes)


# Something is changed after the approval


@pytest.mark.parametrize(
    "change",
    {
        "code": lambda plan: _parameter(
            plan, "code", {"files": {"study.py": SOURCE + "# one byte\n"}, "function": "study"}
        ),
        "function": lambda plan: _parameter(plan, "code", {"files": {"study.py": SOURCE}, "function": "stud"}),
        "parameter": lambda plan: _parameter(plan, "cpu_seconds", 1.5),
        "columns": lambda plan: _parameter(plan, "columns", ["days", "died", "age"]),
        "environment": lambda plan: replace(plan, engine="f" * 64),
        "dataset": lambda plan: replace(
            plan, participants=(replace(plan.participants[0], version=2), *plan.participants[1:])
        ),
        "sites": lambda plan: replace(plan, participants=tuple(_renamed(p) for p in plan.participants)),
        "limit": lambda plan: replace(plan, output=replace(plan.output, min_patients=1)),
        "purpose": lambda plan: replace(plan, purpose="Sell it"),
        "expiry": lambda plan: replace(plan, expires_at=at(300)),
    }.items(),
    ids=lambda change: change[0],
)
def test_a_plan_changed_after_the_approval_does_not_run(
    here: TrialSite, change: tuple[str, Callable[[Plan], Plan]]
) -> None:
    plan = here.approved(plan_for(here))
    changed = change[1](plan)
    assert run(here, changed) == "plan-digest"
    detail = {"plan": changed.to_dict(), "plan_digest": changed.digest}
    here.told(Verb.SUBMIT, "r1", detail, actor="rosalind")  # the hub tells the same request with another Plan
    assert here.record().plan == plan
    assert run(here, changed) == "plan-digest"
    Claims(here.site).claim("j1", "r1", plan.digest)


def _parameter(plan: Plan, name: str, value: Any) -> Plan:
    return replace(plan, parameters={**plan.parameters, name: value})


def _renamed(participant: Any) -> Any:
    return replace(participant, identity="ab" * 32) if participant.site == "birch" else participant


def test_a_plan_put_in_the_place_of_the_approved_one_in_the_journals_file_shows(here: TrialSite) -> None:
    """With the triggers dropped and the Plan rewritten: the signature is over another digest, and the chain breaks."""
    plan = here.approved(plan_for(here))
    other = plan_for(here, source=SOURCE + "# one byte\n")
    here.site.journal.close()
    connection = sqlite3.connect(here.state.journal_path)
    connection.execute("DROP TRIGGER journal_no_update")
    for part, changed in ((plan.digest, other.digest), ('50.0}\\n"', '50.0}\\n# one byte\\n"')):
        connection.execute(
            "UPDATE journal SET body = replace(body, ?, ?) WHERE stream = 'request/r1' AND kind = 'submit'",
            (part, changed),
        )
    connection.commit()
    connection.close()
    assert here.record().plan == other
    assert run(here, other) == "approval"
    with pytest.raises(IntegrityFailure):
        check_own_journal(here.site)


def test_rows_that_were_added_after_the_approval_are_not_read(here: TrialSite) -> None:
    plan = here.approved(plan_for(here))
    folder = here.state.folder.parent
    table = write_patients(folder / "more.csv", 41, seed=2)
    ingest(here.state, here.site.journal, table, "trial", write_schema(folder), "engineer", here.site.now())
    assert run(here, plan) == "dataset-version"


def test_an_environment_that_was_changed_after_the_approval_runs_nothing(here: TrialSite) -> None:
    """The engine's digest covers its bytes and the versions of what is installed."""
    plan = here.approved(plan_for(here))
    updated = Site(here.state, here.site.journal, here.clock, "f" * 64)
    assert refused(here, lambda: Claims(updated).claim("j1", "r1", plan.digest)) == "engine"


def test_a_policy_that_was_tightened_after_the_approval_holds(here: TrialSite) -> None:
    plan = here.approved(plan_for(here))
    path = here.state.folder / "policy.toml"
    for changes, rule in ((('"aggregate"]', "]"), "code"), (("= 5.0", "= 0.5"), "code_cpu_seconds")):
        path.write_text(POLICY.format(stewards=1).replace(*changes))
        assert run(here, plan) == rule
    here.state.keep_sandbox("")
    path.write_text(POLICY.format(stewards=1))
    assert run(here, plan) == "sandbox"


# Reviews that nobody gave


@pytest.mark.parametrize("who", [STEWARD, "eve", "policy:0000", ""])
@pytest.mark.parametrize("signer", ["birch", "nobody"])
def test_a_forged_review_runs_nothing(here: TrialSite, who: str, signer: str) -> None:
    plan = plan_for(here)
    here.submitted(plan)
    review = a_review(here, who=who)
    write(here, "r1", *reviewed(review.signed(KEYS["birch"]) if signer == "birch" else review))
    assert here.record().request.status is Status.APPROVED
    assert run(here, plan) == "signature"


@pytest.mark.parametrize("how", ["another request", "another plan", "another site", "a rejection"])
def test_a_true_review_of_something_else_runs_nothing(here: TrialSite, how: str) -> None:
    """The steward's own signature, moved to where it was not given."""
    key = here.state.unlock(STEWARD, PASSPHRASE)
    here.approved(plan_for(here, purpose="Harmless"), "r0")
    plan = plan_for(here)
    here.submitted(plan)
    moved = {
        "another request": lambda: Review.from_dict(here.record("r0").last(Verb.REVIEW).detail),
        "another plan": lambda: a_review(here, plan_digest=here.record("r0").plan.digest).signed(key),
        "another site": lambda: a_review(here, site="birch").signed(key),
        "a rejection": lambda: a_review(here, verdict=Verdict.REJECTED, reason="No.").signed(key),
    }[how]()
    write(here, "r1", *reviewed(moved))
    assert run(here, plan) == "approval"


@pytest.mark.parametrize(
    "edit",
    [
        {"expires_at": at(300)},
        {"without": ()},
        {"stewards_needed": 0},
        {"reason": "Fine."},
        {"decided_at": at(-1)},
        {"steward": "nina"},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_a_review_that_was_edited_is_none(two: TrialSite, edit: dict[str, Any]) -> None:
    plan = plan_for(two)
    two.submitted(plan)
    first = two.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["mean_age"], until_days=2)
    write(two, "r1", *reviewed(replace(first, **edit)))
    assert run(two, plan) == "signature"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_stewards_signature_is_not_two(two: TrialSite, count: int) -> None:
    """Replayed, with the step that only the second one opens."""
    plan = plan_for(two)
    two.submitted(plan)
    review = two.reviewing.approve("r1", STEWARD, PASSPHRASE)
    write(two, "r1", *(reviewed(review, done=False) * (count - 1)), reviewed(review)[1])
    assert two.record().request.status is Status.APPROVED
    assert run(two, plan) == "stewards"


def test_an_approval_of_ones_own_request_runs_nothing(here: TrialSite) -> None:
    """The researcher is a steward, signs with their own key, and writes past the desk that would refuse it."""
    add_steward(here.site, "rosalind", PASSPHRASE)
    plan = plan_for(here)
    here.submitted(plan)
    key = here.state.unlock("rosalind", PASSPHRASE)
    write(here, "r1", *reviewed(a_review(here, who="rosalind").signed(key)))
    assert run(here, plan) == "stewards"


def test_a_torn_review_is_none(here: TrialSite) -> None:
    plan = plan_for(here)
    here.submitted(plan)
    torn = {name: value for name, value in a_review(here).to_dict().items() if name != "signature"}
    event = replace(reviewed(a_review(here))[0], detail=torn)
    write(here, "r1", event, reviewed(a_review(here))[1])
    with pytest.raises(SynthemaError):
        Claims(here.site).claim("j1", "r1", plan.digest)


def test_an_approval_is_used_once(here: TrialSite) -> None:
    plan = here.approved(plan_for(here))
    Claims(here.site).claim("j1", "r1", plan.digest)
    assert run(here, plan, job="j2") == "approval"


# Old handles


def test_a_page_left_open_approves_nothing_after_a_reject(here: TrialSite) -> None:
    add_steward(here.site, "otto", PASSPHRASE)
    shown = here.submitted(plan_for(here)).plan.digest
    here.reviewing.reject("r1", "otto", PASSPHRASE, "No.")
    before = here.site.journal.head()
    with pytest.raises(TransitionDenied):
        here.reviewing.approve("r1", STEWARD, PASSPHRASE, plan_digest=shown)
    assert here.site.journal.head() == before
    assert here.record().request.status is Status.REJECTED


@pytest.mark.parametrize("ended", [Verb.WITHDRAW, Verb.EXPIRE, Verb.REJECT])
def test_nor_after_the_request_has_ended_elsewhere(here: TrialSite, ended: Verb) -> None:
    plan = here.submitted(plan_for(here)).plan
    here.told(ended, "r1", actor="rosalind")
    with pytest.raises(TransitionDenied):
        here.reviewing.approve("r1", STEWARD, PASSPHRASE, plan_digest=plan.digest)
    assert run(here, plan) == "approval"


def test_a_page_left_open_releases_nothing_after_a_colleague_withheld(here: TrialSite) -> None:
    add_steward(here.site, "otto", PASSPHRASE)
    output = staged(here)
    Clearing(here.site).withhold("r1", "otto", PASSPHRASE, "No.", output=output)
    with pytest.raises(TransitionDenied):
        Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=output)
    assert add_up(here) == "approval"


def test_the_plan_of_the_request_that_was_replaced_is_not_the_one_that_is_approved(here: TrialSite) -> None:
    old = here.submitted(plan_for(here)).plan
    new = plan_for(here, source=SOURCE + "# and more\n", supersedes=old.digest)
    here.submitted(new, "r2")
    with pytest.raises(IntegrityFailure):
        here.reviewing.approve("r2", STEWARD, PASSPHRASE, plan_digest=old.digest)


# Clearances that nobody gave


@pytest.mark.parametrize("signer", ["birch", "nobody"])
def test_a_forged_clearance_sums_nothing(here: TrialSite, signer: str) -> None:
    clearance = a_clearance(here, staged(here))
    write(here, "r1", *cleared(clearance.signed(KEYS["birch"]) if signer == "birch" else clearance))
    assert here.record().request.status is Status.CLEARED
    assert add_up(here) == "signature"


@pytest.mark.parametrize("how", ["another request", "another plan", "another site", "another output", "withheld"])
def test_a_true_clearance_of_something_else_sums_nothing(here: TrialSite, how: str) -> None:
    key = here.state.unlock(STEWARD, PASSPHRASE)
    other = staged(here, "r0", purpose="Harmless")
    Clearing(here.site).clear("r0", STEWARD, PASSPHRASE, output=other)
    output = staged(here)
    moved = {
        "another request": lambda: Clearance.from_dict(here.record("r0").last(Verb.CLEAR).detail),
        "another plan": lambda: a_clearance(here, output, plan_digest=here.record("r0").plan.digest).signed(key),
        "another site": lambda: a_clearance(here, output, site="birch").signed(key),
        "another output": lambda: a_clearance(here, other).signed(key),
        "withheld": lambda: a_clearance(here, output, cleared=False, reason="No.").signed(key),
    }[how]()
    write(here, "r1", *cleared(moved))
    assert add_up(here) == "clearance"


@pytest.mark.parametrize("edit", [{"redacted": ()}, {"reason": "Fine."}, {"stewards_needed": 0}, {"steward": "nina"}])
def test_a_clearance_that_was_edited_is_none(two: TrialSite, edit: dict[str, Any]) -> None:
    output = staged(two, by=(STEWARD, "otto"))
    first = Clearing(two.site).clear("r1", STEWARD, PASSPHRASE, output=output, redacted=["deaths[1]"])
    write(two, "r1", *cleared(replace(first, **edit)))
    assert add_up(two) == "signature"


def test_one_stewards_clearance_is_not_two(two: TrialSite) -> None:
    output = staged(two, by=(STEWARD, "otto"))
    first = Clearing(two.site).clear("r1", STEWARD, PASSPHRASE, output=output)
    write(two, "r1", *cleared(first))
    assert two.record().request.status is Status.CLEARED
    assert add_up(two) == "stewards"


def test_a_clearance_of_ones_own_output_sums_nothing(here: TrialSite) -> None:
    add_steward(here.site, "rosalind", PASSPHRASE)
    output = staged(here)
    key = here.state.unlock("rosalind", PASSPHRASE)
    write(here, "r1", *cleared(a_clearance(here, output, steward="rosalind").signed(key)))
    assert add_up(here) == "stewards"


def test_numbers_put_in_the_place_of_those_looked_at_are_not_shown_nor_cleared(here: TrialSite) -> None:
    """The file is swapped for that of another run, byte for byte a good one."""
    output = staged(here)
    staged(here, "r2", purpose="Another")
    mine, other = (here.state.staged_folder(request) / "output.safetensors" for request in ("r1", "r2"))
    other.write_bytes(mine.read_bytes())  # the same numbers: nothing to see
    Clearing(here.site).staged("r2")
    mine.write_bytes(mine.read_bytes().replace(VALUES[:3].tobytes(), (VALUES[:3] + 1).tobytes()))
    for attempt in (
        lambda: Clearing(here.site).staged("r1"),
        lambda: Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=output),
    ):
        with pytest.raises(IntegrityFailure, match="changed since"):
            attempt()


# The clock


@pytest.mark.parametrize("back", [timedelta(days=20), timedelta(days=4000)])
def test_a_clock_set_back_revives_nothing(here: TrialSite, back: timedelta) -> None:
    plan = here.approved(plan_for(here))
    expired = here.clock.now = days_later(31)
    assert run(here, plan) == "expiry"
    here.submitted(plan_for(here, purpose="The journal's last entry is of today"), "r2")
    here.clock.now = expired - back
    assert run(here, plan) == "clock"


@pytest.mark.parametrize("decision", ["approve", "reject", "revoke", "ask", "clear", "withhold"])
def test_nothing_is_decided_under_a_clock_that_was_set_back(here: TrialSite, decision: str) -> None:
    output = staged(here, "r0")
    here.submitted(plan_for(here, purpose="Later"), "r1")
    here.clock.now -= timedelta(hours=1)
    decide: dict[str, Callable[[], object]] = {
        "approve": lambda: here.reviewing.approve("r1", STEWARD, PASSPHRASE),
        "reject": lambda: here.reviewing.reject("r1", STEWARD, PASSPHRASE, "No."),
        "revoke": lambda: here.reviewing.revoke("r1", STEWARD, PASSPHRASE),
        "ask": lambda: here.reviewing.ask("r1", STEWARD, PASSPHRASE, "Why?"),
        "clear": lambda: Clearing(here.site).clear("r0", STEWARD, PASSPHRASE, output=output),
        "withhold": lambda: Clearing(here.site).withhold("r0", STEWARD, PASSPHRASE, "No.", output=output),
    }
    assert refused(here, decide[decision]) == "clock"
    here.clock.now += timedelta(minutes=59, seconds=30)  # clocks are put right by seconds now and then
    decide[decision]()


# What others wrote


_HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><b>"


def test_markup_in_names_and_comments_stays_text(here: TrialSite) -> None:
    plan = plan_for(here, purpose=_HOSTILE, requester=_HOSTILE, source=SOURCE + f"# {_HOSTILE}\n")
    detail = {"plan": plan.to_dict(), "plan_digest": plan.digest, "name": _HOSTILE[:60]}
    here.told(Verb.SUBMIT, "r1", detail, actor=_HOSTILE)
    here.reviewing.ask("r1", STEWARD, PASSPHRASE, _HOSTILE)
    here.told(Verb.ANSWER, "r1", {"text": _HOSTILE}, actor=_HOSTILE)
    here.reviewing.approve("r1", STEWARD, PASSPHRASE, reason=_HOSTILE)
    browser = Browser(here)
    browser.login()
    for page in ("/", "/requests/r1"):
        shown = browser.get(page).text
        assert "&lt;script&gt;" in shown, "it is there, as text"
        assert not [tag for tag in ("<script>alert", "<img src=x", "<b>") if tag in shown]
