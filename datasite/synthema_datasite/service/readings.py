"""A stored answer is handed on: who reads it is charged here, against their own limits; the patients' Budget is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_core.analyses import from_plan
from synthema_core.canonical import Json
from synthema_core.charging import charge_of
from synthema_core.errors import IntegrityFailure
from synthema_core.journal import Draft
from synthema_core.ledger import Charge, Spent, SubLimit, folded_purpose
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.privacy.mechanisms import Mechanism
from synthema_core.release import Release
from synthema_core.request import LIFECYCLE, Event, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event
from synthema_datasite.service.records import BUDGETS, CHARGE, request_records
from synthema_datasite.service.site import Site
from synthema_datasite.service.stored_answers import answer_handed_on, has_read, is_reading


def check_may_read(site: Site, journal: JournalReader, record: RequestRecord) -> None:
    """Raise BudgetSpent unless the reader's and the purpose's limits have room, with all readings that are promised.

    Nobody is asked once more when the answer is handed on. Call inside the transaction that approves.
    """
    plan = record.plan
    cost = _cost(plan)
    if cost is None:
        return
    policy, dataset = site.state.policy(), plan.participant(site.name).dataset
    look = site.ledger.look(journal, policy, dataset, plan.requester, plan.purpose)
    limits, budget = policy.for_dataset(dataset), look.standing.budget
    promised = [other.plan for other in _promised(site, journal, policy.patients_of(dataset))]
    for rule, most, spent, mine in (
        (SubLimit.RESEARCHER, limits.epsilon_per_researcher, look.requester, _same_requester),
        (SubLimit.PURPOSE, limits.epsilon_per_purpose, look.purpose, _same_purpose),
    ):
        for other in promised:
            spent = spent + (_cost(other) or Spent.nothing()) if mine(other, plan) else spent
        SubLimit(rule, most).check_room(budget, spent, cost)


def _promised(site: Site, journal: JournalReader, patients: str) -> Iterator[RequestRecord]:
    """Readings that are approved here, of answers about the same patients, and not handed on yet."""
    policy = site.state.policy()
    for record in request_records(journal, site.name):
        reading = record.request.status is Status.APPROVED and is_reading(record)
        if reading and policy.patients_of(record.plan.participant(site.name).dataset) == patients:
            yield record


def _same_requester(one: Plan, other: Plan) -> bool:
    return one.requester == other.requester


def _same_purpose(one: Plan, other: Plan) -> bool:
    return folded_purpose(one.purpose) == folded_purpose(other.purpose)


def take(
    journal: JournalWriter, site: Site, record: RequestRecord, release: Release, detail: Mapping[str, Any]
) -> None:
    """Charge the reading and end the Request. Idempotent.

    The hub has handed the answer on by now, so the Charge is recorded whatever became of the Request here since this
    site approved: a limit that does not count what is known is none.

    Parameters
    ----------
    release
        Signed by the hub for this very Request.
    detail
        The fact's: ``stored_digest`` is that of the Release whose numbers these are.

    Raises
    ------
    IntegrityFailure
        If this site never approved the Request, or knows nothing of that answer and is in its sum.
    """
    if record.last(Verb.REUSE) is not None or _is_charged(journal, site, record):
        return
    if record.last(Verb.APPROVE) is None:
        raise IntegrityFailure(f"The hub handed on an answer to {record.request.id}, which this site never approved.")
    answer = answer_handed_on(journal, site.name, record, release, str(detail.get("stored_digest")))
    if answer is not None and not has_read(journal, site.name, record, answer):
        _charge(journal, site, record, answer.record.job or "")
    if (record.request.status, Verb.REUSE) in LIFECYCLE:
        told: dict[str, Json] = {
            "release": release.id,
            "release_digest": release.digest,
            "reused_from": release.reused_from,
        }
        record_event(journal, record.request, Event(Verb.REUSE, "hub", Role.HUB, site.now(), detail=told))


def _charge(journal: JournalWriter, site: Site, record: RequestRecord, job: str) -> None:
    """As much as the answer cost, to its reader. Its Budget was opened when it was charged to the patients."""
    plan = record.plan
    mechanism = _mechanism(plan)
    if mechanism is None:
        return
    dataset = plan.participant(site.name).dataset
    charge = Charge.of(
        mechanism, at=site.now(), request=record.request.id, job=job, plan=plan, dataset=dataset, reading=True
    )
    journal.append(Draft(BUDGETS + dataset, CHARGE, site.name, charge.at, charge.to_dict()))


def _is_charged(journal: JournalReader, site: Site, record: RequestRecord) -> bool:
    dataset = record.plan.participant(site.name).dataset
    return any(entry.body.get("request") == record.request.id for entry in journal.entries(BUDGETS + dataset))


def _mechanism(plan: Plan) -> Mechanism | None:
    return charge_of(plan, from_plan(plan.analysis, plan.parameters))


def _cost(plan: Plan) -> Spent | None:
    mechanism = _mechanism(plan)
    return None if mechanism is None else Spent.of(mechanism)
