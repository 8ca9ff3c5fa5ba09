"""Kaplan-Meier curves with confidence bands, censoring marks and the numbers at risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from synthema_kernel.figures.canvas import (
    COLOURS,
    DASHES,
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
from synthema_kernel.figures.curves import (
    LEFT,
    PLOT_HEIGHT,
    RIGHT,
    ROW,
    TOP,
    WIDTH,
    Trace,
    axes,
    lines,
    numbers_at_risk,
    steps,
)
from synthema_kernel.markup import p_value

_Arm = Mapping[str, Any]


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
    below = TOP + PLOT_HEIGHT
    table_top = below + 66
    height = table_top + ROW * len(arms) + 16 + 15 * len(notes) + 8
    canvas = Canvas(WIDTH, height, result["title"], _description(result))
    x = Scale(0, max([*grid, 0]) or 1, LEFT, WIDTH - RIGHT)
    y = Scale(0, 1, below, TOP)
    marks = [tick for tick in ticks(0, x.high, 7) if tick <= x.high]
    _heading(canvas, result)
    axes(canvas, result, x, y, marks, "Free of the event")
    trace = partial(lines if result.get("private") else steps, x=x, y=y)
    for index, arm in enumerate(arms):
        _band(canvas, _followed(grid, arm), arm, trace, COLOURS[index % len(COLOURS)])
    for index, arm in enumerate(arms):
        _curve(canvas, _followed(grid, arm), arm, trace, index)
        if not result.get("private"):
            _censored(canvas, _followed(grid, arm), arm, x, y, COLOURS[index % len(COLOURS)])
    numbers_at_risk(canvas, result, x, marks, table_top)
    foot(canvas, notes, 16, table_top + ROW * len(arms) + 24)
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


def _followed(grid: Sequence[float], arm: _Arm) -> Sequence[float]:
    """The times to which a curve is drawn: it ends with its last patient, or where noise hides how many there are."""
    watched = zip(grid, arm["at_risk"], arm["survival"], strict=True)
    return [time for time, patients, value in watched if value is not None and (patients or not time)]


def _band(canvas: Canvas, grid: Sequence[float], arm: _Arm, trace: Trace, colour: str) -> None:
    canvas.path([*trace(grid, arm["upper"]), *reversed(trace(grid, arm["lower"]))], fill=colour, fill_opacity=0.13)


def _curve(canvas: Canvas, grid: Sequence[float], arm: _Arm, trace: Trace, index: int) -> None:
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    canvas.path(trace(grid, arm["survival"]), stroke=colour, width=2.2, stroke_dasharray=dash)


def _censored(canvas: Canvas, grid: Sequence[float], arm: _Arm, x: Scale, y: Scale, colour: str) -> None:
    for time, gone, value in zip(grid, arm["censored"], arm["survival"], strict=False):
        if gone:
            canvas.line(x(time), y(value) - 4.5, x(time), y(value) + 4.5, stroke=colour, width=1.3)
