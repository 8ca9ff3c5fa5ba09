"""Hazard ratios of a Cox model as a forest plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from synthema_kernel.markup import number, p_value

_WIDTH, _TOP, _ROW = 760.0, 84.0, 38.0
_START, _END = 300.0, 544.0
_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_FARTHEST = math.log(100)
_Term = Mapping[str, Any]


def draw(result: Mapping[str, Any], small_print: Sequence[str] = ()) -> str:
    """The figure of a ``cox`` result as SVG text; `small_print` are sentences shown under it."""
    terms: Sequence[_Term] = result["terms"]
    notes = wrapped([*_notes(result), *small_print], NOTE_LENGTH)
    bottom = _TOP + _ROW * len(terms)
    canvas = Canvas(_WIDTH, bottom + 62 + 15 * len(notes) + 8, result["title"], _description(terms))
    x = _scale(terms)
    _heading(canvas, result)
    _axis(canvas, x, bottom, result["confidence"])
    for index, term in enumerate(terms):
        _row(canvas, x, term, _TOP + _ROW * (index + 0.5))
    foot(canvas, notes, 16, bottom + 66)
    return canvas.render()


def term_label(term: _Term) -> str:
    """What a coefficient is about."""
    return str(term["label"] or term["name"])


def term_comparison(term: _Term) -> str:
    """What a hazard ratio compares: ``per 1 year``, or ``AML high risk vs ALL``."""
    per = str(term["per"])
    return per if " vs " in per else f"per {per}"


def _description(terms: Sequence[_Term]) -> str:
    parts = (f"{term_label(term)}: hazard ratio {number(term['hazard_ratio'], 2)}" for term in terms)
    return "Hazard ratios with confidence intervals. " + "; ".join(parts) + "."


def _notes(result: Mapping[str, Any]) -> list[str]:
    """How the model was fitted, and what its tests say: what a paper has in a figure's legend."""
    robust = ", robust (Lin and Wei) intervals" if result["robust"] else ""
    ridge = f", ridge penalty {result['l2']:g}" if result["l2"] else ""
    strata = f"stratified by {result['stratified_by']}" if result["stratified_by"] else _grid(result)
    fitted = (
        f"Cox proportional hazards, {strata}, {result['ties'].capitalize()} ties{ridge}{robust}; "
        f"{result['patients']:,} patients, {result['events']:,} events."
    )
    test = result["likelihood_ratio"]
    told = [f"Likelihood ratio test: chi-squared {test['statistic']:.2f}, {test['degrees']:.3g} df, {_p(test)}."]
    if (concordance := result["concordance"]) and concordance["value"] is not None:
        told.append(f"Concordance within strata {concordance['value']:.3f}.")
    if checked := result["proportional_hazards"]:
        told.append(_checked(checked))
    return [fitted, " ".join(told)]


def _grid(result: Mapping[str, Any]) -> str:
    steps = f"{plain(result['step'])} {result['time']['unit']}".rstrip()
    return f"not stratified, times counted as the end of steps of {steps}"


def _checked(checked: Mapping[str, Any]) -> str:
    test = checked["global"]
    if test is None:
        return "Proportional hazards could not be checked."
    return (
        f"Proportional hazards, against {checked['against']}: chi-squared {test['statistic']:.2f}, "
        f"{test['degrees']:.3g} df, {_p(test)}."
    )


def _p(test: Mapping[str, Any]) -> str:
    text = p_value(test["p"])
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _scale(terms: Sequence[_Term]) -> Scale:
    """Symmetric about a ratio of 1 on the logarithmic scale, wide enough for the intervals, within 1/100 to 100."""
    bounds = [abs(math.log(v)) for term in terms for key in ("lower", "upper") if (v := term[key]) and v > 0]
    reach = math.exp(min(max([*bounds, math.log(1.5)]) * 1.08, _FARTHEST))
    return Scale(1 / reach, reach, _START, _END, math.log)


def _heading(canvas: Canvas, result: Mapping[str, Any]) -> None:
    canvas.text(16, 26, result["title"], size=16, weight="600")
    event, time = result["event"], result["time"]
    label = f"Event: {event['label'] or event['column']}; time: {time['label'] or time['column']}"
    canvas.text(16, 46, shortened(label, 115), size=12, fill=SOFT)
    canvas.text(16, _TOP - 10, "Covariate", size=11, weight="600")
    canvas.text(_END + 134, _TOP - 10, f"HR ({result['confidence'] * 100:g} % CI)", size=11, weight="600", anchor="end")
    canvas.text(_WIDTH - 16, _TOP - 10, "p", size=11, weight="600", anchor="end")


def _axis(canvas: Canvas, x: Scale, bottom: float, confidence: float) -> None:
    for ratio in _RATIOS:
        if x.low <= ratio <= x.high:
            canvas.line(x(ratio), _TOP, x(ratio), bottom, stroke=INK if ratio == 1 else FAINT)
            canvas.line(x(ratio), bottom, x(ratio), bottom + 5)
            canvas.text(x(ratio), bottom + 18, plain(ratio), size=11, fill=SOFT, anchor="middle")
    canvas.line(x.start, bottom, x.end, bottom)
    middle = (x.start + x.end) / 2
    canvas.text(middle, bottom + 36, f"Hazard ratio, {confidence * 100:g} % interval (log scale)", anchor="middle")
    canvas.text(x.start, bottom + 36, "← fewer events", size=10.5, fill=SOFT, anchor="end")
    canvas.text(x.end, bottom + 36, "more events →", size=10.5, fill=SOFT)


def _row(canvas: Canvas, x: Scale, term: _Term, y: float) -> None:
    canvas.line(16, y + _ROW / 2, _WIDTH - 16, y + _ROW / 2, stroke=FAINT, width=0.6)
    canvas.text(16, y - 1, shortened(term_label(term), 44))
    canvas.text(16, y + 13, shortened(term_comparison(term), 48), size=10.5, fill=SOFT)
    ratio, lower, upper = term["hazard_ratio"], term["lower"], term["upper"]
    canvas.text(_WIDTH - 16, y + 4, p_value(term["p"]), anchor="end")
    spelled = f"{number(ratio, 2)} ({number(lower, 2)} to {number(upper, 2)})"
    canvas.text(_END + 134, y + 4, spelled, anchor="end")
    if ratio is None or lower is None or upper is None or min(ratio, lower) <= 0:
        return
    left, right = x.clamp(lower), x.clamp(upper)
    canvas.line(left, y, right, y, stroke=COLOURS[0], width=2)
    for end, inside, turn in ((left, lower >= x.low, 6.0), (right, upper <= x.high, -6.0)):
        if inside:
            canvas.line(end, y - 4, end, y + 4, stroke=COLOURS[0], width=2)
        else:  # the interval goes on beyond the axis
            canvas.path([(end + turn, y - 5), (end, y), (end + turn, y + 5)], stroke=COLOURS[0], width=2)
    canvas.rectangle(x.clamp(ratio) - 5, y - 5, 10, 10, fill=COLOURS[0])
