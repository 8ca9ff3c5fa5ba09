"""The whole life cycle, enumerated: every status with every verb and every role, against a table written by hand."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from support.builders import at
from synthema_core.errors import TransitionDenied
from synthema_core.request import (
    LIFECYCLE,
    TERMINAL,
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

# verb: (role, {from: to}). Written out again on purpose: a slip in the code's table shows as a difference.
RESEARCHER, STEWARD, SITE, HUB = "researcher", "steward", "site", "hub"
EXPECTED = {
    "submit": ({RESEARCHER}, {"draft": "submitted"}),
    "receive": ({SITE}, {"submitted": "under_review", "under_review": "under_review"}),
    "review": ({STEWARD, SITE}, {"under_review": "under_review"}),
    "approve": ({SITE, HUB}, {"under_review": "approved"}),
    "reject": ({SITE, HUB}, {"under_review": "rejected", "approved": "rejected"}),
    "revoke": ({STEWARD}, {"under_review": "revoked", "approved": "revoked"}),
    "withdraw": ({RESEARCHER}, {"submitted": "withdrawn", "under_review": "withdrawn", "approved": "withdrawn"}),
    "expire": ({SITE, HUB}, {"submitted": "expired", "under_review": "expired", "approved": "expired"}),
    "start": ({SITE, HUB}, {"approved": "running"}),
    "release": ({SITE, HUB}, {"running": "released"}),
    "fail": ({SITE, HUB}, {"running": "failed", "approved": "failed"}),
}
CASES = [
    (status, verb, role, EXPECTED[verb][1].get(status) if role in EXPECTED[verb][0] else None)
    for status, verb, role in product(Status, Verb, Role)
]
SITES = frozenset({"alder", "birch"})


def request(status: Status = Status.UNDER_REVIEW) -> Request:
    return Request("r1", "rosalind", SITES, at(30), status)


def event(verb: Verb, role: Role, *, actor: str = "sam", when: float = 1, **more: object) -> Event:
    verdict = True if verb is Verb.REVIEW else None
    return Event(verb, actor, role, at(when), **{"site": "alder", "verdict": verdict, **more})  # type: ignore[arg-type]


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
    assert {"released", "rejected", "failed", "expired", "revoked", "withdrawn"} == TERMINAL


def test_every_site_must_approve() -> None:
    first = fold(request(), decide(request(), event(Verb.REVIEW, Role.STEWARD)))
    assert first.status is Status.UNDER_REVIEW
    second = fold(first, decide(first, event(Verb.REVIEW, Role.STEWARD, site="birch")))
    assert second.status is Status.APPROVED


def test_one_rejection_ends_it() -> None:
    facts = decide(request(), event(Verb.REVIEW, Role.STEWARD, verdict=False))
    assert [fact.verb for fact in facts] == [Verb.REVIEW, Verb.REJECT]
    assert fold(request(), facts).status is Status.REJECTED


def test_a_site_decides_once() -> None:
    once = fold(request(), decide(request(), event(Verb.REVIEW, Role.STEWARD)))
    with pytest.raises(TransitionDenied, match="decided already"):
        decide(once, event(Verb.REVIEW, Role.STEWARD))


def test_nobody_reviews_their_own_request() -> None:
    with pytest.raises(TransitionDenied, match="own request"):
        decide(request(), event(Verb.REVIEW, Role.STEWARD, actor="rosalind"))


@pytest.mark.parametrize("verb", [Verb.RECEIVE, Verb.REVIEW, Verb.REVOKE])
def test_only_asked_sites_count(verb: Verb) -> None:
    role = Role.SITE if verb is Verb.RECEIVE else Role.STEWARD
    with pytest.raises(TransitionDenied, match="not asked"):
        decide(request(), event(verb, role, site="elm"))


@pytest.mark.parametrize(("verb", "status"), [(Verb.REVIEW, Status.UNDER_REVIEW), (Verb.START, Status.APPROVED)])
def test_nothing_is_approved_or_started_after_the_expiry(verb: Verb, status: Status) -> None:
    role = Role.STEWARD if verb is Verb.REVIEW else Role.HUB
    decide(request(status), event(verb, role, when=29.9))
    with pytest.raises(TransitionDenied, match="expired"):
        decide(request(status), event(verb, role, when=30))


def test_an_approval_that_ends_earlier_shortens_the_request() -> None:
    approved = event(Verb.REVIEW, Role.STEWARD, detail={"expires_at": at(7)})
    assert evolve(request(), approved).expires_at == at(7)


def test_the_diagram_in_the_docs_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs/reference/lifecycle.md"
    assert diagram() in page.read_text(), "Write it anew: python -m synthema_core.request > the fenced block"
