"""Whom earlier exact answers about a Dataset were about: what the Cohort of a new one is held against."""

from __future__ import annotations

from synthema_core.analyses import find
from synthema_core.code.questions import CodeQuestion
from synthema_core.cohort import Cohort
from synthema_core.errors import NotFound
from synthema_core.plan import Mode, Plan
from synthema_core.ports import JournalReader
from synthema_core.request import Verb
from synthema_core.request_record import RequestRecord
from synthema_core.staged import is_staged
from synthema_datasite.service.records import JOBS, NOT_BEGUN, request_records
from synthema_datasite.service.site import Site


def earlier_cohorts(site: Site, journal: JournalReader, record: RequestRecord) -> tuple[Cohort, ...]:
    """Each once, of every exact Job on the same Dataset that has begun here, whichever version it read.

    Also of those that failed: what their Rounds summed is known to the hub. Not of those that this site's worker
    refused. None for Plans that are not held against others: private ones, and what a steward looked at before it left.
    """
    if not _is_compared(record.plan):
        return ()
    dataset = record.plan.participant(site.name).dataset
    begun = (
        other.plan
        for other in request_records(journal, site.name)
        if other.request.id != record.request.id
        and _has_begun(journal, other)
        and _is_compared(other.plan)
        and other.plan.participant(site.name).dataset == dataset
    )
    return tuple(dict.fromkeys(plan.cohort for plan in begun))


def _has_begun(journal: JournalReader, record: RequestRecord) -> bool:
    started = record.last(Verb.START)
    if started is None:
        return False
    return all(entry.kind != NOT_BEGUN for entry in journal.entries(JOBS + str(started.detail["job"])))


def _is_compared(plan: Plan) -> bool:
    """Whether its numbers are exact sums of the built-in analyses."""
    if plan.mode is not Mode.EXACT or is_staged(plan.analysis):
        return False
    try:
        return not issubclass(find(plan.analysis), CodeQuestion)
    except NotFound:  # an analysis that was offered here once
        return True
