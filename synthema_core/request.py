"""A Request's life cycle, written down once: the table, and two pure functions over it.

`decide` checks a command and returns the facts it establishes; `evolve` applies one fact. Status is never stored: it
is a fold over the journal. The hub folds with all of a Plan's sites, a site with itself alone; the table is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    RELEASED = "released"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"


class Verb(StrEnum):
    SUBMIT = "submit"
    RECEIVE = "receive"
    REVIEW = "review"
    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    START = "start"
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
LIFECYCLE: Mapping[tuple[Status, Verb], tuple[Status, frozenset[Role]]] = {
    (Status.DRAFT, Verb.SUBMIT): (Status.SUBMITTED, frozenset({Role.RESEARCHER})),
    (Status.SUBMITTED, Verb.RECEIVE): (Status.UNDER_REVIEW, frozenset({Role.SITE})),
    (Status.UNDER_REVIEW, Verb.RECEIVE): (Status.UNDER_REVIEW, frozenset({Role.SITE})),
    (Status.UNDER_REVIEW, Verb.REVIEW): (Status.UNDER_REVIEW, _REVIEWERS),
    (Status.UNDER_REVIEW, Verb.APPROVE): (Status.APPROVED, _SERVERS),
    (Status.UNDER_REVIEW, Verb.REJECT): (Status.REJECTED, _SERVERS),
    (Status.APPROVED, Verb.START): (Status.RUNNING, _SERVERS),
    (Status.RUNNING, Verb.RELEASE): (Status.RELEASED, _SERVERS),
    (Status.RUNNING, Verb.FAIL): (Status.FAILED, _SERVERS),
    (Status.APPROVED, Verb.FAIL): (Status.FAILED, _SERVERS),
    (Status.APPROVED, Verb.REJECT): (Status.REJECTED, _SERVERS),  # at a site: another one rejected
    **{
        (status, verb): (end, roles)
        for status in (Status.SUBMITTED, Status.UNDER_REVIEW, Status.APPROVED)
        for verb, end, roles in (
            (Verb.EXPIRE, Status.EXPIRED, _SERVERS),
            (Verb.WITHDRAW, Status.WITHDRAWN, frozenset({Role.RESEARCHER})),
        )
    },
    **{
        (status, Verb.REVOKE): (Status.REVOKED, frozenset({Role.STEWARD}))
        for status in (Status.UNDER_REVIEW, Status.APPROVED)
    },
}
TERMINAL = frozenset(Status) - {source for source, _ in LIFECYCLE}


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about one Request. Never edited, never deleted.

    Parameters
    ----------
    site
        The site a RECEIVE, REVIEW, REVOKE is about; empty for facts about the whole Request.
    verdict
        Of a REVIEW: True approves.
    detail
        What else the journal keeps: the Plan of a SUBMIT, the signed Review, a Release's digest, a failure's wire form.
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
    """

    id: str
    author: str
    sites: frozenset[str]
    expires_at: str
    status: Status = Status.DRAFT
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    received: frozenset[str] = frozenset()


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
        asked or has decided already, or somebody reviews their own Request.
    """
    try:
        _, roles = LIFECYCLE[request.status, event.verb]
    except KeyError:
        raise _deny(request, event, "there is no such step from here") from None
    if event.role not in roles:
        raise _deny(request, event, f"that takes a {' or '.join(sorted(roles))}")
    if event.verb in (Verb.REVIEW, Verb.START) and moments.read(event.at) >= moments.read(request.expires_at):
        raise _deny(request, event, f"it expired at {request.expires_at}", "Submit it again.")
    if event.verb in (Verb.RECEIVE, Verb.REVIEW, Verb.REVOKE) and event.site not in request.sites:
        raise _deny(request, event, f"the site '{event.site}' is not asked")
    if event.verb is Verb.REVIEW:
        return _decide_review(request, event)
    return [event]


def _decide_review(request: Request, event: Event) -> list[Event]:
    if event.verdict is None:
        raise _deny(request, event, "a review carries a verdict")
    if event.actor == request.author:
        raise _deny(request, event, "nobody reviews their own request", "Ask another steward of the site.")
    if event.site in request.verdicts:
        raise _deny(request, event, f"'{event.site}' has decided already")
    outcome = replace(event, role=Role.SITE, verdict=None, detail={})
    if not event.verdict:
        return [event, replace(outcome, verb=Verb.REJECT)]
    if request.verdicts.keys() | {event.site} == request.sites:
        return [event, replace(outcome, verb=Verb.APPROVE)]
    return [event]


def evolve(request: Request, event: Event) -> Request:
    """Apply one recorded fact. The only place where a status is set."""
    changes: dict[str, object] = {"status": LIFECYCLE[request.status, event.verb][0]}
    if event.verb is Verb.REVIEW:
        changes["verdicts"] = {**request.verdicts, event.site: bool(event.verdict)}
        approval_ends = event.detail.get("expires_at")
        if event.verdict and isinstance(approval_ends, str):
            changes["expires_at"] = min(request.expires_at, approval_ends, key=moments.read)
    elif event.verb is Verb.RECEIVE:
        changes["received"] = request.received | {event.site}
    return replace(request, **changes)  # type: ignore[arg-type]


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
