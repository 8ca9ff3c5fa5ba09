"""What a hub can do to a site by what it tells, and what it cannot: every verb, in every state of a Request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support.builders import KEYS, SITES, at, days_later
from support.site import HUB_KEY, PASSPHRASE, POLICY, STEWARD, TrialSite
from support.staged import code_site, plan_for, put_out
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidPlan, InvalidPolicy, Refused, TransitionDenied
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.release import Guarantee, Release
from synthema_core.request import TERMINAL, Status, Verb
from synthema_core.review import Review
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.hub_line import HubLine
from synthema_datasite.service.intake import Fact, Intake
from synthema_datasite.service.reading import read_request
from synthema_datasite.service.stewards import add_steward
from synthema_datasite.state import HubContact

_numbers = count(1)


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return TrialSite(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> TrialSite:
    """One site for the many states of many Requests; each test brings its own Request."""
    return TrialSite(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def shared_code(tmp_path_factory: pytest.TempPathFactory) -> TrialSite:
    """The same for a site that takes code."""
    return code_site(tmp_path_factory.mktemp("code-site"))


def release_of(plan: Plan, request: str, job: str, **changes: Any) -> Release:
    made = Release(
        id="rel",
        request=request,
        job=job,
        plan_digest=plan.digest,
        question_digest=plan.question_digest,
        purpose=plan.purpose,
        requester=plan.requester,
        result={"kind": plan.analysis},
        guarantee=Guarantee("exact", "s", "m"),
        sites=plan.sites,
        datasets=("trial",),
        released_at=at(),
        seconds=1.0,
        rounds=1,
        quantisation_error=0.0,
        engine=plan.engine,
    )
    return replace(made, **changes)


def brought_to(here: TrialSite, status: Status) -> tuple[str, Plan]:
    """A Request in that state, by what really leads there."""
    request = f"r{next(_numbers)}"
    plan = here.plan(purpose=f"Question {request}")
    here.submitted(plan, request)
    steps: dict[Status, Callable[[], object]] = {
        Status.UNDER_REVIEW: lambda: None,
        Status.REJECTED: lambda: here.reviewing.reject(request, STEWARD, PASSPHRASE, "No."),
        Status.WITHDRAWN: lambda: here.told(Verb.WITHDRAW, request, actor="rosalind"),
        Status.EXPIRED: lambda: here.told(Verb.EXPIRE, request),
        Status.REVOKED: lambda: here.reviewing.revoke(request, STEWARD, PASSPHRASE),
    }
    if status not in steps:
        here.reviewing.approve(request, STEWARD, PASSPHRASE)
        if status is not Status.APPROVED:
            Claims(here.site).claim(f"job-{request}", request, plan.digest)
        steps[Status.FAILED] = lambda: here.told(Verb.FAIL, request, {"failure": None})
        signed = release_of(plan, request, f"job-{request}").signed(HUB_KEY)
        steps[Status.RELEASED] = lambda: here.told(Verb.RELEASE, request, {"release": signed.to_dict()})
    steps.get(status, lambda: None)()
    assert here.record(request).request.status is status
    return request, plan


def code_brought_to(here: TrialSite, status: Status) -> tuple[str, Plan]:
    """The same for code with a release decision."""
    request = f"r{next(_numbers)}"
    plan = plan_for(here, purpose=f"Question {request}")
    here.submitted(plan, request)
    _reach(here, status, request, plan)
    assert here.record(request).request.status is status
    return request, plan


def _reach(here: TrialSite, status: Status, request: str, plan: Plan) -> None:
    clearing, claims = Clearing(here.site), Claims(here.site)
    if status in EARLY:
        EARLY[status](here, request)
        return
    here.reviewing.approve(request, STEWARD, PASSPHRASE)
    if status is Status.RUNNING:
        claims.claim(f"run-{request}", request, plan.digest)
    if status in (Status.APPROVED, Status.RUNNING):
        return
    output = put_out(here, request)
    if status is Status.WITHHELD:
        clearing.withhold(request, STEWARD, PASSPHRASE, "Too small.", output=output)
    if status in (Status.STAGED, Status.WITHHELD):
        return
    clearing.clear(request, STEWARD, PASSPHRASE, output=output)
    if status is Status.REVOKED:
        here.reviewing.revoke(request, STEWARD, PASSPHRASE)
    elif status is not Status.CLEARED:
        claims.claim_sum(f"sum-{request}", request, plan.digest)
    if status is Status.RELEASED:
        signed = release_of(plan, request, f"sum-{request}").signed(HUB_KEY)
        here.told(Verb.RELEASE, request, {"release": signed.to_dict()})
    elif status is Status.FAILED:
        here.told(Verb.FAIL, request, {"failure": None})


EARLY: dict[Status, Callable[[TrialSite, str], object]] = {
    Status.UNDER_REVIEW: lambda here, request: None,
    Status.REJECTED: lambda here, request: here.reviewing.reject(request, STEWARD, PASSPHRASE, "No."),
    Status.WITHDRAWN: lambda here, request: here.told(Verb.WITHDRAW, request, actor="rosalind"),
    Status.EXPIRED: lambda here, request: here.told(Verb.EXPIRE, request),
}
OF_CODE = {Status.STAGED, Status.CLEARED, Status.SUMMING, Status.WITHHELD}
AT_A_SITE = sorted(set(Status) - {Status.DRAFT, Status.SUBMITTED} - OF_CODE)
CAN = {
    (Status.UNDER_REVIEW, Verb.WITHDRAW): Status.WITHDRAWN,
    (Status.UNDER_REVIEW, Verb.EXPIRE): Status.EXPIRED,
    (Status.UNDER_REVIEW, Verb.REJECT): Status.REJECTED,
    (Status.UNDER_REVIEW, Verb.REVOKE): Status.REJECTED,
    (Status.UNDER_REVIEW, Verb.WITHHOLD): Status.REJECTED,
    (Status.APPROVED, Verb.WITHDRAW): Status.WITHDRAWN,
    (Status.APPROVED, Verb.EXPIRE): Status.EXPIRED,
    (Status.APPROVED, Verb.REJECT): Status.REJECTED,
    (Status.APPROVED, Verb.REVOKE): Status.REJECTED,
    (Status.APPROVED, Verb.WITHHOLD): Status.REJECTED,
    (Status.APPROVED, Verb.FAIL): Status.FAILED,
    (Status.RUNNING, Verb.FAIL): Status.FAILED,
}
"""All that a hub's bare word can do: end a Request."""
CAN_TO_CODE = {
    **CAN,
    (Status.RUNNING, Verb.REJECT): Status.WITHHELD,
    (Status.RUNNING, Verb.REVOKE): Status.WITHHELD,
    (Status.RUNNING, Verb.WITHHOLD): Status.WITHHELD,
    (Status.STAGED, Verb.WITHDRAW): Status.WITHDRAWN,
    (Status.STAGED, Verb.EXPIRE): Status.EXPIRED,
    (Status.STAGED, Verb.REJECT): Status.WITHHELD,
    (Status.STAGED, Verb.REVOKE): Status.WITHHELD,
    (Status.STAGED, Verb.WITHHOLD): Status.WITHHELD,
    (Status.STAGED, Verb.FAIL): Status.FAILED,
    (Status.CLEARED, Verb.WITHDRAW): Status.WITHDRAWN,
    (Status.CLEARED, Verb.EXPIRE): Status.EXPIRED,
    (Status.CLEARED, Verb.REJECT): Status.WITHHELD,
    (Status.CLEARED, Verb.REVOKE): Status.WITHHELD,
    (Status.CLEARED, Verb.WITHHOLD): Status.WITHHELD,
    (Status.CLEARED, Verb.FAIL): Status.FAILED,
    (Status.SUMMING, Verb.FAIL): Status.FAILED,
}
"""The same for code with a release decision: no sum may follow where another site said no."""


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", AT_A_SITE)
def test_the_hubs_word_can_end_a_request_and_nothing_else(shared: TrialSite, status: Status, verb: Verb) -> None:
    request, plan = brought_to(shared, status)
    before = shared.site.journal.head()
    detail = {"plan": plan.to_dict(), "plan_digest": plan.digest, "job": f"job-{request}", "verdict": True}
    if (status, verb) == (Status.RUNNING, Verb.RELEASE) or verb is Verb.REUSE:
        with pytest.raises(IntegrityFailure):
            shared.told(verb, request, detail, actor="rosalind", site="alder")
    else:
        shared.told(verb, request, detail, actor="rosalind", site="alder")
    after = CAN.get((status, verb), status)
    assert shared.record(request).request.status is after
    assert after is status or after in TERMINAL
    if after is status:
        assert shared.site.journal.head() == before, "what changes nothing records nothing"


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", sorted({*AT_A_SITE, *OF_CODE}))
def test_the_hubs_word_can_end_code_before_its_sum_and_nothing_else(
    shared_code: TrialSite, status: Status, verb: Verb
) -> None:
    request, plan = code_brought_to(shared_code, status)
    before, begun = shared_code.site.journal.head(), len(shared_code.begun)
    detail = {"plan": plan.to_dict(), "plan_digest": plan.digest, "job": f"sum-{request}", "verdict": True}
    if (status, verb) == (Status.SUMMING, Verb.RELEASE) or verb is Verb.REUSE:
        with pytest.raises(IntegrityFailure):
            shared_code.told(verb, request, detail, actor="rosalind", site="birch")
    else:
        shared_code.told(verb, request, detail, actor="rosalind", site="birch")
    after = CAN_TO_CODE.get((status, verb), status)
    assert shared_code.record(request).request.status is after
    if after is status:
        assert shared_code.site.journal.head() == before, "what changes nothing records nothing"
    assert len(shared_code.begun) == begun + ((status, verb) == (Status.APPROVED, Verb.START))


@pytest.mark.parametrize("verb", [Verb.REJECT, Verb.REVOKE, Verb.WITHHOLD])
def test_what_ended_at_another_site_is_not_cleared_or_summed_here(shared_code: TrialSite, verb: Verb) -> None:
    request, plan = code_brought_to(shared_code, Status.CLEARED)
    shared_code.told(verb, request, site="birch")
    ended = shared_code.record(request).last(Verb.WITHHOLD)
    assert ended is not None and ended.detail == {"at_site": "birch", "because": verb.value}
    with pytest.raises(Refused):
        Claims(shared_code.site).claim_sum("j2", request, plan.digest)


# A run begins.


def test_a_run_begins_once_however_often_the_hub_says_so(shared_code: TrialSite) -> None:
    request, plan = code_brought_to(shared_code, Status.APPROVED)
    begun: list[tuple[str, str]] = []

    def begin(asked: str, job: str) -> None:
        begun.append((asked, job))
        Claims(shared_code.site).claim(job, asked, plan.digest)

    for _ in range(3):  # each with an Intake of its own: the hub's feed is read again after a restart
        intake = Intake(shared_code.site, public_key(HUB_KEY), begin)
        for job in ("j-first", "j-second"):
            intake.take(Fact(request, Verb.START, "hub", "", {"job": f"{job}-{request}"}))
    assert begun == [(request, f"j-first-{request}")]
    assert shared_code.record(request).job == f"j-first-{request}"


@pytest.mark.parametrize("detail", [{}, {"job": None}, {"job": ""}, {"job": 7}])
def test_a_run_without_a_job_does_not_begin(shared_code: TrialSite, detail: dict[str, Any]) -> None:
    request, _ = code_brought_to(shared_code, Status.APPROVED)
    begun = len(shared_code.begun)
    with pytest.raises(IntegrityFailure, match="without a job"):
        shared_code.told(Verb.START, request, detail)
    assert len(shared_code.begun) == begun


@pytest.mark.parametrize("shape", ["per-patient", "per-block"])
def test_code_with_a_guarantee_is_not_run_apart_from_its_sum(shared_code: TrialSite, shape: str) -> None:
    """Flower opens its Job: there, noise is added before anything is put away."""
    request = f"r{next(_numbers)}"
    shared_code.submitted(plan_for(shared_code, shape, purpose=request), request)
    shared_code.reviewing.approve(request, STEWARD, PASSPHRASE)
    begun, before = len(shared_code.begun), shared_code.site.journal.head()
    shared_code.told(Verb.START, request, {"job": "j1"})
    assert (len(shared_code.begun), shared_code.site.journal.head()) == (begun, before)


def test_a_release_of_code_is_of_the_job_that_summed(shared_code: TrialSite) -> None:
    request, plan = code_brought_to(shared_code, Status.SUMMING)
    for job in (f"run-{request}", "another"):
        release = release_of(plan, request, job).signed(HUB_KEY)
        with pytest.raises(IntegrityFailure, match="another job"):
            shared_code.told(Verb.RELEASE, request, {"release": release.to_dict()})
    release = release_of(plan, request, f"sum-{request}").signed(HUB_KEY)
    shared_code.told(Verb.RELEASE, request, {"release": release.to_dict()})
    assert shared_code.record(request).request.status is Status.RELEASED


@pytest.mark.parametrize("status", [Status.RUNNING, Status.STAGED, Status.CLEARED])
def test_nothing_of_code_is_released_before_its_sum(shared_code: TrialSite, status: Status) -> None:
    request, plan = code_brought_to(shared_code, status)
    before = shared_code.site.journal.head()
    release = release_of(plan, request, f"run-{request}").signed(HUB_KEY)
    shared_code.told(Verb.RELEASE, request, {"release": release.to_dict()})
    assert shared_code.site.journal.head() == before


# Answers.


def answered(here: TrialSite, text: Any, told_at: str = at(1), actor: str = "rosalind") -> list[str]:
    """Tell that answer; all that are recorded now."""
    here.intake.take(Fact("r1", Verb.ANSWER, actor, "", {"text": text}, told_at))
    return [str(event.detail["text"]) for event in here.record().events if event.verb is Verb.ANSWER]


def test_an_answer_of_the_author_is_recorded_once(here: TrialSite) -> None:
    here.submitted(here.plan())
    here.reviewing.ask("r1", STEWARD, PASSPHRASE, "Why a hundred days?")
    for _ in range(2):
        assert answered(here, "Thirty would do.") == ["Thirty would do."]
    assert answered(here, "Or sixty.", at(2)) == ["Thirty would do.", "Or sixty."]
    assert answered(here, "Or sixty.", at(3)) == ["Thirty would do.", "Or sixty.", "Or sixty."], "said again later"
    assert here.record().request.status is Status.UNDER_REVIEW


@pytest.mark.parametrize("actor", ["john", "hub", STEWARD, ""])
def test_nobody_answers_for_the_author(here: TrialSite, actor: str) -> None:
    here.submitted(here.plan())
    assert answered(here, "Just approve it.", actor=actor) == []


def test_an_answer_is_kept_as_text_of_a_pages_length(here: TrialSite) -> None:
    here.submitted(here.plan())
    markup = "<script>alert(1)</script>"
    assert answered(here, markup) == [markup]
    assert [len(text) for text in answered(here, "x" * 5_000, at(2))] == [len(markup), 4_000]
    for number, none in enumerate((None, 7, ["text"])):
        assert len(answered(here, none, at(3 + number))) == 2


@pytest.mark.parametrize("verb", sorted(set(Verb) - {Verb.SUBMIT}))
def test_a_fact_about_an_unknown_request_records_nothing(shared: TrialSite, verb: Verb) -> None:
    before = shared.site.journal.head()
    shared.told(verb, "never-seen", {"release": {}}, actor="rosalind")
    assert shared.site.journal.head() == before


def test_the_same_request_told_twice_is_one(here: TrialSite) -> None:
    plan = here.plan()
    here.submitted(plan)
    before = here.site.journal.head()
    here.submitted(plan)
    here.submitted(here.plan(purpose="Another Plan under the same name"))
    assert here.site.journal.head() == before
    assert here.record().plan == plan
    assert [event.verb for event in here.record().events] == [Verb.SUBMIT, Verb.RECEIVE]


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: {"plan": plan, "plan_digest": "0" * 64},
        lambda plan: {"plan": plan},
        lambda plan: {"plan": {**plan, "purpose": "Sell it"}, "plan_digest": None},
        lambda plan: {"plan": {**plan, "extra": 1}, "plan_digest": "0" * 64},
        lambda plan: {"plan": {**plan, "participants": plan["participants"][::-1]}, "plan_digest": "0" * 64},
        lambda plan: {"plan": "a text"},
        lambda plan: {},
    ],
    ids=["digest", "no digest", "changed", "more", "order", "text", "nothing"],
)
def test_a_plan_that_is_not_under_its_digest_is_left_out(here: TrialSite, change: Callable[[Any], Any]) -> None:
    before = here.site.journal.head()
    with pytest.raises(InvalidPlan):
        here.told(Verb.SUBMIT, "r1", change(here.plan().to_dict()), actor="rosalind")
    assert here.site.journal.head() == before


@pytest.mark.parametrize(
    "data",
    [
        None,
        "a text",
        [],
        {},
        {"request": "r1", "verb": "approve_at_once", "actor": "hub", "site": "", "detail": {}},
        {"request": "r1", "verb": None, "actor": "hub", "site": "", "detail": {}},
        {"request": "r1", "verb": "submit", "actor": "hub", "site": "", "detail": "text"},
        {"request": "r1", "verb": "submit", "actor": "hub", "site": "", "detail": 7},
        {"verb": "submit", "actor": "hub", "site": "", "detail": {}},
    ],
)
def test_an_unknown_verb_or_a_malformed_fact_is_left_out(data: Any) -> None:
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        Fact.from_dict(data)


def test_only_its_author_withdraws_a_request(here: TrialSite) -> None:
    here.submitted(here.plan())
    for actor in ("mallory", "hub", STEWARD, ""):
        here.told(Verb.WITHDRAW, "r1", actor=actor)
    assert here.record().request.status is Status.UNDER_REVIEW
    here.told(Verb.WITHDRAW, "r1", actor="rosalind")
    assert here.record().request.status is Status.WITHDRAWN


def test_a_request_ended_by_the_hub_cannot_be_approved_or_claimed(here: TrialSite) -> None:
    plan = here.plan()
    here.submitted(plan)
    here.told(Verb.REJECT, "r1", site="birch")
    assert here.record().last(Verb.REJECT).detail == {"at_site": "birch", "because": "reject"}
    with pytest.raises(TransitionDenied):
        here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    with pytest.raises(Refused):
        Claims(here.site).claim("j1", "r1", plan.digest)


FORGERIES: dict[str, Callable[[Release], Any]] = {
    "another site's key": lambda release: release.signed(KEYS["birch"]).to_dict(),
    "no signature": lambda release: release.to_dict(),
    "another job": lambda release: replace(release, job="j9").signed(HUB_KEY).to_dict(),
    "another request": lambda release: replace(release, request="r9").signed(HUB_KEY).to_dict(),
    "another plan": lambda release: replace(release, plan_digest="0" * 64).signed(HUB_KEY).to_dict(),
    "changed afterwards": lambda release: {**release.signed(HUB_KEY).to_dict(), "result": {"kind": "invented"}},
    "without its guarantee": lambda release: {**release.signed(HUB_KEY).to_dict(), "guarantee": None},
    "no release": lambda release: {},
    "a text": lambda release: "release",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_release_is_left_out(shared: TrialSite, forgery: str) -> None:
    request, plan = brought_to(shared, Status.RUNNING)
    release = release_of(plan, request, f"job-{request}")
    before = shared.site.journal.head()
    with pytest.raises(IntegrityFailure):
        shared.told(Verb.RELEASE, request, {"release": FORGERIES[forgery](release)})
    assert shared.site.journal.head() == before
    shared.told(Verb.RELEASE, request, {"release": release.signed(HUB_KEY).to_dict()})
    assert shared.record(request).last(Verb.RELEASE).detail == {"release": "rel", "release_digest": release.digest}


def without_this_site(plan: Plan) -> Plan:
    douglas = replace(plan.participant("birch"), site="douglas", identity=public_key(KEYS["douglas"]))
    others = tuple(participant for participant in plan.participants if participant.site != "alder")
    return replace(plan, participants=(*others, douglas))


def with_participant(plan: Plan, **changes: Any) -> Plan:
    return replace(
        plan, participants=tuple(replace(p, **changes) if p.site == "alder" else p for p in plan.participants)
    )


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("participants", without_this_site),
        ("identity", lambda plan: with_participant(plan, identity="ab" * 32)),
        ("dataset", lambda plan: with_participant(plan, dataset="other")),
        ("dataset-version", lambda plan: with_participant(plan, version=2)),
        ("dataset-version", lambda plan: with_participant(plan, commitment="0" * 64)),
        ("engine", lambda plan: replace(plan, engine="0" * 64)),
        ("schema", lambda plan: replace(plan, schema="0" * 64)),
        ("min_patients", lambda plan: replace(plan, output=replace(plan.output, min_patients=1))),
        ("parameters", lambda plan: replace(plan, analysis="steal-everything")),
        ("parameters", lambda plan: replace(plan, parameters={**plan.parameters, "horizon": 1e9})),
    ],
)
def test_a_plan_against_a_rule_is_sent_back_at_once_in_the_sites_name(
    shared: TrialSite, rule: str, change: Callable[[Plan], Plan]
) -> None:
    request = f"r{next(_numbers)}"
    plan = change(shared.plan(purpose=f"Question {request}"))
    record = shared.submitted(plan, request)
    assert record.request.status is Status.REJECTED
    review = Review.from_dict(record.last(Verb.REVIEW).detail)
    assert review.steward == f"policy:{shared.state.policy().digest}"
    assert review.reason.endswith(f"(rule '{rule}')")
    assert (review.request, review.plan_digest, review.site) == (request, plan.digest, "alder")
    review.check_signature(public_key(shared.state.identity()))
    with pytest.raises((TransitionDenied, InvalidPlan)):
        shared.reviewing.approve(request, STEWARD, PASSPHRASE)
    assert shared.record(request).request.status is Status.REJECTED
    titles = [section.title for section in read_request(shared.site, record)]
    assert titles[0] == "What is asked", "and its steward can read what it was"


@pytest.mark.parametrize(
    ("rule", "policy", "asked"),
    [
        ("exact", POLICY.replace("exact = true", "exact = false"), {}),
        ("analyses", POLICY.replace("exact = true", 'exact = true\nanalyses = ["cox"]'), {}),
        ("min_time_step", POLICY.replace("exact = true", "exact = true\nmin_time_step = 101.0"), {}),
        ("max_numbers_per_patient", POLICY.replace("= 50.0", "= 0.1"), {}),
        ("min_sites", POLICY.replace("min_sites = 3", "min_sites = 4"), {}),
        ("epsilon_per_request", POLICY.replace("= 1.5", "= 0.5"), {"analysis": "histogram"}),
        ("delta", POLICY.replace("delta = 1e-6", "delta = 1e-7"), {"analysis": "histogram"}),
    ],
)
def test_a_plan_that_the_policy_no_longer_allows_is_sent_back(
    here: TrialSite, rule: str, policy: str, asked: dict[str, str]
) -> None:
    """The policy is read afresh: what a researcher planned by the Card of yesterday meets the rules of today."""
    plan = here.plan(**asked)
    (here.state.folder / "policy.toml").write_text(policy)
    record = here.submitted(plan)
    assert record.request.status is Status.REJECTED
    assert record.last(Verb.REVIEW).detail["reason"].endswith(f"(rule '{rule}')")


def test_another_key_of_a_site_that_is_known_is_refused(here: TrialSite) -> None:
    def plan_with(identity: str, purpose: str) -> Plan:
        plan = here.plan(purpose=purpose)
        participants = tuple(replace(p, identity=identity) if p.site == "birch" else p for p in plan.participants)
        return replace(plan, participants=participants)

    first, second = public_key(KEYS["birch"]), "ab" * 32
    assert here.submitted(plan_with(second, "One"), "r1").request.status is Status.UNDER_REVIEW
    here.approved(plan_with(first, "Two"), "r2")
    with pytest.raises(Refused) as refused:
        here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert refused.value.rule == "known-identities"
    record = here.submitted(plan_with(second, "Three"), "r3")
    assert record.request.status is Status.REJECTED
    assert "known-identities" in record.last(Verb.REVIEW).detail["reason"]
    sites = {section.title: dict(section.lines) for section in read_request(here.site, record)}["Sites in the sum"]
    assert sites["birch"].endswith("NOT the key this site knows")
    assert sites["cedar"].endswith("known")


def test_an_expired_plan_is_never_approved(here: TrialSite) -> None:
    plan = here.plan()
    here.clock.now = days_later(31)
    here.submitted(plan)
    with pytest.raises(TransitionDenied, match="expired"):
        here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    assert here.record().request.status is Status.UNDER_REVIEW


class ToldHub:
    """Plays the hub's side of the line: one page of facts, told again until the site's place has passed it."""

    def __init__(self, facts: list[dict[str, Json]]) -> None:
        self.facts, self.asked_after, self.heard = facts, list[int](), list[str]()
        self.meanwhile: Callable[[], object] = lambda: None

    def announce(self, cards: list[dict[str, Json]], stewards: dict[str, str], page: str) -> None:
        self.heard.append(f"stewards {', '.join(stewards)}")

    def receipt(self, request: str) -> None:
        self.heard.append(f"receipt {request}")

    def review(self, review: dict[str, Json]) -> None:
        self.heard.append(f"review by {review['steward']}")

    def feed(self, after: int, seconds: float) -> dict[str, Any]:
        self.asked_after.append(after)
        self.meanwhile()
        return {"facts": self.facts[after:], "next": len(self.facts)}


def facts_of(*plans: Plan) -> list[dict[str, Json]]:
    return [
        {
            "request": f"r{number}",
            "verb": "submit",
            "actor": plan.requester,
            "site": "",
            "detail": {"plan": plan.to_dict(), "plan_digest": plan.digest, "name": "km"},
        }
        for number, plan in enumerate(plans, start=1)
    ]


@pytest.fixture
def line(here: TrialSite) -> Callable[[ToldHub], HubLine]:
    here.state.keep_contact(HubContact("127.0.0.1:9", public_key(HUB_KEY), "1"), "")
    return lambda hub: HubLine(
        here.site, hub, "http://127.0.0.1/", lambda request, job: here.begun.append((request, job))
    )  # type: ignore[arg-type]


def test_a_fact_that_cannot_be_right_does_not_stop_those_behind_it(
    here: TrialSite, line: Callable[[ToldHub], HubLine]
) -> None:
    good = facts_of(here.plan(purpose="One"), here.plan(purpose="Two"))
    hub = ToldHub([{"verb": "nonsense"}, {**good[0], "detail": {}}, good[1]])
    line(hub)._read_feed()
    assert [record.request.id for record in here.reviewing.all()] == ["r2"]
    line(hub)._read_feed()
    assert hub.asked_after == [0, 3], "the place is kept over a restart"


def test_the_hub_knows_a_steward_before_it_is_told_of_her_verdict(
    here: TrialSite, line: Callable[[ToldHub], HubLine]
) -> None:
    """A verdict of one it does not know is refused for good."""
    hub = ToldHub([])
    served = line(hub)
    here.submitted(here.plan())
    served._empty_outbox()
    add_steward(here.site, "new", PASSPHRASE)
    here.reviewing.approve("r1", "new", PASSPHRASE)
    served._empty_outbox()
    served._empty_outbox()
    assert hub.heard == [f"stewards {STEWARD}", "receipt r1", f"stewards {STEWARD}, new", "review by new"]


def test_what_has_happened_is_told_while_the_policy_is_broken(
    here: TrialSite, line: Callable[[ToldHub], HubLine]
) -> None:
    hub = ToldHub([])
    served = line(hub)
    here.submitted(here.plan())
    (here.state.folder / "policy.toml").write_text("[defaults]\nmin_pa")
    served._empty_outbox()
    assert hub.heard == ["receipt r1"]


def test_a_request_that_comes_while_the_policy_is_broken_is_not_lost(
    here: TrialSite, line: Callable[[ToldHub], HubLine]
) -> None:
    """An engineer is editing policy.toml while the site waits for the hub's next fact."""
    policy = here.state.folder / "policy.toml"
    hub = ToldHub(facts_of(here.plan()))
    hub.meanwhile = lambda: policy.write_text("[defaults]\nmin_pa")
    served = line(hub)
    with pytest.raises(InvalidPolicy):
        served._read_feed()
    assert here.reviewing.all() == []
    policy.write_text(POLICY)
    hub.meanwhile = lambda: None
    served._read_feed()
    assert hub.asked_after == [0, 0]
    assert here.record().request.status is Status.UNDER_REVIEW


def test_a_site_learns_the_requests_sites_from_the_plan_alone(here: TrialSite) -> None:
    """The Request here waits for this site's steward, whatever the hub says of the others."""
    record = here.submitted(here.plan())
    assert record.request.sites == {"alder"}
    assert record.plan.sites == tuple(sorted(SITES))
