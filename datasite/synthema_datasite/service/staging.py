"""What waits for a release decision: put away by the run, looked at by stewards, summed when they have cleared it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthema_core.analyses import from_plan
from synthema_core.canonical import Json
from synthema_core.code.outputs import Arrays, Outputs
from synthema_core.commitment import output_commitment
from synthema_core.errors import InvalidPlan, NotFound
from synthema_core.request import Event, Role, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.secure_sum.layout import Floats
from synthema_core.staged import StagedQuestion
from synthema_datasite.service.claims import Claim
from synthema_datasite.service.site import Site


@dataclass(frozen=True, slots=True)
class Staged:
    """One site's output of a Plan's code or model, with what its reviewer should know.

    Parameters
    ----------
    commitment
        What a Clearance names it by.
    findings
        Of the disclosure checks, as JSON: kind, severity, output, cells, message.
    suggestion
        Cells that the checks would leave out.
    log
        What the code printed. May hold anything: for stewards' eyes, as text.
    left_out_each
        Whether it was tried what hangs on each single patient.
    """

    commitment: str
    outputs: Outputs
    arrays: Arrays
    findings: tuple[Mapping[str, Any], ...]
    suggestion: tuple[str, ...]
    log: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    left_out_each: bool


def stage(site: Site, claim: Claim, values: Floats, report: Mapping[str, Json]) -> None:
    """Put the output away and record that it waits. The Journal is written last: what it names is on disk."""
    from synthema_datasite.store.staged import write_output, write_report

    question = _question(claim)
    folder = site.state.staged_folder(claim.request)
    sha256 = write_output(folder, values, question.outputs)
    detail: dict[str, Json] = {
        "output": output_commitment(site.state.salt(), sha256, claim.plan.digest),
        "sha256": sha256,
        "report": write_report(folder, report),
        "job": claim.job,
    }
    with site.journal.writing() as journal:
        record = request_record(journal, claim.request, site.name)
        event = Event(Verb.STAGE, site.name, Role.SITE, site.now(), site.name, detail=detail)
        record_event(journal, record.request, event)


def staged_output(site: Site, record: RequestRecord) -> Staged:
    """What is staged of that Request.

    Raises
    ------
    NotFound
        If nothing is, or not any more.
    IntegrityFailure
        If it is not what the run put there.
    """
    from synthema_datasite.store.paths import output_path
    from synthema_datasite.store.staged import read_arrays, read_report

    event = record.last(Verb.STAGE)
    if event is None:
        raise NotFound(f"Nothing of the request {record.request.id} is staged here.")
    folder, detail = site.state.staged_folder(record.request.id), event.detail
    report = read_report(folder, str(detail["report"]))
    question = from_plan(record.plan.analysis, record.plan.parameters)
    if not isinstance(question, StagedQuestion):
        raise NotFound(f"The request {record.request.id} has no release decision.")
    return Staged(
        commitment=str(detail["output"]),
        outputs=question.outputs,
        arrays=read_arrays(output_path(folder), str(detail["sha256"])),
        findings=tuple(report["findings"]),
        suggestion=tuple(report["suggestion"]),
        log=str(report["log"]),
        cpu_seconds=float(report["cpu_seconds"]),
        wall_seconds=float(report["wall_seconds"]),
        peak_bytes=int(report["peak_bytes"]),
        left_out_each=bool(report["left_out_each"]),
    )


def run_log(site: Site, record: RequestRecord) -> str:
    """What the code printed in its run here, and the error that ended it; empty if there is nothing."""
    from synthema_datasite.store.staged import read_report

    for event in reversed(record.events):
        if "report" in event.detail and event.role is Role.SITE:
            report = read_report(site.state.staged_folder(record.request.id), str(event.detail["report"]))
            return str(report.get("log", ""))
    return ""


def _question(claim: Claim) -> StagedQuestion:
    question = from_plan(claim.plan.analysis, claim.plan.parameters)
    if not isinstance(question, StagedQuestion):
        raise InvalidPlan("Only what has a release decision is staged.")
    return question
