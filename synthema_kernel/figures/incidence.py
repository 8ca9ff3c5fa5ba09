"""Cumulative incidence with bands: the event asked about for each group; of a single group, every event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

_Values = Mapping[str, Any]


def draw(result: _Values, small_print: Sequence[str] = ()) -> str:
    """The figure of a ``cumulative-incidence`` result as SVG text; `small_print` are sentences shown under it."""
    notes = wrapped([*_notes(result), *small_print], NOTE_LENGTH)
    below = TOP + PLOT_HEIGHT
    table_top = below + 66
    legend = result["arms"] if len(result["arms"]) > 1 else []
    bottom = table_top + ROW * max(1, len(legend))
    canvas = Canvas(WIDTH, bottom + 16 + 15 * len(notes) + 8, result["title"], _description(result))
    x, y = Scale(0, max([*result["grid"], 0]) or 1, LEFT, WIDTH - RIGHT), Scale(0, 1, below, TOP)
    marks = [tick for tick in ticks(0, x.high, 7) if tick <= x.high]
    canvas.text(16, 26, result["title"], size=16, weight="600")
    canvas.text(16, 46, shortened(_under(result), 115), size=12, fill=SOFT)
    axes(canvas, result, x, y, marks, "With the event")
    trace = partial(lines, x=x, y=y) if result.get("private") else partial(steps, x=x, y=y, first=0.0)
    shown = list(_curves(result))
    for index, curve in enumerate(shown):
        _band(canvas, *_known(result["grid"], curve), trace, COLOURS[index % len(COLOURS)])
    for index, curve in enumerate(shown):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        grid, values, _, _ = _known(result["grid"], curve)
        canvas.path(trace(grid, values), stroke=colour, width=2.2, stroke_dasharray=dash)
    if len(shown) > len(legend):
        _named(canvas, shown, x, y)
    numbers_at_risk(canvas, result, x, marks, table_top)
    foot(canvas, notes, 16, bottom + 24)
    return canvas.render()


def _curves(result: _Values) -> Iterator[_Values]:
    """The event asked about is the first cause."""
    for arm in result["arms"]:
        yield from arm["causes"] if len(result["arms"]) == 1 else arm["causes"][:1]


def _known(grid: Sequence[float], curve: _Values) -> tuple[list[float], list[float], list[float], list[float]]:
    """Times and values up to where the curve ends, from 0 at time 0."""
    places = [place for place, value in enumerate(curve["incidence"]) if value is not None]
    begins = [] if grid and grid[0] == 0 else [0.0]
    times = [*begins, *(grid[place] for place in places)]
    values, lower, upper = (
        [*begins, *(curve[name][place] for place in places)] for name in ("incidence", "lower", "upper")
    )
    return times, values, lower, upper


def _band(
    canvas: Canvas,
    grid: list[float],
    _values: list[float],
    lower: list[float],
    upper: list[float],
    trace: Trace,
    colour: str,
) -> None:
    canvas.path([*trace(grid, upper), *reversed(trace(grid, lower))], fill=colour, fill_opacity=0.13)


def _named(canvas: Canvas, shown: Sequence[_Values], x: Scale, y: Scale) -> None:
    """The causes of a single group, in a legend inside the plot."""
    for index, curve in enumerate(shown):
        base = y.end + 14 + 17 * index
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        canvas.path(
            [(x.start + 12, base - 4), (x.start + 36, base - 4)], stroke=colour, width=2.4, stroke_dasharray=dash
        )
        canvas.text(x.start + 42, base, shortened(curve["label"], 40), size=11)


def _under(result: _Values) -> str:
    competing = ", ".join(cause["label"] for cause in result["competing"])
    by = f", by {result['group']['label'] or result['group']['column']}" if result["group"] else ""
    label = result["event"]["label"] or result["event"]["column"]
    return f"Event: {label}; competing: {competing}{by} ({result['patients']} patients)"


def _description(result: _Values) -> str:
    told = "; ".join(
        f"{arm['label']}: {arm['patients']} patients, {arm['causes'][0]['label']} in {arm['events'][0]}"
        for arm in result["arms"]
    )
    return f"Probability that the event has come first, over time. {told}."


def _notes(result: _Values) -> list[str]:
    notes = []
    if result["tests"] and (test := result["tests"][0]["test"]):
        p = p_value(test["p"])
        equals = p if p.startswith("<") else f"= {p}"
        notes.append(
            f"Gray's test: chi-squared {test['statistic']:.2f} on {test['degrees']} degrees of freedom, p {equals}."
        )
    step = f"{plain(result['time']['step'])} {result['time']['unit']}".rstrip()
    bands = f"Bands: {result['confidence'] * 100:g} % confidence intervals"
    if result.get("private"):
        notes.append(f"{bands}, noise included. Life table with steps of {step}; noisy numbers at risk.")
    else:
        notes.append(f"{bands}. Times are counted at the end of steps of {step}.")
    if result["suppressed"]:
        notes.append(f"Too few patients to be shown: {', '.join(result['suppressed'])}.")
    return notes
