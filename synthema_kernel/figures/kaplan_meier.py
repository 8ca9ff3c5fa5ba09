"""Kaplan-Meier curves with confidence bands, censoring marks and the numbers at risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthema_kernel.figures.canvas import COLOURS
from synthema_kernel.figures.curves import Plot, by_group, closing_notes

_Values = Mapping[str, Any]


def draw(result: _Values, small_print: Sequence[str] = ()) -> str:
    """The figure of a ``kaplan-meier`` result as SVG text.

    Parameters
    ----------
    small_print
        Sentences shown under the figure.
    """
    test = "Log-rank test", result["log_rank"]
    label = result["event"]["label"] or result["event"]["column"]
    plot = Plot.of(
        result,
        [*closing_notes(result, test, " Small strokes: patients censored."), *small_print],
        under=f"Event: {label}{by_group(result)}",
        description=_description(result),
        share="Free of the event",
        first=1.0,
    )
    followed = [_followed(result["grid"], arm) for arm in result["arms"]]
    for index, (grid, arm) in enumerate(zip(followed, result["arms"], strict=True)):
        plot.band(index, grid, arm["lower"], arm["upper"])
    for index, (grid, arm) in enumerate(zip(followed, result["arms"], strict=True)):
        plot.curve(index, grid, arm["survival"])
        if not result.get("private"):
            _censored(plot, index, grid, arm)
    return plot.canvas.render()


def _description(result: _Values) -> str:
    arms = "; ".join(f"{arm['label']}: {arm['patients']} patients, {arm['events']} events" for arm in result["arms"])
    return f"Probability of staying free of the event over time. {arms}."


def _followed(grid: Sequence[float], arm: _Values) -> Sequence[float]:
    """The times to which a curve is drawn: it ends with its last patient, or where noise hides how many there are."""
    watched = zip(grid, arm["at_risk"], arm["survival"], strict=True)
    return [time for time, patients, value in watched if value is not None and (patients or not time)]


def _censored(plot: Plot, index: int, grid: Sequence[float], arm: _Values) -> None:
    for time, gone, value in zip(grid, arm["censored"], arm["survival"], strict=False):
        if gone:
            x, y = plot.x(time), plot.y(value)
            plot.canvas.line(x, y - 4.5, x, y + 4.5, stroke=COLOURS[index % len(COLOURS)], width=1.3)
