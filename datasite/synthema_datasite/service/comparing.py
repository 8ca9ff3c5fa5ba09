"""What changed in a Plan's code since a version that was read here before, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from synthema_core.code.shapes import shape_of
from synthema_core.code.source import MAIN
from synthema_core.plan import Plan
from synthema_core.request_record import RequestRecord, request_record
from synthema_datasite.service.register import Line, Register
from synthema_datasite.service.site import Site

_CONTEXT, _LEAST_FOLDED = 3, 4
_MOST_LINES = 1_500
"""That are matched one by one: researchers write these files, and matching may take the square."""


class Sign(StrEnum):
    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `before` and `after` are its numbers in the two versions, from 1; None where it is in one only."""

    sign: Sign
    before: int | None
    after: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows that follow one another; `folded` if nothing changed nearby."""

    rows: tuple[Row, ...]
    folded: bool


@dataclass(frozen=True, slots=True)
class FileChange:
    path: str
    stretches: tuple[Stretch, ...]

    def count(self, sign: str) -> int:
        return sum(row.sign.value == sign for stretch in self.stretches for row in stretch.rows)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed in code since an earlier version of it.

    Parameters
    ----------
    request, why, decided
        Which one that is, why it was chosen, and what became of it here.
    earlier
        Its files: source by path.
    """

    request: str
    why: str
    decided: str
    earlier: Mapping[str, str]
    files: tuple[FileChange, ...]

    @property
    def changed(self) -> tuple[FileChange, ...]:
        return tuple(file for file in self.files if file.count("added") or file.count("removed"))


def compare(site: Site, record: RequestRecord, register: Register) -> Comparison | None:
    """With the version that a steward here would remember; None if this is the first code of its kind, or no code."""
    now = _files_of(record.plan)
    if not now:
        return None
    for line, why in _candidates(record, register.lines()):
        earlier = _files_of(request_record(site.journal, line.id, site.name).plan)
        if earlier:
            decided = "approved here" if line.approved_at else "never approved here"
            return Comparison(line.id, why, decided, earlier, tuple(changes_between(earlier, now)))
    return None


def _files_of(plan: Plan) -> Mapping[str, str]:
    """As they stand in the Plan, without parsing them once more; empty for a built-in analysis."""
    code = plan.parameters.get("code") if shape_of(plan.analysis) else None
    files = code.get("files") if isinstance(code, dict) else None
    return {path: str(text) for path, text in files.items()} if isinstance(files, dict) else {}


def _candidates(record: RequestRecord, lines: Sequence[Line]) -> Iterator[tuple[Line, str]]:
    """The best first: what was approved before what was not, what is nearest before what is newest."""
    others = [line for line in reversed(lines) if line.id != record.request.id and line.code_digest]
    before = [line for line in others if line.received_at <= record.events[0].at]
    replaced = [line for line in others if line.plan_digest == record.plan.supersedes]
    theirs = [line for line in before if line.requester == record.plan.requester]
    approved = [line for line in theirs if line.approved_at]
    named = [line for line in approved if record.name and line.name == record.name]
    alike = [line for line in approved if line.analysis == record.plan.analysis]
    yield from ((line, "the request that this one replaces") for line in replaced if line.approved_at)
    yield from ((line, f"the last one that {record.plan.requester} called “{record.name}”") for line in named)
    yield from ((line, "the request that this one replaces") for line in replaced if not line.approved_at)
    yield from ((line, f"the last code of this shape by {record.plan.requester}") for line in alike)


def changes_between(old: Mapping[str, str], new: Mapping[str, str]) -> list[FileChange]:
    """Of each file that is in one of the versions, sources by path; the cell first."""
    paths = sorted({*old, *new}, key=lambda path: (path != MAIN, path))
    return [
        FileChange(path, tuple(_stretches(lines_of(old.get(path, "")), lines_of(new.get(path, ""))))) for path in paths
    ]


def lines_of(text: str) -> list[str]:
    """As Python counts them: at the ends of lines alone, not at the other signs at which `splitlines` splits."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _stretches(old: list[str], new: list[str]) -> Iterator[Stretch]:
    rows = list(_rows(old, new))
    near = _near_a_change(rows)
    start = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or near[place] != near[start]:
            yield Stretch(tuple(rows[start:place]), folded=not near[start] and place - start >= _LEAST_FOLDED)
            start = place


def _near_a_change(rows: Sequence[Row]) -> list[bool]:
    near = [False] * len(rows)
    for place, row in enumerate(rows):
        if row.sign is not Sign.SAME:
            first, last = max(0, place - _CONTEXT), min(len(rows), place + _CONTEXT + 1)
            near[first:last] = [True] * (last - first)
    return near


def _rows(old: list[str], new: list[str]) -> Iterator[Row]:
    for tag, from_old, to_old, from_new, to_new in _opcodes(old, new):
        if tag == "equal":
            for place in range(to_old - from_old):
                yield Row(Sign.SAME, from_old + place + 1, from_new + place + 1, new[from_new + place])
            continue
        yield from (Row(Sign.REMOVED, place + 1, None, old[place]) for place in range(from_old, to_old))
        yield from (Row(Sign.ADDED, None, place + 1, new[place]) for place in range(from_new, to_new))


def _opcodes(old: list[str], new: list[str]) -> list[tuple[str, int, int, int, int]]:
    """As difflib's. Where the part that differs is very long, all of it counts as replaced."""
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    if max(len(middle_old), len(middle_new)) > _MOST_LINES:
        found = [("replace", 0, len(middle_old), 0, len(middle_new))]
    else:
        found = [*SequenceMatcher(None, middle_old, middle_new).get_opcodes()]
    moved = [(tag, a + start, b + start, c + start, d + start) for tag, a, b, c, d in found]
    last_old, last_new = len(old) - end, len(new) - end
    return [("equal", 0, start, 0, start), *moved, ("equal", last_old, len(old), last_new, len(new))]


def _alike(first: Sequence[str], second: Sequence[str]) -> int:
    """How many lines at the beginning are the same."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))
