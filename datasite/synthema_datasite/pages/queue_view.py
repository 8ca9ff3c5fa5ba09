"""The queue: what waits for this site's stewards, then all that is decided; filtered, and a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from synthema_core.request import Status
from synthema_datasite.service.register import Line

PER_PAGE = 50
STATUSES = tuple(status for status in Status if status not in (Status.DRAFT, Status.SUBMITTED))


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; empty parts show everything."""

    status: str = ""
    who: str = ""
    text: str = ""

    def keeps(self, line: Line) -> bool:
        texts = f"{line.purpose}\n{line.name}\n{line.id}\n{line.dataset}\n{line.analysis}".casefold()
        return (
            self.status in ("", line.status.value)
            and self.who.strip().casefold() in line.requester.casefold()
            and self.text.strip().casefold() in texts
        )

    @property
    def is_set(self) -> bool:
        return any(asdict(self).values())

    def address(self, page: int) -> str:
        """Of that page of the queue."""
        parts = {name: value for name, value in {**asdict(self), "page": page}.items() if value and value != 1}
        return f"/?{urlencode(parts)}" if parts else "/"


@dataclass(frozen=True, slots=True)
class Part:
    """One heading of the queue: how many Requests are under it, and those of them that this page shows."""

    key: str
    title: str
    none: str
    count: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    parts: tuple[Part, ...]
    page: int
    pages: int


_PARTS: Sequence[tuple[str, str, str, Callable[[Status], bool]]] = (
    ("plans", "Waiting for your decision", "No request is waiting.", lambda status: status is Status.UNDER_REVIEW),
    (
        "releases",
        "Waiting for a release decision",
        "No output is waiting.",
        lambda status: status is Status.STAGED,
    ),
    ("decided", "Decided", "Nothing yet.", lambda status: status not in (Status.UNDER_REVIEW, Status.STAGED)),
)


def queue_of(lines: Sequence[Line], wanted: Filter, page: int) -> Queue:
    """Newest first under each heading; the pages run through all headings."""
    kept = [line for line in reversed(lines) if wanted.keeps(line)]
    pages = max(1, -(-len(kept) // PER_PAGE))
    page = min(max(1, page), pages)
    first, last = (page - 1) * PER_PAGE, page * PER_PAGE
    parts, start = [], 0
    for key, title, none, belongs in _PARTS:
        found = [line for line in kept if belongs(line.status)]
        shown = found[max(0, first - start) : max(0, last - start)]
        parts.append(Part(key, title, none, len(found), tuple(shown)))
        start += len(found)
    return Queue(tuple(parts), page, pages)


def notes_of(line: Line, steward: str, site: str, last_login: str) -> Mapping[str, str]:
    """Short remarks on a line that waits, by class."""
    notes = {}
    if last_login and line.changed_at > last_login:
        notes["new"] = "new"
    agreed = line.said_yes(site)
    if agreed and line.status in (Status.UNDER_REVIEW, Status.STAGED):
        names = ["you" if name == steward else name for name in sorted(agreed)]
        notes["agreed"] = f"{', '.join(names)} said yes; {max(1, line.stewards_needed - len(agreed))} more needed"
    if line.status is Status.UNDER_REVIEW and line.asked:
        notes["asked"] = "answered" if line.answered >= line.asked else "question open"
    return notes
