"""At a site: what is approved of a question it helped to answer, what nothing may run on, and who is charged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import KEYS, at, days_later
from support.pages import logged_in, said_by, text_of
from support.site import HUB_KEY, PASSPHRASE, POLICY, STEWARD, TrialSite
from support.spending import rewrite
from synthema_core.errors import BudgetSpent, IntegrityFailure, Refused
from synthema_core.ledger import Charge
from synthema_core.plan import Plan
from synthema_core.release import Release, guarantee_of
from synthema_core.request import Status, Verb
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.reading import ANSWERED_BEFORE, read
from synthema_datasite.service.records import charges
from synthema_datasite.service.register import Register


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return TrialSite(tmp_path)


def count(here: TrialSite, requester: str = "rosalind", **more: Any) -> Plan:
    return here.plan("histogram", requester=requester, **more)


def release_of(plan: Plan, request: str, job: str, **changes: Any) -> Release:
    made = Release(
        id=f"release-{request}",
        request=request,
        job=job,
        plan_digest=plan.digest,
        question_digest=plan.question_digest,
        purpose=plan.purpose,
        requester=plan.requester,
        result={"kind": plan.analysis},
        guarantee=guarantee_of(plan, 7.9 if plan.privacy else None, exact_before=False),
        sites=plan.sites,
        datasets=("trial",),
        released_at=at(),
        seconds=1.0,
        rounds=1,
        quantisation_error=0.0,
        engine=plan.engine,
    )
    return replace(made, **changes)


def answered(here: TrialSite, plan: Plan, request: str = "first", **changes: Any) -> Release:
    """A Request of that Plan, run and released; its Release."""
    here.approved(plan, request)
    Claims(here.site).claim(f"job-{request}", request, plan.digest)
    release = release_of(plan, request, f"job-{request}", **changes).signed(HUB_KEY)
    here.told(Verb.RELEASE, request, {"release": release.to_dict()})
    assert here.record(request).request.status is Status.RELEASED
    return release


def handed_on(stored: Release, plan: Plan, request: str, **changes: Any) -> Release:
    """As the hub hands it on, not signed."""
    parts = {"id": f"release-{request}", "request": request, "plan_digest": plan.digest, "purpose": plan.purpose}
    whole = {**parts, "requester": plan.requester, "reused_from": stored.id, "signature": "", **changes}
    return replace(stored, **whole)


def hand_on(here: TrialSite, stored: Release, plan: Plan, request: str, **changes: Any) -> None:
    release = handed_on(stored, plan, request, **changes).signed(HUB_KEY)
    here.told(Verb.REUSE, request, {"release": release.to_dict(), "stored_digest": stored.digest})


def made(here: TrialSite) -> list[Charge]:
    return charges(here.site.journal, "trial")


# Approving.


def test_a_repeated_question_is_approved_for_its_stored_answer(here: TrialSite) -> None:
    answered(here, count(here))
    here.submitted(count(here, "john", purpose="For my thesis."), "second")
    review = here.reviewing.approve("second", STEWARD, PASSPHRASE)
    assert review.answered_by == "first"
    review.check_signature(here.site.journal.entries("stewards")[0].body["key"])


@pytest.mark.parametrize("changes", [{"epsilon": 0.5}, {"options": {}}], ids=["cost", "parameter"])
def test_another_question_is_approved_for_a_run(here: TrialSite, changes: dict[str, Any]) -> None:
    answered(here, count(here))
    here.submitted(count(here, "john", **changes), "second")
    assert here.reviewing.approve("second", STEWARD, PASSPHRASE).answered_by == ""


def test_who_asks_again_is_approved_for_a_run(here: TrialSite) -> None:
    answered(here, count(here))
    plan = count(here, purpose="Once more.")
    here.approved(plan, "second")
    Claims(here.site).claim("job-second", "second", plan.digest)
    assert [charge.reading for charge in made(here)] == [False, False]


def test_what_was_not_released_here_is_no_answer(here: TrialSite) -> None:
    """A site that was not in that sum treats the question as any other."""
    here.approved(count(here), "first")
    here.submitted(count(here, "john"), "second")
    assert here.reviewing.approve("second", STEWARD, PASSPHRASE).answered_by == ""


def test_nothing_runs_on_an_approval_to_read(here: TrialSite) -> None:
    """A hub that starts a Job instead gets no numbers, and nothing is charged."""
    answered(here, count(here))
    plan = here.approved(count(here, "john"), "second")
    before = here.site.journal.head()
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim("j2", "second", plan.digest)
    assert refused.value.rule == "stored-answer"
    assert here.site.journal.head() == before


def test_the_policy_approves_a_reading_that_the_budget_has_no_room_for(tmp_path: Path) -> None:
    """The patients are told nothing new about; the reader's own limit has room."""
    policy = POLICY.replace("exact = true", 'exact = true\nauto_approve = ["histogram"]\nauto_epsilon = 1.5')
    here = TrialSite(tmp_path, policy=policy.replace("epsilon = 3.0", "epsilon = 1.6"))
    answered(here, count(here, epsilon=1.5))
    here.submitted(count(here, "john", epsilon=1.5), "second")
    record = here.record("second")
    assert record.request.status is Status.APPROVED
    assert record.last(Verb.REVIEW).detail["answered_by"] == "first"
    here.submitted(count(here, "john", epsilon=1.4), "third")
    assert here.record("third").request.status is Status.UNDER_REVIEW


LIMITS = {
    "epsilon_per_researcher": "epsilon_per_researcher = 1.0",
    "epsilon_per_purpose": "epsilon_per_purpose = 1.0",
}


@pytest.mark.parametrize("rule", LIMITS)
def test_a_reading_needs_room_in_the_readers_own_limits(tmp_path: Path, rule: str) -> None:
    """Also for readings that are approved and not handed on: all of them together must fit."""
    here = TrialSite(tmp_path)
    for number, cost in enumerate((0.9, 0.8)):
        answered(here, count(here, epsilon=cost, purpose=f"First {number}"), f"first-{number}")
    rewrite(here, "", policy=POLICY.replace("exact = true", f"exact = true\n{LIMITS[rule]}"))
    for number, cost in enumerate((0.9, 0.8)):
        here.submitted(count(here, "john", epsilon=cost, purpose="Thesis"), f"mine-{number}")
    here.reviewing.approve("mine-0", STEWARD, PASSPHRASE)
    with pytest.raises(BudgetSpent) as refused:
        here.reviewing.approve("mine-1", STEWARD, PASSPHRASE)
    assert refused.value.rule == rule
    here.told(Verb.WITHDRAW, "mine-0", actor="john")
    here.reviewing.approve("mine-1", STEWARD, PASSPHRASE)


# Reading.


def test_a_reading_is_charged_to_its_reader_and_not_to_the_patients(here: TrialSite) -> None:
    stored = answered(here, count(here))
    plan = here.approved(count(here, "john", purpose="Thesis"), "second")
    look = here.site.ledger.look(here.site.journal, here.state.policy(), "trial", "john", "Thesis")
    hand_on(here, stored, plan, "second")
    first, second = made(here)
    assert (first.reading, second.reading) == (False, True)
    assert (second.requester, second.purpose, second.request) == ("john", "Thesis", "second")
    assert (second.mechanism, second.plan_digest) == (first.mechanism, plan.digest)
    after = here.site.ledger.look(here.site.journal, here.state.policy(), "trial", "john", "Thesis")
    assert after.standing.spent_epsilon == look.standing.spent_epsilon
    assert look.requester.charges == 0
    assert after.requester.charges == after.purpose.charges == 1
    record = here.record("second")
    assert record.request.status is Status.RELEASED
    assert record.last(Verb.REUSE).detail["reused_from"] == stored.id


def test_what_the_hub_says_twice_is_charged_once(here: TrialSite) -> None:
    stored = answered(here, count(here))
    plan = here.approved(count(here, "john"), "second")
    for _ in range(2):
        hand_on(here, stored, plan, "second")
    assert len(made(here)) == 2


def test_to_read_the_same_answer_twice_costs_nothing_more(here: TrialSite) -> None:
    stored = answered(here, count(here))
    plans = [count(here, "john", purpose=f"Number {number}") for number in range(2)]
    for number, plan in enumerate(plans):
        here.approved(plan, f"mine-{number}")
    for number, plan in enumerate(plans):
        hand_on(here, stored, plan, f"mine-{number}")
        assert here.record(f"mine-{number}").request.status is Status.RELEASED
    assert len(made(here)) == 2


def test_an_exact_answer_is_handed_on_without_a_charge(here: TrialSite) -> None:
    stored = answered(here, here.plan())
    plan = here.approved(here.plan(requester="john"), "second")
    hand_on(here, stored, plan, "second")
    assert made(here) == []
    assert here.record("second").request.status is Status.RELEASED


ENDS: dict[str, Callable[[TrialSite], object]] = {
    "revoked": lambda here: here.reviewing.revoke("second", STEWARD, PASSPHRASE),
    "withdrawn": lambda here: here.told(Verb.WITHDRAW, "second", actor="john"),
    "long ago": lambda here: setattr(here.clock, "now", days_later(40)),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_was_handed_on_is_charged_whatever_became_of_the_request_here(here: TrialSite, end: str) -> None:
    """The hub had handed it on before it heard: the reader knows the numbers."""
    stored = answered(here, count(here))
    plan = here.approved(count(here, "john"), "second")
    ENDS[end](here)
    for _ in range(2):
        hand_on(here, stored, plan, "second")
    assert [charge.reading for charge in made(here)] == [False, True]


FORGERIES: dict[str, Callable[[Release], Any]] = {
    "another key": lambda release: release.signed(KEYS["birch"]).to_dict(),
    "no signature": lambda release: release.to_dict(),
    "another request": lambda release: replace(release, request="r9").signed(HUB_KEY).to_dict(),
    "another plan": lambda release: replace(release, plan_digest="0" * 64).signed(HUB_KEY).to_dict(),
    "another question": lambda release: replace(release, question_digest="0" * 64).signed(HUB_KEY).to_dict(),
    "another reader": lambda release: replace(release, requester="eve").signed(HUB_KEY).to_dict(),
    "of nothing": lambda release: replace(release, reused_from="").signed(HUB_KEY).to_dict(),
    "of another answer": lambda release: replace(release, reused_from="release-x").signed(HUB_KEY).to_dict(),
    "no release": lambda release: {},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_answer_is_left_out(here: TrialSite, forgery: str) -> None:
    stored = answered(here, count(here))
    plan = here.approved(count(here, "john"), "second")
    before = here.site.journal.head()
    told = {"release": FORGERIES[forgery](handed_on(stored, plan, "second")), "stored_digest": stored.digest}
    with pytest.raises(IntegrityFailure):
        here.told(Verb.REUSE, "second", told)
    assert here.site.journal.head() == before


def test_another_answer_under_the_same_name_is_left_out(here: TrialSite) -> None:
    stored = answered(here, count(here))
    plan = here.approved(count(here, "john"), "second")
    release = handed_on(stored, plan, "second").signed(HUB_KEY)
    with pytest.raises(IntegrityFailure, match="knows nothing of"):
        here.told(Verb.REUSE, "second", {"release": release.to_dict(), "stored_digest": "0" * 64})


def test_what_this_site_never_approved_is_left_out(here: TrialSite) -> None:
    stored, plan = answered(here, count(here)), count(here, "john")
    here.submitted(plan, "second")
    with pytest.raises(IntegrityFailure, match="never approved"):
        hand_on(here, stored, plan, "second")
    assert len(made(here)) == 1


def test_a_site_that_is_not_in_the_answer_charges_nothing(here: TrialSite) -> None:
    """It had approved for a run; the others' answer tells nothing about its patients."""
    plan = count(here)
    here.approved(plan, "first")
    second = here.approved(count(here, "john"), "second")
    stored = release_of(plan, "first", "j", missing={"alder": "It was away."})
    hand_on(here, stored, second, "second")
    assert made(here) == []
    assert here.record("second").request.status is Status.RELEASED
    third = here.approved(count(here, "john"), "third")
    with pytest.raises(IntegrityFailure, match="knows nothing of"):
        hand_on(here, replace(stored, missing={}), third, "third")


# What stewards see.


def test_stewards_read_that_nothing_runs_and_who_is_charged(here: TrialSite) -> None:
    answered(here, count(here, purpose="Arms in use"))
    here.submitted(count(here, "john"), "second")
    reading = read(here.site, here.record("second"), Register(here.site))
    said = dict(next(section.lines for section in reading.sections if section.title == ANSWERED_BEFORE))
    assert said["Asked then for"] == "Arms in use"
    assert "no new charge" in said["The patients' budget"]
    assert "john" in said["Charged to the reader"]
    assert "epsilon 1" in said["Charged to the reader"]
    here.reviewing.approve("second", STEWARD, PASSPHRASE)
    after = read(here.site, here.record("second"), Register(here.site))
    assert after.stored is not None, "and still when it is approved"
    assert read(here.site, here.record("first"), Register(here.site)).stored is None


def test_the_page_says_so_and_offers_a_reading(here: TrialSite) -> None:
    stored = answered(here, count(here))
    plan = count(here, "john")
    here.submitted(plan, "second")
    browser = logged_in(here)
    page = browser.get("/requests/second").text
    assert "Approve reading the stored answer" in page
    assert "Approve for one run" not in page
    assert "nothing runs, and the patients' budget is not charged again" in text_of(page)
    assert said_by(browser, "second")["Spent afterwards"] == "the same: the stored answer is read once more"
    assert browser.decide("approve", "second").status_code == 303
    hand_on(here, stored, plan, "second")
    assert "handed on the stored answer" in text_of(browser.get("/requests/second").text)
