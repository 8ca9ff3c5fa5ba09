"""What figures of curves over time have in common: axes, lines and steps, and the numbers at risk under them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from synthema_kernel.figures.canvas import COLOURS, DASHES, FAINT, INK, SOFT, Canvas, Scale, plain, shortened

WIDTH, PLOT_HEIGHT = 760.0, 300.0
LEFT, RIGHT, TOP = 168.0, 24.0, 66.0
ROW = 18.0
Points: TypeAlias = list[tuple[float, float]]
Trace: TypeAlias = Callable[[Sequence[float], Sequence[float]], Points]


def axes(canvas: Canvas, result: Mapping[str, Any], x: Scale, y: Scale, marks: Sequence[float], what: str) -> None:
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


def lines(grid: Sequence[float], values: Sequence[float], x: Scale, y: Scale) -> Points:
    """Straight lines between the ends of steps."""
    return [(x(time), y(value)) for time, value in zip(grid, values, strict=False)]


def steps(grid: Sequence[float], values: Sequence[float], x: Scale, y: Scale, first: float = 1.0) -> Points:
    """The corners of a step curve that begins with `first` at time 0."""
    points, height = [(x(0), y(first))], y(first)
    for time, value in zip(grid, values, strict=False):
        points.append((x(time), height))
        height = y(value)
        points.append((x(time), height))
    return points


def numbers_at_risk(canvas: Canvas, result: Mapping[str, Any], x: Scale, marks: Sequence[float], top: float) -> None:
    """One row an arm, which is the legend at the same time: its line, its name, and the numbers under the axis."""
    canvas.text(16, top - 8, "Patients at risk", size=11, weight="600")
    grid: Sequence[float] = result["grid"]
    for index, arm in enumerate(result["arms"]):
        base = top + 10 + ROW * index
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        canvas.path([(16, base - 4), (40, base - 4)], stroke=colour, width=2.4, stroke_dasharray=dash)
        canvas.text(46, base, shortened(arm["label"] or arm["code"], 18), size=11, fill=INK)
        for mark in marks:
            cell = next((i for i, time in enumerate(grid) if time >= mark - 1e-9), None)
            if cell is not None:
                canvas.text(x(mark), base, f"{arm['at_risk'][cell]:,}", size=11, anchor="middle")
