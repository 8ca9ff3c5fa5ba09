"""Requests at the hub: submitted, answered and withdrawn by their authors, started and ended by the hub.

The hub has no route that approves or clears: such verdicts enter only as what sites sent, see `mirror`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from synthema_core import moments
from synthema_core.analyses import from_plan
from synthema_core.canonical import Json
from synthema_core.card import Card
from synthema_core.errors import (
    InvalidInput,
    InvalidPlan,
    NotFound,
    NotPermitted,
    SynthemaError,
    TransitionDenied,
    to_wire,
)
from synthema_core.plan import Plan
from synthema_core.ports import Clock, Journal
from synthema_core.request import WAITING, Event, Request, Role, Verb
from synthema_core.request_record import RequestRecord, record_event, request_ids, request_record

Listener = Callable[[str], None]
Decision = Callable[[RequestRecord, str], Event | None]
"""(the Request as it is inside the transaction, now) -> what happens to it; None: nothing, it has happened before."""

_LONGEST_TEXT = 4_000


class Requests:
    """Every mutation appends the event it is about, decided inside the transaction that records it."""

    def __init__(self, journal: Journal, clock: Clock, new_id: Callable[[], str]) -> None:
        self._journal, self._clock, self._new_id = journal, clock, new_id
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener(request id)` after every recorded change."""
        self._listeners.append(listener)

    def get(self, identifier: str) -> RequestRecord:
        return request_record(self._journal, identifier)

    def all(self) -> list[RequestRecord]:
        return [self.get(identifier) for identifier in request_ids(self._journal)]

    def submit(self, plan: Plan, name: str, author: str, cards: list[Card]) -> str:
        """Record a Plan as a Request; return its id.

        Raises
        ------
        NotPermitted
            If the Plan names another requester than the one who submits.
        InvalidPlan
            If it does not match what the sites have announced.
        """
        if plan.requester != author:
            raise NotPermitted(f"The Plan names '{plan.requester}' as its requester.", "Submit your own Plans.")
        _check_against_cards(plan, cards)
        identifier, now = self._new_id(), moments.spell(self._clock())
        request = Request(identifier, author, frozenset(plan.sites), plan.expires_at)
        detail: dict[str, Json] = {"plan": plan.to_dict(), "plan_digest": plan.digest, "name": name}
        event = Event(Verb.SUBMIT, author, Role.RESEARCHER, now, detail=detail)
        with self._journal.writing() as journal:
            record_event(journal, request, event)
        self._tell(identifier)
        return identifier

    def answer(self, identifier: str, author: str, text: str) -> None:
        """The author's answer to what stewards have asked; every site is told."""
        detail: dict[str, Json] = {"text": checked_text(text, "An answer")}

        def answered(record: RequestRecord, now: str) -> Event:
            if record.request.author != author:
                raise NotPermitted("Only its author answers for a request.")
            if record.last(Verb.ASK) is None:
                raise TransitionDenied("No steward has asked anything about this request.")
            return Event(Verb.ANSWER, author, Role.RESEARCHER, now, detail=detail)

        self.record(identifier, answered)

    def withdraw(self, identifier: str, author: str) -> None:
        def withdrawn(record: RequestRecord, now: str) -> Event:
            if record.request.author != author:
                raise NotPermitted("Only its author withdraws a request.")
            return Event(Verb.WITHDRAW, author, Role.RESEARCHER, now)

        self.record(identifier, withdrawn)

    def start(self, identifier: str, verb: Verb, job: str, run: str) -> None:
        """A Job begins: START, or SUM of what was staged.

        Parameters
        ----------
        run
            Flower's number of it; empty where the sites run code by themselves.
        """
        detail: dict[str, Json] = {"job": job, "run": run}
        self.record(identifier, lambda _, now: Event(verb, "hub", Role.HUB, now, detail=detail))

    def release(self, identifier: str, release: Mapping[str, Json]) -> None:
        detail: dict[str, Json] = {"release": dict(release)}
        self.record(identifier, lambda _, now: Event(Verb.RELEASE, "hub", Role.HUB, now, detail=detail))

    def reuse(self, identifier: str, release: Mapping[str, Json], stored_digest: str) -> None:
        """The stored Release of that digest is handed on as this one, while the approvals stand."""
        detail: dict[str, Json] = {"release": dict(release), "stored_digest": stored_digest}

        def reused(record: RequestRecord, now: str) -> Event | None:
            return None if self._is_old(record) else Event(Verb.REUSE, "hub", Role.HUB, now, detail=detail)

        self.record(identifier, reused)

    def fail(self, identifier: str, error: SynthemaError) -> None:
        failure: dict[str, Json] = {"failure": dict(to_wire(error))}
        self.record(identifier, lambda _, now: Event(Verb.FAIL, "hub", Role.HUB, now, detail=failure))

    def expire_old(self) -> None:
        """Record the expiry of every Request whose time has run out while it waited."""
        for record in self.all():
            if self._is_old(record):
                self.record(
                    record.request.id,
                    lambda now_as, now: Event(Verb.EXPIRE, "hub", Role.HUB, now) if self._is_old(now_as) else None,
                )

    def _is_old(self, record: RequestRecord) -> bool:
        request = record.request
        return request.status in WAITING and moments.read(request.expires_at) <= self._clock()

    def by_job(self, job: str) -> RequestRecord:
        for record in self.all():
            if record.job == job:
                return record
        raise NotFound(f"There is no job '{job}'.")

    def record(self, identifier: str, decision: Decision) -> None:
        """Append what `decision` says has happened, if the life cycle allows it; all in one transaction."""
        with self._journal.writing() as journal:
            record = request_record(journal, identifier)
            event = decision(record, moments.spell(self._clock()))
            if event is None:
                return
            record_event(journal, record.request, event)
        self._tell(identifier)

    def _tell(self, identifier: str) -> None:
        for listener in self._listeners:
            listener(identifier)


def checked_text(text: str, what: str) -> str:
    """What somebody wrote for others to read, if it says something and is no longer than a page."""
    if not text.strip():
        raise InvalidInput(f"{what} needs a text.")
    if len(text) > _LONGEST_TEXT:
        raise InvalidInput(f"{what} has at most {_LONGEST_TEXT:,} characters.", "Shorten it.")
    return text


def _check_against_cards(plan: Plan, cards: list[Card]) -> None:
    """A Plan that no site could accept is sent back at once; the sites check again, on their own facts."""
    from_plan(plan.analysis, plan.parameters)
    offered: dict[tuple[str, str, int], Card] = {(card.site, card.dataset, card.version): card for card in cards}
    for participant in plan.participants:
        card = offered.get((participant.site, participant.dataset, participant.version))
        if card is None:
            raise InvalidPlan(
                f"'{participant.site}' does not offer version {participant.version} of '{participant.dataset}'.",
                "Plan again with `%fed catalogue` at hand.",
            )
        stated: dict[str, Any] = {"identity": card.identity, "commitment": card.commitment}
        if replace(participant, **stated) != participant or plan.schema != card.schema.digest:
            raise InvalidPlan(f"The Plan states another key or content for '{participant.site}' than its Card.")
        if plan.engine != card.engine:
            raise InvalidPlan(f"'{participant.site}' now runs another engine version.", "Plan again.")
