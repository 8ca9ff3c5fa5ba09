"""A steward's decision: by that person, on that Plan, while it may still be made; else the Journal is as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.builders import KEYS, at, days_later
from support.disk import full_disk
from support.site import PASSPHRASE, POLICY, STEWARD, TrialSite
from synthema_core.errors import (
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
from synthema_core.request import Status, Verb
from synthema_core.review import Review, Verdict
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.records import known_identities, stewards
from synthema_datasite.service.stewards import add_steward

DECISIONS: dict[str, Callable[[TrialSite, str, str], object]] = {
    "approve": lambda here, who, word: here.reviewing.approve("r1", who, word),
    "reject": lambda here, who, word: here.reviewing.reject("r1", who, word, "Too fine."),
    "revoke": lambda here, who, word: here.reviewing.revoke("r1", who, word),
}


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


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_the_plan_that_was_shown_is_the_plan_that_is_signed(here: TrialSite, verdict: str) -> None:
    other = here.plan(purpose="Another").digest
    decide = {
        "approve": lambda shown: here.reviewing.approve("r1", STEWARD, PASSPHRASE, plan_digest=shown),
        "reject": lambda shown: here.reviewing.reject("r1", STEWARD, PASSPHRASE, "No.", plan_digest=shown),
    }[verdict]
    said = denied(here, lambda: decide(other), IntegrityFailure)
    assert "not the Plan you were shown" in said
    assert decide(here.record().plan.digest).plan_digest == here.record().plan.digest


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
