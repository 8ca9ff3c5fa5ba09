"""A Request on a terminal: the sections of its reading, its code line by line, and what its code put out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB, NO_GUARANTEE
from synthema_core.errors import SynthemaError
from synthema_core.request import Verb
from synthema_core.request_record import RequestRecord
from synthema_core.vetting import Finding, summary
from synthema_datasite.cli.arguments import plain
from synthema_datasite.service.code_reading import CodeReading
from synthema_datasite.service.comparing import Comparison, FileChange, Sign, compare, lines_of
from synthema_datasite.service.decisions import Wait, waits_for
from synthema_datasite.service.evidence import MockRun, mock_run_of
from synthema_datasite.service.reading import read
from synthema_datasite.service.register import Register
from synthema_datasite.service.site import Site
from synthema_datasite.service.staging import Staged, staged_output

_SIGNS = {Sign.SAME: " ", Sign.ADDED: "+", Sign.REMOVED: "-"}
_MOST_VALUES = 60
_WIDTH = 116


def request_text(site: Site, record: RequestRecord) -> Iterator[str]:
    """All of it, line by line; what others wrote without control characters, on lines that begin with a space."""
    register = Register(site)
    reading = read(site, record, register)
    yield plain(record.plan.purpose)
    yield record.request.status.value.replace("_", " ")
    for section in reading.sections:
        yield f"\n{section.title}"
        yield from (f"  {plain(label):<24}{plain(value)}" for label, value in section.lines)
    yield from _talk(record)
    if reading.code is not None:
        yield from _code(reading.code)
        yield from _change(compare(site, record, register))
        yield from _mock_run(mock_run_of(site.journal, record.request.id))
    if waits_for(record) is Wait.RELEASE:
        yield from _staged(site, record)


def _talk(record: RequestRecord) -> Iterator[str]:
    said = [event for event in record.events if event.verb in (Verb.ASK, Verb.ANSWER)]
    if said:
        yield "\nQuestions and answers"
    for event in said:
        yield f"  {event.at[:16].replace('T', ' ')}  {plain(event.actor)} {event.verb.value}s"
        yield from _wrapped(str(event.detail.get("text", "")))


def _wrapped(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from (f"      {part}" for part in textwrap.wrap(plain(line), _WIDTH - 6) or [""])


def _code(reading: CodeReading) -> Iterator[str]:
    yield "\nThe code"
    yield from (f"  {part}" for part in textwrap.wrap(f"{reading.explained} {reading.protects}", _WIDTH))
    for output in reading.outputs:
        declared = output.output
        yield (
            f"  {plain(declared.name):<24}{output.shape}, {output.content}, each at most {declared.bound:g}; "
            f"noise {output.noise_in_words}"
        )
    yield f"\nFindings: {summary(reading.findings)}"
    for finding in reading.findings:
        yield f"  {_where(finding)}: {finding.severity.value}: {plain(finding.message)}"
    for path in reading.files:
        yield f"\n  {plain(path)}"
        yield from _numbered(reading, path)


def _where(finding: Finding) -> str:
    return f"{plain(finding.file)}:{finding.line}"


def _numbered(reading: CodeReading, path: str) -> Iterator[str]:
    for number, line in enumerate(lines_of(reading.question.code.files[path]), 1):
        mark = "!" if reading.findings_at(path, number) else " "
        yield f"  {number:>5}{mark} {plain(line.expandtabs(4))}"


def _change(comparison: Comparison | None) -> Iterator[str]:
    if comparison is None:
        return
    yield f"\nChanged since {plain(comparison.why)} ({plain(comparison.request)}, {comparison.decided})"
    if not comparison.changed:
        yield "  nothing in the code"
    for file in comparison.changed:
        yield f"  {plain(file.path)}"
        yield from _changed_lines(file)


def _changed_lines(file: FileChange) -> Iterator[str]:
    for stretch in file.stretches:
        if stretch.folded:
            yield f"         ... {len(stretch.rows)} lines that are the same"
            continue
        for row in stretch.rows:
            number = row.after if row.after is not None else row.before
            yield f"  {number:>5}{_SIGNS[row.sign]} {plain(row.text.expandtabs(4))}"


def _mock_run(run: MockRun | None) -> Iterator[str]:
    yield "\nTried here on made-up rows"
    if run is None:
        yield "  not yet: the datasite's server does that when it runs"
        return
    ends = ", ".join(f"{count} {plain(end)}" for end, count in run.ends.items())
    yield f"  {run.evaluations} of {run.planned} evaluations in {run.seconds:g} s in '{plain(run.sandbox)}': {ends}"
    yield f"  {run.usable} returned what is declared; the slowest took {run.slowest_seconds:g} s"
    yield f"  {run.peak_bytes / 2**20:.0f} MiB at most"
    if run.values:
        yield f"  {_values(np.array(run.values))}"
    yield from _wrapped(run.log)


def _staged(site: Site, record: RequestRecord) -> Iterator[str]:
    model = record.plan.analysis == DIFFPRIVLIB
    yield f"\nWhat the {'model' if model else 'code'} put out here, of real rows"
    if model:
        yield f"  {NO_GUARANTEE}"
    try:
        staged = staged_output(site, record)
    except SynthemaError as error:
        yield f"  {error}"
        return
    yield from staged_text(staged)


def staged_text(staged: Staged) -> Iterator[str]:
    """The arrays, what the checks found in them, and what was printed."""
    yield f"  {'Output':<24}{staged.commitment}"
    yield f"  {'Took':<24}{staged.wall_seconds:g} s, {staged.peak_bytes / 2**20:.0f} MiB"
    for name, array in staged.arrays.items():
        yield f"  {plain(name) + str(list(array.shape)):<24}{_values(array)}"
    tried = "also without each patient in turn" if staged.left_out_each else "not without each patient in turn"
    yield f"\nChecks of the output ({tried}): {len(staged.findings)} finding(s)"
    yield from (_finding(finding) for finding in staged.findings)
    if staged.suggestion:
        yield f"  {'Leave out, say the checks':<28}{' '.join(f'--redact {plain(cell)}' for cell in staged.suggestion)}"
    yield "\nWhat it printed here, seen by nobody else"
    yield from _wrapped(staged.log or "nothing")


def _finding(finding: Mapping[str, Any]) -> str:
    return f"  {plain(str(finding.get('severity', '')))}: {plain(str(finding.get('message', '')))}"


def _values(array: Any) -> str:
    values = np.asarray(array).reshape(-1)
    shown = " ".join(f"{value:g}" for value in values[:_MOST_VALUES])
    return shown if len(values) <= _MOST_VALUES else f"{shown} ... ({len(values):,} values)"
