"""The few SVG elements the figures are made of. Every text and attribute is escaped here and nowhere else."""

from __future__ import annotations

import hashlib
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from synthema_kernel.markup import printable

_FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
NOTE_LENGTH = 132
"""Characters of small print that fit in one line of a figure."""
INK, SOFT, FAINT, PAPER = "#1b1f24", "#57606a", "#d8dee4", "#ffffff"

# After Okabe and Ito (2008): told apart with every common colour vision; dashes tell them apart in grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8c6d00", "#3c8dbc", "#444444")
DASHES = ("", "7 3", "2 2.5", "9 3 2 3", "12 4", "4 4", "1 3")

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Canvas:
    """Collects elements; the figure stands on its own white paper, readable in light and dark pages.

    Parameters
    ----------
    title, description
        For screen readers.
    """

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.width, self.height = width, height
        self._title, self._description = title, description
        self._elements: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, *, stroke: str = INK, width: float = 1) -> None:
        self._add("line", "", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width)

    def path(
        self, points: Sequence[tuple[float, float]], *, stroke: str = "none", width: float = 0, **more: str | float
    ) -> None:
        """A line through the points; give ``fill`` to close it."""
        first, *rest = points
        d = f"M{_short(first[0])} {_short(first[1])}" + "".join(f"L{_short(x)} {_short(y)}" for x, y in rest)
        self._add("path", "", **{"fill": "none", **more, "d": d, "stroke": stroke, "stroke_width": width})

    def rectangle(self, x: float, y: float, width: float, height: float, *, fill: str, **more: str | float) -> None:
        self._add("rect", "", x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), fill=fill, **more)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 12,
        fill: str = INK,
        anchor: str = "start",
        weight: str = "normal",
        turned: bool = False,
    ) -> None:
        more = {"transform": f"rotate(-90 {_short(x)} {_short(y)})"} if turned else {}
        self._add("text", text, x=x, y=y, font_size=size, fill=fill, text_anchor=anchor, font_weight=weight, **more)

    def _add(self, tag: str, content: str, **attributes: Any) -> None:
        spelled = "".join(
            f' {name.replace("_", "-")}="{escape(_short(value) if isinstance(value, int | float) else value)}"'
            for name, value in attributes.items()
            if value != ""
        )
        self._elements.append(f"<{tag}{spelled}>{clean(content)}</{tag}>")

    def render(self) -> str:
        size = f'width="{_short(self.width)}" height="{_short(self.height)}"'
        body = "\n".join(self._elements)
        # Pictures of one page share one space of ids.
        key = hashlib.sha256((self._title + self._description + body).encode()).hexdigest()[:10]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_short(self.width)} {_short(self.height)}" '
            f'role="img" aria-labelledby="t{key} d{key}" font-family="{escape(_FONT)}" '
            f'style="max-width:100%;height:auto">\n'
            f'<title id="t{key}">{clean(self._title)}</title>\n<desc id="d{key}">{clean(self._description)}</desc>\n'
            f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>\n{body}\n</svg>\n'
        )


def clean(text: str) -> str:
    """`text` as XML character data."""
    return escape(_NOT_XML.sub(" ", printable(text)))


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Scale:
    """From values (`low` to `high`) to positions (`start` to `end`); `warp` is the identity or a logarithm."""

    low: float
    high: float
    start: float
    end: float
    warp: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        low, high = self.warp(self.low), self.warp(self.high)
        share = (self.warp(value) - low) / ((high - low) or 1.0)
        return self.start + share * (self.end - self.start)

    def clamp(self, value: float) -> float:
        return self(min(max(value, self.low), self.high))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, at most about `most`."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def plain(value: float) -> str:
    """A tick's number: no exponent, no needless decimals, thousands apart."""
    return "0" if abs(value) < 1e-12 else _grouped(value)


def _grouped(value: float) -> str:
    text = f"{value:,.4f}" if abs(value) >= 0.001 else f"{value:.3g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrapped(lines: Iterable[str], most: int) -> list[str]:
    """The lines, broken between words where they are longer than `most` characters."""
    return [part for line in lines for part in textwrap.wrap(printable(line), most, break_on_hyphens=False) or [""]]


def foot(canvas: Canvas, lines: Sequence[str], x: float, y: float) -> None:
    """Small print under a figure: what protects the patients, and where the numbers come from."""
    for index, line in enumerate(lines):
        canvas.text(x, y + 15 * index, line, size=10.5, fill=SOFT)
