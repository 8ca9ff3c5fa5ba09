"""A Request as a Journal keeps it: its events as entries of one stream, its Plan in the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthema_core.errors import NotFound
from synthema_core.journal import Draft, Entry
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.request import Event, Request, Role, Verb, decide, fold

REQUESTS = "request/"


def draft_of(request: str, event: Event) -> Draft:
    """The event as a Journal entry."""
    body = {"role": event.role.value, "site": event.site, "verdict": event.verdict, "detail": dict(event.detail)}
    return Draft(REQUESTS + request, event.verb.value, event.actor, event.at, body)


def event_of(entry: Entry) -> Event:
    body: Mapping[str, Any] = entry.body
    return Event(
        Verb(entry.kind), entry.actor, Role(body["role"]), entry.at, body["site"], body["verdict"], body["detail"]
    )


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A Request with its Plan and history."""

    request: Request
    plan: Plan
    name: str
    events: tuple[Event, ...]

    def last(self, verb: Verb) -> Event | None:
        return next((event for event in reversed(self.events) if event.verb is verb), None)

    @property
    def released(self) -> Event | None:
        """The fact that gave it a Release: its own Job's, or the stored one of a question answered before."""
        return self.last(Verb.RELEASE) or self.last(Verb.REUSE)

    @property
    def begun(self) -> Event | None:
        """The start of the last Job: of the sum, where code was run and staged before it."""
        return self.last(Verb.SUM) or self.last(Verb.START)

    @property
    def job(self) -> str | None:
        return str(self.begun.detail["job"]) if self.begun else None


def request_ids(journal: JournalReader) -> list[str]:
    """Of all Requests, oldest first."""
    return [stream.removeprefix(REQUESTS) for stream in journal.streams(REQUESTS)]


def request_record(journal: JournalReader, identifier: str, site: str = "") -> RequestRecord:
    """The Request of that id, or NotFound.

    Parameters
    ----------
    site
        At a site: its own name. There its own verdict alone decides.
    """
    events = tuple(event_of(entry) for entry in journal.entries(REQUESTS + identifier))
    if not events:
        raise NotFound(f"There is no request '{identifier}'.", "List them to see their names.")
    detail: Mapping[str, Any] = events[0].detail
    plan = Plan.from_dict(detail["plan"])
    sites = frozenset({site} if site else plan.sites)
    request = Request(identifier, plan.requester, sites, plan.expires_at)
    return RequestRecord(fold(request, events), plan, str(detail.get("name", "")), events)


def record_event(journal: JournalWriter, request: Request, event: Event) -> Request:
    """Decide, and append every fact that follows; the Request afterwards. Call inside the transaction."""
    facts = decide(request, event)
    after = fold(request, facts)
    for fact in facts:
        journal.append(draft_of(request.id, fact))
    return after
