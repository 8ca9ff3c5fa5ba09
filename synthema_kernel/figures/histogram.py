"""A private histogram: bars with intervals that contain the privacy noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from synthema_kernel.figures.canvas import (
    FAINT,
    NOTE_LENGTH,
    SOFT,
    Canvas,
    Scale,
    foot,
    plain,
    shortened,
    ticks,
    wrapped,
)

_WIDTH, _HEIGHT = 760.0, 280.0
_LEFT, _RIGHT, _TOP = 76.0, 24.0, 66.0
_BAR = "#6aaed6"
_Cell = Mapping[str, Any]


def draw(result: Mapping[str, Any], small_print: Sequence[str] = ()) -> str:
    """The figure of a ``histogram`` result as SVG text; `small_print` are sentences shown under it."""
    total = result["total"]
    about = "" if not total else f"about {plain(round(total['count']))} patients"
    interval = "" if not total else f" ({plain(round(total['lower']))} to {plain(round(total['upper']))})"
    bounds = [result["bounding"]["statement"]] if "bounding" in result else []
    return _drawn(result, result["cells"], [_note(result), *bounds, *small_print], about + interval)


def draw_exact(result: Mapping[str, Any], small_print: Sequence[str] = ()) -> str:
    """The figure of a ``histogram-exact`` result as SVG text."""
    cells = [{**cell, "shown": cell["count"], "lower": None, "upper": None} for cell in result["cells"]]
    least = result["min_patients"]
    gone = [f"No bar stands for a number that is not shown: from 1 to below {least}, or one that would give such back."]
    total = result["total"]
    return _drawn(
        result,
        cells,
        [*(gone if result["suppressed"] else []), *small_print],
        "" if total is None else f"{plain(total)} patients",
    )


def _drawn(result: Mapping[str, Any], cells: Sequence[_Cell], said: Sequence[str], counted: str) -> str:
    notes = wrapped(said, NOTE_LENGTH)
    bottom = _TOP + _HEIGHT
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(cells), 1)
    turned = any(not _is_interval(cell) and len(cell_label(cell)) * 6.2 > width for cell in cells)
    name_at = bottom + (112 if turned else 46)
    canvas = Canvas(_WIDTH, name_at + 30 + 15 * len(notes), result["title"], _description(cells))
    top = max([1.0, *(max(cell["upper"] or 0, cell["shown"] or 0) for cell in cells)])
    y = Scale(0, top * 1.06, bottom, _TOP)
    _frame(canvas, result["column"] or {}, result["title"], counted, y, name_at)
    for index, cell in enumerate(cells):
        left = _LEFT + width * index
        _bar(canvas, cell, y, left, width)
        if not _is_interval(cell):
            _label(canvas, cell_label(cell), left + width / 2, bottom, turned=turned)
    _edges(canvas, [cell for cell in cells if _is_interval(cell)], bottom, width)
    foot(canvas, notes, 16, name_at + 30)
    return canvas.render()


def _is_interval(cell: _Cell) -> bool:
    return cell["low"] is not None and cell["high"] is not None


def cell_label(cell: _Cell) -> str:
    """A category's label, or the interval of a cell of numbers."""
    return str(cell["label"] or (f"{plain(cell['low'])} to {plain(cell['high'])}" if _is_interval(cell) else "–"))


def _description(cells: Sequence[_Cell]) -> str:
    told = ("not shown" if cell["shown"] is None else plain(cell["shown"]) for cell in cells)
    return "Numbers of patients. " + "; ".join(map(": ".join, zip(map(cell_label, cells), told, strict=True))) + "."


def _note(result: Mapping[str, Any]) -> str:
    return (
        f"Whiskers: {result['confidence'] * 100:g} % intervals that contain the privacy noise "
        f"(standard deviation {result['noise_standard_deviation']:.2f} patients a bar)."
    )


def _frame(canvas: Canvas, column: Mapping[str, Any], title: str, counted: str, y: Scale, name_at: float) -> None:
    canvas.text(16, 26, title, size=16, weight="600")
    what = column.get("label") or column.get("column") or "All patients"
    canvas.text(16, 46, shortened(f"{what}: {counted}" if counted else what, 115), size=12, fill=SOFT)
    for mark in ticks(0, y.high, 5):
        canvas.line(_LEFT, y(mark), _WIDTH - _RIGHT, y(mark), stroke=FAINT)
        canvas.text(_LEFT - 8, y(mark) + 4, plain(mark), size=11, fill=SOFT, anchor="end")
    canvas.line(_LEFT, y.start, _WIDTH - _RIGHT, y.start)
    canvas.text(20, (y.start + y.end) / 2, "Patients", anchor="middle", turned=True)
    unit = f" ({column['unit']})" if column.get("unit") else ""
    canvas.text((_LEFT + _WIDTH - _RIGHT) / 2, name_at, shortened(f"{what}{unit}", 90), anchor="middle")


def _bar(canvas: Canvas, cell: _Cell, y: Scale, left: float, width: float) -> None:
    gap = 0.5 if _is_interval(cell) else min(12.0, width * 0.18)
    bar = width - 2 * gap if _is_interval(cell) else min(width - 2 * gap, 120.0)
    middle = left + width / 2
    shown = max(cell["shown"] or 0, 0)
    canvas.rectangle(middle - bar / 2, y(shown), bar, y.start - y(shown), fill=_BAR)
    lower, upper = cell["lower"], cell["upper"]
    if lower is None or upper is None or upper < 0:
        return
    canvas.line(middle, y.clamp(lower), middle, y(upper), width=1.6)
    reach = min(8.0, bar / 3)
    for end in (lower, upper):
        if end >= 0:  # an interval that goes on below zero has no cap there
            canvas.line(middle - reach, y(end), middle + reach, y(end), width=1.6)


def _label(canvas: Canvas, text: str, x: float, bottom: float, *, turned: bool) -> None:
    if turned:
        canvas.text(x + 4, bottom + 10, shortened(text, 15), size=10.5, fill=SOFT, anchor="end", turned=True)
    else:
        canvas.text(x, bottom + 19, text, size=11, fill=SOFT, anchor="middle")


def _edges(canvas: Canvas, cells: Sequence[_Cell], bottom: float, width: float) -> None:
    """The edges of cells of numbers, as many as there is room for."""
    edges = [*(cell["low"] for cell in cells), *(cell["high"] for cell in cells[-1:])]
    longest = max((len(plain(edge)) for edge in edges), default=1)
    every = max(1, math.ceil((longest * 6.4 + 10) / width))
    for index, edge in enumerate(edges):
        x = _LEFT + width * index
        canvas.line(x, bottom, x, bottom + (5 if index % every == 0 else 3))
        if index % every == 0:
            canvas.text(x, bottom + 19, plain(edge), size=11, fill=SOFT, anchor="middle")
