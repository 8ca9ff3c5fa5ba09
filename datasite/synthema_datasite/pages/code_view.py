"""Code and its changes as the page shows them: coloured lines, each with what was found at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from synthema_core.code.source import MAIN, Code
from synthema_core.vetting import Finding, Severity
from synthema_datasite.pages.highlight import highlighted_lines
from synthema_datasite.service.code_reading import CodeReading
from synthema_datasite.service.comparing import Comparison, FileChange, Row, Stretch


@dataclass(frozen=True, slots=True)
class LineView:
    """One line. `anchor` names it within the page."""

    anchor: str
    number: int
    html: Markup
    findings: tuple[Finding, ...]

    @property
    def remarks(self) -> list[tuple[Severity, str]]:
        """What is said under the line, each once; of notes, which the list above explains, only the beginning."""
        said = [
            (one.severity, _beginning(one.message) if one.severity is Severity.NOTE else one.message)
            for one in self.findings
        ]
        return list(dict.fromkeys(said))

    @property
    def worst(self) -> str:
        """The severity by which the line is marked; empty if nothing was found at it."""
        return max((finding.severity for finding in self.findings), key=lambda one: one.rank, default="")


@dataclass(frozen=True, slots=True)
class FileView:
    path: str
    anchor: str
    is_helper: bool
    lines: tuple[LineView, ...]


@dataclass(frozen=True, slots=True)
class FindingView:
    """What was found once or more: `places` are (where, anchor within the page)."""

    severity: Severity
    message: str
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ChangedRow:
    row: Row
    html: Markup


@dataclass(frozen=True, slots=True)
class ChangedStretch:
    folded: bool
    rows: tuple[ChangedRow, ...]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    path: str
    added: int
    removed: int
    stretches: tuple[ChangedStretch, ...]


def _beginning(message: str) -> str:
    """What, without why."""
    return message.partition(": ")[0].removesuffix(".") + "."


def files_of(code: CodeReading) -> list[FileView]:
    """The cell first, then the helper modules."""
    return [_file(code, number, path) for number, path in enumerate(code.files, 1)]


def _file(code: CodeReading, number: int, path: str) -> FileView:
    by_line: dict[int, list[Finding]] = {}
    for finding in code.findings:
        if finding.file == path:
            by_line.setdefault(finding.line, []).append(finding)
    lines = [
        LineView(f"f{number}-{place}", place, html, tuple(by_line.get(place, ())))
        for place, html in enumerate(highlighted_lines(code.question.code.files[path]), 1)
    ]
    return FileView(path, f"f{number}", path != MAIN, tuple(lines))


def findings_of(code: CodeReading) -> list[FindingView]:
    """The gravest first; what is said of several lines, once."""
    numbers = {path: number for number, path in enumerate(code.files, 1)}
    places: dict[tuple[Severity, str], dict[str, str]] = {}
    for one in code.findings:
        where = f"{one.file}, line {one.line}"
        places.setdefault((one.severity, one.message), {})[where] = f"f{numbers.get(one.file, 1)}-{one.line}"
    views = [FindingView(severity, message, tuple(at.items())) for (severity, message), at in places.items()]
    return sorted(views, key=lambda view: -view.severity.rank)


def changes_of(comparison: Comparison, now: Code) -> list[ChangedFile]:
    """Of the files that differ."""
    return [_changed(file, comparison.earlier, now.files) for file in comparison.changed]


def _changed(file: FileChange, before: Mapping[str, str], after: Mapping[str, str]) -> ChangedFile:
    old, new = highlighted_lines(before.get(file.path, "")), highlighted_lines(after.get(file.path, ""))

    def coloured(stretch: Stretch) -> ChangedStretch:
        rows = (
            ChangedRow(row, new[row.after - 1] if row.after else old[(row.before or 1) - 1]) for row in stretch.rows
        )
        return ChangedStretch(stretch.folded, tuple(rows))

    stretches = tuple(coloured(stretch) for stretch in file.stretches)
    return ChangedFile(file.path, file.count("added"), file.count("removed"), stretches)
