"""What a steward may do with a Request now, and what was done with it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthema_core.request import Event, Status, Verb
from synthema_core.request_record import RequestRecord
from synthema_datasite.service.decisions import limits_of, said_yes
from synthema_datasite.service.site import Site

_WAITING = frozenset({Status.UNDER_REVIEW, Status.STAGED})
_YES_STANDS = frozenset({Status.APPROVED, Status.STAGED, Status.CLEARED})


@dataclass(frozen=True, slots=True)
class Powers:
    """What the page offers one steward. Whether it is allowed is decided again when it is asked for.

    Parameters
    ----------
    decide
        Whether a decision of this steward's is waited for.
    revoke
        Whether there is a yes of this site to take back.
    agreed
        The stewards who have said yes to the step that waits.
    missing
        How many more have to.
    """

    decide: bool
    revoke: bool
    agreed: tuple[str, ...]
    missing: int
    is_author: bool


def powers_of(site: Site, record: RequestRecord, steward: str) -> Powers:
    status, agreed = record.request.status, said_yes(record, site.name)
    named = site.name in record.plan.sites
    needed = limits_of(site, record).stewards if named else 1
    is_author = steward == record.request.author
    return Powers(
        decide=status in _WAITING and steward not in agreed and not is_author,
        revoke=status in _YES_STANDS or bool(status is Status.UNDER_REVIEW and agreed),
        agreed=tuple(sorted(agreed)),
        missing=max(0, needed - len(agreed)) if status in _WAITING else 0,
        is_author=is_author,
    )


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a Request's history: `kind` is a CSS class."""

    at: str
    who: str
    what: str
    text: str
    kind: str = ""


def history_of(record: RequestRecord) -> list[Happening]:
    """Oldest first; consequences that say nothing new are left out."""
    told = [_happening(event) for event in record.events]
    return [happening for happening in told if happening is not None]


def thread_of(record: RequestRecord) -> list[Happening]:
    """Questions and answers."""
    kinds = {Verb.ASK: ("asked", "question"), Verb.ANSWER: ("answered", "answer")}
    return [
        Happening(event.at, event.actor, kinds[event.verb][0], str(event.detail.get("text", "")), kinds[event.verb][1])
        for event in record.events
        if event.verb in kinds
    ]


_WORDS: Mapping[Verb, str] = {
    Verb.SUBMIT: "asked",
    Verb.RECEIVE: "received the request",
    Verb.ASK: "put a question",
    Verb.ANSWER: "answered",
    Verb.REVOKE: "took the yes back",
    Verb.WITHDRAW: "withdrew the request",
    Verb.EXPIRE: "said that it expired",
    Verb.START: "started the run",
    Verb.REUSE: "handed on the stored answer; nothing ran",
    Verb.STAGE: "ran it; what it put out waits for a release decision",
    Verb.SUM: "gave what was cleared to the sum",
    Verb.RELEASE: "released the sum over all sites",
    Verb.FAIL: "said that it failed",
}
_CONSEQUENCES = frozenset({Verb.APPROVE, Verb.HOLD, Verb.AGREE})


def _happening(event: Event) -> Happening | None:
    detail: Mapping[str, Any] = event.detail
    if event.verb in _CONSEQUENCES:
        return None
    if event.verb is Verb.REVIEW:
        what = "approved" if event.verdict else "rejected"
        return Happening(event.at, _who(event), what, _reason(detail, "without", "without"), _kind(event))
    if event.verb is Verb.CLEAR:
        what = "cleared the output" if event.verdict else "withheld the output"
        return Happening(event.at, _who(event), what, _reason(detail, "redacted", "leaving out"), _kind(event))
    if event.verb in (Verb.REJECT, Verb.WITHHOLD):
        if "at_site" not in detail:
            return None
        return Happening(event.at, event.actor, f"ended it: {detail.get('because', event.verb)} there", "", "no")
    return Happening(event.at, _who(event), _WORDS[event.verb], _failure(detail) or str(detail.get("text", "")))


def _who(event: Event) -> str:
    return "this site's policy" if event.actor.startswith("policy:") else event.actor


def _kind(event: Event) -> str:
    return "yes" if event.verdict else "no"


def _reason(detail: Mapping[str, Any], key: str, words: str) -> str:
    left_out = f"{words} {', '.join(detail[key])}" if detail.get(key) else ""
    until = f"until {str(detail['expires_at'])[:10]}" if detail.get("verdict") == "approved" else ""
    return " · ".join(part for part in (str(detail.get("reason", "")), left_out, until) if part)


def _failure(detail: Mapping[str, Any]) -> str:
    failure = detail.get("failure")
    return str(failure.get("message", "")) if isinstance(failure, Mapping) else ""
