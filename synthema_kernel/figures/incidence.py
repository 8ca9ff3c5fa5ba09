"""Cumulative incidence with bands: the event asked about for each group; of a single group, every event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthema_kernel.figures.canvas import shortened
from synthema_kernel.figures.curves import Plot, by_group, closing_notes

_Values = Mapping[str, Any]


def draw(result: _Values, small_print: Sequence[str] = ()) -> str:
    """The figure of a ``cumulative-incidence`` result as SVG text; `small_print` are sentences shown under it."""
    tests = result["tests"]
    plot = Plot.of(
        result,
        [*closing_notes(result, ("Gray's test", tests[0]["test"] if tests else None)), *small_print],
        under=_under(result),
        description=_description(result),
        share="With the event",
        first=0.0,
    )
    single = len(result["arms"]) == 1
    curves = [cause for arm in result["arms"] for cause in (arm["causes"] if single else arm["causes"][:1])]
    for index, curve in enumerate(curves):
        plot.band(index, *(_known(result["grid"], curve, name) for name in ("", "lower", "upper")))
    for index, curve in enumerate(curves):
        plot.curve(index, *(_known(result["grid"], curve, name) for name in ("", "incidence")))
        if single:
            plot.key(index, plot.x.start + 12, plot.y.end + 14 + 17 * index, shortened(curve["label"], 40))
    return plot.canvas.render()


def _known(grid: Sequence[float], curve: _Values, name: str) -> list[float]:
    """A series, or the times where it has none, up to where the curve ends; from 0 at time 0."""
    places = [place for place, value in enumerate(curve["incidence"]) if value is not None]
    begins = [] if grid and grid[0] == 0 else [0.0]
    return [*begins, *((curve[name] if name else grid)[place] for place in places)]


def _under(result: _Values) -> str:
    competing = ", ".join(cause["label"] for cause in result["competing"])
    label = result["event"]["label"] or result["event"]["column"]
    return f"Event: {label}; competing: {competing}{by_group(result)}"


def _description(result: _Values) -> str:
    told = "; ".join(
        f"{arm['label']}: {arm['patients']} patients, {arm['causes'][0]['label']} in {arm['events'][0]}"
        for arm in result["arms"]
    )
    return f"Probability that the event has come first, over time. {told}."
