"""A table of two categories as bars: one a row, as high as it has patients, cut into the shares of the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthema_kernel.figures.canvas import FAINT, INK, NOTE_LENGTH, SOFT, Canvas, Scale, foot, shortened, wrapped
from synthema_kernel.figures.tints import NONE, TINTS, is_dark
from synthema_kernel.tables.crosstab import label, notes

_Values = Mapping[str, Any]
_WIDTH, _TOP, _LEFT, _RIGHT = 760.0, 92.0, 200.0, 90.0
_LEAST, _ALL, _GAP = 16.0, 190.0, 8.0


def draw(result: _Values, small_print: Sequence[str] = ()) -> str:
    """The figure of a ``crosstab`` result as SVG text; `small_print` are sentences shown under it."""
    heights = _heights(result)
    bottom = _TOP + sum(heights) + _GAP * len(heights)
    printed = wrapped([*notes(result), *small_print], NOTE_LENGTH)
    title = f"{label(result['rows'])} by {label(result['columns'])}"
    canvas = Canvas(_WIDTH, bottom + 44 + 15 * len(printed), title, _spoken(result))
    canvas.text(16, 26, shortened(title, 80), size=16, weight="600")
    canvas.text(16, 46, _spoken(result), size=12, fill=SOFT)
    _legend(canvas, result)
    y = _TOP
    for place, height in enumerate(heights):
        _bar(canvas, result, place, y, height)
        y += height + _GAP
    _axis(canvas, bottom)
    foot(canvas, printed, 16, bottom + 40)
    return canvas.render()


def _spoken(result: _Values) -> str:
    total = result["total"]
    about = "About " if result.get("private") else ""
    return "Some patients" if total is None else f"{about}{total:,} patients"


def _heights(result: _Values) -> list[float]:
    """By patients; of a row whose number is not shown the least."""
    known = [level["patients"] or 0 for level in result["rows"]["levels"]]
    whole = sum(known) or 1
    return [max(_LEAST, _ALL * count / whole) for count in known]


def _legend(canvas: Canvas, result: _Values) -> None:
    x = 16.0
    for place, level in enumerate(result["columns"]["levels"]):
        text = shortened(level["label"], 26)
        canvas.rectangle(x, 61, 10, 10, fill=TINTS[place % len(TINTS)], rx=2)
        canvas.text(x + 15, 70, text, size=11)
        x += 28 + 6.4 * len(text)


def _bar(canvas: Canvas, result: _Values, place: int, y: float, height: float) -> None:
    level, x = result["rows"]["levels"][place], Scale(0.0, 1.0, _LEFT, _WIDTH - _RIGHT)
    middle = y + height / 2 + 4
    canvas.text(16, middle, shortened(level["label"], 27), size=12)
    canvas.rectangle(x.start, y, x.end - x.start, height, fill=NONE, rx=2)
    count = level["patients"]
    canvas.text(x.end + 8, middle, "not shown" if count is None else f"{count:,}", size=11, fill=SOFT)
    at = 0.0
    for which, cell in enumerate(result["counts"][place]):
        if cell is None or not count:
            continue
        share = cell / count
        canvas.rectangle(x(at), y, x(at + share) - x(at), height, fill=TINTS[which % len(TINTS)])
        if share > 0.08:
            ink = "#fff" if is_dark(which) else INK
            canvas.text(
                (x(at) + x(at + share)) / 2, middle, f"{share * 100:.0f} %", size=10.5, fill=ink, anchor="middle"
            )
        at += share


def _axis(canvas: Canvas, bottom: float) -> None:
    x = Scale(0.0, 1.0, _LEFT, _WIDTH - _RIGHT)
    canvas.line(x.start, bottom, x.end, bottom, stroke=FAINT)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.text(x(share), bottom + 15, f"{share * 100:g} %", size=10.5, fill=SOFT, anchor="middle")
