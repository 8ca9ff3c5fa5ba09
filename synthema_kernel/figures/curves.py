"""What figures of curves over time have in common: axes, lines and steps, and the numbers at risk under them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeAlias

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
_Values: TypeAlias = Mapping[str, Any]
_Points: TypeAlias = list[tuple[float, float]]
_Trace: TypeAlias = Callable[[Sequence[float], Sequence[float]], _Points]


@dataclass(frozen=True, slots=True)
class Plot:
    """A canvas with axes of time and of a share, on which curves are drawn.

    Parameters
    ----------
    trace
        From times and shares to points.
    """

    canvas: Canvas
    x: Scale
    y: Scale
    trace: _Trace

    @classmethod
    def of(
        cls, result: _Values, notes: Sequence[str], *, under: str, description: str, share: str, first: float
    ) -> Self:
        """With title, axes, numbers at risk and notes.

        Parameters
        ----------
        under
            The line under the title.
        share
            What the upright axis is of.
        first
            The share at time 0.
        """
        small, below = wrapped(notes, NOTE_LENGTH), _TOP + _PLOT_HEIGHT
        bottom = below + 66 + _ROW * len(result["arms"])
        canvas = Canvas(_WIDTH, bottom + 24 + 15 * len(small), result["title"], description)
        x, y = Scale(0, max([*result["grid"], 0]) or 1, _LEFT, _WIDTH - _RIGHT), Scale(0, 1, below, _TOP)
        canvas.text(16, 26, result["title"], size=16, weight="600")
        canvas.text(16, 46, shortened(under, 115), size=12, fill=SOFT)
        marks = [tick for tick in ticks(0, x.high, 7) if tick <= x.high]
        _axes(canvas, result, x, y, marks, share)
        _numbers_at_risk(canvas, result, x, marks, below + 66)
        foot(canvas, small, 16, bottom + 24)
        trace = partial(_lines, x=x, y=y) if result.get("private") else partial(_steps, x=x, y=y, first=first)
        return cls(canvas, x, y, trace)

    def band(self, index: int, grid: Sequence[float], lower: Sequence[float], upper: Sequence[float]) -> None:
        colour = COLOURS[index % len(COLOURS)]
        points = [*self.trace(grid, upper), *reversed(self.trace(grid, lower))]
        self.canvas.path(points, fill=colour, fill_opacity=0.13)

    def curve(self, index: int, grid: Sequence[float], values: Sequence[float]) -> None:
        self.canvas.path(self.trace(grid, values), width=2.2, **_pen(index))

    def key(self, index: int, x: float, base: float, text: str) -> None:
        """The line of a curve, with its name."""
        _key(self.canvas, index, x, base, text)


def closing_notes(result: _Values, test: tuple[str, _Values | None], more: str = "") -> list[str]:
    """The test between groups, what bands and times are, and who is not shown."""
    name, told = test
    notes = []
    if told:
        p, degrees = p_value(told["p"]), told["degrees"]
        freedom = f"{degrees} degree{'' if degrees == 1 else 's'} of freedom"
        spelled = p if p.startswith("<") else f"= {p}"
        notes.append(f"{name}: chi-squared {told['statistic']:.2f} on {freedom}, p {spelled}.")
    step = f"{plain(result['time']['step'])} {result['time']['unit']}".rstrip()
    bands = f"Bands: {result['confidence'] * 100:g} % confidence intervals"
    if result.get("private"):
        notes.append(f"{bands}, noise included. Life table with steps of {step}; noisy numbers at risk.")
    else:
        notes.append(f"{bands}. Times are counted at the end of steps of {step}.{more}")
    if result["suppressed"]:
        notes.append(f"Too few patients to be shown: {', '.join(result['suppressed'])}.")
    return notes


def by_group(result: _Values) -> str:
    """And of how many patients, in words."""
    by = f", by {result['group']['label'] or result['group']['column']}" if result["group"] else ""
    about = "about " if result.get("private") else ""
    return f"{by} ({about}{result['patients']:,} patients)"


def _pen(index: int) -> dict[str, str]:
    return {"stroke": COLOURS[index % len(COLOURS)], "stroke_dasharray": DASHES[index % len(DASHES)]}


def _key(canvas: Canvas, index: int, x: float, base: float, text: str) -> None:
    canvas.path([(x, base - 4), (x + 24, base - 4)], width=2.4, **_pen(index))
    canvas.text(x + 30, base, text, size=11, fill=INK)


def _axes(canvas: Canvas, result: Mapping[str, Any], x: Scale, y: Scale, marks: Sequence[float], what: str) -> None:
    """`what`: the name of the upright axis, of shares."""
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
    canvas.text(x.start - 56, (y.start + y.end) / 2, what, anchor="middle", turned=True)


def _lines(grid: Sequence[float], values: Sequence[float], x: Scale, y: Scale) -> _Points:
    """Straight lines between the ends of steps."""
    return [(x(time), y(value)) for time, value in zip(grid, values, strict=False)]


def _steps(grid: Sequence[float], values: Sequence[float], x: Scale, y: Scale, first: float = 1.0) -> _Points:
    """The corners of a step curve that begins with `first` at time 0."""
    points, height = [(x(0), y(first))], y(first)
    for time, value in zip(grid, values, strict=False):
        points.append((x(time), height))
        height = y(value)
        points.append((x(time), height))
    return points


def _numbers_at_risk(canvas: Canvas, result: Mapping[str, Any], x: Scale, marks: Sequence[float], top: float) -> None:
    """One row an arm, which is the legend at the same time: its line, its name, and the numbers under the axis."""
    canvas.text(16, top - 8, "Patients at risk", size=11, weight="600")
    grid: Sequence[float] = result["grid"]
    for index, arm in enumerate(result["arms"]):
        base = top + 10 + _ROW * index
        _key(canvas, index, 16, base, shortened(arm["label"] or arm["code"], 18))
        for mark in marks:
            cell = next((i for i, time in enumerate(grid) if time >= mark - 1e-9), None)
            if cell is not None:
                canvas.text(x(mark), base, f"{arm['at_risk'][cell]:,}", size=11, anchor="middle")
