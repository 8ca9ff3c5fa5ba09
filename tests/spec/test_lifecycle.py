"""The whole life cycle, enumerated: every status with every verb and every role, against a table written by hand."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from support.builders import at
from synthema_core.errors import TransitionDenied
from synthema_core.request import (
    LIFECYCLE,
    NEEDED,
    TERMINAL,
    UNDER_WAY,
    WAITING,
    Event,
    Request,
    Role,
    Status,
    Verb,
    decide,
    diagram,
    evolve,
    fold,
)

# verb: (roles, {from: to}). Written out again on purpose: a slip in the code's table shows as a difference.
RESEARCHER, STEWARD, SITE, HUB = "researcher", "steward", "site", "hub"
EXPECTED = {
    "submit": ({RESEARCHER}, {"draft": "submitted"}),
    "receive": ({SITE}, {"submitted": "under_review", "under_review": "under_review"}),
    "ask": ({STEWARD}, {"under_review": "under_review"}),
    "answer": ({RESEARCHER}, {"under_review": "under_review"}),
    "review": ({STEWARD, SITE}, {"under_review": "under_review"}),
    "approve": ({SITE, HUB}, {"under_review": "approved"}),
    "reject": ({SITE, HUB}, {"under_review": "rejected", "approved": "rejected"}),
    "revoke": (
        {STEWARD},
        {
            "under_review": "revoked",
            "approved": "revoked",
            "running": "revoked",
            "staged": "revoked",
            "cleared": "revoked",
        },
    ),
    "withdraw": (
        {RESEARCHER},
        {
            "submitted": "withdrawn",
            "under_review": "withdrawn",
            "approved": "withdrawn",
            "staged": "withdrawn",
            "cleared": "withdrawn",
        },
    ),
    "expire": (
        {SITE, HUB},
        {
            "submitted": "expired",
            "under_review": "expired",
            "approved": "expired",
            "staged": "expired",
            "cleared": "expired",
        },
    ),
    "start": ({SITE, HUB}, {"approved": "running"}),
    "reuse": ({SITE, HUB}, {"approved": "released"}),
    "stage": ({SITE}, {"running": "running"}),
    "hold": ({SITE, HUB}, {"running": "staged"}),
    "clear": ({STEWARD}, {"running": "running", "staged": "staged"}),
    "agree": ({SITE, HUB}, {"staged": "cleared"}),
    "withhold": ({SITE, HUB}, {"running": "withheld", "staged": "withheld", "cleared": "withheld"}),
    "sum": ({SITE, HUB}, {"cleared": "summing"}),
    "release": ({SITE, HUB}, {"running": "released", "summing": "released"}),
    "fail": (
        {SITE, HUB},
        {
            "approved": "failed",
            "running": "failed",
            "staged": "failed",
            "cleared": "failed",
            "summing": "failed",
        },
    ),
}
CASES = [
    (status, verb, role, EXPECTED[verb][1].get(status) if role in EXPECTED[verb][0] else None)
    for status, verb, role in product(Status, Verb, Role)
]
SITES = frozenset({"alder", "birch"})


def request(status: Status = Status.UNDER_REVIEW) -> Request:
    """Asked of two sites. Where a run is under way or has ended, `alder` has staged its output; later both have."""
    staged = {Status.RUNNING: frozenset({"alder"}), Status.STAGED: SITES, Status.CLEARED: SITES}
    return Request("r1", "rosalind", SITES, at(30), status, staged=staged.get(status, frozenset()))


def event(verb: Verb, role: Role, *, actor: str = "sam", when: float = 1, **more: object) -> Event:
    verdict = True if verb in (Verb.REVIEW, Verb.CLEAR) else None
    site = "birch" if verb is Verb.STAGE else "alder"
    return Event(verb, actor, role, at(when), **{"site": site, "verdict": verdict, **more})  # type: ignore[arg-type]


def after(state: Request, *events: Event) -> Request:
    """As each of them is decided and recorded in turn."""
    for each in events:
        state = fold(state, decide(state, each))
    return state


@pytest.mark.parametrize(("status", "verb", "role", "expected"), CASES)
def test_every_step(status: Status, verb: Verb, role: Role, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(TransitionDenied) as denied:
            decide(request(status), event(verb, role))
        assert status in denied.value.message
        assert verb in denied.value.message
    else:
        facts = decide(request(status), event(verb, role))
        assert evolve(request(status), facts[0]).status == expected


def test_table_covers_exactly_this() -> None:
    expected = {(source, verb) for verb, (_, steps) in EXPECTED.items() for source in steps}
    assert {(str(source), str(verb)) for source, verb in LIFECYCLE} == expected


def test_what_is_over_stays_over() -> None:
    assert {"released", "rejected", "failed", "expired", "revoked", "withdrawn", "withheld"} == TERMINAL


def test_where_a_request_waits_and_where_a_job_computes() -> None:
    assert {"submitted", "under_review", "approved", "staged", "cleared"} == WAITING
    assert {"running", "summing"} == UNDER_WAY
    assert WAITING | UNDER_WAY | TERMINAL | {"draft"} == set(Status)


def approval(site: str = "alder", by: str = "sam", *, needed: int = 1, **more: object) -> Event:
    return event(Verb.REVIEW, Role.STEWARD, actor=by, site=site, detail={NEEDED: needed}, **more)


def clearance(site: str = "alder", by: str = "sam", *, needed: int = 1, **more: object) -> Event:
    return event(Verb.CLEAR, Role.STEWARD, actor=by, site=site, detail={NEEDED: needed}, **more)


# Reviews.


def test_every_site_must_approve() -> None:
    first = after(request(), approval("alder"))
    assert first.status is Status.UNDER_REVIEW
    assert after(first, approval("birch")).status is Status.APPROVED


@pytest.mark.parametrize("before", [[], [approval("birch")], [approval("alder", "ann", needed=2)]])
def test_one_rejection_ends_it(before: list[Event]) -> None:
    state = after(request(), *before)
    facts = decide(state, event(Verb.REVIEW, Role.STEWARD, verdict=False))
    assert [fact.verb for fact in facts] == [Verb.REVIEW, Verb.REJECT]
    assert fold(state, facts).status is Status.REJECTED


def test_a_site_decides_once() -> None:
    with pytest.raises(TransitionDenied, match="decided already"):
        after(request(), approval(by="ann"), approval(by="ben"))


def test_where_two_stewards_must_approve_one_is_not_enough() -> None:
    one = after(request(), approval("birch"), approval(by="ann", needed=2))
    assert (one.status, one.verdicts) == (Status.UNDER_REVIEW, {"birch": True})
    two = after(one, approval(by="ben", needed=2))
    assert (two.status, two.verdicts) == (Status.APPROVED, {"birch": True, "alder": True})


def test_the_same_steward_does_not_count_twice() -> None:
    one = after(request(), approval(by="ann", needed=2))
    with pytest.raises(TransitionDenied, match="said yes already"):
        decide(one, approval(by="ann", needed=2))


def test_a_steward_of_another_site_does_not_count_here() -> None:
    state = after(request(), approval("alder", "ann", needed=2), approval("birch", "ben", needed=2))
    assert (state.status, state.verdicts) == (Status.UNDER_REVIEW, {})


def test_a_policy_that_approves_is_enough() -> None:
    by_policy = event(Verb.REVIEW, Role.SITE, actor="policy:0000", detail={NEEDED: 2})
    assert after(request(), approval("birch"), by_policy).status is Status.APPROVED


@pytest.mark.parametrize("needed", ["1", None, 1.5, [1]])
def test_a_number_of_stewards_that_is_none_is_never_reached(needed: object) -> None:
    odd = event(Verb.REVIEW, Role.STEWARD, detail={NEEDED: needed})
    assert after(request(), approval("birch"), odd).status is Status.UNDER_REVIEW


@pytest.mark.parametrize(("verb", "status"), [(Verb.REVIEW, Status.UNDER_REVIEW), (Verb.CLEAR, Status.STAGED)])
@pytest.mark.parametrize("verdict", [True, False])
def test_nobody_reviews_or_clears_their_own_request(verb: Verb, status: Status, verdict: bool) -> None:
    with pytest.raises(TransitionDenied, match="own request"):
        decide(request(status), event(verb, Role.STEWARD, actor="rosalind", verdict=verdict))


@pytest.mark.parametrize(("verb", "status"), [(Verb.REVIEW, Status.UNDER_REVIEW), (Verb.CLEAR, Status.STAGED)])
def test_a_decision_says_yes_or_no(verb: Verb, status: Status) -> None:
    with pytest.raises(TransitionDenied, match="carries a verdict"):
        decide(request(status), event(verb, Role.STEWARD, verdict=None))


def test_questions_and_answers_leave_the_request_where_it_is() -> None:
    asked = event(Verb.ASK, Role.STEWARD, detail={"text": "Why per day?"})
    answered = event(Verb.ANSWER, Role.RESEARCHER, actor="rosalind", detail={"text": "Per week would do."})
    assert after(request(), asked, answered, asked) == request()


OF_A_SITE = [
    (Verb.RECEIVE, Role.SITE, Status.UNDER_REVIEW),
    (Verb.ASK, Role.STEWARD, Status.UNDER_REVIEW),
    (Verb.REVIEW, Role.STEWARD, Status.UNDER_REVIEW),
    (Verb.REVOKE, Role.STEWARD, Status.APPROVED),
    (Verb.STAGE, Role.SITE, Status.RUNNING),
    (Verb.CLEAR, Role.STEWARD, Status.STAGED),
]


@pytest.mark.parametrize(("verb", "role", "status"), OF_A_SITE)
def test_only_asked_sites_count(verb: Verb, role: Role, status: Status) -> None:
    with pytest.raises(TransitionDenied, match="not asked"):
        decide(request(status), event(verb, role, site="elm"))


# What was staged.


def running() -> Request:
    return Request("r1", "rosalind", SITES, at(30), Status.RUNNING)


def staged(site: str) -> Event:
    return event(Verb.STAGE, Role.SITE, actor=site, site=site)


def test_it_is_staged_when_every_site_has_staged_its_own() -> None:
    first = after(running(), staged("alder"))
    assert (first.status, first.staged) == (Status.RUNNING, {"alder"})
    assert after(first, staged("birch")).status is Status.STAGED


def test_a_site_stages_once() -> None:
    with pytest.raises(TransitionDenied, match="waits already"):
        after(running(), staged("alder"), staged("alder"))


def test_every_site_must_clear() -> None:
    first = after(request(Status.STAGED), clearance("alder"))
    assert (first.status, first.cleared) == (Status.STAGED, {"alder"})
    assert after(first, clearance("birch")).status is Status.CLEARED


@pytest.mark.parametrize("before", [[], [clearance("birch")], [clearance("alder", "ann", needed=2)]])
def test_one_no_withholds_it(before: list[Event]) -> None:
    state = after(request(Status.STAGED), *before)
    facts = decide(state, clearance(by="ben", verdict=False))
    assert [fact.verb for fact in facts] == [Verb.CLEAR, Verb.WITHHOLD]
    assert fold(state, facts).status is Status.WITHHELD


def test_where_two_stewards_must_clear_one_is_not_enough() -> None:
    one = after(request(Status.STAGED), clearance("birch"), clearance(by="ann", needed=2))
    assert (one.status, one.cleared) == (Status.STAGED, {"birch"})
    with pytest.raises(TransitionDenied, match="said yes already"):
        decide(one, clearance(by="ann", needed=2))
    assert after(one, clearance(by="ben", needed=2)).status is Status.CLEARED


def test_a_site_clears_once() -> None:
    with pytest.raises(TransitionDenied, match="decided already"):
        after(request(Status.STAGED), clearance(by="ann"), clearance(by="ben"))


def test_a_site_that_is_done_decides_while_others_compute() -> None:
    """Each site's stewards look at their own output when it waits; the hub hears of it before the last one stages."""
    early = after(running(), staged("alder"), clearance("alder"))
    assert (early.status, early.cleared) == (Status.RUNNING, {"alder"})
    both = after(early, staged("birch"))
    assert both.status is Status.STAGED
    assert after(both, clearance("birch")).status is Status.CLEARED
    no = after(running(), staged("alder"), clearance("alder", verdict=False))
    assert no.status is Status.WITHHELD


def test_nothing_is_cleared_that_is_not_staged() -> None:
    for state in (running(), after(running(), staged("birch"))):
        with pytest.raises(TransitionDenied, match="nothing waits at 'alder'"):
            decide(state, clearance("alder"))


def test_a_run_is_not_taken_back_before_its_output_waits() -> None:
    with pytest.raises(TransitionDenied, match="nothing waits"):
        decide(running(), event(Verb.REVOKE, Role.STEWARD))
    back = after(running(), staged("alder"), event(Verb.REVOKE, Role.STEWARD))
    assert back.status is Status.REVOKED


@pytest.mark.parametrize("status", [Status.STAGED, Status.CLEARED])
def test_everything_is_taken_back_until_the_sum_starts(status: Status) -> None:
    assert after(request(status), event(Verb.REVOKE, Role.STEWARD)).status is Status.REVOKED
    summing = after(request(Status.CLEARED), event(Verb.SUM, Role.HUB, actor="hub"))
    for verb, role in ((Verb.REVOKE, Role.STEWARD), (Verb.WITHHOLD, Role.SITE), (Verb.EXPIRE, Role.HUB)):
        with pytest.raises(TransitionDenied, match="no such step"):
            decide(summing, event(verb, role))


def test_at_a_site_its_own_output_and_its_own_yes_decide() -> None:
    alone = Request("r1", "rosalind", frozenset({"alder"}), at(30), Status.RUNNING)
    waits = after(alone, staged("alder"))
    assert waits.status is Status.STAGED
    assert after(waits, clearance("alder")).status is Status.CLEARED


# The end of time.

LAST_MOMENTS = [
    (Verb.REVIEW, Role.STEWARD, Status.UNDER_REVIEW),
    (Verb.START, Role.HUB, Status.APPROVED),
    (Verb.CLEAR, Role.STEWARD, Status.RUNNING),
    (Verb.CLEAR, Role.STEWARD, Status.STAGED),
    (Verb.SUM, Role.HUB, Status.CLEARED),
]


@pytest.mark.parametrize(("verb", "role", "status"), LAST_MOMENTS)
def test_nothing_is_decided_or_started_after_the_expiry(verb: Verb, role: Role, status: Status) -> None:
    decide(request(status), event(verb, role, when=29.9))
    with pytest.raises(TransitionDenied, match="expired"):
        decide(request(status), event(verb, role, when=30))


def test_what_was_in_time_may_end_afterwards() -> None:
    for verb, role, status in (
        (Verb.STAGE, Role.SITE, Status.RUNNING),
        (Verb.REUSE, Role.HUB, Status.APPROVED),  # at a site that hears of it late; the hub looks at the clock itself
        (Verb.RELEASE, Role.HUB, Status.SUMMING),
        (Verb.FAIL, Role.HUB, Status.SUMMING),
    ):
        assert decide(request(status), event(verb, role, when=31))


def test_an_approval_that_ends_earlier_shortens_the_request() -> None:
    approved = event(Verb.REVIEW, Role.STEWARD, detail={"expires_at": at(7)})
    assert evolve(request(), approved).expires_at == at(7)


def test_the_diagram_in_the_docs_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs/reference/lifecycle.md"
    assert diagram() in page.read_text(), "Write it anew: python -m synthema_core.request > the fenced block"
