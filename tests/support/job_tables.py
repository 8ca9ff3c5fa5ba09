"""What a table of jobs says of each file of code beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.source import MAIN, Code
from synthema_core.vetting import Kind, Severity

STOPS = ("guarantee", "gate", "release decision")
FUNCTION = "study"


@dataclass(frozen=True, slots=True)
class Job:
    """One file that defines ``study(rows)``.

    Parameters
    ----------
    does
        What it attempts, or what it answers.
    columns
        What it reads: ``t2`` days, ``d3`` 0 or 1, ``z1`` 7..60, ``group`` '1', '2', '3'. One asks for `patient`, which
        identifies and which code is never given.
    outputs
        ``(name, shape, bound, content)``.
    kinds
        What vetting must find, and how severe at least.
    passes_static
        It was written so that vetting finds nothing worse than notes.
    stopped_by
        What protects the patients from one that passes: one of `STOPS`.
    """

    file: Path
    shape: str
    does: str
    columns: tuple[str, ...]
    outputs: tuple[tuple[str, tuple[int, ...], float, str], ...]
    kinds: Mapping[Kind, Severity] = field(default_factory=dict)
    passes_static: bool = False
    stopped_by: str = ""

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def code(self) -> Code:
        return Code({MAIN: self.file.read_text(encoding="utf-8")}, FUNCTION)

    @property
    def declared(self) -> Outputs:
        return Outputs(
            tuple(Output(name, shape, bound, Content(content)) for name, shape, bound, content in self.outputs)
        )
