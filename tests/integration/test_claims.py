"""From the hub's word to a Claim, at one real site: nothing runs that its own steward did not sign."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import KEYS, at, days_later
from support.site import HUB_KEY, PASSPHRASE, STEWARD, TrialSite
from synthema_core.errors import (
    BudgetSpent,
    IntegrityFailure,
    InvalidInput,
    InvalidPlan,
    NotAuthenticated,
    NotPermitted,
    Refused,
    TransitionDenied,
)
from synthema_core.release import Guarantee, Release
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import draft_of
from synthema_core.review import Review, Verdict
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.records import charges
from synthema_datasite.service.stewards import add_steward


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return TrialSite(tmp_path)


def claim(here: TrialSite, plan: Any, job: str = "j1", request: str = "r1") -> Any:
    return Claims(here.site).claim(job, request, plan.digest)


def refused_by(here: TrialSite, plan: Any, **where: str) -> str:
    before = here.site.journal.head()
    with pytest.raises(Refused) as refused:
        claim(here, plan, **where)
    assert here.site.journal.head() == before, "a refusal records nothing"
    return refused.value.rule


def test_an_approved_plan_is_claimed_once(here: TrialSite) -> None:
    plan = here.approved(here.plan())
    assert claim(here, plan).plan == plan
    assert here.record().request.status is Status.RUNNING
    assert refused_by(here, plan, job="j2") == "approval"


def test_a_plan_nobody_approved_is_refused(here: TrialSite) -> None:
    plan = here.plan()
    here.submitted(plan)
    assert refused_by(here, plan) == "approval"
    assert refused_by(here, plan, request="r2") == "approval"


def test_a_plan_changed_after_the_approval_is_refused(here: TrialSite) -> None:
    plan = here.approved(here.plan())
    assert refused_by(here, replace(plan, purpose="Sell it")) == "plan-digest"
    changed = replace(plan, purpose="Sell it")
    here.submitted(changed, "r1")  # the hub tells the same request with another Plan
    assert here.record().plan == plan
    assert refused_by(here, changed) == "plan-digest"


def test_a_rejected_or_revoked_plan_is_refused(here: TrialSite) -> None:
    plan = here.plan()
    here.submitted(plan)
    here.reviewing.reject("r1", STEWARD, PASSPHRASE, "Too fine.")
    assert refused_by(here, plan) == "approval"
    plan = here.approved(here.plan(purpose="Again"), "r2")
    here.reviewing.revoke("r2", STEWARD, PASSPHRASE)
    assert refused_by(here, plan, request="r2") == "approval"


def test_an_expired_approval_is_refused(here: TrialSite) -> None:
    plan = here.approved(here.plan())
    here.clock.now = days_later(31)
    assert refused_by(here, plan) == "expiry"


def test_a_job_id_is_never_used_twice(here: TrialSite) -> None:
    claim(here, here.approved(here.plan()))
    second = here.approved(here.plan(purpose="Again"), "r2")
    assert refused_by(here, second, job="j1", request="r2") == "job-id"


def forge_review(here: TrialSite, review: Review) -> None:
    """What somebody could do who writes to the journal but has no steward's passphrase."""
    event = Event(Verb.REVIEW, review.steward, Role.STEWARD, at(), "alder", True, review.to_dict())
    with here.site.journal.writing() as journal:
        journal.append(draft_of("r1", event))
        journal.append(draft_of("r1", Event(Verb.APPROVE, "alder", Role.SITE, at(), "alder")))


@pytest.mark.parametrize("steward", [STEWARD, "eve", "policy:0000"])
def test_an_approval_without_the_stewards_signature_is_refused(here: TrialSite, steward: str) -> None:
    plan = here.plan()
    here.submitted(plan)
    review = Review("r1", plan.digest, "alder", steward, Verdict.APPROVED, "", at(), at(20)).signed(KEYS["birch"])
    forge_review(here, review)
    assert here.record().request.status is Status.APPROVED
    assert refused_by(here, plan) == "signature"


def test_an_approval_of_another_plan_or_request_does_not_count(here: TrialSite) -> None:
    """The steward's true signature, moved to another Request."""
    plan = here.approved(here.plan(purpose="Harmless"), "r0")
    true_review = Review.from_dict(here.record("r0").last(Verb.REVIEW).detail)
    other = here.plan()
    here.submitted(other)
    forge_review(here, true_review)
    assert refused_by(here, other) == "approval"
    assert plan.digest == true_review.plan_digest


def test_the_charge_is_on_disk_before_anything_runs_and_the_budget_holds(here: TrialSite) -> None:
    asked = 0
    for number in range(40):
        plan = here.plan("histogram", purpose=f"Count {number}", epsilon=1.0, requester=f"researcher-{number}")
        request = f"r{number}"
        here.submitted(plan, request)
        here.reviewing.approve(request, STEWARD, PASSPHRASE)
        try:
            claim(here, plan, job=f"j{number}", request=request)
        except BudgetSpent as error:
            assert "row" not in str(error)
            break
        asked += 1
        assert len(charges(here.site.journal, "trial")) == asked
    else:
        pytest.fail("forty times epsilon 1 fitted into a budget of 3")
    assert asked >= 3, "composition is not better than adding epsilons"
    assert here.record(request).request.status is Status.APPROVED


def test_a_failed_job_gives_nothing_back(here: TrialSite) -> None:
    plan = here.approved(here.plan("histogram", epsilon=1.0))
    claim(here, plan)
    here.told(Verb.FAIL, "r1", {"failure": {"error": "round-failed", "message": "A site was away."}})
    assert here.record().request.status is Status.FAILED
    assert len(charges(here.site.journal, "trial")) == 1


def test_a_wrong_passphrase_decides_nothing(here: TrialSite) -> None:
    here.submitted(here.plan())
    before = here.site.journal.head()
    for steward, passphrase in ((STEWARD, "wrong horse battery"), ("eve", PASSPHRASE), ("../identity", PASSPHRASE)):
        with pytest.raises(NotAuthenticated):
            here.reviewing.approve("r1", steward, passphrase)
    assert here.site.journal.head() == before


def test_a_steward_file_without_a_journal_entry_decides_nothing(here: TrialSite) -> None:
    """Somebody drops a key file of their own into the folder."""
    here.submitted(here.plan())
    here.state.add_steward_key("eve", PASSPHRASE)
    with pytest.raises(NotPermitted, match="not a steward"):
        here.reviewing.approve("r1", "eve", PASSPHRASE)


def test_nobody_approves_their_own_request(here: TrialSite) -> None:
    add_steward(here.site, "rosalind", PASSPHRASE)
    here.submitted(here.plan())
    with pytest.raises(NotPermitted, match="own request"):
        here.reviewing.approve("r1", "rosalind", PASSPHRASE)


def test_the_plan_shown_is_the_plan_signed(here: TrialSite) -> None:
    here.submitted(here.plan())
    with pytest.raises(IntegrityFailure, match="not the Plan you were shown"):
        here.reviewing.approve("r1", STEWARD, PASSPHRASE, plan_digest="0" * 64)


def test_a_rejection_needs_a_reason(here: TrialSite) -> None:
    here.submitted(here.plan())
    with pytest.raises(InvalidInput, match="reason"):
        here.reviewing.reject("r1", STEWARD, PASSPHRASE, " ")
    assert here.record().request.status is Status.UNDER_REVIEW


def test_a_plan_against_the_policy_is_sent_back_at_once_signed_by_the_site(here: TrialSite) -> None:
    plan = here.plan(options={"time": "days", "event": "died", "step": "1"})
    record = here.submitted(plan)
    assert record.request.status is Status.REJECTED
    review = Review.from_dict(record.last(Verb.REVIEW).detail)
    assert review.by_policy
    assert "min_time_step" in review.reason
    review.check_signature(here.site.facts(here.site.journal).identity)


def test_a_site_key_that_changed_is_refused(here: TrialSite) -> None:
    here.approved(here.plan())
    plan = here.plan(purpose="Again")
    forged = tuple(replace(p, identity="ab" * 32) if p.site == "birch" else p for p in plan.participants)
    record = here.submitted(replace(plan, participants=forged), "r2")
    assert record.request.status is Status.REJECTED
    assert "known-identities" in record.last(Verb.REVIEW).detail["reason"]


def test_the_hub_cannot_approve_start_or_reopen(here: TrialSite) -> None:
    plan = here.plan()
    here.submitted(plan)
    for verb in (Verb.APPROVE, Verb.START, Verb.REVIEW, Verb.RECEIVE, Verb.RELEASE):
        here.told(verb, "r1", {"job": "j1"})
        assert here.record().request.status is Status.UNDER_REVIEW
    here.told(Verb.WITHDRAW, "r1", actor="rosalind")
    here.submitted(plan)
    assert here.record().request.status is Status.WITHDRAWN


def test_a_plan_that_does_not_match_its_digest_is_left_out(here: TrialSite) -> None:
    plan = here.plan()
    with pytest.raises(InvalidPlan):
        here.told(Verb.SUBMIT, "r1", {"plan": plan.to_dict(), "plan_digest": "0" * 64}, actor="rosalind")
    assert here.site.journal.entries("request/r1") == []


def test_only_a_release_signed_by_the_hub_for_this_job_is_taken(here: TrialSite) -> None:
    plan = here.approved(here.plan())
    claim(here, plan)
    release = Release(
        id="rel", request="r1", job="j1", plan_digest=plan.digest, question_digest=plan.question_digest,
        purpose="p", requester="rosalind", result={"kind": "kaplan-meier"}, guarantee=Guarantee("exact", "s", "m"),
        sites=plan.sites, datasets=("trial",), released_at=at(), seconds=1.0, rounds=1, quantisation_error=0.0,
        engine=plan.engine,
    )  # fmt: skip
    for bad in (release.signed(KEYS["birch"]), replace(release, job="j9").signed(HUB_KEY)):
        with pytest.raises(IntegrityFailure):
            here.told(Verb.RELEASE, "r1", {"release": bad.to_dict()})
    assert here.record().request.status is Status.RUNNING
    here.told(Verb.RELEASE, "r1", {"release": release.signed(HUB_KEY).to_dict()})
    assert here.record().request.status is Status.RELEASED
    assert here.record().last(Verb.RELEASE).detail["release_digest"] == release.digest


def test_a_second_verdict_is_denied(here: TrialSite) -> None:
    here.approved(here.plan())
    with pytest.raises(TransitionDenied):
        here.reviewing.reject("r1", STEWARD, PASSPHRASE, "Changed my mind.")
