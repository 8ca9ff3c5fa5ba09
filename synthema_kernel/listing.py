"""Lines of code, of a difference, or of what code printed, as HTML and as plain text; escaped like everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from synthema_kernel.markup import BAD, MONOSPACE, caption, printable

_PAPER = "background:rgba(128,128,128,.09);border-radius:6px;padding:8px 0;margin:4px 0 10px"
_LINE = "display:block;padding:0 12px;white-space:pre-wrap;overflow-wrap:anywhere"


class Tone(StrEnum):
    """What a line is in its listing."""

    PLAIN = ""
    ADDED = "background:rgba(46,160,67,.20)"
    REMOVED = "background:rgba(248,81,73,.20)"
    HEAD = "opacity:.6"


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines one under another, as they are.

    Parameters
    ----------
    trouble
        Whether it tells of an error.
    """

    lines: Sequence[tuple[Tone, str]]
    caption: str = ""
    trouble: bool = False

    def html(self) -> str:
        body = "".join(f'<span style="{_LINE};{tone}">{escape(text) or " "}</span>' for tone, text in self._clean())
        edge = f";border-left:3px solid {BAD};border-radius:2px" if self.trouble else ""
        return f'{caption(self.caption)}<pre style="{_PAPER};{MONOSPACE}{edge}">{body}</pre>'

    def text(self) -> str:
        head = [printable(self.caption)] if self.caption else []
        return "\n".join([*head, *(f"    {text}".rstrip() for _, text in self._clean())])

    def _clean(self) -> Iterable[tuple[Tone, str]]:
        return ((tone, printable(text.expandtabs(4))) for tone, text in self.lines)


def listed(text: str, title: str = "", *, trouble: bool = False) -> Listing:
    """The lines of a text."""
    return Listing([(Tone.PLAIN, line) for line in text.splitlines()], title, trouble)
