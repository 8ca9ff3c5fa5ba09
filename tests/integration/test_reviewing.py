"""A steward's decision: by that person, on that Plan, while it may still be made; else the Journal is as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.builders import KEYS, at, days_later
from support.charges import charges_of
from support.disk import full_disk
from support.site import PASSPHRASE, POLICY, STEWARD, TrialSite
from support.staged import code_site, plan_for
from synthema_core.errors import (
    BudgetSpent,
    IntegrityFailure,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    SynthemaError,
    TransitionDenied,
    Unavailable,
)
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.request import Status, Verb
from synthema_core.review import Review, Verdict
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.records import known_identities, stewards
from synthema_datasite.service.stewards import add_steward

DECISIONS: dict[str, Callable[[TrialSite, str, str], object]] = {
    "approve": lambda here, who, word: here.reviewing.approve("r1", who, word),
    "reject": lambda here, who, word: here.reviewing.reject("r1", who, word, "Too fine."),
    "revoke": lambda here, who, word: here.reviewing.revoke("r1", who, word),
    "ask": lambda here, who, word: here.reviewing.ask("r1", who, word, "Why?"),
}
TWO_STEWARDS = POLICY.replace("exact = true", "exact = true\nstewards = 2")


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    """With one Request that waits for its steward."""
    here = TrialSite(tmp_path)
    here.submitted(here.plan())
    return here


def denied(here: TrialSite, decision: Callable[[], object], error: type[SynthemaError]) -> str:
    """The sentence with which a decision is denied; nothing is recorded then."""
    before = here.site.journal.head()
    with pytest.raises(error) as told:
        decision()
    assert here.site.journal.head() == before
    return str(told.value)


def test_an_approval_is_the_stewards_signature_over_this_plan(here: TrialSite) -> None:
    review = here.reviewing.approve("r1", STEWARD, PASSPHRASE, reason="Fine.")
    plan = here.record().plan
    assert (review.plan_digest, review.site, review.steward) == (plan.digest, "alder", STEWARD)
    assert (review.verdict, review.reason) == (Verdict.APPROVED, "Fine.")
    review.check_signature(stewards(here.site.journal)[STEWARD])
    assert Review.from_dict(here.record().last(Verb.REVIEW).detail) == review
    assert here.record().request.status is Status.APPROVED


def test_a_rejection_is_signed_and_carries_its_reason(here: TrialSite) -> None:
    review = here.reviewing.reject("r1", STEWARD, PASSPHRASE, "Please leave out the age.")
    review.check_signature(stewards(here.site.journal)[STEWARD])
    assert here.record().last(Verb.REVIEW).detail["reason"] == "Please leave out the age."
    assert here.record().request.status is Status.REJECTED


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize(
    ("who", "word"),
    [
        (STEWARD, "wrong horse battery"),
        (STEWARD, ""),
        (STEWARD, PASSPHRASE + " "),
        ("nobody", PASSPHRASE),
        ("", PASSPHRASE),
        ("../identity", PASSPHRASE),
        ("Maria", PASSPHRASE),
        ("policy:0000", PASSPHRASE),
    ],
)
def test_a_wrong_passphrase_or_an_unknown_steward_decides_nothing(
    here: TrialSite, decision: str, who: str, word: str
) -> None:
    said = denied(here, lambda: DECISIONS[decision](here, who, word), NotAuthenticated)
    assert said == "The steward or the passphrase is wrong.", "the same for both: no name can be guessed"


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_key_that_the_journal_does_not_know_decides_nothing(here: TrialSite, decision: str) -> None:
    """Somebody with the folder puts in a key of their own: under a new name, or in a steward's place."""
    here.state.add_steward_key("eve", PASSPHRASE)
    denied(here, lambda: DECISIONS[decision](here, "eve", PASSPHRASE), NotPermitted)
    folder = here.state.folder / "stewards"
    shutil.copyfile(folder / "eve.key", folder / f"{STEWARD}.key")
    said = denied(here, lambda: DECISIONS[decision](here, STEWARD, PASSPHRASE), NotAuthenticated)
    assert "not the one this site's journal knows" in said


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_nobody_decides_on_their_own_request(here: TrialSite, decision: str) -> None:
    add_steward(here.site, "rosalind", PASSPHRASE)
    denied(here, lambda: DECISIONS[decision](here, "rosalind", PASSPHRASE), NotPermitted)


@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_a_decision_is_made_once(here: TrialSite, first: str, second: str) -> None:
    add_steward(here.site, "otto", PASSPHRASE)
    DECISIONS[first](here, STEWARD, PASSPHRASE)
    for who in (STEWARD, "otto"):
        denied(here, lambda who=who: DECISIONS[second](here, who, PASSPHRASE), TransitionDenied)


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_an_expired_request_is_not_decided_any_more(here: TrialSite, decision: str) -> None:
    here.clock.now = days_later(30)
    assert "expired" in denied(here, lambda: DECISIONS[decision](here, STEWARD, PASSPHRASE), TransitionDenied)


@pytest.mark.parametrize("decision", DECISIONS)
def test_an_unknown_request_is_not_decided(here: TrialSite, decision: str) -> None:
    here.told(Verb.WITHDRAW, "r1", actor="rosalind")
    denied(here, lambda: DECISIONS[decision](here, STEWARD, PASSPHRASE), TransitionDenied)
    denied(here, lambda: here.reviewing.approve("r9", STEWARD, PASSPHRASE), NotFound)
    denied(here, lambda: here.reviewing.revoke("r9", STEWARD, PASSPHRASE), NotFound)


@pytest.mark.parametrize("verdict", ["approve", "reject", "ask", "revoke"])
def test_the_plan_that_was_shown_is_the_plan_that_is_signed(here: TrialSite, verdict: str) -> None:
    other = here.plan(purpose="Another").digest
    decide = {
        "approve": lambda shown: here.reviewing.approve("r1", STEWARD, PASSPHRASE, plan_digest=shown),
        "reject": lambda shown: here.reviewing.reject("r1", STEWARD, PASSPHRASE, "No.", plan_digest=shown),
        "ask": lambda shown: here.reviewing.ask("r1", STEWARD, PASSPHRASE, "Why?", plan_digest=shown),
        "revoke": lambda shown: here.reviewing.revoke("r1", STEWARD, PASSPHRASE, plan_digest=shown),
    }[verdict]
    said = denied(here, lambda: decide(other), IntegrityFailure)
    assert "not the Plan you were shown" in said
    review = decide(here.record().plan.digest)
    assert review is None or review.plan_digest == here.record().plan.digest


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_rejection_without_a_reason_is_none(here: TrialSite, reason: str) -> None:
    said = denied(here, lambda: here.reviewing.reject("r1", STEWARD, PASSPHRASE, reason), InvalidInput)
    assert "reason" in said


def test_an_approval_is_taken_back_until_the_run_starts(here: TrialSite) -> None:
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    here.reviewing.revoke("r1", STEWARD, PASSPHRASE)
    assert here.record().request.status is Status.REVOKED
    with pytest.raises(Refused):
        Claims(here.site).claim("j1", "r1", here.record().plan.digest)


def test_a_run_that_has_started_is_not_taken_back(here: TrialSite) -> None:
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    Claims(here.site).claim("j1", "r1", here.record().plan.digest)
    denied(here, lambda: here.reviewing.revoke("r1", STEWARD, PASSPHRASE), TransitionDenied)
    assert here.record().request.status is Status.RUNNING


def test_the_policy_is_checked_again_at_the_approval(here: TrialSite) -> None:
    """Allowed when it arrived, forbidden since: the steward cannot approve it, and can still reject it."""
    (here.state.folder / "policy.toml").write_text(POLICY.replace("exact = true", "exact = false"))
    with pytest.raises(Refused) as refused:
        here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert refused.value.rule == "exact"
    assert here.record().request.status is Status.UNDER_REVIEW
    here.reviewing.reject("r1", STEWARD, PASSPHRASE, "We allow no exact sums any more.")


def test_an_approval_ends_with_the_policys_days_or_the_plan(here: TrialSite) -> None:
    assert here.reviewing.approve("r1", STEWARD, PASSPHRASE).expires_at == here.record().plan.expires_at
    (here.state.folder / "policy.toml").write_text(POLICY.replace("exact = true", "exact = true\napproval_days = 2.5"))
    plan = here.approved(here.plan(purpose="Again"), "r2")
    assert here.record("r2").request.expires_at == at(2.5)
    here.clock.now = days_later(2.5)
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim("j2", "r2", plan.digest)
    assert refused.value.rule == "expiry"


def test_the_other_sites_keys_are_remembered_with_the_first_approval(here: TrialSite) -> None:
    assert known_identities(here.site.journal) == {}
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    met = {site: public_key(KEYS[site]) for site in ("birch", "cedar")}
    assert known_identities(here.site.journal) == met
    before = here.site.journal.entries("identities")
    here.approved(here.plan(purpose="Again"), "r2")
    assert here.site.journal.entries("identities") == before, "once"


def test_a_rejection_trusts_no_key(here: TrialSite) -> None:
    here.reviewing.reject("r1", STEWARD, PASSPHRASE, "Too fine.")
    assert known_identities(here.site.journal) == {}


def test_a_key_first_met_is_not_replaced_by_a_later_one(here: TrialSite) -> None:
    plan = here.plan(purpose="Under a new key")
    birch = replace(plan.participant("birch"), identity="ab" * 32)
    others = tuple(participant for participant in plan.participants if participant.site != "birch")
    here.submitted(replace(plan, participants=(*others, birch)), "r2")
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    with pytest.raises(Refused) as refused:
        here.reviewing.approve("r2", STEWARD, PASSPHRASE)
    assert refused.value.rule == "known-identities"
    assert known_identities(here.site.journal)["birch"] == public_key(KEYS["birch"])


@pytest.mark.parametrize("name", ["", "Maria", "../eve", "a/b", "policy:1", "x" * 64])
def test_a_steward_has_a_plain_name(here: TrialSite, name: str) -> None:
    denied(here, lambda: add_steward(here.site, name, PASSPHRASE), InvalidInput)


def test_a_steward_is_added_once_with_a_passphrase_worth_the_name(here: TrialSite) -> None:
    assert "already" in denied(here, lambda: add_steward(here.site, STEWARD, "another long passphrase"), InvalidInput)
    assert "12 characters" in denied(here, lambda: add_steward(here.site, "otto", "short"), InvalidInput)
    here.reviewing.check_steward(STEWARD, PASSPHRASE)


def test_a_stewards_key_is_on_the_disk_encrypted_and_for_its_owner_alone(here: TrialSite) -> None:
    path = here.state.folder / "stewards" / f"{STEWARD}.key"
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("full", ["key", "journal"])
def test_a_steward_for_whom_there_is_no_room_can_be_added_later(here: TrialSite, full: str) -> None:
    log = here.state.journal_path.with_name("journal.sqlite-wal")
    room = log.stat().st_size if full == "journal" else 100
    before = sorted((here.state.folder / "stewards").iterdir())
    with full_disk(room), pytest.raises(Unavailable, match="journal" if full == "journal" else "otto.key"):
        add_steward(here.site, "otto", PASSPHRASE)
    assert sorted((here.state.folder / "stewards").iterdir()) == before
    add_steward(here.site, "otto", PASSPHRASE)
    here.reviewing.check_steward("otto", PASSPHRASE)


def test_what_waits_is_what_is_under_review(here: TrialSite) -> None:
    here.submitted(here.plan(purpose="Two"), "r2")
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert [record.request.id for record in here.reviewing.waiting()] == ["r2"]
    assert [record.request.id for record in here.reviewing.all()] == ["r1", "r2"]


# Two stewards


@pytest.fixture
def two(tmp_path: Path) -> TrialSite:
    """A site where two stewards must agree; there are three."""
    two = TrialSite(tmp_path / "two", policy=TWO_STEWARDS)
    for name in ("otto", "nina"):
        add_steward(two.site, name, PASSPHRASE)
    two.submitted(two.plan())
    return two


def test_two_stewards_approve_what_two_must_approve(two: TrialSite) -> None:
    first = two.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert first.stewards_needed == 2
    assert two.record().last(Verb.REVIEW).detail["stewards_needed"] == 2
    assert two.record().request.status is Status.UNDER_REVIEW
    assert known_identities(two.site.journal) == {}, "nobody is trusted by half an approval"
    said = denied(two, lambda: two.reviewing.approve("r1", STEWARD, PASSPHRASE), TransitionDenied)
    assert "another steward" in said
    with pytest.raises(Refused):
        Claims(two.site).claim("j1", "r1", two.record().plan.digest)
    two.reviewing.approve("r1", "otto", PASSPHRASE)
    assert two.record().request.status is Status.APPROVED
    assert set(known_identities(two.site.journal)) == {"birch", "cedar"}
    denied(two, lambda: two.reviewing.approve("r1", "nina", PASSPHRASE), TransitionDenied)
    Claims(two.site).claim("j1", "r1", two.record().plan.digest)


@pytest.mark.parametrize("who", [STEWARD, "otto"])
def test_one_of_two_is_enough_for_a_no(two: TrialSite, who: str) -> None:
    two.reviewing.approve("r1", STEWARD, PASSPHRASE)
    if who == STEWARD:
        denied(two, lambda: two.reviewing.reject("r1", who, PASSPHRASE, "On second thoughts."), TransitionDenied)
        two.reviewing.revoke("r1", who, PASSPHRASE)
        assert two.record().request.status is Status.REVOKED
    else:
        two.reviewing.reject("r1", who, PASSPHRASE, "No.")
        assert two.record().request.status is Status.REJECTED


def test_the_requester_is_none_of_the_two(two: TrialSite) -> None:
    add_steward(two.site, "rosalind", PASSPHRASE)
    two.reviewing.approve("r1", STEWARD, PASSPHRASE)
    denied(two, lambda: two.reviewing.approve("r1", "rosalind", PASSPHRASE), NotPermitted)


def test_an_approval_of_two_ends_with_the_earlier_one(two: TrialSite) -> None:
    two.reviewing.approve("r1", STEWARD, PASSPHRASE, until_days=3)
    two.reviewing.approve("r1", "otto", PASSPHRASE, until_days=5)
    assert two.record().request.expires_at == at(3)
    two.clock.now = days_later(3.5)
    with pytest.raises(Refused) as refused:
        Claims(two.site).claim("j1", "r1", two.record().plan.digest)
    assert refused.value.rule == "expiry"


def test_a_policy_that_asks_for_fewer_now_keeps_what_the_first_was_promised(two: TrialSite) -> None:
    """The steward who signed first did so counting on a second pair of eyes."""
    path = two.state.folder / "policy.toml"
    path.write_text(path.read_text().replace("stewards = 2", "stewards = 3"))
    two.reviewing.approve("r1", STEWARD, PASSPHRASE)
    path.write_text(path.read_text().replace("stewards = 3", "stewards = 1"))
    assert two.reviewing.approve("r1", "otto", PASSPHRASE).stewards_needed == 3
    assert two.record().request.status is Status.UNDER_REVIEW
    two.reviewing.approve("r1", "nina", PASSPHRASE)
    assert two.record().request.status is Status.APPROVED


def test_a_policy_that_asks_for_more_since_refuses_the_claim(here: TrialSite) -> None:
    plan = here.record().plan
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    (here.state.folder / "policy.toml").write_text(TWO_STEWARDS)
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim("j1", "r1", plan.digest)
    assert refused.value.rule == "stewards"


# Conditions


def test_an_approval_ends_when_its_steward_says(here: TrialSite) -> None:
    review = here.reviewing.approve("r1", STEWARD, PASSPHRASE, until_days=1.5)
    assert review.expires_at == here.record().request.expires_at == at(1.5)


def test_no_condition_lengthens_an_approval(here: TrialSite) -> None:
    for days in (31, 1e9, float("inf")):
        assert here.reviewing._end_of_approval(here.record(), here.site.now(), days) == here.record().plan.expires_at


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("-inf")])
def test_an_approval_lasts(here: TrialSite, days: float) -> None:
    denied(here, lambda: here.reviewing.approve("r1", STEWARD, PASSPHRASE, until_days=days), InvalidInput)


def test_outputs_of_code_are_left_out(tmp_path: Path) -> None:
    here = code_site(tmp_path / "code")
    for number, shape in enumerate(("per-patient", "per-block", "aggregate")):
        here.submitted(plan_for(here, shape), f"r{number}")
        review = here.reviewing.approve(
            f"r{number}", STEWARD, PASSPHRASE, without=["mean_age", " deaths[0]", "mean_age"]
        )
        assert review.without == ("mean_age", "deaths[0]")
        assert Claims(here.site).claim(f"j{number}", f"r{number}", here.record(f"r{number}").plan.digest).left_out == (
            "mean_age",
            "deaths[0]",
        )


@pytest.mark.parametrize(
    ("without", "error"), [("meanage", NotFound), ("deaths[3]", NotFound), ("deaths[x]", InvalidInput)]
)
def test_only_what_the_plan_declares_is_left_out(tmp_path: Path, without: str, error: type[SynthemaError]) -> None:
    here = code_site(tmp_path / "code")
    here.submitted(plan_for(here))
    denied(here, lambda: here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=[without]), error)


def test_something_must_be_left_to_approve(tmp_path: Path) -> None:
    here = code_site(tmp_path / "code")
    here.submitted(plan_for(here))
    said = denied(
        here, lambda: here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["mean_age", "deaths"]), InvalidInput
    )
    assert "Reject" in said


def test_a_built_in_analysis_has_no_outputs_to_leave_out(here: TrialSite) -> None:
    said = denied(here, lambda: here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["deaths"]), InvalidInput)
    assert "Only of code" in said


# Questions


def test_a_question_is_put_and_the_request_goes_on_waiting(here: TrialSite) -> None:
    here.reviewing.ask("r1", STEWARD, PASSPHRASE, "Why this step?", plan_digest=here.record().plan.digest)
    event = here.record().last(Verb.ASK)
    assert (event.actor, event.site, dict(event.detail)) == (STEWARD, "alder", {"text": "Why this step?"})
    here.told(Verb.ANSWER, "r1", {"text": "The follow-up is monthly."}, actor="rosalind")
    assert here.record().last(Verb.ANSWER).detail["text"] == "The follow-up is monthly."
    assert here.record().request.status is Status.UNDER_REVIEW
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    denied(here, lambda: here.reviewing.ask("r1", STEWARD, PASSPHRASE, "And this?"), TransitionDenied)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_question_has_a_text(here: TrialSite, text: str) -> None:
    denied(here, lambda: here.reviewing.ask("r1", STEWARD, PASSPHRASE, text), InvalidInput)


def test_no_text_is_longer_than_a_journal_should_keep(here: TrialSite) -> None:
    long = "x" * 4001
    denied(here, lambda: here.reviewing.ask("r1", STEWARD, PASSPHRASE, long), InvalidInput)
    denied(here, lambda: here.reviewing.approve("r1", STEWARD, PASSPHRASE, reason=long), InvalidInput)
    denied(here, lambda: here.reviewing.reject("r1", STEWARD, PASSPHRASE, long), InvalidInput)


# What one researcher may cost


def spend(here: TrialSite, requester: str, number: int) -> Plan:
    plan = here.plan("histogram", purpose=f"Count {number}", epsilon=1.0, requester=requester)
    here.submitted(plan, f"{requester}-{number}")
    here.reviewing.approve(f"{requester}-{number}", STEWARD, PASSPHRASE)
    return plan


def test_one_researchers_answers_together_cost_no_more_than_the_policy_allows(tmp_path: Path) -> None:
    here = TrialSite(tmp_path, policy=POLICY.replace("exact = true", "exact = true\nepsilon_per_researcher = 1.7"))
    claims = Claims(here.site)
    for number in range(2):
        claims.claim(f"j{number}", f"eve-{number}", spend(here, "eve", number).digest)
    assert len(charges_of(here.site.journal, "trial", "eve")) == 2
    with pytest.raises(BudgetSpent) as refused:
        spend(here, "eve", 2)
    assert refused.value.rule == "epsilon_per_researcher"
    assert here.record("eve-2").request.status is Status.UNDER_REVIEW
    claims.claim("j3", "otto-3", spend(here, "otto", 3).digest)
    assert len(charges_of(here.site.journal, "trial", "eve")) == 2, "another's charge is another's"
    here.reviewing.reject("eve-2", STEWARD, PASSPHRASE, "You have had your share.")


def test_the_limit_holds_at_the_claim_too(tmp_path: Path) -> None:
    """Approved while there was room; asked for all at once."""
    here = TrialSite(tmp_path, policy=POLICY.replace("exact = true", "exact = true\nepsilon_per_researcher = 1.7"))
    plans = [spend(here, "eve", number) for number in range(3)]
    for number, plan in enumerate(plans[:2]):
        Claims(here.site).claim(f"j{number}", f"eve-{number}", plan.digest)
    before = here.site.journal.head()
    with pytest.raises(BudgetSpent) as refused:
        Claims(here.site).claim("j2", "eve-2", plans[2].digest)
    assert refused.value.rule == "epsilon_per_researcher"
    assert here.site.journal.head() == before


def test_nothing_private_is_answered_to_a_researcher_with_no_allowance(tmp_path: Path) -> None:
    here = TrialSite(tmp_path, policy=POLICY.replace("exact = true", "exact = true\nepsilon_per_researcher = 0"))
    with pytest.raises(BudgetSpent):
        spend(here, "eve", 0)
    here.approved(here.plan(requester="eve"), "exact")
