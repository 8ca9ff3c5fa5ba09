"""What the hub tells this site, taken into the site's own Journal after the site's own checks.

The hub is not believed: a Plan it shows counts for nothing until a steward of this site has signed a Review over its
digest, and a Release only if the hub's journalled key signed it. What the hub can do is end a Request.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthema_core.admission import admit
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidPlan, NotFound, Refused
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.release import Release
from synthema_core.request import TERMINAL, Event, Request, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.review import Review, Verdict
from synthema_datasite.service.site import Site

_log = logging.getLogger(__name__)
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing the hub says happened to a Request."""

    request: str
    verb: Verb
    actor: str
    site: str
    detail: Mapping[str, Any]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fact:
        try:
            return cls(
                request=str(data["request"]),
                verb=Verb(data["verb"]),
                actor=str(data["actor"]),
                site=str(data["site"]),
                detail=dict(data["detail"]),
            )
        except (KeyError, TypeError, ValueError):
            raise IntegrityFailure("The hub told a fact that cannot be read.") from None


class Intake:
    """Takes facts in, one transaction each. Idempotent: what is known already changes nothing."""

    def __init__(self, site: Site, hub_key: str) -> None:
        self._site, self._hub_key = site, hub_key

    def take(self, fact: Fact) -> None:
        """Record what follows from `fact` here.

        Raises
        ------
        IntegrityFailure, InvalidPlan
            For a fact that cannot be right. Nothing is recorded.
        """
        with self._site.journal.writing() as journal:
            record = _find(journal, fact.request, self._site.name)
            if fact.verb is Verb.SUBMIT:
                if record is None:
                    self._receive(journal, fact)
            elif record is not None and record.request.status not in TERMINAL:
                self._follow(journal, record, fact)

    def _receive(self, journal: JournalWriter, fact: Fact) -> None:
        plan = _plan_of(fact)
        request = Request(fact.request, plan.requester, frozenset({self._site.name}), plan.expires_at)
        detail: dict[str, Json] = {
            "plan": plan.to_dict(),
            "plan_digest": plan.digest,
            "name": str(fact.detail.get("name", ""))[:_LONGEST_NAME],
        }
        now, name = self._site.now(), self._site.name
        request = record_event(
            journal, request, Event(Verb.SUBMIT, plan.requester, Role.RESEARCHER, now, detail=detail)
        )
        request = record_event(journal, request, Event(Verb.RECEIVE, name, Role.SITE, now, name))
        try:
            admit(plan, self._site.facts(journal))
        except Refused as error:
            self._reject_by_policy(journal, request, plan.digest, error)

    def _reject_by_policy(self, journal: JournalWriter, request: Request, plan_digest: str, error: Refused) -> None:
        """A Plan that no steward could approve is sent back at once, with the rule's name."""
        now, policy = self._site.now(), self._site.state.policy()
        review = Review(
            request=request.id,
            plan_digest=plan_digest,
            site=self._site.name,
            steward=f"policy:{policy.digest}",
            verdict=Verdict.REJECTED,
            reason=f"{error} (rule '{error.rule}')",
            decided_at=now,
            expires_at=request.expires_at,
        ).signed(self._site.state.identity())
        event = Event(Verb.REVIEW, review.steward, Role.SITE, now, self._site.name, False, review.to_dict())
        record_event(journal, request, event)

    def _follow(self, journal: JournalWriter, record: RequestRecord, fact: Fact) -> None:
        now, status = self._site.now(), record.request.status
        if fact.verb is Verb.WITHDRAW:
            if status is not Status.RUNNING and fact.actor == record.request.author:
                record_event(journal, record.request, Event(Verb.WITHDRAW, fact.actor, Role.RESEARCHER, now))
        elif fact.verb is Verb.EXPIRE and status is not Status.RUNNING:
            record_event(journal, record.request, Event(Verb.EXPIRE, "hub", Role.HUB, now))
        elif fact.verb in (Verb.REJECT, Verb.REVOKE) and status in (Status.UNDER_REVIEW, Status.APPROVED):
            detail: dict[str, Json] = {"at_site": fact.site, "because": fact.verb.value}
            record_event(journal, record.request, Event(Verb.REJECT, fact.site or "hub", Role.HUB, now, detail=detail))
        elif fact.verb is Verb.FAIL and status in (Status.APPROVED, Status.RUNNING):
            detail = {"failure": fact.detail.get("failure")}
            record_event(journal, record.request, Event(Verb.FAIL, "hub", Role.HUB, now, detail=detail))
        elif fact.verb is Verb.RELEASE and status is Status.RUNNING:
            release = self._checked_release(record, fact)
            detail = {"release": release.id, "release_digest": release.digest}
            record_event(journal, record.request, Event(Verb.RELEASE, "hub", Role.HUB, now, detail=detail))

    def _checked_release(self, record: RequestRecord, fact: Fact) -> Release:
        release = Release.from_dict(fact.detail.get("release", {}))
        release.check_signature(self._hub_key)
        if (release.request, release.job, release.plan_digest) != (record.request.id, record.job, record.plan.digest):
            raise IntegrityFailure(f"The hub showed a Release for {record.request.id} that belongs to another job.")
        return release


def _find(journal: JournalReader, identifier: str, site: str) -> RequestRecord | None:
    try:
        return request_record(journal, identifier, site)
    except NotFound:
        return None


def _plan_of(fact: Fact) -> Plan:
    plan = Plan.from_dict(fact.detail.get("plan", {}))
    if fact.detail.get("plan_digest") != plan.digest:
        raise InvalidPlan(f"The hub showed a Plan for {fact.request} that does not match its digest.")
    return plan
