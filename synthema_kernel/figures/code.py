"""What researchers' code gave: single numbers as points on tracks, rows of numbers as bars, tables as tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthema_kernel.figures.canvas import (
    COLOURS,
    FAINT,
    INK,
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
from synthema_kernel.outcome import Cell, Shown, outputs, rounded

_WIDTH, _HEAD = 760.0, 62.0
_ROW, _START, _END = 34.0, 230.0, 560.0
_LEFT, _RIGHT, _BARS = 76.0, 24.0, 166.0
_NAME, _BELOW = 30.0, 32.0
"""Above and below what is drawn of an output: its name, and the places of its cells."""
_TILE_HEIGHT, _TILES_MOST = 30.0, 24
_BAR = "#6aaed6"


def draw(result: Mapping[str, Any], small_print: Sequence[str] = ()) -> str:
    """The figure of a result of code as SVG text; `small_print` are sentences shown under it.

    A result that holds its `purpose` is called that: code has no name that says more.
    """
    shown = outputs(result)
    singles = [output for output in shown if not output.shape]
    rows = [output for output in shown if len(output.shape) == 1]
    tables = [output for output in shown if len(output.shape) == 2 and max(output.shape) <= _TILES_MOST]
    notes = wrapped([*_notes(result, shown, singles, len(rows) + len(tables)), *small_print], NOTE_LENGTH)
    heights = [_ROW * len(singles) + 14] * bool(singles)
    heights += [_NAME + _BARS + _BELOW for _ in rows]
    heights += [_NAME + _TILE_HEIGHT * output.shape[0] + _BELOW for output in tables]
    title = str(result.get("purpose") or result["title"])
    canvas = Canvas(_WIDTH, _HEAD + sum(heights) + 15 * len(notes) + 24, title, _description(shown))
    canvas.text(16, 26, shortened(title, 84), size=16, weight="600")
    canvas.text(16, 46, _subtitle(result), size=12, fill=SOFT)
    top = _HEAD
    if singles:
        top = _draw_singles(canvas, singles, top)
    for output in rows:
        top = _draw_row(canvas, output, top)
    for output in tables:
        top = _draw_table(canvas, output, top)
    foot(canvas, notes, 16, top + 22)
    return canvas.render()


def _subtitle(result: Mapping[str, Any]) -> str:
    evaluations = result.get("evaluations")
    if evaluations:
        return f"{result['title']}: mean over {evaluations:,} blocks at {result['sites']} sites"
    if result.get("statement"):
        return f"Mean of the models of {result['sites']} sites, on the scale on which they were fitted"
    return f"{result['title']}: sum over {result['sites']} sites"


def _description(shown: Sequence[Shown]) -> str:
    return (
        "; ".join(f"{output.name}: {', '.join(rounded(c.value) for c in output.cells[:12])}" for output in shown) + "."
    )


def _notes(result: Mapping[str, Any], shown: Sequence[Shown], singles: Sequence[Shown], panels: int) -> list[str]:
    said = [str(result["statement"])] if result.get("statement") else []
    if any(cell.reach is not None for output in shown for cell in output.cells):
        said.append(
            f"Whiskers and ±: {result['confidence'] * 100:g} % intervals of the privacy noise alone; "
            "chance among patients comes on top."
        )
    if len(singles) > 1:
        said.append("Each track has a scale of its own, and shows where 0 is.")
    if len(singles) + panels < len(shown):
        said.append("Larger outputs are not drawn: `to_frame()` has all.")
    if result.get("left_out"):
        said.append(f"Left out by a site, and therefore of everything: {', '.join(result['left_out'])}.")
    return said


def _draw_singles(canvas: Canvas, shown: Sequence[Shown], top: float) -> float:
    for index, output in enumerate(shown):
        y = top + _ROW * (index + 0.5)
        (cell,) = output.cells
        canvas.line(16, y + _ROW / 2, _WIDTH - 16, y + _ROW / 2, stroke=FAINT, width=0.6)
        canvas.text(16, y + 4, shortened(output.name, 32))
        canvas.text(_WIDTH - 16, y + 4, cell.spell(), anchor="end", weight="600")
        if cell.value is not None:
            _draw_track(canvas, cell, y)
    return top + _ROW * len(shown) + 14


def _draw_track(canvas: Canvas, cell: Cell, y: float) -> None:
    low, high = cell.span
    x = _track(min(0.0, low), max(0.0, high), _START, _END)
    canvas.line(_START, y, _END, y, stroke=FAINT, width=3)
    canvas.line(x(0), y - 7, x(0), y + 7, stroke=SOFT)
    canvas.text(x(0), y + 16, "0", size=8.5, fill=SOFT, anchor="middle")
    _whisker(canvas, (x(low), y), (x(high), y), 5.0)
    canvas.rectangle(x(cell.value or 0.0) - 4.5, y - 4.5, 9, 9, fill=COLOURS[0], rx=4.5)


def _track(low: float, high: float, start: float, end: float) -> Scale:
    room = (high - low) * 0.06 or 1.0
    return Scale(low - room, high + room, start, end)


def _whisker(canvas: Canvas, low: tuple[float, float], high: tuple[float, float], reach: float) -> None:
    """A line between two points with a cap at each; nothing where they are one."""
    if low == high:
        return
    upright = low[0] == high[0]
    across = (reach, 0.0) if upright else (0.0, reach)
    canvas.line(*low, *high, stroke=INK, width=1.6)
    for x, y in (low, high):
        canvas.line(x - across[0], y - across[1], x + across[0], y + across[1], stroke=INK, width=1.6)


def _draw_row(canvas: Canvas, output: Shown, top: float) -> float:
    upper, lower = top + _NAME, top + _NAME + _BARS
    spans = [cell.span for cell in output.cells]
    y = _track(min(0.0, *(low for low, _ in spans)), max(0.0, *(high for _, high in spans)), lower, upper)
    canvas.text(16, top + 18, shortened(output.name, 90), size=12, weight="600")
    for mark in ticks(y.low, y.high, 4):
        canvas.line(_LEFT, y(mark), _WIDTH - _RIGHT, y(mark), stroke=FAINT)
        canvas.text(_LEFT - 8, y(mark) + 4, plain(mark), size=11, fill=SOFT, anchor="end")
    canvas.line(_LEFT, y(0), _WIDTH - _RIGHT, y(0))
    width = (_WIDTH - _LEFT - _RIGHT) / len(output.cells)
    every = max(1, round(len(output.cells) / 24))
    for index, cell in enumerate(output.cells):
        middle = _LEFT + width * (index + 0.5)
        _draw_bar(canvas, cell, y, middle, width)
        if index % every == 0:
            canvas.text(middle, lower + 18, str(index), size=10.5, fill=SOFT, anchor="middle")
    return lower + _BELOW


def _draw_bar(canvas: Canvas, cell: Cell, y: Scale, middle: float, width: float) -> None:
    bar = max(1.0, min(width * 0.72, 60.0))
    if cell.value is None:
        canvas.text(middle, y(0) - 6, "left out", size=9, fill=SOFT, anchor="middle")
        return
    ends = sorted((y(0), y(cell.value)))
    canvas.rectangle(middle - bar / 2, ends[0], bar, ends[1] - ends[0], fill=_BAR)
    low, high = cell.span
    _whisker(canvas, (middle, y(low)), (middle, y(high)), min(6.0, bar / 3))


def _draw_table(canvas: Canvas, output: Shown, top: float) -> float:
    rows, columns = output.shape
    largest = max((abs(cell.value) for cell in output.cells if cell.value is not None), default=0.0) or 1.0
    canvas.text(16, top + 18, shortened(output.name, 90), size=12, weight="600")
    width = min(90.0, (_WIDTH - _LEFT - _RIGHT) / columns)
    for index, cell in enumerate(output.cells):
        row, column = divmod(index, columns)
        x, y = _LEFT + width * column, top + _NAME + _TILE_HEIGHT * row
        strength = 0.0 if cell.value is None else abs(cell.value) / largest
        canvas.rectangle(x, y, width - 2, _TILE_HEIGHT - 2, fill=_BAR, fill_opacity=0.08 + 0.72 * strength)
        if width >= 34:
            canvas.text(x + width / 2 - 1, y + 18, rounded(cell.value), size=11, anchor="middle")
    for row in range(rows):
        canvas.text(_LEFT - 8, top + _NAME + 18 + _TILE_HEIGHT * row, str(row), size=10.5, fill=SOFT, anchor="end")
    for column in range(columns):
        at = _LEFT + width * (column + 0.5) - 1
        canvas.text(at, top + _NAME + 14 + _TILE_HEIGHT * rows, str(column), size=10.5, fill=SOFT, anchor="middle")
    return top + _NAME + _TILE_HEIGHT * rows + _BELOW
