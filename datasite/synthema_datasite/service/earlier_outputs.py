"""What this site has contributed before from the same Dataset, by code: what the checks hold a new output against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthema_core.analyses import from_plan
from synthema_core.code.outputs import Outputs
from synthema_core.code.questions import Aggregate
from synthema_core.code.shapes import AGGREGATE, shape_of
from synthema_core.ports import JournalReader
from synthema_core.request import Status, Verb
from synthema_core.request_record import RequestRecord
from synthema_datasite.service.approvals import left_out
from synthema_datasite.service.records import request_records
from synthema_datasite.service.site import Site
from synthema_datasite.store.paths import output_path

_GONE_OUT = frozenset({Status.CLEARED, Status.SUMMING, Status.RELEASED})
_MOST = 50


@dataclass(frozen=True, slots=True)
class EarlierOutput:
    """One of them, as a file.

    Parameters
    ----------
    label
        Name and id of its Request.
    left_out
        What of it this site kept back.
    """

    label: str
    path: Path
    sha256: str
    outputs: Outputs
    left_out: tuple[str, ...]


def earlier_outputs(site: Site, journal: JournalReader, record: RequestRecord) -> tuple[EarlierOutput, ...]:
    """The newest of the same Dataset that are released or will be, whichever version of it they were made from."""
    dataset = record.plan.participant(site.name).dataset
    found = [
        _as_file(site, other)
        for other in reversed(request_records(journal, site.name))
        if other.request.status in _GONE_OUT
        and shape_of(other.plan.analysis) == AGGREGATE
        and other.plan.participant(site.name).dataset == dataset
    ]
    return tuple(output for output in found[:_MOST] if output is not None)


def _as_file(site: Site, record: RequestRecord) -> EarlierOutput | None:
    question, staged = from_plan(record.plan.analysis, record.plan.parameters), record.last(Verb.STAGE)
    if staged is None or not isinstance(question, Aggregate):
        return None
    path = output_path(site.state.staged_folder(record.request.id))
    label = f"{record.name or question.code.function} ({record.request.id})"
    return EarlierOutput(label, path, str(staged.detail["sha256"]), question.outputs, left_out(record))
