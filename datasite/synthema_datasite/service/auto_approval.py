"""Approvals that the hospital's Policy gives by itself, signed by the site's own key in the Policy's name."""

from __future__ import annotations

from collections.abc import Iterator

from synthema_core import moments
from synthema_core.admission import admit
from synthema_core.auto_approval import why_a_steward
from synthema_core.charging import charge_of
from synthema_core.errors import Refused
from synthema_core.plan import Mode
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.request import Event, Request, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.review import Review, Verdict
from synthema_datasite.service.allowance import check_room
from synthema_datasite.service.decisions import limits_of
from synthema_datasite.service.readings import check_may_read
from synthema_datasite.service.records import known_identities, request_records
from synthema_datasite.service.site import Site
from synthema_datasite.service.stored_answers import stored_answer

POLICY = "policy:"
"""What a Review's steward begins with where the Policy decided; its digest follows."""


def decide(journal: JournalWriter, site: Site, request: Request) -> None:
    """Approve the Request if the Policy says so; else leave it to the stewards. Call when it has been received."""
    record = request_record(journal, request.id, site.name)
    if record.request.status is not Status.UNDER_REVIEW or _why_a_steward(journal, site, record):
        return
    policy, now = site.state.policy(), site.decided_at(journal)
    stored = stored_answer(journal, site.name, record)
    ends = moments.days_later(now, limits_of(site, record).approval_days)
    review = Review(
        request=request.id,
        plan_digest=record.plan.digest,
        site=site.name,
        steward=POLICY + policy.digest,
        verdict=Verdict.APPROVED,
        reason="Within the limits that this site approves by itself.",
        decided_at=now,
        expires_at=min(record.plan.expires_at, ends, key=moments.read),
        answered_by=stored.request if stored else "",
    ).signed(site.state.identity())
    event = Event(Verb.REVIEW, review.steward, Role.SITE, now, site.name, True, review.to_dict())
    record_event(journal, record.request, event)


def _why_a_steward(journal: JournalReader, site: Site, record: RequestRecord) -> str:
    plan, limits = record.plan, limits_of(site, record)
    try:
        analysis = admit(plan, site.facts(journal))
        site.decided_at(journal)
        known = {site.name, *known_identities(journal)}
        why = why_a_steward(plan, analysis, limits, known=known, exact_before=_exact_before(journal, site, record))
        mechanism = charge_of(plan, analysis)
        if why or mechanism is None:
            return why
        read_again = stored_answer(journal, site.name, record) is not None
        check_room(site, journal, plan, mechanism, reading=read_again)
        if read_again:
            check_may_read(site, journal, record)
    except Refused as error:
        return str(error)
    return "The request has expired." if moments.read(plan.expires_at) <= site.clock() else ""


def _exact_before(journal: JournalReader, site: Site, record: RequestRecord) -> Iterator[str]:
    """The exact questions about this Dataset that were ever approved here, whatever became of them."""
    dataset = record.plan.participant(site.name).dataset
    for other in request_records(journal, site.name):
        approved = other.last(Verb.APPROVE) is not None and other.plan.mode is Mode.EXACT
        if approved and other.request.id != record.request.id and other.plan.participant(site.name).dataset == dataset:
            yield other.plan.question_digest
