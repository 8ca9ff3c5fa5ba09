"""A release decision: by that person, on exactly the numbers that wait, while it may still be made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.builders import days_later
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import POLICY, VALUES, code_site, plan_for, put_out, staged
from synthema_core.clearance import Clearance
from synthema_core.errors import (
    IntegrityFailure,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    SynthemaError,
    TransitionDenied,
)
from synthema_core.request import Status, Verb
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.log_sharing import AGREE, SHARE, log_digest, share_log, shared_log
from synthema_datasite.service.records import stewards
from synthema_datasite.service.stewards import add_steward

LOG = "Traceback ...\nValueError: patient 17 is 61 years old"


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


def clear(here: TrialSite, output: str, who: str = STEWARD, word: str = PASSPHRASE, **more: object) -> Clearance:
    return Clearing(here.site).clear("r1", who, word, output=output, **more)  # type: ignore[arg-type]


def withhold(here: TrialSite, output: str, who: str = STEWARD, word: str = PASSPHRASE, **more: object) -> Clearance:
    return Clearing(here.site).withhold("r1", who, word, "Too few.", output=output, **more)  # type: ignore[arg-type]


DECISIONS: dict[str, Callable[..., object]] = {
    "clear": clear,
    "withhold": withhold,
    "share": lambda here, _, who=STEWARD, word=PASSPHRASE, **more: share_log(here.site, "r1", who, word, **more),
}


def denied(here: TrialSite, decision: Callable[[], object], error: type[SynthemaError]) -> str:
    """The sentence with which a decision is denied; nothing is recorded then."""
    before = here.site.journal.head()
    with pytest.raises(error) as told:
        decision()
    assert here.site.journal.head() == before
    return str(told.value)


def test_a_clearance_is_the_stewards_signature_over_these_numbers(here: TrialSite) -> None:
    output = staged(here)
    assert here.record().request.status is Status.STAGED
    clearance = clear(here, output, redacted=["deaths[1]"], reason="A small cell.")
    plan = here.record().plan
    assert (clearance.request, clearance.plan_digest, clearance.site) == ("r1", plan.digest, "alder")
    assert (clearance.output, clearance.redacted, clearance.cleared) == (output, ("deaths[1]",), True)
    clearance.check_signature(stewards(here.site.journal)[STEWARD])
    assert Clearance.from_dict(here.record().last(Verb.CLEAR).detail) == clearance
    assert here.record().request.status is Status.CLEARED
    claim = Claims(here.site).claim_sum("sum", "r1", plan.digest)
    assert claim.left_out == ("deaths[1]",)


def test_what_is_withheld_is_summed_by_nobody(here: TrialSite) -> None:
    output = staged(here)
    clearance = withhold(here, output)
    clearance.check_signature(stewards(here.site.journal)[STEWARD])
    assert (clearance.cleared, clearance.reason) == (False, "Too few.")
    assert here.record().request.status is Status.WITHHELD
    denied(here, lambda: clear(here, output), TransitionDenied)
    denied(here, lambda: Claims(here.site).claim_sum("sum", "r1", here.record().plan.digest), Refused)


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize(("who", "word"), [(STEWARD, "wrong horse battery"), ("nobody", PASSPHRASE), (STEWARD, "")])
def test_a_wrong_passphrase_or_an_unknown_steward_decides_nothing(
    here: TrialSite, decision: str, who: str, word: str
) -> None:
    output = staged(here, log=LOG)
    said = denied(here, lambda: DECISIONS[decision](here, output, who=who, word=word), NotAuthenticated)
    assert said == "The steward or the passphrase is wrong."


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_key_that_the_journal_does_not_know_decides_nothing(here: TrialSite, decision: str) -> None:
    output = staged(here, log=LOG)
    here.state.add_steward_key("eve", PASSPHRASE)
    denied(here, lambda: DECISIONS[decision](here, output, who="eve"), NotPermitted)


@pytest.mark.parametrize("decision", DECISIONS)
def test_nobody_decides_on_what_their_own_code_put_out(here: TrialSite, decision: str) -> None:
    add_steward(here.site, "rosalind", PASSPHRASE)
    output = staged(here, log=LOG)
    denied(here, lambda: DECISIONS[decision](here, output, who="rosalind"), NotPermitted)


@pytest.mark.parametrize("decision", ["clear", "withhold"])
def test_the_output_that_was_looked_at_is_the_one_that_is_signed(here: TrialSite, decision: str) -> None:
    output = staged(here)
    for shown in ("", output[:-1], "0" * 64, output.upper()):
        said = denied(here, lambda shown=shown: DECISIONS[decision](here, shown), IntegrityFailure)
        assert "not the output you were shown" in said


@pytest.mark.parametrize("decision", DECISIONS)
def test_the_plan_that_was_shown_is_the_plan_that_is_decided_on(here: TrialSite, decision: str) -> None:
    output = staged(here, log=LOG)
    said = denied(here, lambda: DECISIONS[decision](here, output, plan_digest="0" * 64), IntegrityFailure)
    assert "not the Plan you were shown" in said
    DECISIONS[decision](here, output, plan_digest=here.record().plan.digest)


def test_a_decision_about_the_output_of_another_request_is_none(here: TrialSite) -> None:
    """The same numbers, from the same code: the commitment covers the Plan."""
    other = staged(here, "r2", purpose="The same again")
    output = staged(here, "r1")
    assert output != other
    denied(here, lambda: clear(here, other), IntegrityFailure)


def test_an_output_is_decided_on_once(here: TrialSite) -> None:
    add_steward(here.site, "otto", PASSPHRASE)
    output = staged(here)
    clear(here, output)
    for who in (STEWARD, "otto"):
        for decision in ("clear", "withhold"):
            denied(
                here, lambda who=who, decision=decision: DECISIONS[decision](here, output, who=who), TransitionDenied
            )


def test_nothing_is_decided_before_something_waits(here: TrialSite) -> None:
    here.submitted(plan_for(here))
    denied(here, lambda: clear(here, "0" * 64), TransitionDenied)
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    denied(here, lambda: clear(here, "0" * 64), TransitionDenied)
    with pytest.raises(NotFound):
        Clearing(here.site).staged("r1")


@pytest.mark.parametrize("decision", ["clear", "withhold"])
def test_an_expired_request_is_not_decided_any_more(here: TrialSite, decision: str) -> None:
    output = staged(here)
    here.clock.now = days_later(30)
    assert "expired" in denied(here, lambda: DECISIONS[decision](here, output), TransitionDenied)


def test_a_policy_that_takes_no_such_code_any_more_releases_none(here: TrialSite) -> None:
    output = staged(here)
    (here.state.folder / "policy.toml").write_text(POLICY.format(stewards=1).replace(', "aggregate"]', "]"))
    with pytest.raises(Refused) as refused:
        clear(here, output)
    assert refused.value.rule == "code"
    withhold(here, output)


@pytest.mark.parametrize("references", [["deats"], ["deaths[3]"], ["deaths[0,0]"], ["mean_age[0]"], ["deaths["], [""]])
def test_what_names_no_part_of_the_output_is_refused(here: TrialSite, references: list[str]) -> None:
    output = staged(here)
    with pytest.raises((InvalidInput, NotFound)):
        clear(here, output, redacted=references)
    assert here.record().request.status is Status.STAGED


def test_something_must_be_left_to_release(here: TrialSite) -> None:
    output = staged(here, without=["mean_age"])
    for all_of_it in (["deaths"], ["deaths[0]", "deaths[1]", "deaths[2]"], ["deaths", "mean_age"]):
        said = denied(here, lambda names=all_of_it: clear(here, output, redacted=names), InvalidInput)
        assert "Withhold it" in said
    clear(here, output, redacted=["deaths[0]", "deaths[2]"])
    claim = Claims(here.site).claim_sum("sum", "r1", here.record().plan.digest)
    assert set(claim.left_out) == {"mean_age", "deaths[0]", "deaths[2]"}


@pytest.mark.parametrize("decision", ["clear", "withhold"])
@pytest.mark.parametrize("file", ["output.safetensors", "report.json"])
@pytest.mark.parametrize("how", ["edited", "torn", "gone"])
def test_what_was_changed_since_the_run_is_not_decided_on(here: TrialSite, decision: str, file: str, how: str) -> None:
    output = staged(here, log=LOG)
    path = here.state.staged_folder("r1") / file
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-9] if how == "torn" else content[:-9] + b"0" + content[-8:])
    denied(here, lambda: DECISIONS[decision](here, output), NotFound if how == "gone" else IntegrityFailure)
    here.reviewing.revoke("r1", STEWARD, PASSPHRASE)  # a no is always possible
    assert here.record().request.status is Status.REVOKED


@pytest.mark.parametrize("at", ["staged", "cleared"])
def test_a_yes_is_taken_back_until_the_sum_starts(here: TrialSite, at: str) -> None:
    output = staged(here)
    if at == "cleared":
        clear(here, output)
    here.reviewing.revoke("r1", STEWARD, PASSPHRASE)
    assert here.record().request.status is Status.REVOKED
    with pytest.raises(Refused):
        Claims(here.site).claim_sum("sum", "r1", here.record().plan.digest)


def test_a_sum_that_has_started_is_not_taken_back(here: TrialSite) -> None:
    clear(here, staged(here))
    Claims(here.site).claim_sum("sum", "r1", here.record().plan.digest)
    denied(here, lambda: here.reviewing.revoke("r1", STEWARD, PASSPHRASE), TransitionDenied)


# Two stewards


def test_two_stewards_clear_what_two_must_clear(two: TrialSite) -> None:
    output = staged(two, by=(STEWARD, "otto"))
    first = clear(two, output, redacted=["deaths[1]"])
    assert first.stewards_needed == 2
    assert two.record().request.status is Status.STAGED
    denied(two, lambda: clear(two, output), TransitionDenied)
    denied(two, lambda: Claims(two.site).claim_sum("sum", "r1", two.record().plan.digest), Refused)
    clear(two, output, "nina", redacted=["mean_age"])
    assert two.record().request.status is Status.CLEARED
    claim = Claims(two.site).claim_sum("sum", "r1", two.record().plan.digest)
    assert claim.left_out == ("deaths[1]", "mean_age"), "what any of them left out"


def test_one_of_two_is_enough_for_a_no(two: TrialSite) -> None:
    output = staged(two, by=(STEWARD, "otto"))
    clear(two, output)
    withhold(two, output, "nina")
    assert two.record().request.status is Status.WITHHELD


# Logs


def test_a_log_is_shared_when_a_steward_says_so(here: TrialSite) -> None:
    staged(here, log=LOG)
    assert shared_log(here.site.journal, "r1") is None
    assert share_log(here.site, "r1", STEWARD, PASSPHRASE, shown=log_digest(LOG))
    assert shared_log(here.site.journal, "r1") == LOG
    (entry,) = here.site.journal.entries("shared-log/r1")
    assert (entry.kind, entry.actor, entry.body) == (SHARE, STEWARD, {"steward": STEWARD, "text": LOG})
    denied(here, lambda: share_log(here.site, "r1", STEWARD, PASSPHRASE), TransitionDenied)


def test_the_log_that_was_read_is_the_one_that_is_shared(here: TrialSite) -> None:
    staged(here, log=LOG)
    said = denied(here, lambda: share_log(here.site, "r1", STEWARD, PASSPHRASE, shown=log_digest("")), IntegrityFailure)
    assert "not the log you were shown" in said


def test_two_stewards_share_what_two_must_release(two: TrialSite) -> None:
    """A log is output, too; and no check understands it."""
    staged(two, by=(STEWARD, "otto"), log=LOG)
    assert not share_log(two.site, "r1", STEWARD, PASSPHRASE)
    assert shared_log(two.site.journal, "r1") is None
    (entry,) = two.site.journal.entries("shared-log/r1")
    assert (entry.kind, "text" in entry.body) == (AGREE, False)
    denied(two, lambda: share_log(two.site, "r1", STEWARD, PASSPHRASE), TransitionDenied)
    assert share_log(two.site, "r1", "nina", PASSPHRASE)
    assert shared_log(two.site.journal, "r1") == LOG


def test_there_is_no_log_before_a_run_nor_of_a_silent_one(here: TrialSite) -> None:
    here.submitted(plan_for(here))
    denied(here, lambda: share_log(here.site, "r1", STEWARD, PASSPHRASE), NotFound)
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    put_out(here, log="", values=VALUES)
    denied(here, lambda: share_log(here.site, "r1", STEWARD, PASSPHRASE), NotFound)


@pytest.mark.parametrize("shape", ["per-patient", "per-block"])
def test_nothing_of_a_run_with_a_guarantee_is_told(here: TrialSite, shape: str) -> None:
    here.approved(plan_for(here, shape))
    with pytest.raises(Refused) as refused:
        share_log(here.site, "r1", STEWARD, PASSPHRASE)
    assert refused.value.rule == "guarantee"
