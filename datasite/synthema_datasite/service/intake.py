"""What the hub tells this site, taken into the site's own Journal after the site's own checks.

The hub is not believed: a Plan it shows counts for nothing until a steward of this site has signed a Review over its
digest, and a Release only if the hub's journalled key signed it. What the hub can do is end a Request, say what its
author answered, say when code with a release decision may begin, and hand on an answer that this site helped to give.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synthema_core.admission import admit
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidPlan, NotFound, Refused
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.release import Release
from synthema_core.request import LIFECYCLE, TERMINAL, Event, Request, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.review import Review, Verdict
from synthema_core.staged import is_staged
from synthema_datasite.service import auto_approval, readings
from synthema_datasite.service.site import Site

_log = logging.getLogger(__name__)
_LONGEST_NAME = 80
_LONGEST_ANSWER = 4_000
_LONGEST_MOMENT = 40

BeginRun = Callable[[str, str], None]
"""Begin the run of that Request's code, as that job. Returns at once; told again, it does nothing."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing the hub says happened to a Request.

    Parameters
    ----------
    at
        When, by the hub's clock: tells two answers of the same words apart. Empty where the hub does not say.
    """

    request: str
    verb: Verb
    actor: str
    site: str
    detail: Mapping[str, Any]
    at: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fact:
        try:
            return cls(
                request=str(data["request"]),
                verb=Verb(data["verb"]),
                actor=str(data["actor"]),
                site=str(data["site"]),
                detail=dict(data["detail"]),
                at=str(data.get("at", ""))[:_LONGEST_MOMENT],
            )
        except (KeyError, TypeError, ValueError):
            raise IntegrityFailure("The hub told a fact that cannot be read.") from None


class Intake:
    """Takes facts in, one transaction each. Idempotent: what is known already changes nothing.

    Parameters
    ----------
    begin_run
        Called when the hub says that every site has approved code with a release decision, and as long as this site's
        approval is unused. It makes its own checks, and uses the approval up.
    """

    def __init__(self, site: Site, hub_key: str, begin_run: BeginRun) -> None:
        self._site, self._hub_key, self._begin_run = site, hub_key, begin_run

    def take(self, fact: Fact) -> None:
        """Record what follows from `fact` here.

        Raises
        ------
        IntegrityFailure, InvalidPlan
            For a fact that cannot be right. Nothing is recorded.
        """
        if fact.verb is Verb.START:
            self._begin(fact)
            return
        with self._site.journal.writing() as journal:
            record = _find(journal, fact.request, self._site.name)
            if fact.verb is Verb.SUBMIT:
                if record is None:
                    self._receive(journal, fact)
            elif record is not None and fact.verb is Verb.REUSE:
                readings.take(journal, self._site, record, self._handed_on(record, fact), fact.detail)
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
            return
        auto_approval.decide(journal, self._site, request)

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

    def _begin(self, fact: Fact) -> None:
        """Outside of any transaction: the run's claim makes its own."""
        record = _find(self._site.journal, fact.request, self._site.name)
        job = fact.detail.get("job")
        if record is None or not _is_staged(record) or record.request.status is not Status.APPROVED:
            return
        if not isinstance(job, str) or not job:
            raise IntegrityFailure(f"The hub began a run of {fact.request} without a job.")
        self._begin_run(fact.request, job)

    def _follow(self, journal: JournalWriter, record: RequestRecord, fact: Fact) -> None:
        event = self._event_of(record, fact)
        if event is not None and (record.request.status, event.verb) in LIFECYCLE:
            record_event(journal, record.request, event)

    def _event_of(self, record: RequestRecord, fact: Fact) -> Event | None:
        """What the fact comes to at this site, were it to be recorded."""
        now, author = self._site.now(), record.request.author
        if fact.verb is Verb.WITHDRAW:
            return Event(Verb.WITHDRAW, author, Role.RESEARCHER, now) if fact.actor == author else None
        if fact.verb is Verb.EXPIRE:
            return Event(Verb.EXPIRE, "hub", Role.HUB, now)
        if fact.verb in (Verb.REJECT, Verb.REVOKE, Verb.WITHHOLD):
            return self._ended_elsewhere(record, fact, now)
        if fact.verb is Verb.FAIL:
            return Event(Verb.FAIL, "hub", Role.HUB, now, detail={"failure": fact.detail.get("failure")})
        if fact.verb is Verb.ANSWER:
            return _answer(record, fact, now)
        if fact.verb is Verb.RELEASE and record.request.status is _summing(record):
            release = self._checked_release(record, fact)
            detail: dict[str, Json] = {"release": release.id, "release_digest": release.digest}
            return Event(Verb.RELEASE, "hub", Role.HUB, now, detail=detail)
        return None

    @staticmethod
    def _ended_elsewhere(record: RequestRecord, fact: Fact, now: str) -> Event | None:
        """Another site said no: before the run that is a rejection, after it nothing may be summed any more."""
        if record.request.status in (Status.UNDER_REVIEW, Status.APPROVED):
            verb = Verb.REJECT
        elif _is_staged(record):
            verb = Verb.WITHHOLD
        else:
            return None
        detail: dict[str, Json] = {"at_site": fact.site, "because": fact.verb.value}
        return Event(verb, fact.site or "hub", Role.HUB, now, detail=detail)

    def _checked_release(self, record: RequestRecord, fact: Fact) -> Release:
        release = self._signed_release(fact)
        if (release.request, release.job, release.plan_digest) != (record.request.id, record.job, record.plan.digest):
            raise IntegrityFailure(f"The hub showed a Release for {record.request.id} that belongs to another job.")
        return release

    def _handed_on(self, record: RequestRecord, fact: Fact) -> Release:
        release, plan = self._signed_release(fact), record.plan
        told = release.request, release.plan_digest, release.question_digest, release.requester
        if told != (record.request.id, plan.digest, plan.question_digest, plan.requester) or not release.reused_from:
            raise IntegrityFailure(f"The hub handed on an answer to {record.request.id} that is not for it.")
        return release

    def _signed_release(self, fact: Fact) -> Release:
        release = Release.from_dict(fact.detail.get("release", {}))
        release.check_signature(self._hub_key)
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


def _is_staged(record: RequestRecord) -> bool:
    """Whether it runs apart from the sum, with a release decision in between."""
    return is_staged(record.plan.analysis)


def _summing(record: RequestRecord) -> Status:
    """The status in which a Job makes the sum that can be released."""
    return Status.SUMMING if _is_staged(record) else Status.RUNNING


def _answer(record: RequestRecord, fact: Fact, now: str) -> Event | None:
    """The author's words to the stewards; None if they are here already, or somebody else's."""
    text = fact.detail.get("text")
    if fact.actor != record.request.author or not isinstance(text, str):
        return None
    detail: dict[str, Json] = {"text": text[:_LONGEST_ANSWER], "told_at": fact.at}
    known = any(event.verb is Verb.ANSWER and event.detail == detail for event in record.events)
    return None if known else Event(Verb.ANSWER, fact.actor, Role.RESEARCHER, now, detail=detail)
