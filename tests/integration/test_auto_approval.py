"""What the Policy approves by itself: built-in analyses within its limits, and nothing that a person should see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import at, days_later
from support.site import PASSPHRASE, POLICY, STEWARD, TrialSite
from support.staged import plan_for
from synthema_core.analyses import from_plan
from synthema_core.auto_approval import why_a_steward
from synthema_core.errors import Refused
from synthema_core.plan import Plan
from synthema_core.policy import DatasetPolicy
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import draft_of
from synthema_core.review import Review, Verdict
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.stewards import add_steward

AUTO = 'auto_approve = ["histogram", "kaplan-meier"]\nauto_epsilon = 0.5'
CODE = 'code = ["per-patient", "per-block", "aggregate"]\nmax_patients = 100'


def site_with(folder: Path, *rules: str, met: bool = True) -> TrialSite:
    """Its policy has these rules besides; its steward has approved something of the other sites once, if `met`."""
    here = TrialSite(folder, policy=POLICY.replace("exact = true", "\n".join(("exact = true", *rules))))
    here.state.keep_sandbox("landlock")
    if met:
        here.submitted(here.plan("cox", purpose="To get to know each other"), "r0")
        here.reviewing.approve("r0", STEWARD, PASSPHRASE)
    return here


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    """All have met in a private question, so that no exact answer is in the way."""
    here = site_with(tmp_path, AUTO, CODE, met=False)
    here.submitted(here.plan("histogram", epsilon=1.0), "r0")
    here.reviewing.approve("r0", STEWARD, PASSPHRASE)
    return here


def approved_by_policy(here: TrialSite, plan: Plan, request: str = "r1") -> bool:
    record = here.submitted(plan, request)
    if record.request.status is Status.APPROVED:
        return True
    assert record.request.status is Status.UNDER_REVIEW, "left to the stewards, not rejected"
    return False


def private(here: TrialSite, epsilon: float = 0.5, **more: Any) -> Plan:
    return here.plan("histogram", epsilon=epsilon, **more)


def test_a_private_question_within_the_limits_is_approved_by_the_sites_own_key(here: TrialSite) -> None:
    plan = private(here)
    assert approved_by_policy(here, plan)
    event = here.record().last(Verb.REVIEW)
    review = Review.from_dict(event.detail)
    assert (event.role, event.verdict, event.actor) == (Role.SITE, True, review.steward)
    assert review.steward == f"policy:{here.state.policy().digest}"
    assert (review.plan_digest, review.site, review.verdict) == (plan.digest, "alder", Verdict.APPROVED)
    review.check_signature(here.site.facts(here.site.journal).identity)
    Claims(here.site).claim("j1", "r1", plan.digest)


def test_the_first_exact_question_is_approved(here: TrialSite) -> None:
    assert approved_by_policy(here, here.plan())
    assert Claims(here.site).claim("j1", "r1", here.record().plan.digest)


def test_an_approval_by_policy_ends_as_others_do(tmp_path: Path) -> None:
    here = site_with(tmp_path, AUTO, "approval_days = 2.0", met=False)
    here.submitted(private(here, 1.0), "r0")
    here.reviewing.approve("r0", STEWARD, PASSPHRASE)
    plan = private(here)
    assert approved_by_policy(here, plan)
    assert here.record().request.expires_at == at(2)
    here.clock.now = days_later(2)
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim("j1", "r1", plan.digest)
    assert refused.value.rule == "expiry"


def test_a_steward_can_take_it_back(here: TrialSite) -> None:
    assert approved_by_policy(here, private(here))
    here.reviewing.revoke("r1", STEWARD, PASSPHRASE)
    assert here.record().request.status is Status.REVOKED


def test_by_default_nothing_is_approved_without_a_steward(tmp_path: Path) -> None:
    here = site_with(tmp_path)
    assert not approved_by_policy(here, private(here))


@pytest.mark.parametrize("shape", ["per-patient", "per-block", "aggregate"])
def test_code_is_never_approved_without_a_steward(here: TrialSite, shape: str) -> None:
    more = {} if shape == "aggregate" else {"epsilon": 0.1}
    assert not approved_by_policy(here, plan_for(here, shape, **more))
    plan = here.record().plan
    limits = DatasetPolicy(auto_epsilon=1.0, auto_approve=("histogram",))
    object.__setattr__(limits, "auto_approve", (plan.analysis,))  # even were the Policy not to refuse the name
    analysis = from_plan(plan.analysis, plan.parameters)
    assert why_a_steward(plan, analysis, limits, known=plan.sites, exact_before=()) == "It is code."


def test_an_analysis_that_is_not_named_waits(here: TrialSite) -> None:
    assert not approved_by_policy(here, here.plan("cox"))


def test_what_costs_more_waits(here: TrialSite) -> None:
    assert not approved_by_policy(here, private(here, 0.51))


def test_where_two_stewards_must_agree_nothing_is_approved_without_them(tmp_path: Path) -> None:
    here = site_with(tmp_path, AUTO, "stewards = 2", met=False)
    add_steward(here.site, "otto", PASSPHRASE)
    here.submitted(private(here, 1.0), "r0")
    for steward in (STEWARD, "otto"):
        here.reviewing.approve("r0", steward, PASSPHRASE)
    assert here.record("r0").request.status is Status.APPROVED, "they have met"
    assert not approved_by_policy(here, private(here))


def test_a_site_that_nobody_has_met_waits_for_a_person(tmp_path: Path) -> None:
    """Its key would be trusted from then on."""
    here = site_with(tmp_path, AUTO, met=False)
    assert not approved_by_policy(here, private(here))
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert approved_by_policy(here, private(here, purpose="Again"), "r2")


@pytest.mark.parametrize("first", ["approved", "run", "failed", "revoked"])
def test_a_second_exact_question_waits(here: TrialSite, first: str) -> None:
    """Whatever became of the first: what was approved may have been answered, as far as anybody can tell."""
    assert approved_by_policy(here, here.plan())
    if first == "revoked":
        here.reviewing.revoke("r1", STEWARD, PASSPHRASE)
    if first in ("run", "failed"):
        Claims(here.site).claim("j1", "r1", here.record().plan.digest)
    if first == "failed":
        here.told(Verb.FAIL, "r1", {"failure": {"error": "round-failed", "message": "A site was away."}})
    finer = here.plan(options={"time": "days", "event": "died", "step": "70"}, purpose="On another grid")
    assert not approved_by_policy(here, finer, "r2")
    again = here.plan(purpose="The same question again")
    assert approved_by_policy(here, again, "r3")


def test_an_exact_question_after_a_stewards_waits(tmp_path: Path) -> None:
    here = site_with(tmp_path, AUTO)  # they met in an exact question
    assert not approved_by_policy(here, here.plan())


def test_an_exact_question_that_nobody_approved_is_not_in_the_way(here: TrialSite) -> None:
    here.submitted(here.plan("cox"), "r5")
    here.reviewing.reject("r5", STEWARD, PASSPHRASE, "No.")
    assert approved_by_policy(here, here.plan())


def test_private_questions_are_not_in_each_others_way(here: TrialSite) -> None:
    assert approved_by_policy(here, here.plan())
    for number in range(3):
        assert approved_by_policy(here, private(here, 0.1, purpose=f"Count {number}"), f"p{number}")


def test_what_the_budgets_have_no_room_for_waits(tmp_path: Path) -> None:
    here = site_with(tmp_path, AUTO, "epsilon_per_researcher = 0.7", met=False)
    here.submitted(private(here, 0.6), "r0")
    here.reviewing.approve("r0", STEWARD, PASSPHRASE)
    Claims(here.site).claim("j0", "r0", here.record("r0").plan.digest)
    assert not approved_by_policy(here, private(here))
    assert approved_by_policy(here, private(here, requester="otto"), "r2")


def test_a_forbidden_plan_is_still_sent_back(here: TrialSite) -> None:
    record = here.submitted(here.plan(options={"time": "days", "event": "died", "step": "1"}))
    assert record.request.status is Status.REJECTED


def test_a_policy_that_was_changed_speaks_for_nobody(here: TrialSite) -> None:
    """What it approved is void; a steward's approval is not."""
    assert approved_by_policy(here, private(here))
    path = here.state.folder / "policy.toml"
    path.write_text(path.read_text().replace("auto_epsilon = 0.5", "auto_epsilon = 0.4"))
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim("j1", "r1", here.record().plan.digest)
    assert refused.value.rule == "auto_approve"
    Claims(here.site).claim("j0", "r0", here.record("r0").plan.digest)


def test_the_name_of_a_policy_signs_nothing_about_code(here: TrialSite) -> None:
    """Somebody has the site's own key, and puts an approval of code beside the rules."""
    record = here.submitted(plan_for(here))
    review = Review(
        "r1", record.plan.digest, "alder", f"policy:{here.state.policy().digest}", Verdict.APPROVED, "", at(), at(9)
    ).signed(here.state.identity())
    event = Event(Verb.REVIEW, review.steward, Role.SITE, at(), "alder", True, review.to_dict())
    with here.site.journal.writing() as journal:
        journal.append(draft_of("r1", event))
        journal.append(draft_of("r1", replace(event, verb=Verb.APPROVE, verdict=None, detail={})))
    assert here.record().request.status is Status.APPROVED
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim("j1", "r1", record.plan.digest)
    assert refused.value.rule == "auto_approve"


def test_told_twice_it_is_approved_once(here: TrialSite) -> None:
    plan = private(here)
    assert approved_by_policy(here, plan)
    before = here.site.journal.head()
    assert approved_by_policy(here, plan)
    assert here.site.journal.head() == before
