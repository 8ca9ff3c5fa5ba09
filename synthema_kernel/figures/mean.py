"""A private mean: where it lies in the range that was asked about, with an interval that contains the privacy noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthema_kernel.figures.canvas import (
    COLOURS,
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
from synthema_kernel.markup import significant

_WIDTH, _TOP, _BOTTOM = 760.0, 66.0, 150.0
_LEFT, _RIGHT = 40.0, 40.0
_BAND = "#cfe3f2"


def draw(result: Mapping[str, Any], small_print: Sequence[str] = ()) -> str:
    """The figure of a ``mean`` result as SVG text; `small_print` are sentences shown under it."""
    notes = wrapped([_note(result), result["bounding"]["statement"], *small_print], NOTE_LENGTH)
    canvas = Canvas(_WIDTH, _BOTTOM + 66 + 15 * len(notes), result["title"], spelled(result))
    low, high = result["clip"]
    x = Scale(low, high, _LEFT, _WIDTH - _RIGHT)
    _heading(canvas, result)
    _spread(canvas, result, x)
    _axis(canvas, result, x)
    _interval(canvas, result["mean"], x)
    foot(canvas, notes, 16, _BOTTOM + 64)
    return canvas.render()


def spelled(result: Mapping[str, Any]) -> str:
    """``47.3 years, 95 % interval 45.1 to 49.5``, to as many digits as the interval leaves meaning."""
    mean, share = result["mean"], f"{result['confidence'] * 100:g} %"
    within = mean["upper"] - mean["lower"]
    low, high = (significant(mean[end], within) for end in ("lower", "upper"))
    unit = f" {result['column']['unit']}".rstrip()
    if mean["value"] is None:
        return f"The noise hides it: anything from {low} to {high}{unit}"
    return f"{significant(mean['value'], within)}{unit}, {share} interval {low} to {high}"


def _note(result: Mapping[str, Any]) -> str:
    return (
        f"Line: {result['confidence'] * 100:g} % interval that contains the privacy noise and the chance of other "
        "patients of this kind. Band: one standard deviation of the patients' values to each side."
    )


def _heading(canvas: Canvas, result: Mapping[str, Any]) -> None:
    canvas.text(16, 26, result["title"], size=16, weight="600")
    column, patients = result["column"], result["patients"]
    label = column["label"] or column["column"]
    count = f"about {plain(patients['shown'])} patients"
    canvas.text(16, 46, shortened(f"{label}: {spelled(result)}; {count}", 115), size=12, fill=SOFT)


def _spread(canvas: Canvas, result: Mapping[str, Any], x: Scale) -> None:
    value, spread = result["mean"]["value"], result["spread"]["value"]
    if value is not None and spread is not None:
        left, right = x.clamp(value - spread), x.clamp(value + spread)
        canvas.rectangle(left, _TOP, right - left, _BOTTOM - _TOP, fill=_BAND)


def _axis(canvas: Canvas, result: Mapping[str, Any], x: Scale) -> None:
    for mark in ticks(x.low, x.high, 8):
        canvas.line(x(mark), _TOP, x(mark), _BOTTOM, stroke=FAINT)
        canvas.line(x(mark), _BOTTOM, x(mark), _BOTTOM + 5)
        canvas.text(x(mark), _BOTTOM + 18, plain(mark), size=11, fill=SOFT, anchor="middle")
    canvas.line(x.start, _BOTTOM, x.end, _BOTTOM)
    column = result["column"]
    unit = f" ({column['unit']})" if column["unit"] else ""
    label = shortened(f"{column['label'] or column['column']}{unit}", 90)
    canvas.text((x.start + x.end) / 2, _BOTTOM + 38, label, anchor="middle")


def _interval(canvas: Canvas, mean: Mapping[str, Any], x: Scale) -> None:
    middle = (_TOP + _BOTTOM) / 2
    left, right = x.clamp(mean["lower"]), x.clamp(mean["upper"])
    canvas.line(left, middle, right, middle, stroke=COLOURS[0], width=2)
    for end in (left, right):
        canvas.line(end, middle - 6, end, middle + 6, stroke=COLOURS[0], width=2)
    if mean["value"] is not None:
        canvas.rectangle(x.clamp(mean["value"]) - 5, middle - 5, 10, 10, fill=COLOURS[0])
