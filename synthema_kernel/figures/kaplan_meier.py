"""Kaplan-Meier curves with confidence bands, censoring marks and the numbers at risk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from synthema_kernel.figures.canvas import (
    COLOURS,
    DASHES,
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
from synthema_kernel.markup import p_value

_WIDTH, _PLOT_HEIGHT = 760.0, 300.0
_LEFT, _RIGHT, _TOP = 168.0, 24.0, 66.0
_ROW = 18.0
_Arm = Mapping[str, Any]
_Points = list[tuple[float, float]]
_Trace = Callable[[Sequence[float], Sequence[float]], _Points]


def draw(result: Mapping[str, Any], small_print: Sequence[str] = ()) -> str:
    """The figure of a ``kaplan-meier`` result as SVG text.

    Parameters
    ----------
    small_print
        Sentences shown under the figure.
    """
    arms: Sequence[_Arm] = result["arms"]
    grid: Sequence[float] = result["grid"]
    notes = wrapped([*_notes(result), *small_print], NOTE_LENGTH)
    below = _TOP + _PLOT_HEIGHT
    table_top = below + 66
    height = table_top + _ROW * len(arms) + 16 + 15 * len(notes) + 8
    canvas = Canvas(_WIDTH, height, result["title"], _description(result))
    x = Scale(0, max([*grid, 0]) or 1, _LEFT, _WIDTH - _RIGHT)
    y = Scale(0, 1, below, _TOP)
    marks = [tick for tick in ticks(0, x.high, 7) if tick <= x.high]
    _heading(canvas, result)
    _axes(canvas, result, x, y, marks)
    trace = partial(_lines if result.get("private") else _steps, x=x, y=y)
    for index, arm in enumerate(arms):
        _band(canvas, _followed(grid, arm), arm, trace, COLOURS[index % len(COLOURS)])
    for index, arm in enumerate(arms):
        _curve(canvas, _followed(grid, arm), arm, trace, index)
        if not result.get("private"):
            _censored(canvas, _followed(grid, arm), arm, x, y, COLOURS[index % len(COLOURS)])
    _numbers_at_risk(canvas, result, x, marks, table_top)
    foot(canvas, notes, 16, table_top + _ROW * len(arms) + 24)
    return canvas.render()


def _description(result: Mapping[str, Any]) -> str:
    arms = "; ".join(f"{arm['label']}: {arm['patients']} patients, {arm['events']} events" for arm in result["arms"])
    return f"Probability of staying free of the event over time. {arms}."


def _notes(result: Mapping[str, Any]) -> list[str]:
    notes = []
    if result["log_rank"]:
        test = result["log_rank"]
        notes.append(
            f"Log-rank test: chi-squared {test['statistic']:.2f} on {test['degrees']} degrees of freedom, "
            f"p {_equals(p_value(test['p']))}."
        )
    step = f"{plain(result['time']['step'])} {result['time']['unit']}"
    bands = f"Bands: {result['confidence'] * 100:g} % confidence intervals"
    if result.get("private"):
        notes.append(f"{bands}, noise included. Life table with steps of {step}; noisy numbers at risk.")
    else:
        notes.append(f"{bands}. Times are counted at the end of steps of {step}. Small strokes: patients censored.")
    if result["suppressed"]:
        notes.append(f"Too few patients to be shown: {', '.join(result['suppressed'])}.")
    return notes


def _equals(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"


def _heading(canvas: Canvas, result: Mapping[str, Any]) -> None:
    canvas.text(16, 26, result["title"], size=16, weight="600")
    label = result["event"]["label"] or result["event"]["column"]
    by = f", by {result['group']['label'] or result['group']['column']}" if result["group"] else ""
    canvas.text(16, 46, shortened(f"Event: {label}{by} ({result['patients']} patients)", 115), size=12, fill=SOFT)


def _axes(canvas: Canvas, result: Mapping[str, Any], x: Scale, y: Scale, marks: Sequence[float]) -> None:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.line(x.start, y(share), x.end, y(share), stroke=FAINT)
        canvas.text(x.start - 8, y(share) + 4, f"{share * 100:g} %", size=11, fill=SOFT, anchor="end")
    canvas.line(x.start, y.start, x.end, y.start)
    for mark in marks:
        canvas.line(x(mark), y.start, x(mark), y.start + 5)
        canvas.text(x(mark), y.start + 19, plain(mark), size=11, fill=SOFT, anchor="middle")
    time = result["time"]
    unit = f" ({time['unit']})" if time["unit"] else ""
    name = shortened(f"{time['label'] or time['column']}{unit}", 90)
    canvas.text((x.start + x.end) / 2, y.start + 38, name, anchor="middle")
    canvas.text(x.start - 56, (y.start + y.end) / 2, "Free of the event", anchor="middle", turned=True)


def _followed(grid: Sequence[float], arm: _Arm) -> Sequence[float]:
    """The times to which a curve is drawn: it ends with its last patient, or where noise hides how many there are."""
    watched = zip(grid, arm["at_risk"], arm["survival"], strict=True)
    return [time for time, patients, value in watched if value is not None and (patients or not time)]


def _lines(grid: Sequence[float], values: Sequence[float], x: Scale, y: Scale) -> _Points:
    """Straight lines between the ends of steps."""
    return [(x(time), y(value)) for time, value in zip(grid, values, strict=False)]


def _steps(grid: Sequence[float], values: Sequence[float], x: Scale, y: Scale) -> _Points:
    """The corners of a step curve that begins with 1 at time 0."""
    points, height = [(x(0), y(1))], y(1)
    for time, value in zip(grid, values, strict=False):
        points.append((x(time), height))
        height = y(value)
        points.append((x(time), height))
    return points


def _band(canvas: Canvas, grid: Sequence[float], arm: _Arm, trace: _Trace, colour: str) -> None:
    canvas.path([*trace(grid, arm["upper"]), *reversed(trace(grid, arm["lower"]))], fill=colour, fill_opacity=0.13)


def _curve(canvas: Canvas, grid: Sequence[float], arm: _Arm, trace: _Trace, index: int) -> None:
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    canvas.path(trace(grid, arm["survival"]), stroke=colour, width=2.2, stroke_dasharray=dash)


def _censored(canvas: Canvas, grid: Sequence[float], arm: _Arm, x: Scale, y: Scale, colour: str) -> None:
    for time, gone, value in zip(grid, arm["censored"], arm["survival"], strict=False):
        if gone:
            canvas.line(x(time), y(value) - 4.5, x(time), y(value) + 4.5, stroke=colour, width=1.3)


def _numbers_at_risk(canvas: Canvas, result: Mapping[str, Any], x: Scale, marks: Sequence[float], top: float) -> None:
    """One row an arm, which is the legend at the same time: its line, its name, and the numbers under the axis."""
    canvas.text(16, top - 8, "Patients at risk", size=11, weight="600")
    grid: Sequence[float] = result["grid"]
    for index, arm in enumerate(result["arms"]):
        base = top + 10 + _ROW * index
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        canvas.path([(16, base - 4), (40, base - 4)], stroke=colour, width=2.4, stroke_dasharray=dash)
        canvas.text(46, base, shortened(arm["label"] or arm["code"], 18), size=11, fill=INK)
        for mark in marks:
            cell = next((i for i, time in enumerate(grid) if time >= mark - 1e-9), None)
            if cell is not None:
                canvas.text(x(mark), base, f"{arm['at_risk'][cell]:,}", size=11, anchor="middle")
