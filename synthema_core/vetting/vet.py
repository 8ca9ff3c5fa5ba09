"""All rules over all files of a Code. It informs a reviewer and is never the boundary; see the package."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from synthema_core.code.shapes import AGGREGATE, SHAPES
from synthema_core.code.source import MAIN, Code
from synthema_core.errors import InvalidInput
from synthema_core.vetting import rules_conduct, rules_files, rules_reach, rules_rows, rules_text
from synthema_core.vetting.finding import Finding, Kind, Severity
from synthema_core.vetting.origins import Origins
from synthema_core.vetting.reading import Reading, read_file, split_lines
from synthema_core.vetting.remark import Concern, Remark

_MOST_OF_A_KIND = 60
_EXCERPT = 140
_UNREAD = Concern(
    Kind.UNREADABLE, Severity.DANGER, "This file could not be taken apart", "nothing is known of what is in it"
)

_COVERED = "the noise that is added outside the sandbox covers it, whatever the code does"
_UNSEEN = "neither it nor whether the code fails reaches the researcher"
_CALMER: Mapping[Kind, str] = {
    Kind.ROW_LEVEL: _COVERED,
    Kind.EXTREME: _COVERED,
    Kind.SORTING: _COVERED,
    Kind.IDENTIFIER: "code is not given identifiers, and the noise covers what it returns",
    Kind.SINGLING_OUT: _COVERED,
    Kind.PACKING: _COVERED,
    Kind.NOISE: "it protects nobody, and the noise that does is added outside the sandbox",
    Kind.TIME: "the answer leaves at a time that is fixed beforehand, whatever the code does",
    Kind.LEAK: _UNSEEN,
    Kind.OUTPUT: _UNSEEN,
    Kind.SWALLOWS: "where it fails, the declared default counts",
    Kind.STATE: "each evaluation is a process of its own that remembers nothing of the others",
}
"""What is only a NOTE in the shapes with a guarantee, and why. What reaches for the machine is never calmer."""


def vet(code: Code, shape: str, identifiers: Collection[str] = ()) -> tuple[Finding, ...]:
    """What a reviewer should look at, in order of file and line.

    Never raises for anything that Code accepts. Says the same each time it is asked.

    Parameters
    ----------
    shape
        ``per-patient``, ``per-block`` or ``aggregate``: under a guarantee what is returned matters less.
    identifiers
        Names of columns that identify patients, beside those that sound like it.

    Raises
    ------
    InvalidInput
        For a shape there is not.
    """
    if shape not in SHAPES:
        raise InvalidInput(f"There is no shape '{shape}'.", f"There are {', '.join(SHAPES)}.")
    found = _remarks_by_file(code, frozenset(identifiers))
    findings = [
        finding for path, remarks in found.items() for finding in _findings(path, code.files[path], remarks, shape)
    ]
    return tuple(sorted(findings, key=lambda finding: (finding.file, finding.line)))


def _remarks_by_file(code: Code, identifiers: frozenset[str]) -> dict[str, list[Remark]]:
    own = frozenset(path.removesuffix(".py").partition("/")[0] for path in code.files)
    readings: list[Reading] = []
    found: dict[str, list[Remark]] = defaultdict(list)
    for path, text in sorted(code.files.items()):
        try:
            readings.append(read_file(path, text, code.function if path == MAIN else "", own))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found[path].append(_UNREAD.on(1))
    mentioned = frozenset(name for reading in readings for name in rules_conduct.mentions(reading))
    for reading in readings:
        try:
            found[reading.path].extend(_remarks(reading, identifiers, mentioned))
        except RecursionError:
            found[reading.path].append(_UNREAD.on(1))
    for path, remark in rules_files.unused_helpers(readings):
        found[path].append(remark)
    return found


def _remarks(reading: Reading, identifiers: frozenset[str], mentioned: frozenset[str]) -> Iterator[Remark]:
    origins = Origins(reading)
    yield from rules_text.characters(reading)
    yield from rules_text.codings(reading)
    yield from rules_text.letters(reading)
    yield from rules_text.lines(reading)
    yield from rules_text.nesting(reading)
    yield from rules_text.blobs(reading)
    yield from rules_text.pieces(reading)
    yield from rules_reach.imports(reading)
    yield from rules_reach.names(reading, origins)
    yield from rules_reach.attributes(reading, origins)
    yield from rules_reach.lookups(reading, origins)
    yield from rules_reach.internals(reading)
    yield from rules_reach.arguments(reading)
    yield from rules_reach.shadowed(reading)
    yield from rules_rows.returned(reading, origins)
    yield from rules_rows.places(reading, origins)
    yield from rules_rows.extremes(reading, origins)
    yield from rules_rows.shifts(reading)
    yield from rules_rows.identifiers(reading, identifiers)
    yield from rules_rows.exact_values(reading, origins)
    yield from rules_conduct.errors(reading)
    yield from rules_conduct.prints(reading, origins)
    yield from rules_conduct.state(reading, origins)
    yield from rules_conduct.loading(reading)
    yield from rules_conduct.classes(reading, origins)
    yield from rules_conduct.unreadable(reading)
    yield from rules_conduct.signature(reading)
    yield from rules_conduct.unused(reading, mentioned)


def _findings(path: str, text: str, remarks: list[Remark], shape: str) -> Iterator[Finding]:
    """Each thing said once a line; of a kind that fills a file, the first ones and how many more there are."""
    lines = split_lines(text)
    seen: set[tuple[int, str]] = set()
    kinds: dict[Kind, list[Remark]] = defaultdict(list)
    for remark in sorted(remarks, key=lambda remark: (remark.line, remark.offset or 0)):
        if (remark.line, remark.what) not in seen:
            seen.add((remark.line, remark.what))
            kinds[remark.kind].append(remark)
    for of_kind in kinds.values():
        # The worst are kept whatever comes before them: harmless lines must not push a danger out of the list.
        ranked = sorted(of_kind, key=lambda remark: -remark.severity.rank)
        for remark in ranked[:_MOST_OF_A_KIND]:
            yield _finding(path, lines, remark, shape)
        if more := ranked[_MOST_OF_A_KIND:]:
            yield _finding(path, lines, _and_more(more), shape)


def _and_more(left: list[Remark]) -> Remark:
    first = left[0]
    what = f"{len(left):,} more places of the kind '{first.kind}' from here on"
    return Remark(min(remark.line for remark in left), None, first.kind, first.severity, what, "so many are a question")


def _finding(path: str, lines: tuple[str, ...], remark: Remark, shape: str) -> Finding:
    calmer = None if shape == AGGREGATE else _CALMER.get(remark.kind)
    severity, why = (remark.severity, remark.why) if calmer is None else (Severity.NOTE, calmer)
    line = lines[remark.line - 1] if 0 < remark.line <= len(lines) else ""
    column = None if remark.offset is None else _column(line, remark.offset)
    excerpt = _excerpt(line, column or 1)
    return Finding(path, remark.line, column, remark.kind, severity, f"{remark.what}: {why}.", excerpt)


def _column(line: str, offset: int) -> int:
    if line.isascii():
        return offset + 1
    return len(line.encode(errors="replace")[:offset].decode(errors="replace")) + 1


def _excerpt(line: str, column: int) -> str:
    start = max(0, column - _EXCERPT // 2) if len(line) > _EXCERPT else 0
    part = line[start : start + _EXCERPT]
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in part).strip()
    return f"{'...' if start else ''}{shown}{'...' if start + _EXCERPT < len(line) else ''}"
