"""Odds ratios, rate ratios or differences of a generalised linear model as a forest plot."""

from __future__ import annotations

import math
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
    ticks,
    wrapped,
)
from synthema_kernel.figures.forest import term_comparison, term_label
from synthema_kernel.markup import number, p_value
from synthema_kernel.tables.glm import spelled_effect, test_text

_WIDTH, _TOP, _ROW = 760.0, 84.0, 38.0
_START, _END, _NUMBERS = 300.0, 514.0, 682.0
_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_NEAR_RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0)
_FARTHEST = math.log(100)
_SHORT = {"odds ratio": "OR", "rate ratio": "RR", "hazard ratio": "HR"}
_Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """A coefficient, or a smooth term as a whole, of which only the test is shown."""

    label: str
    under: str
    p: float | None
    term: _Values | None = None


def draw(result: _Values, small_print: Sequence[str] = ()) -> str:
    """The figure of a ``glm`` result as SVG text; `small_print` are sentences shown under it."""
    rows = list(_rows(result))
    notes = wrapped([*_notes(result), *small_print], NOTE_LENGTH)
    bottom = _TOP + _ROW * len(rows)
    description = "; ".join(f"{row.label}: {result['effect']} {_spelled(row, result)}" for row in rows)
    canvas = Canvas(_WIDTH, bottom + 62 + 15 * len(notes) + 8, result["title"], f"{description}.")
    x = _scale(result, rows)
    _heading(canvas, result)
    _axis(canvas, x, bottom, result)
    for index, row in enumerate(rows):
        _draw_row(canvas, x, row, _TOP + _ROW * (index + 0.5), result)
    foot(canvas, notes, 16, bottom + 66)
    return canvas.render()


def _rows(result: _Values) -> Iterator[_Row]:
    terms = {term["name"]: term for term in result["terms"]}
    for part in result["covariates"]:
        if part["smooth"]:
            statistic, degrees, _ = test_text(part["wald"])
            name = "F" if result["family"] == "gaussian" and not result.get("private") else "chi-squared"
            under = f"smooth: {name} {statistic}, {degrees} df"
            yield _Row(part["label"], under, part["wald"]["p"] if part["wald"] else None)
            continue
        for name in part["terms"]:
            term = terms[name]
            yield _Row(term_label(term), term_comparison(term), term["p"], term)


def _is_ratio(result: _Values) -> bool:
    return bool(result["effect"] != "difference")


def _spelled(row: _Row, result: _Values) -> str:
    if row.term is None:
        return "see its test"
    if not _is_ratio(result):
        value, interval = spelled_effect(row.term, result["effect"])
        return f"{value} ({interval})"
    value, lower, upper = (number(row.term[name], 2) for name in ("effect", "lower", "upper"))
    return f"{value} ({lower} to {upper})"


def _notes(result: _Values) -> list[str]:
    """How the model was fitted: what a paper has in a figure's legend."""
    more = [
        f", offset {result['offset']}" if result["offset"] else "",
        f", weights {result['weights']}" if result["weights"] else "",
        f", ridge penalty {result['l2']:g}" if result["l2"] else "",
        ", robust (HC0) intervals" if result["robust"] else "",
    ]
    events = result["events"]
    of_them = {"binomial": "with the outcome", "poisson": "with a count above 0"}.get(result["family"], "")
    about = "about " if result.get("private") else ""
    counted = f"; {about}{result['patients']:,} patients" + (f", {events:,} {of_them}" if events is not None else "")
    lines = [f"{result['formula']}{''.join(more)}{counted}."]
    if test := result["overall"]:
        statistic, degrees, p = test_text(test)
        name = "F test" if test["test"] == "F" else "Likelihood ratio test"
        r_squared = f" R² {result['r_squared']:.3f}." if result["r_squared"] is not None else ""
        lines.append(f"{name} of all covariates: {statistic}, {degrees} df, p {_p(p)}.{r_squared}")
    return lines


def _p(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"


def _scale(result: _Values, rows: Sequence[_Row]) -> Scale:
    """Symmetric about no effect, wide enough for the intervals; ratios on a logarithmic scale from 1/100 to 100."""
    ends = [row.term[key] for row in rows if row.term for key in ("lower", "upper") if row.term[key] is not None]
    if not _is_ratio(result):
        reach = max([*(abs(end) for end in ends), 1e-9]) * 1.08
        return Scale(-reach, reach, _START, _END)
    logs = [abs(math.log(end)) for end in ends if end > 0]
    reach = math.exp(min(max([*logs, math.log(1.5)]) * 1.08, _FARTHEST))
    return Scale(1 / reach, reach, _START, _END, math.log)


def _heading(canvas: Canvas, result: _Values) -> None:
    outcome, short = result["outcome"], _SHORT.get(result["effect"], "Difference")
    canvas.text(16, 26, result["title"], size=16, weight="600")
    unit = f" ({outcome['unit']})" if outcome["unit"] else ""
    canvas.text(16, 46, shortened(f"Outcome: {outcome['label']}{unit}", 115), size=12, fill=SOFT)
    canvas.text(16, _TOP - 10, "Covariate", size=11, weight="600")
    heading = f"{short} ({result['confidence'] * 100:g} % CI)"
    canvas.text(_NUMBERS, _TOP - 10, heading, size=11, weight="600", anchor="end")
    canvas.text(_WIDTH - 16, _TOP - 10, "p", size=11, weight="600", anchor="end")


def _axis(canvas: Canvas, x: Scale, bottom: float, result: _Values) -> None:
    is_ratio = _is_ratio(result)
    none = 1.0 if is_ratio else 0.0
    for value in (_NEAR_RATIOS if x.high < 2 else _RATIOS) if is_ratio else ticks(x.low, x.high, 5):
        if x.low <= value <= x.high:
            canvas.line(x(value), _TOP, x(value), bottom, stroke=INK if abs(value - none) < 1e-12 else FAINT)
            canvas.line(x(value), bottom, x(value), bottom + 5)
            canvas.text(x(value), bottom + 18, plain(value), size=11, fill=SOFT, anchor="middle")
    canvas.line(x.start, bottom, x.end, bottom)
    unit = result["outcome"]["unit"]
    scale = "log scale" if is_ratio else unit
    label = (
        f"{result['effect'].capitalize()}, {result['confidence'] * 100:g} % interval{f' ({scale})' if scale else ''}"
    )
    canvas.text((x.start + x.end) / 2, bottom + 36, label, anchor="middle")
    less, more = ("← less", "more →") if is_ratio else ("← lower", "higher →")
    canvas.text(x.start - 16, bottom + 36, less, size=10.5, fill=SOFT, anchor="end")
    canvas.text(x.end + 16, bottom + 36, more, size=10.5, fill=SOFT)


def _draw_row(canvas: Canvas, x: Scale, row: _Row, y: float, result: _Values) -> None:
    canvas.line(16, y + _ROW / 2, _WIDTH - 16, y + _ROW / 2, stroke=FAINT, width=0.6)
    canvas.text(16, y - 1, shortened(row.label, 44))
    canvas.text(16, y + 13, shortened(row.under, 48), size=10.5, fill=SOFT)
    canvas.text(_WIDTH - 16, y + 4, p_value(row.p), anchor="end")
    if row.term is None:
        return
    canvas.text(_NUMBERS, y + 4, _spelled(row, result), anchor="end")
    value, lower, upper = (row.term[name] for name in ("effect", "lower", "upper"))
    if value is None or lower is None or upper is None or (_is_ratio(result) and min(value, lower) <= 0):
        return
    left, right = x.clamp(lower), x.clamp(upper)
    canvas.line(left, y, right, y, stroke=COLOURS[0], width=2)
    for end, inside, turn in ((left, lower >= x.low, 6.0), (right, upper <= x.high, -6.0)):
        if inside:
            canvas.line(end, y - 4, end, y + 4, stroke=COLOURS[0], width=2)
        else:  # the interval goes on beyond the axis
            canvas.path([(end + turn, y - 5), (end, y), (end + turn, y + 5)], stroke=COLOURS[0], width=2)
    canvas.rectangle(x.clamp(value) - 5, y - 5, 10, 10, fill=COLOURS[0])
