"""What requests like this one came to at this site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from synthema_core.request_record import RequestRecord
from synthema_datasite.service.register import Line

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Similar:
    """Earlier Requests that share `what` with one, newest first: `outcomes` counts all of them, `lines` shows some."""

    what: str
    outcomes: str
    lines: tuple[Line, ...]


def similar_requests(record: RequestRecord, lines: Sequence[Line]) -> list[Similar]:
    """By what they share; the closest first, groups of none left out."""
    this = next(line for line in lines if line.id == record.request.id)
    others = [line for line in reversed(lines) if line.id != this.id]
    groups = {
        "The same question, word for word": [one for one in others if one.question_digest == this.question_digest],
        "The same code": [one for one in others if this.code_digest and one.code_digest == this.code_digest],
        f"By {this.requester}": [one for one in others if one.requester == this.requester],
    }
    return [Similar(what, _outcomes(found), tuple(found[:_SHOWN])) for what, found in groups.items() if found]


def _outcomes(lines: Sequence[Line]) -> str:
    """``3 released, 1 rejected``."""
    counts = Counter(line.status for line in lines)
    return ", ".join(f"{count} {status.value.replace('_', ' ')}" for status, count in counts.most_common())
