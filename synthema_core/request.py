"""A Request's life cycle, written down once: the table, and two pure functions over it.

`decide` checks a command and returns the facts it establishes; `evolve` applies one fact. Status is never stored: it
is a fold over the journal. The hub folds with all of a Plan's sites, a site with itself alone; the table is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.errors import TransitionDenied


class Status(StrEnum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    UNDER_REVIEW = "under_review"
    APPROVED = "approved"
    RUNNING = "running"
    STAGED = "staged"
    CLEARED = "cleared"
    SUMMING = "summing"
    RELEASED = "released"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"
    WITHHELD = "withheld"


class Verb(StrEnum):
    SUBMIT = "submit"
    RECEIVE = "receive"
    ASK = "ask"
    ANSWER = "answer"
    REVIEW = "review"
    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    START = "start"
    REUSE = "reuse"
    STAGE = "stage"
    HOLD = "hold"
    CLEAR = "clear"
    AGREE = "agree"
    WITHHOLD = "withhold"
    SUM = "sum"
    RELEASE = "release"
    FAIL = "fail"


class Role(StrEnum):
    """In which capacity somebody acts. SITE is a datasite's own server, HUB the coordinator."""

    RESEARCHER = "researcher"
    STEWARD = "steward"
    SITE = "site"
    HUB = "hub"


_SERVERS = frozenset({Role.SITE, Role.HUB})
_REVIEWERS = frozenset({Role.STEWARD, Role.SITE})  # SITE: by policy, signed by the site's key

#: (from, verb): (to, who may). The only place where the life cycle is written down.
#: `reuse` hands on the stored Release of a question that was answered before: nothing runs.
#: From `staged` on is for code with a release decision: what each site computed waits there for its stewards. A site
#: that is done may decide while others still compute; at the hub the Request is running then.
LIFECYCLE: Mapping[tuple[Status, Verb], tuple[Status, frozenset[Role]]] = {
    (Status.DRAFT, Verb.SUBMIT): (Status.SUBMITTED, frozenset({Role.RESEARCHER})),
    (Status.SUBMITTED, Verb.RECEIVE): (Status.UNDER_REVIEW, frozenset({Role.SITE})),
    (Status.UNDER_REVIEW, Verb.RECEIVE): (Status.UNDER_REVIEW, frozenset({Role.SITE})),
    (Status.UNDER_REVIEW, Verb.ASK): (Status.UNDER_REVIEW, frozenset({Role.STEWARD})),
    (Status.UNDER_REVIEW, Verb.ANSWER): (Status.UNDER_REVIEW, frozenset({Role.RESEARCHER})),
    (Status.UNDER_REVIEW, Verb.REVIEW): (Status.UNDER_REVIEW, _REVIEWERS),
    (Status.UNDER_REVIEW, Verb.APPROVE): (Status.APPROVED, _SERVERS),
    (Status.UNDER_REVIEW, Verb.REJECT): (Status.REJECTED, _SERVERS),
    (Status.APPROVED, Verb.REJECT): (Status.REJECTED, _SERVERS),  # at a site: another one rejected
    (Status.APPROVED, Verb.START): (Status.RUNNING, _SERVERS),
    (Status.APPROVED, Verb.REUSE): (Status.RELEASED, _SERVERS),
    (Status.RUNNING, Verb.RELEASE): (Status.RELEASED, _SERVERS),
    (Status.RUNNING, Verb.STAGE): (Status.RUNNING, frozenset({Role.SITE})),
    (Status.RUNNING, Verb.HOLD): (Status.STAGED, _SERVERS),
    (Status.RUNNING, Verb.CLEAR): (Status.RUNNING, frozenset({Role.STEWARD})),
    (Status.STAGED, Verb.CLEAR): (Status.STAGED, frozenset({Role.STEWARD})),
    (Status.STAGED, Verb.AGREE): (Status.CLEARED, _SERVERS),
    (Status.RUNNING, Verb.WITHHOLD): (Status.WITHHELD, _SERVERS),
    (Status.STAGED, Verb.WITHHOLD): (Status.WITHHELD, _SERVERS),
    (Status.CLEARED, Verb.WITHHOLD): (Status.WITHHELD, _SERVERS),  # at a site: another one withheld
    (Status.CLEARED, Verb.SUM): (Status.SUMMING, _SERVERS),
    (Status.SUMMING, Verb.RELEASE): (Status.RELEASED, _SERVERS),
    **{
        (status, Verb.FAIL): (Status.FAILED, _SERVERS)
        for status in (Status.APPROVED, Status.RUNNING, Status.STAGED, Status.CLEARED, Status.SUMMING)
    },
    **{
        (status, verb): (end, roles)
        for status in (Status.SUBMITTED, Status.UNDER_REVIEW, Status.APPROVED, Status.STAGED, Status.CLEARED)
        for verb, end, roles in (
            (Verb.EXPIRE, Status.EXPIRED, _SERVERS),
            (Verb.WITHDRAW, Status.WITHDRAWN, frozenset({Role.RESEARCHER})),
        )
    },
    **{
        (status, Verb.REVOKE): (Status.REVOKED, frozenset({Role.STEWARD}))
        for status in (Status.UNDER_REVIEW, Status.APPROVED, Status.RUNNING, Status.STAGED, Status.CLEARED)
    },
}
TERMINAL = frozenset(Status) - {source for source, _ in LIFECYCLE}
WAITING = frozenset(source for source, verb in LIFECYCLE if verb is Verb.EXPIRE)
"""Where a Request waits for people or machines, and may expire."""
UNDER_WAY = frozenset({Status.RUNNING, Status.SUMMING})
"""While a Job computes: what happens then is the Job's to end."""
_OF_A_SITE = frozenset({Verb.RECEIVE, Verb.ASK, Verb.REVIEW, Verb.REVOKE, Verb.STAGE, Verb.CLEAR})
_BEFORE_EXPIRY = frozenset({Verb.REVIEW, Verb.START, Verb.CLEAR, Verb.SUM})
NEEDED = "stewards_needed"
"""In the detail of a REVIEW or CLEAR: how many stewards of the site must say yes."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about one Request. Never edited, never deleted.

    Parameters
    ----------
    site
        The site a RECEIVE, ASK, REVIEW, REVOKE, STAGE, CLEAR is about; empty for facts about the whole Request.
    verdict
        Of a REVIEW: True approves. Of a CLEAR: True lets what was staged be summed.
    detail
        What else the journal keeps: the Plan of a SUBMIT, the signed Review or Clearance, a Release's digest, a
        failure's wire form.
    """

    verb: Verb
    actor: str
    role: Role
    at: str
    site: str = ""
    verdict: bool | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One Plan seeking permission, as folded from its events.

    Parameters
    ----------
    sites
        Every site that must approve.
    expires_at
        Nothing starts after this moment; the earliest of the Plan's expiry and the approvals'.
    verdicts, received
        What each site has said, and which sites have the Plan.
    approved_by, cleared_by
        The stewards of each site who have said yes: to the Plan, and to what was staged.
    staged, cleared
        The sites whose output waits, and those that let it be summed.
    """

    id: str
    author: str
    sites: frozenset[str]
    expires_at: str
    status: Status = Status.DRAFT
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    received: frozenset[str] = frozenset()
    approved_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    staged: frozenset[str] = frozenset()
    cleared_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    cleared: frozenset[str] = frozenset()


def _deny(request: Request, event: Event, reason: str, hint: str = "") -> TransitionDenied:
    return TransitionDenied(
        f"{event.actor} cannot {event.verb} the request {request.id}, which is {request.status}: {reason}.",
        hint,
    )


def decide(request: Request, event: Event) -> list[Event]:
    """Check a command; return the facts it establishes, in order.

    Raises
    ------
    TransitionDenied
        If the table has no such step from here, the role may not take it, the Request has expired, the site is not
        asked, has nothing staged or has decided already, or somebody reviews their own Request.
    """
    try:
        _, roles = LIFECYCLE[request.status, event.verb]
    except KeyError:
        raise _deny(request, event, "there is no such step from here") from None
    if event.role not in roles:
        raise _deny(request, event, f"that takes a {' or '.join(sorted(roles))}")
    if event.verb in _BEFORE_EXPIRY and moments.read(event.at) >= moments.read(request.expires_at):
        raise _deny(request, event, f"it expired at {request.expires_at}", "Submit it again.")
    if event.verb in _OF_A_SITE and event.site not in request.sites:
        raise _deny(request, event, f"the site '{event.site}' is not asked")
    if _needs_output(request, event) and event.site not in request.staged:
        raise _deny(request, event, f"nothing waits at '{event.site}'")
    if event.verb is Verb.REVIEW:
        decided, said_yes = request.verdicts.keys(), request.approved_by
        return _decide_verdict(request, event, decided, said_yes, yes=Verb.APPROVE, no=Verb.REJECT)
    if event.verb is Verb.CLEAR:
        return _decide_verdict(request, event, request.cleared, request.cleared_by, yes=Verb.AGREE, no=Verb.WITHHOLD)
    if event.verb is Verb.STAGE:
        return _decide_stage(request, event)
    return [event]


def _needs_output(request: Request, event: Event) -> bool:
    """A site decides on what it has staged; and what runs is taken back only where it has ended and waits."""
    return event.verb is Verb.CLEAR or (event.verb is Verb.REVOKE and request.status is Status.RUNNING)


def _decide_verdict(
    request: Request,
    event: Event,
    decided: Collection[str],
    said_yes: Mapping[str, frozenset[str]],
    *,
    yes: Verb,
    no: Verb,
) -> list[Event]:
    """One no ends the Request; it goes on once every site has as many yeses as it needs."""
    if event.verdict is None:
        raise _deny(request, event, "that carries a verdict")
    if event.actor == request.author:
        raise _deny(request, event, "nobody reviews their own request", "Ask another steward of the site.")
    if event.site in decided:
        raise _deny(request, event, f"'{event.site}' has decided already")
    if event.actor in said_yes.get(event.site, ()):
        raise _deny(request, event, f"{event.actor} has said yes already", "It takes another steward of the site.")
    if not event.verdict:
        return [event, _consequence(event, no)]
    done = _enough(said_yes, event) and {*decided, event.site} == request.sites
    return [event, _consequence(event, yes)] if done else [event]


def _decide_stage(request: Request, event: Event) -> list[Event]:
    if event.site in request.staged:
        raise _deny(request, event, f"the output of '{event.site}' waits already")
    done = request.staged | {event.site} == request.sites
    return [event, _consequence(event, Verb.HOLD)] if done else [event]


def _consequence(event: Event, verb: Verb) -> Event:
    return replace(event, verb=verb, role=Role.SITE, verdict=None, detail={})


def _enough(said_yes: Mapping[str, frozenset[str]], event: Event) -> bool:
    needed = event.detail.get(NEEDED, 1)
    count = len(said_yes.get(event.site, frozenset()) | {event.actor})
    return event.role is Role.SITE or (isinstance(needed, int) and count >= needed)


def evolve(request: Request, event: Event) -> Request:
    """Apply one recorded fact. The only place where a status is set."""
    changes: dict[str, object] = {"status": LIFECYCLE[request.status, event.verb][0]}
    if event.verb is Verb.REVIEW:
        changes |= _reviewed(request, event)
    elif event.verb is Verb.RECEIVE:
        changes["received"] = request.received | {event.site}
    elif event.verb is Verb.STAGE:
        changes["staged"] = request.staged | {event.site}
    elif event.verb is Verb.CLEAR and event.verdict:
        changes["cleared_by"] = _with_yes(request.cleared_by, event)
        changes["cleared"] = request.cleared | ({event.site} if _enough(request.cleared_by, event) else frozenset())
    return replace(request, **changes)  # type: ignore[arg-type]


def _reviewed(request: Request, event: Event) -> dict[str, object]:
    if not event.verdict:
        return {"verdicts": {**request.verdicts, event.site: False}}
    changes: dict[str, object] = {"approved_by": _with_yes(request.approved_by, event)}
    if _enough(request.approved_by, event):
        changes["verdicts"] = {**request.verdicts, event.site: True}
    approval_ends = event.detail.get("expires_at")
    if isinstance(approval_ends, str):
        changes["expires_at"] = min(request.expires_at, approval_ends, key=moments.read)
    return changes


def _with_yes(said_yes: Mapping[str, frozenset[str]], event: Event) -> dict[str, frozenset[str]]:
    return {**said_yes, event.site: said_yes.get(event.site, frozenset()) | {event.actor}}


def fold(request: Request, events: Iterable[Event]) -> Request:
    for event in events:
        request = evolve(request, event)
    return request


def diagram() -> str:
    """The table as a Mermaid state diagram, for docs/reference; CI fails when it drifts."""
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    for (source, verb), (target, roles) in LIFECYCLE.items():
        lines.append(f"    {source} --> {target}: {verb} ({', '.join(sorted(roles))})")
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(diagram())
