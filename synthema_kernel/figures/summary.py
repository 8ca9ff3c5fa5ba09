"""A Table 1 as a picture: each variable's groups side by side, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    wrapped,
)
from synthema_kernel.markup import p_value, significant

_WIDTH = 760.0
_START, _END, _WIDEST = 258.0, 492.0, 700.0
_APART, _FARTHEST = 586.0, 674.0
_LINE, _GAP, _LEAST = 10.0, 12.0, 34.0
_MOST_ROWS = 70
_BAND = 0.22
_BALANCED = 0.1
_Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """A quantity, or a level of a category. `marks`: of each group, (middle, lower, upper, first, last) or None."""

    label: str
    under: str
    low: float
    high: float
    ends: tuple[str, str]
    marks: Sequence[tuple[float | None, ...] | None]
    variable: _Values
    first: bool
    share: bool


def draw(result: _Values, small_print: Sequence[str] = ()) -> str:
    """The figure of a ``summary`` result as SVG text; `small_print` are sentences shown under it."""
    every = [row for variable in result["variables"] for row in _rows(variable)]
    rows = every[:_MOST_ROWS]
    names = [_name(group) for group in result["groups"]]
    notes = wrapped([*_notes(result, len(every) - len(rows)), *small_print], NOTE_LENGTH)
    height = max(_LEAST, _LINE * max(1, len(names)) + _GAP)
    top = 78.0 + 18.0 * len(_legend_lines(names))
    bottom = top + height * len(rows)
    canvas = Canvas(_WIDTH, bottom + 34 + 15 * len(notes) + 8, result["title"], _description(result))
    compares = any(variable["smd"] or variable["test"] for variable in result["variables"])
    end = _END if compares else _WIDEST
    _heading(canvas, result, names, top, end)
    compared = _scale(result)
    if compared:
        _balance(canvas, compared, top, bottom)
    for index, row in enumerate(rows):
        _row(canvas, row, top + height * index, height, end)
        if row.first:
            _compared(canvas, row.variable, compared, top + height * (index + 0.5))
    foot(canvas, notes, 16, bottom + 36)
    return canvas.render()


def _name(group: _Values) -> str:
    return str(group["label"] or group["code"])


def _named(variable: _Values) -> str:
    return str(variable["label"] or variable["column"])


def _description(result: _Values) -> str:
    names = ", ".join(_named(variable) for variable in result["variables"])
    return f"Means and shares of {result['patients']} patients with intervals: {names}."


def _notes(result: _Values, hidden: int) -> list[str]:
    quartiles = 0.25 in result["quantiles"] and 0.75 in result["quantiles"]
    noise = " that contain the privacy noise" if result["private"] else ""
    told = [
        f"Marks: means and shares, with {result['confidence'] * 100:g} % intervals{noise}. "
        + ("Bands: from the first to the third quartile. " if quartiles else "")
        + "Each number has its own scale, whose ends are written beside it; shares run from 0 to 100 %."
    ]
    if any(variable["smd"] for variable in result["variables"]):
        told.append("SMD: the largest standardised mean difference between two groups; dotted line: 0.1.")
    if result["suppressed"]:
        told.append(f"Too few patients to be shown: {', '.join(result['suppressed'])}.")
    return [*told, f"{hidden} more rows are in the table."] if hidden else told


def _rows(variable: _Values) -> Iterator[_Row]:
    cells = variable["groups"] or [variable["overall"]]
    if variable["kind"] == "number":
        yield _number(variable, cells)
        return
    for place, (code, label) in enumerate(variable["levels"]):
        if variable["boolean"] and place == 0:
            continue
        marks = [
            None
            if own["proportions"][place] is None
            else (own["proportions"][place], own["lower"][place], own["upper"][place], None, None)
            for own in cells
        ]
        first = place == (1 if variable["boolean"] else 0)
        name = _named(variable) if first else ""
        level = "" if variable["boolean"] else str(label or code)
        yield _Row(name or level, level if name else "", 0.0, 1.0, ("", ""), marks, variable, first, share=True)


def _number(variable: _Values, cells: Sequence[_Values]) -> _Row:
    marks = [_mark(own) for own in cells]
    seen = [value for mark in marks if mark for value in mark if value is not None]
    low, high = (min(seen), max(seen)) if seen else variable["range"]
    room = (high - low or 1.0) * 0.08
    low, high = max(low - room, variable["range"][0]), min(high + room, variable["range"][1])
    if low >= high:
        low, high = variable["range"]
    ends = (significant(low, high - low), significant(high, high - low))
    return _Row(_named(variable), str(variable["unit"]), low, high, ends, marks, variable, first=True, share=False)


def _mark(own: _Values) -> tuple[float | None, ...] | None:
    if own["mean"] is None:
        return None
    told = [value for value in own["quantiles"] or () if value is not None]
    outer = (told[0], told[-1]) if len(told) > 1 else (None, None)
    return (own["mean"], own["lower"], own["upper"], *outer)


def _heading(canvas: Canvas, result: _Values, names: Sequence[str], top: float, end: float) -> None:
    canvas.text(16, 26, result["title"], size=16, weight="600")
    about = "about " if result["private"] else ""
    by = f", by {_named(result['by'])}" if result["by"] else ""
    canvas.text(16, 46, shortened(f"{about}{plain(result['patients'])} patients{by}", 115), size=12, fill=SOFT)
    for line, entries in enumerate(_legend_lines(names)):
        for x, index in entries:
            y = 64 + 18 * line
            canvas.rectangle(x, y - 8, 9, 9, fill=_colour(index))
            canvas.text(x + 14, y, shortened(names[index], 30), size=11)
    if any(variable["kind"] == "category" for variable in result["variables"]):
        canvas.text(_START, top - 8, "0 %", size=9, fill=SOFT, anchor="middle")
        canvas.text(end, top - 8, "100 %", size=9, fill=SOFT, anchor="middle")
    if any(variable["smd"] for variable in result["variables"]):
        canvas.text(_APART, top - 8, "SMD", size=11, weight="600")
    if any(variable["test"] for variable in result["variables"]):
        canvas.text(_WIDTH - 16, top - 8, "p", size=11, weight="600", anchor="end")


def _legend_lines(names: Sequence[str]) -> list[list[tuple[float, int]]]:
    """The places of the legend's entries, line by line."""
    lines: list[list[tuple[float, int]]] = [[]]
    x = 16.0
    for index, name in enumerate(names):
        width = 34 + 6.3 * len(shortened(name, 30))
        if lines[-1] and x + width > _WIDTH - 16:
            lines.append([])
            x = 16.0
        lines[-1].append((x, index))
        x += width
    return [line for line in lines if line]


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _row(canvas: Canvas, row: _Row, top: float, height: float, end: float) -> None:
    middle = top + height / 2
    canvas.line(16 if row.first else 34, top, _WIDTH - 16 if row.first else end, top, stroke=FAINT, width=0.6)
    if row.first:
        canvas.text(16, middle - 1 if row.under else middle + 4, shortened(row.label, 36))
        if row.under:
            canvas.text(34 if row.share else 16, middle + 12, shortened(row.under, 36), size=10.5, fill=SOFT)
    else:
        canvas.text(34, middle + 4, shortened(row.label, 36), size=10.5, fill=SOFT)
    x = Scale(row.low, row.high, _START, end)
    if row.share:
        canvas.line(x.start, top + 4, x.start, top + height - 4, stroke=FAINT)
        canvas.line(x.end, top + 4, x.end, top + height - 4, stroke=FAINT)
    else:
        canvas.text(_START - 6, middle + 3.5, row.ends[0], size=9, fill=SOFT, anchor="end")
        canvas.text(end + 6, middle + 3.5, row.ends[1], size=9, fill=SOFT)
    first = middle - _LINE * (len(row.marks) - 1) / 2
    for index, mark in enumerate(row.marks):
        if mark:
            _draw_mark(canvas, x, first + _LINE * index, mark, _colour(index), share=row.share)
    told = row.marks[0] if row.share and len(row.marks) == 1 else None
    if told and told[0] is not None:
        canvas.text(end + 6, middle + 3.5, f"{told[0] * 100:.0f} %", size=10.5, fill=SOFT)


def _draw_mark(canvas: Canvas, x: Scale, y: float, mark: tuple[float | None, ...], colour: str, *, share: bool) -> None:
    middle, lower, upper, first, last = mark
    assert middle is not None, "a mark has a place"
    if share:
        canvas.rectangle(x.start, y - 3.2, x(middle) - x.start, 6.4, fill=colour, fill_opacity=_BAND)
    elif first is not None and last is not None:
        canvas.rectangle(x.clamp(first), y - 3.2, x.clamp(last) - x.clamp(first), 6.4, fill=colour, fill_opacity=_BAND)
    if lower is not None and upper is not None:
        canvas.line(x.clamp(lower), y, x.clamp(upper), y, stroke=colour, width=1.6)
    canvas.rectangle(x.clamp(middle) - 3, y - 3, 6, 6, fill=colour, rx=3)


def _scale(result: _Values) -> Scale | None:
    """From no difference to the largest, at least a fifth of a standard deviation."""
    found = [variable["smd"]["largest"] for variable in result["variables"] if variable["smd"]]
    sizes = [abs(size) for size in found if size is not None]
    return Scale(0, max([0.2, *sizes]), _APART, _FARTHEST) if found else None


def _balance(canvas: Canvas, x: Scale, top: float, bottom: float) -> None:
    canvas.line(x(0), top, x(0), bottom, stroke=SOFT)
    canvas.path([(x(_BALANCED), top), (x(_BALANCED), bottom)], stroke=SOFT, width=1, stroke_dasharray="2 3")
    for size in (0.0, x.high):
        canvas.text(x(size), bottom + 14, f"{size:.2g}", size=10, fill=SOFT, anchor="middle")
    if x(_BALANCED) - x(0) > 14 and x(x.high) - x(_BALANCED) > 22:
        canvas.text(x(_BALANCED), bottom + 14, f"{_BALANCED:g}", size=10, fill=SOFT, anchor="middle")


def _compared(canvas: Canvas, variable: _Values, x: Scale | None, y: float) -> None:
    largest = variable["smd"]["largest"] if variable["smd"] else None
    if x and largest is not None:
        canvas.line(x(0), y, x(abs(largest)), y, stroke=FAINT, width=2)
        canvas.rectangle(x(abs(largest)) - 4, y - 4, 8, 8, fill=INK, rx=4)
    if variable["test"]:
        canvas.text(_WIDTH - 16, y + 4, p_value(variable["test"]["p"]), size=11, anchor="end")
