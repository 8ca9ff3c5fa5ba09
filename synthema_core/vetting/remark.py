"""What a rule says before it becomes a Finding: where, what, and why it matters."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from synthema_core.vetting.finding import Kind, Severity

_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True)
class Concern:
    """An entry of the tables: a kind of trouble, without a place.

    Parameters
    ----------
    what
        What the code does; ``{}`` stands for the name that was met.
    why
        Why that matters, or what to ask; follows a colon.
    """

    kind: Kind
    severity: Severity
    what: str
    why: str

    def at(self, node: ast.AST, name: str = "") -> Remark:
        """This concern, at a node's place."""
        return self.on(getattr(node, "lineno", 1), name, getattr(node, "col_offset", None))

    def on(self, line: int, name: str = "", offset: int | None = None) -> Remark:
        return Remark(line, offset, self.kind, self.severity, self.what.replace("{}", shown(name)), self.why)


@dataclass(frozen=True, slots=True)
class Remark:
    """A concern at a place. `offset`: bytes of UTF-8 before it in its line, as `ast` counts."""

    line: int
    offset: int | None
    kind: Kind
    severity: Severity
    what: str
    why: str


def shown(name: str) -> str:
    """A name from the code as a reader may safely see it: printable ASCII, not long."""
    cut = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."
    return ascii(cut)[1:-1]


def words(text: str) -> frozenset[str]:
    """The words of a table's line."""
    return frozenset(text.split())
