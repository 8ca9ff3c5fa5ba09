"""Requests at the hub: submitted, mirrored from the sites' Reviews, started when all approve, ended by the Job.

The hub has no route that approves: a verdict enters only as a Review that a site signed and sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from synthema_core import moments
from synthema_core.analyses import from_plan
from synthema_core.canonical import Json
from synthema_core.card import Card
from synthema_core.errors import IntegrityFailure, InvalidPlan, NotFound, NotPermitted, SynthemaError, to_wire
from synthema_core.plan import Plan
from synthema_core.ports import Clock, Journal
from synthema_core.request import TERMINAL, Event, Request, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_ids, request_record
from synthema_core.review import Review, Verdict
from synthema_hub.service.records import SiteRecord

Listener = Callable[[str], None]


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

    def receive(self, identifier: str, site: str) -> None:
        """A site has the Request. Idempotent."""
        if site not in self.get(identifier).request.received:
            self._record(identifier, lambda now: Event(Verb.RECEIVE, site, Role.SITE, now, site))

    def mirror_review(self, review: Review, site: SiteRecord) -> None:
        """Record a Review that `site` sent. Idempotent.

        Raises
        ------
        IntegrityFailure
            Unless one of the site's announced stewards (or the site itself, by policy) signed it, for this Plan.
        """
        record = self.get(review.request)
        if review.site != site.name or review.plan_digest != record.plan.digest:
            raise IntegrityFailure("This Review is about another site or another Plan.")
        key = site.identity if review.by_policy else site.stewards.get(review.steward)
        if key is None:
            raise IntegrityFailure(f"'{review.steward}' is not a steward of '{site.name}'.")
        review.check_signature(key)
        if site.name in record.request.verdicts or record.request.status in TERMINAL:
            return
        role = Role.SITE if review.by_policy else Role.STEWARD
        approved = review.verdict is Verdict.APPROVED
        self._record(
            review.request,
            lambda _: Event(
                Verb.REVIEW, review.steward, role, review.decided_at, site.name, approved, review.to_dict()
            ),
        )

    def mirror_revocation(self, identifier: str, site: str, steward: str, at: str) -> None:
        """A steward took the approval back before the run. Idempotent."""
        moments.read(at)  # raises for what is none: the Journal keeps it for good
        if self.get(identifier).request.status not in TERMINAL:
            self._record(identifier, lambda _: Event(Verb.REVOKE, steward, Role.STEWARD, at, site))

    def withdraw(self, identifier: str, author: str) -> None:
        if self.get(identifier).request.author != author:
            raise NotPermitted("Only its author withdraws a request.")
        self._record(identifier, lambda now: Event(Verb.WITHDRAW, author, Role.RESEARCHER, now))

    def start(self, identifier: str, job: str, run: int) -> None:
        self._record(
            identifier, lambda now: Event(Verb.START, "hub", Role.HUB, now, detail={"job": job, "run": str(run)})
        )

    def release(self, identifier: str, release: Mapping[str, Json]) -> None:
        self._record(
            identifier, lambda now: Event(Verb.RELEASE, "hub", Role.HUB, now, detail={"release": dict(release)})
        )

    def fail(self, identifier: str, error: SynthemaError) -> None:
        failure: dict[str, Json] = {"failure": dict(to_wire(error))}
        self._record(identifier, lambda now: Event(Verb.FAIL, "hub", Role.HUB, now, detail=failure))

    def expire_old(self) -> None:
        """Record the expiry of every Request whose time has run out before it started."""
        for record in self.all():
            request = record.request
            waiting = request.status in (Status.SUBMITTED, Status.UNDER_REVIEW, Status.APPROVED)
            if waiting and moments.read(request.expires_at) <= self._clock():
                self._record(request.id, lambda now: Event(Verb.EXPIRE, "hub", Role.HUB, now))

    def by_job(self, job: str) -> RequestRecord:
        for record in self.all():
            if record.job == job:
                return record
        raise NotFound(f"There is no job '{job}'.")

    def _record(self, identifier: str, make: Callable[[str], Event]) -> None:
        with self._journal.writing() as journal:
            request = request_record(journal, identifier).request
            record_event(journal, request, make(moments.spell(self._clock())))
        self._tell(identifier)

    def _tell(self, identifier: str) -> None:
        for listener in self._listeners:
            listener(identifier)


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
