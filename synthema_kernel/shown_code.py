"""What is shown of code before it is sent: what is asked and declared, what was found in it, how its trial went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from synthema_core.analyses.base import Sums
from synthema_core.charging import mechanism_of
from synthema_core.code.declaration import AnyShape
from synthema_core.code.outputs import Content, Output
from synthema_core.code.questions import PerBlock, PerPatient
from synthema_core.plan import Plan
from synthema_core.sandbox.port import End
from synthema_core.sandbox.trial import Spread, Trial
from synthema_core.vetting import Finding, Severity, summary
from synthema_kernel import markup
from synthema_kernel.evidence import Evidence
from synthema_kernel.figures.canvas import plain
from synthema_kernel.listing import listed
from synthema_kernel.markup import BAD, GOOD, MONOSPACE, WARNING, Part, Table, printable
from synthema_kernel.noise import noise_told

_COLOURS = {Severity.DANGER: BAD, Severity.LOOK: WARNING, Severity.NOTE: "#57606a"}
_WORDS = {Severity.DANGER: "danger", Severity.LOOK: "look", Severity.NOTE: "note"}
_ENDS = {
    End.RETURNED: ("returned what was declared", GOOD),
    End.RAISED: ("raised an error", BAD),
    End.TIMEOUT: ("took too long", WARNING),
    End.MEMORY: ("needed too much memory", WARNING),
    End.KILLED: ("were ended for a forbidden act", BAD),
    End.BAD_OUTPUT: ("returned something else", BAD),
}
_MEBIBYTE = 1 << 20
_SMALL = "font-size:13px;cursor:pointer"


def facts(plan: Plan, question: AnyShape) -> list[tuple[str, str]]:
    """What the Plan of code says, but for its outputs."""
    return [
        ("Shape", question.shape),
        ("Purpose", plan.purpose),
        ("Sites", ", ".join(plan.sites)),
        ("Dataset", ", ".join(sorted({f"{p.dataset} (version {p.version})" for p in plan.participants}))),
        ("Code", _code(question)),
        ("Columns", ", ".join(question.columns_read)),
        ("Time", _time(question)),
        ("Privacy", _privacy(plan, question)),
        *([("Noise", noise)] if (noise := noise_told(plan, question)) else []),
        ("Limits", f"at least {plan.output.min_patients} patients and {plan.output.min_sites} sites"),
        ("Expires", markup.moment(plan.expires_at)),
        ("Digest", plan.digest),
    ]


def _code(question: AnyShape) -> str:
    files = question.code.files
    lines = sum(len(text.splitlines()) for text in files.values())
    helpers = ", ".join(question.code.modules)
    return f"{question.code.function}(rows), {lines} lines" + (f" with {helpers}" if helpers else "")


def _time(question: AnyShape) -> str:
    each = f"{question.cpu_seconds:g} CPU-seconds"
    if not isinstance(question, PerPatient | PerBlock):
        return f"{each} at each site"
    what = f"each of at most {question.capacity:,} patients" if isinstance(question, PerPatient) else "each block"
    answer = f"a site answers {question.answer_seconds:,.0f} seconds after the question arrives, whatever happens"
    return f"{each} for {what}; {answer}"


def _privacy(plan: Plan, question: AnyShape) -> str:
    if plan.privacy is None or not isinstance(question, PerPatient | PerBlock):
        return "no noise: a steward of every site looks at the output before it is summed"
    whole = math.isclose(question.clip, math.sqrt(question.outputs.length))
    clip = "which cuts nothing within the bounds" if whole else "in units of the bounds"
    blocks = f"; {question.capacity:,} blocks at each site" if isinstance(question, PerBlock) else ""
    cost = f"epsilon {plan.privacy.epsilon:g}, delta {plan.privacy.delta:g}"
    return f"{cost}{blocks}; clipped to a length of {question.clip:.4g}, {clip}"


def parts(plan: Plan, evidence: Evidence) -> list[Part]:
    """Declared outputs, findings, and the trial."""
    trial = evidence.trial
    shown: list[Part] = [declared(plan, evidence.question, trial), Findings(evidence.findings)]
    if trial is None:
        return shown
    return [*shown, Ends(trial), *(listed(text, "An evaluation that failed", trouble=True) for text in trial.failures)]


def declared(plan: Plan, question: AnyShape, trial: Trial | None) -> Table:
    """One row an output: what it may be, what the trial gave, and how much noise will be on it."""
    noise = noise_reach(plan, question)
    columns = ["Output", "Holds", "Bound", *(["If it fails"] if question.private else [])]
    columns += ["On mock data"] * bool(trial) + [f"Noise ({_noise_of(question)})"] * bool(noise)
    spreads = {spread.name: spread for spread in trial.spreads} if trial else {}
    rows = [
        [
            output.name,
            _holds(output),
            f"± {plain(output.bound)}",
            *([plain(output.default)] if question.private else []),
            *([_seen(spreads.get(output.name))] if trial else []),
            *([f"± {_rounded(noise[output.name])}"] if noise else []),
        ]
        for output in question.outputs.outputs
    ]
    return Table(columns, rows, "Declared outputs", frozenset(range(2, len(columns))))


def noise_reach(plan: Plan, question: AnyShape) -> Mapping[str, float]:
    """Half the width of the 95 % interval of the noise on each output's sum (per block: on the mean); empty if none."""
    mechanism = mechanism_of(plan, question)
    if mechanism is None:
        return {}
    sites = len(plan.sites)
    nothing = {output.name: np.zeros(output.length) for output in question.outputs.outputs}
    result: Any = question.advance(None, Sums(nothing, sites, mechanism.sum_variance(sites))).result
    per = result["evaluations"] or 1
    return {output["name"]: output["reach"] / per for output in result["outputs"]}


def _noise_of(question: AnyShape) -> str:
    return "of the mean of all blocks" if isinstance(question, PerBlock) else "of the sum"


def _holds(output: Output) -> str:
    what = "count" if output.content is Content.COUNTS else "number"
    return f"{' × '.join(str(size) for size in output.shape)} {what}s" if output.shape else f"a {what}"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _seen(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    cut = f"; {spread.beyond} cut to the bound" if spread.beyond else ""
    low, high = _rounded_signed(spread.lowest), _rounded_signed(spread.highest)
    return (low if low == high else f"{low} to {high}") + cut


def _rounded_signed(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What vetting found, by line: the same that reviewers are shown."""

    findings: Sequence[Finding]

    def html(self) -> str:
        notes = [finding for finding in self.findings if finding.severity is Severity.NOTE]
        urgent = "".join(self._item(finding) for finding in self.findings if finding not in notes)
        completing = "".join(map(self._item, notes))
        folded = f'<details><summary style="{_SMALL}">{len(notes)} for completeness</summary>{completing}</details>'
        head = markup.caption("Findings") + markup.paragraph(summary(self.findings))
        return head + urgent + (folded if notes else "")

    def _item(self, finding: Finding) -> str:
        where, colour = f"{finding.file}, line {finding.line}", _COLOURS[finding.severity]
        excerpt = (
            f'<code style="{MONOSPACE};display:block;opacity:.8;white-space:pre-wrap">{_clean(finding.excerpt)}</code>'
        )
        badge = f'<span style="color:{colour};font-weight:600">{_WORDS[finding.severity]}</span>'
        return (
            f'<div style="border-left:3px solid {colour};padding:1px 0 1px 10px;margin:6px 0;font-size:13px">'
            f'{badge} <span style="opacity:.7">{_clean(where)}</span><br>{_clean(finding.message)}'
            f"{excerpt if finding.excerpt.strip() else ''}</div>"
        )

    def text(self) -> str:
        rows = [
            f"{_WORDS[finding.severity]}: {printable(finding.file)}, line {finding.line}: {printable(finding.message)}"
            for finding in self.findings
        ]
        return "\n".join(["Findings", summary(self.findings), *rows])


def _clean(text: str) -> str:
    return escape(printable(text))


@dataclass(frozen=True, slots=True)
class Ends:
    """How the evaluations of a trial ended, as a bar and in words."""

    trial: Trial

    def html(self) -> str:
        trial = self.trial
        pieces = "".join(
            f'<span style="flex:{count};background:{_ENDS[end][1]}" title="{escape(_said(end, count))}"></span>'
            for end, count in trial.ends
        )
        legend = "".join(self._entry(end, count) for end, count in trial.ends)
        return (
            f"{markup.caption(self._title)}"
            f'<div style="display:flex;gap:2px;height:8px;border-radius:4px;overflow:hidden;max-width:520px;'
            f'margin:5px 0">{pieces}</div><div style="font-size:13px">{legend}</div>{markup.paragraph(self._cost)}'
        )

    def _entry(self, end: End, count: int) -> str:
        square = f'<span style="color:{_ENDS[end][1]}">■</span>'
        return f'<span style="margin-right:14px">{square} {escape(_said(end, count))}</span>'

    def text(self) -> str:
        return "\n".join([self._title, *(_said(end, count) for end, count in self.trial.ends), self._cost])

    @property
    def _title(self) -> str:
        return f"Tried on mock data, in the sandbox '{self.trial.backend}'"

    @property
    def _cost(self) -> str:
        trial = self.trial
        memory = max(1, math.ceil(trial.peak_bytes / _MEBIBYTE))
        said = f"An evaluation took at most {trial.cpu_seconds:.2g} CPU-seconds and {memory:,} MB of memory."
        if trial.shortened:
            said += f" {trial.shortened} of {trial.evaluations} vectors were longer than the clip, and were shortened."
        if trial.evaluations < trial.asked:
            said += f" There was time for {trial.evaluations} of {trial.asked} evaluations."
        return said


def _said(end: End, count: int) -> str:
    return f"{count} {_ENDS[end][0]}"
