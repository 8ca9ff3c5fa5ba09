"""A Finding: one place in the code that a reviewer should know of, in a sentence for a reader who need not program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from synthema_core.canonical import Json


class Severity(StrEnum):
    """How much attention: NOTE is for completeness, LOOK wants an answer, DANGER has hardly an innocent reason."""

    NOTE = "note"
    LOOK = "look"
    DANGER = "danger"

    @property
    def rank(self) -> int:
        return tuple(Severity).index(self)


class Kind(StrEnum):
    """What a finding is about."""

    IMPORT = "import"
    DYNAMIC = "dynamic"
    FILES = "files"
    NETWORK = "network"
    PROCESS = "process"
    NATIVE = "native"
    PICKLE = "pickle"
    PATCHING = "patching"
    DUNDER = "dunder"
    CLASSES = "classes"
    HIDDEN_TEXT = "hidden-text"
    OPAQUE = "opaque"
    UNREADABLE = "unreadable"
    SYNTAX = "syntax"
    ROW_LEVEL = "row-level"
    EXTREME = "extreme"
    SORTING = "sorting"
    IDENTIFIER = "identifier"
    SINGLING_OUT = "singling-out"
    PACKING = "packing"
    NOISE = "noise"
    TIME = "time"
    LEAK = "leak"
    OUTPUT = "output"
    SWALLOWS = "swallows"
    STATE = "state"
    LOADING = "loading"
    SIGNATURE = "signature"
    UNUSED = "unused"
    UNUSED_HELPER = "unused-helper"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in the code.

    Parameters
    ----------
    line, column
        From 1; the column counts characters, and is None where the finding is about a line or a file.
    message
        One sentence. Names taken from the code are escaped to printable ASCII.
    excerpt
        The line, cut to what is around the column; what would not show, or would move other text, is escaped.
    """

    file: str
    line: int
    column: int | None
    kind: Kind
    severity: Severity
    message: str
    excerpt: str

    def to_dict(self) -> dict[str, Json]:
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "kind": self.kind.value,
            "severity": self.severity.value,
            "message": self.message,
            "excerpt": self.excerpt,
        }


def summary(findings: Iterable[Finding]) -> str:
    """One sentence: ``2 dangers, 3 to look at, 1 note.``"""
    counts = Counter(finding.severity for finding in findings)
    words = {
        Severity.DANGER: ("danger", "dangers"),
        Severity.LOOK: ("to look at", "to look at"),
        Severity.NOTE: ("note", "notes"),
    }
    said = [f"{counts[severity]} {words[severity][counts[severity] > 1]}" for severity in words if counts[severity]]
    return f"{', '.join(said)}." if said else "Nothing was found; that alone is no reason to approve."
