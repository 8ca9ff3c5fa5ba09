"""Researchers' code as its reviewer reads it: what it gets, what it puts out, what it may use, what to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synthema_core.admission import SiteFacts
from synthema_core.code.combine import FRACTIONAL_BITS
from synthema_core.code.outputs import Content, Output
from synthema_core.code.questions import Aggregate, CodeQuestion, PerBlock, PerPatient
from synthema_core.code.shapes import AGGREGATE
from synthema_core.code.source import MAIN
from synthema_core.errors import SynthemaError
from synthema_core.plan import Plan
from synthema_core.privacy.mechanisms import DistributedGaussian
from synthema_core.sandbox.port import LANES, Limits
from synthema_core.vetting import Finding, vet
from synthema_datasite.service.costs import Cost

_MEBIBYTE = 1 << 20
_OF_EACH_PATIENT = (
    "The code is called once for each patient, with that patient's rows alone; what it returns is cut to its bounds "
    "and added up over all patients."
)
_HIDES_A_PATIENT = (
    "Noise that hides any one patient is added here, outside the sandbox: it holds whatever the code does."
)
_OF_EACH_BLOCK = (
    "A key that only this site knows deals the patients to {blocks} fixed blocks; the code is called once for each "
    "block, with that block's rows alone; what it returns is cut to its bounds and added up over all blocks."
)
_HIDES_A_BLOCK = (
    "A patient is in one block only, and noise that hides a whole block's answer is added here, outside the sandbox: "
    "it holds whatever the code does."
)
_OF_ALL = "The code is called once, with the rows of all patients here, and puts out arrays."
_HIDES_NOTHING = (
    "No noise and no formal guarantee: what the code puts out waits at this site until a steward has looked at it; "
    "after that, only the sum over all sites can be read."
)


@dataclass(frozen=True, slots=True)
class OutputReading:
    """One declared output.

    Parameters
    ----------
    noise
        Standard deviation of the noise in each released number, in the output's own unit; None without noise.
    """

    output: Output
    noise: float | None

    @property
    def shape(self) -> str:
        sizes = self.output.shape
        if not sizes:
            return "one number"
        return f"{sizes[0]} numbers" if len(sizes) == 1 else " × ".join(str(size) for size in sizes)

    @property
    def content(self) -> str:
        return "counts of patients" if self.output.content is Content.COUNTS else "numbers"

    @property
    def noise_in_words(self) -> str:
        """Against the most that one evaluation can add, which is what the noise has to hide."""
        if self.noise is None:
            return "none"
        times = self.noise / self.output.bound
        return f"± {self.noise:.3g}, {times:.2g} times the bound"


@dataclass(frozen=True, slots=True)
class CodeReading:
    """A Plan's code, explained. Nothing of it was run to say this."""

    question: CodeQuestion
    explained: str
    protects: str
    outputs: tuple[OutputReading, ...]
    limits: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The cell first, then the helper modules by name."""
        return (MAIN, *sorted(path for path in self.question.code.files if path != MAIN))

    @property
    def needs_release_decision(self) -> bool:
        return self.question.shape == AGGREGATE

    def findings_at(self, path: str, line: int) -> list[Finding]:
        return [finding for finding in self.findings if (finding.file, finding.line) == (path, line)]


_KINDS: Mapping[str, type[CodeQuestion]] = {kind.name: kind for kind in (PerPatient, PerBlock, Aggregate)}


def question_of(plan: Plan) -> CodeQuestion | None:
    """The Plan's question if it is code; None for another analysis, and for code that cannot be read."""
    kind = _KINDS.get(plan.analysis)
    try:
        return kind.from_parameters(plan.parameters) if kind else None
    except SynthemaError:
        return None


def read_code(question: CodeQuestion, facts: SiteFacts, sites: int, cost: Cost | None) -> CodeReading:
    """Explain it.

    Parameters
    ----------
    sites
        How many are in the sum: each adds its part of the noise.
    cost
        Of a shape with a guarantee; None if its noise is not known.
    """
    explained, protects = _explained(question)
    return CodeReading(
        question,
        explained,
        protects,
        tuple(OutputReading(output, _noise(output, sites, cost)) for output in question.outputs.outputs),
        tuple(_limits(question, facts.sandbox)),
        _sorted(vet(question.code, question.shape)),
    )


def _noise(output: Output, sites: int, cost: Cost | None) -> float | None:
    if cost is None or not isinstance(cost.mechanism, DistributedGaussian):
        return None
    return math.ldexp(math.sqrt(cost.mechanism.sum_variance(sites)), -FRACTIONAL_BITS) * output.bound


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.file != MAIN, finding.file, finding.line)))


def _explained(question: CodeQuestion) -> tuple[str, str]:
    """What is done with the code, and what protects the patients, each in a sentence."""
    if isinstance(question, PerPatient):
        return _OF_EACH_PATIENT, _HIDES_A_PATIENT
    if isinstance(question, PerBlock):
        return _OF_EACH_BLOCK.format(blocks=question.capacity), _HIDES_A_BLOCK
    return _OF_ALL, _HIDES_NOTHING


def _limits(question: CodeQuestion, sandbox: str) -> list[tuple[str, str]]:
    limits = Limits(cpu_seconds=question.cpu_seconds)
    lines = [
        ("Sandbox here", sandbox or "none: this site runs no code"),
        ("Rows it is given", f"only the columns {', '.join(question.columns_read)}; never an identifier"),
        ("Processor time", f"{question.cpu_seconds:g} s for one evaluation, then it is ended"),
        ("Waiting", f"{limits.wall_seconds:g} s by the clock for one evaluation"),
        ("Memory", f"{limits.memory_bytes // _MEBIBYTE} MiB above what the libraries take"),
        ("What it may print", f"{limits.log_bytes >> 10} KiB, for this site's stewards alone"),
        ("Network, files", "none"),
    ]
    if isinstance(question, PerPatient | PerBlock):
        most = "blocks" if isinstance(question, PerBlock) else "patients, of which there may be fewer"
        lines += [
            ("Evaluations", f"{question.capacity:,} {most}; {LANES} at a time, each in a process of its own"),
            ("Clip", f"{question.clip:g}: the length of one evaluation's vector, in units of the bounds"),
            ("Answer", f"exactly {spell_seconds(question.answer_seconds)} after the question, whatever happens"),
        ]
    return lines


def spell_seconds(seconds: float) -> str:
    """``2 min 35 s``."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.2g} s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
