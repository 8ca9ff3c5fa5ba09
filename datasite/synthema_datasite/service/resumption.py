"""The Claim of a Job that was under way when this site's server ended, from its Journal. Nothing is charged again."""

from __future__ import annotations

from synthema_core.errors import Refused
from synthema_core.request import Status
from synthema_core.request_record import request_record
from synthema_core.staged import is_staged
from synthema_datasite.service.approvals import left_out
from synthema_datasite.service.claims import Claim, staged_file
from synthema_datasite.service.costs import spent_on
from synthema_datasite.service.earlier_cohorts import earlier_cohorts
from synthema_datasite.service.records import JOBS, dataset_records
from synthema_datasite.service.site import Site


def resumed(site: Site, job: str) -> Claim:
    """What this site claimed for that Job.

    Raises
    ------
    Refused
        If it claimed nothing, or the Job is over here.
    """
    entries = site.journal.entries(JOBS + job)
    if not entries or not site.state.job_folder(job).exists():
        raise _not_open()
    record = request_record(site.journal, str(entries[0].body["request"]), site.name)
    summed = is_staged(record.plan.analysis)
    if record.job != job or record.request.status is not (Status.SUMMING if summed else Status.RUNNING):
        raise _not_open()
    return Claim(
        job,
        record.request.id,
        record.plan,
        dataset_records(site.journal)[record.plan.participant(site.name).dataset],
        left_out(record),
        staged_file(site, record) if summed else None,
        spent=spent_on(site, site.journal, record.plan),
        earlier_cohorts=earlier_cohorts(site, site.journal, record),
    )


def _not_open() -> Refused:
    return Refused("This job is not open at this site.", rule="protocol")
