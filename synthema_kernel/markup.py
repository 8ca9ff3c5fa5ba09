"""HTML and plain text of small tables. Every text that enters HTML is escaped here and nowhere else.

Styles are inline and take the page's own colours, so that tables read well in light and dark themes and offline.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

_BREAKING = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})  # controls, and what ends a line or paragraph
_LINE = "1px solid rgba(128,128,128,.35)"
_BLOCK = "font-family:system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif;line-height:1.45"
_CELL = f"padding:4px 12px 4px 0;border:0;border-bottom:{_LINE};vertical-align:top"
_NUMBERS = "text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap"
MONOSPACE = "font-family:ui-monospace,'SF Mono',Menlo,Consolas,monospace;font-size:12px;line-height:1.5"
GOOD, WARNING, BAD = "#1a7f4b", "#b26a00", "#c0392b"


class Part(Protocol):
    """Something that is shown, as HTML and as plain text."""

    def html(self) -> str: ...

    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings.

    Parameters
    ----------
    numbers
        Indices of the columns to align to the right.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numbers: frozenset[int] = frozenset()

    def html(self) -> str:
        head = "".join(self._cell("th", index, text, "font-weight:600;") for index, text in enumerate(self.columns))
        body = "".join(
            "<tr>" + "".join(self._cell("td", index, text) for index, text in enumerate(row)) + "</tr>"
            for row in self.rows
        )
        named = (
            f'<caption style="caption-side:top;text-align:left;font-weight:600;padding:6px 0;color:inherit">'
            f"{escape(printable(self.caption))}</caption>"
            if self.caption
            else ""
        )
        return (
            f'<table style="border-collapse:collapse;border:0;margin:4px 0 10px;{_BLOCK};font-size:13px">{named}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _cell(self, tag: str, index: int, text: str, style: str = "") -> str:
        side = _NUMBERS if index in self.numbers else "text-align:left"
        return f'<{tag} style="{style}{_CELL};{side}">{escape(printable(text))}</{tag}>'

    def text(self) -> str:
        rows = [[printable(cell) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max((len(row[index]) for row in rows), default=0) for index in range(len(self.columns))]

        def line(row: Sequence[str]) -> str:
            cells = (
                cell.rjust(width) if index in self.numbers else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            return "  ".join(cells).rstrip()

        rule = "  ".join("-" * width for width in widths)
        return "\n".join(
            [*([printable(self.caption)] if self.caption else []), line(rows[0]), rule, *map(line, rows[1:])]
        )


def printable(text: str) -> str:
    """`text` on one line and without control characters: names come from other people, terminals obey escapes."""
    return "".join(" " if unicodedata.category(sign) in _BREAKING else sign for sign in text)


def paragraph(text: str) -> str:
    return f'<p style="margin:4px 0;opacity:.8;font-size:12px;{_BLOCK}">{escape(printable(text))}</p>'


def heading(text: str) -> str:
    return f'<p style="margin:8px 0 2px;font-size:15px;font-weight:600;{_BLOCK}">{escape(printable(text))}</p>'


def caption(text: str) -> str:
    """Over something that is no table; like a table's."""
    style = f"margin:8px 0 2px;font-size:13px;font-weight:600;{_BLOCK}"
    return f'<p style="{style}">{escape(printable(text))}</p>' if text else ""


def block(*parts: str) -> str:
    """Parts of HTML that belong together."""
    return f'<div class="synthema" style="max-width:820px">{"".join(parts)}</div>'


def moment(text: Any) -> str:
    """An ISO 8601 moment as people read it: ``2026-11-30 12:00 UTC``."""
    date, _, clock = str(text or "").partition("T")
    return f"{date} {clock[:5]} UTC" if clock else date


def number(value: float | None, digits: int = 3) -> str:
    """A number with that many decimals, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def significant(value: float | None, uncertainty: float) -> str:
    """A number with as many decimals as show a hundredth of its uncertainty."""
    finest = abs(uncertainty) or abs(value or 1.0) or 1.0
    return number(value, min(12, max(0, 1 - math.floor(math.log10(finest)))))


def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def short(text: str, most: int = 12) -> str:
    """The beginning of a digest."""
    return text[:most]
