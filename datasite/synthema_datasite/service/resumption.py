"""The Claim of a Job that was under way when this site's server ended, from its Journal. Nothing is charged again."""

from __future__ import annotations

from synthema_core.errors import Refused
from synthema_core.request import Status, Verb
from synthema_core.request_record import RequestRecord, request_record
from synthema_core.staged import is_staged
from synthema_datasite.service.approvals import left_out
from synthema_datasite.service.claims import JOBS, Claim, StagedFile
from synthema_datasite.service.records import dataset_records
from synthema_datasite.service.site import Site
from synthema_datasite.store.paths import output_path


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
    dataset = dataset_records(site.journal)[record.plan.participant(site.name).dataset]
    staged = _staged(site, record) if summed else None
    spent = _spent(site, dataset.facts.name) if record.plan.privacy else None
    return Claim(job, record.request.id, record.plan, dataset, left_out(record), staged, spent=spent)


def _spent(site: Site, dataset: str) -> float:
    policy = site.state.policy()
    return site.ledger.account(site.journal, policy, policy.patients_of(dataset)).standing.cumulative_epsilon


def _staged(site: Site, record: RequestRecord) -> StagedFile:
    event = record.last(Verb.STAGE)
    if event is None:
        raise Refused("Nothing of this request is staged here.", rule="clearance")
    return StagedFile(output_path(site.state.staged_folder(record.request.id)), str(event.detail["sha256"]))


def _not_open() -> Refused:
    return Refused("This job is not open at this site.", rule="protocol")
