"""Results and tables: well-formed pictures, everything escaped, nothing fetched, every number that was released."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import SCHEMA, card, plan
from support.federation import answer, release_of
from synthema_core.cli.result_text import describe_release
from synthema_core.errors import NotFound
from synthema_core.schemas import Schema
from synthema_kernel import markup, shown
from synthema_kernel.figures import canvas
from synthema_kernel.markup import Table
from synthema_kernel.result import Result

HOSTILE = '<script>alert("1")</script> & ]]> <img src=x onerror=alert(1)> \x1b[2J https://evil.example/x'
QUESTIONS: dict[str, tuple[str, dict[str, str], float]] = {
    "survival": ("kaplan-meier", {"time": "days", "event": "died", "group": "arm", "step": "50"}, 0.0),
    "survival of all": ("kaplan-meier", {"time": "days", "event": "died", "step": "100"}, 0.0),
    "hazards": ("cox", {"time": "days", "event": "died", "covariates": "age,arm"}, 0.0),
    "a description": ("summary", {"by": "arm"}, 0.0),
    "a description of all": ("summary", {"columns": "age,arm", "quantiles": "none"}, 0.0),
    "exact levels": ("histogram-exact", {"column": "arm"}, 0.0),
    "exact numbers": ("histogram-exact", {"column": "age", "bins": "12"}, 0.0),
    "a table": ("crosstab", {"rows": "arm", "columns": "died"}, 0.0),
    "odds": ("glm", {"formula": "died ~ age * arm + bs(days, df=3)", "family": "binomial"}, 0.0),
    "rates": ("glm", {"formula": "days ~ age + arm", "family": "poisson", "site-effects": "no"}, 0.0),
    "differences": ("glm", {"formula": "age ~ arm", "weights": "days", "robust": "", "l2": "0.1"}, 0.0),
    "levels": ("histogram", {"column": "arm"}, 20.0),
    "numbers": ("histogram", {"column": "age", "bins": "12"}, 8.0),
    "a count": ("histogram", {}, 3.0),
    "a mean": ("mean", {"column": "age"}, 4.0),
    "a clipped mean": ("mean", {"column": "age", "clip": "40,70", "confidence": "0.9"}, 4.0),
    "a mean that noise hides": ("mean", {"column": "age"}, 900.0),
}
VISITS = Schema.from_dict({**SCHEMA.to_dict(), "rows_per_patient": 3})


def result(question: str, schema: Schema = SCHEMA) -> Result:
    analysis, options, noise = QUESTIONS[question]
    return Result(release_of(plan(analysis), answer(analysis, options, noise, schema)))


def with_hostile_labels(text: str) -> Schema:
    """The small trial with that text in every title, unit and label."""
    data = SCHEMA.to_dict()
    for field in data["fields"]:  # type: ignore[union-attr]
        field["title"] = text  # type: ignore[index,call-overload]
        field["unit"] = text if field["unit"] else ""  # type: ignore[index,call-overload]
        if field["codes"]:  # type: ignore[index,call-overload]
            field["codes"] = {code: f"{code} {text}" for code in field["codes"]}  # type: ignore[index,call-overload,union-attr]
    return Schema.from_dict({**data, "title": text, "description": text})


def elements(svg: str) -> set[str]:
    return {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}


def texts(svg: str) -> str:
    return " ".join("".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.text)


def urls(text: str) -> set[str]:
    return set(re.findall(r"(?:https?:)?//[^\s\"'<>)]+", text)) - {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_picture_is_plain_svg_that_fetches_nothing(question: str) -> None:
    svg = result(question).to_svg()
    assert elements(svg) <= {"svg", "title", "desc", "rect", "line", "path", "text"}
    assert urls(svg) == set()
    assert "NaN" not in svg
    assert "inf" not in re.sub(r">[^<]*<", "><", svg)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_result_says_what_protects_the_patients_and_where_it_comes_from(question: str) -> None:
    shown_result = result(question)
    release = shown_result.release
    bundle = shown_result._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "text/plain"}
    for text in (bundle["text/plain"], bundle["text/html"]):
        assert release.guarantee.statement in text
        assert release.plan_digest in text
        assert all(site in text for site in release.sites)
        assert "2026-03-02" in text
    picture = texts(bundle["image/svg+xml"])
    assert release.guarantee.statement.split(".", maxsplit=1)[0] in picture
    assert release.plan_digest[:12] in picture


@pytest.mark.parametrize("question", QUESTIONS)
def test_hostile_labels_stay_text(question: str) -> None:
    shown_result = result(question, with_hostile_labels(HOSTILE))
    hostile = replace(shown_result.release, purpose=HOSTILE, requester=HOSTILE, sites=(HOSTILE,))
    bundle = Result(hostile)._repr_mimebundle_()
    assert elements(bundle["image/svg+xml"]) <= {"svg", "title", "desc", "rect", "line", "path", "text"}
    assert "<script" not in bundle["text/html"]
    assert "<img" not in bundle["text/html"]
    assert "\x1b" not in "".join(bundle.values())
    assert "&lt;script&gt;" in bundle["text/html"]


def test_the_frame_holds_every_released_number() -> None:
    survival = result("survival")
    frame = survival.to_frame()
    for arm in survival.values["arms"]:
        mine = frame[frame.arm == arm["code"]]
        assert mine.time.tolist() == survival.values["grid"]
        for name in ("survival", "lower", "upper", "at_risk", "deaths", "censored"):
            assert mine[name].tolist() == arm[name]
    hazards = result("hazards")
    pd.testing.assert_frame_equal(hazards.to_frame(), pd.DataFrame(hazards.values["terms"]))
    assert result("levels").to_frame()["count"].tolist() == [c["count"] for c in result("levels").values["cells"]]


def test_curves_are_drawn_where_the_numbers_say() -> None:
    """The end of the drawn curve of each arm, read back from the picture, is its survival."""
    survival = result("survival")
    svg = survival.to_svg()
    for index, arm in enumerate(survival.values["arms"]):
        drawn = re.findall(rf'<path fill="none"[^>]*d="([^"]+)" stroke="{canvas.COLOURS[index]}"', svg)
        height = max(drawn, key=len).rpartition(" ")[2]
        followed = [value for value, patients in zip(arm["survival"], arm["at_risk"], strict=True) if patients]
        assert 1 - (float(height) - 66) / 300 == pytest.approx(followed[-1], abs=1e-4)


def test_whiskers_span_the_interval_with_its_noise() -> None:
    levels = result("levels")
    svg = levels.to_svg()
    top = max(cell["upper"] for cell in levels.values["cells"]) * 1.06
    spans = re.findall(r'<line x1="([^"]+)" y1="([^"]+)" x2="\1" y2="([^"]+)" stroke="#1b1f24" stroke-width="1.6"', svg)
    for (_, low, high), cell in zip(spans, levels.values["cells"], strict=True):
        read = [(346 - float(position)) / 280 * top for position in (low, high)]
        assert read == pytest.approx([cell["lower"], cell["upper"]], abs=0.01 * top)
    assert "standard deviation 20.00" in texts(svg)


def test_what_was_cut_of_patients_is_said_wherever_a_result_is_shown() -> None:
    options = {"column": "arm", "rows-per-patient": "2", "cells-per-patient": "1"}
    cut = Result(release_of(plan("histogram"), answer("histogram", options, 2.0, VISITS)))
    for shown_result in (cut, result("a clipped mean")):
        statement = str(shown_result.values["bounding"]["statement"])
        assert re.search(r"About [\d,]+ \(± \d+\) patients had values cut\.$", statement)
        bundle = shown_result._repr_mimebundle_()
        for text in (bundle["text/plain"], bundle["text/html"], texts(bundle["image/svg+xml"])):
            assert statement in " ".join(text.split())
        assert statement in describe_release(shown_result.release.to_dict())
    assert "Each patient counts once; nothing was cut." in texts(result("levels").to_svg())


def test_a_mean_is_drawn_where_its_numbers_say() -> None:
    shown_result = result("a clipped mean")
    told, svg = shown_result.values["mean"], shown_result.to_svg()

    def place(value: float) -> float:
        return 40 + 680 * (value - 40) / 30

    x1, x2 = re.findall(r'<line x1="([\d.]+)" y1="108" x2="([\d.]+)" y2="108" stroke="#0072b2"', svg)[0]
    assert (float(x1), float(x2)) == pytest.approx((place(told["lower"]), place(told["upper"])), abs=0.01)
    (left,) = re.findall(r'<rect x="([\d.]+)" y="103" width="10" height="10"', svg)
    assert float(left) + 5 == pytest.approx(place(told["value"]), abs=0.01)
    frame = shown_result.to_frame()
    assert frame.what.tolist() == ["mean", "standard deviation", "patients"]
    assert frame.value[0] == told["value"]


def test_a_mean_that_noise_hides_is_not_claimed() -> None:
    hidden = result("a mean that noise hides")
    assert "The noise hides it: anything from 0 to 100 years" in texts(hidden.to_svg())
    assert re.search(r"Mean +– +0 to 100", hidden._repr_mimebundle_()["text/plain"])
    assert "the noise hides it" in describe_release(hidden.release.to_dict())


@pytest.mark.parametrize(
    ("value", "uncertainty", "shown_as"),
    [
        (47.3218, 4.2, "47.3"),
        (47.3218, 0.05, "47.322"),
        (47321.8, 900.0, "47322"),
        (0.25, 0.0, "0.25"),
        (None, 1.0, "–"),
    ],
)
def test_a_number_has_as_many_digits_as_its_uncertainty_leaves(
    value: float | None, uncertainty: float, shown_as: str
) -> None:
    assert markup.significant(value, uncertainty) == shown_as


def test_missing_numbers_are_dashes_not_crashes() -> None:
    hazards = result("hazards").release
    terms = [{**term, "hazard_ratio": None, "lower": None, "upper": None} for term in hazards.result["terms"]]  # type: ignore[union-attr,call-overload,arg-type,dict-item]
    text = Result(replace(hazards, result={**hazards.result, "terms": terms}))._repr_mimebundle_()["text/plain"]
    assert "–" in text


def test_a_suppressed_arm_is_named_and_an_empty_result_still_shown() -> None:
    release = result("survival").release
    empty = {**release.result, "arms": [], "suppressed": ["Arm A", "Arm B"], "log_rank": None, "patients": 0}
    svg = Result(replace(release, result=empty)).to_svg()
    assert "Too few patients to be shown: Arm A, Arm B." in texts(svg)


def test_a_kind_without_a_view_is_named() -> None:
    release = replace(result("hazards").release, result={"kind": "quantum", "title": "?"})
    with pytest.raises(NotFound, match="'quantum'"):
        Result(release).to_svg()


def test_what_others_wrote_is_escaped_in_every_table() -> None:
    hostile = [card(site, schema=with_hostile_labels(HOSTILE), policy={"note": HOSTILE}) for site in ("alder", "birch")]
    for view in (shown.catalogue(hostile), shown.dataset(hostile)):
        bundle = view._repr_mimebundle_()
        assert "<script" not in bundle["text/html"]
        assert "\x1b" not in bundle["text/plain"]


@given(st.text())
def test_any_text_is_safe_in_tables_and_pictures(text: str) -> None:
    table = Table((text,), [(text,)], text).html()
    assert table.count("<") == Table(("a",), [("a",)], "a" if text else "").html().count("<")
    drawing = canvas.Canvas(10, 10, text, text)
    drawing.text(1, 1, text)
    assert elements(drawing.render()) == {"svg", "title", "desc", "rect", "text"}
    shown_text = markup.printable(text)
    assert len(shown_text.splitlines()) <= 1
    assert not any(unicodedata.category(sign)[0] == "C" for sign in shown_text)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_ascending_and_inside(low: float, span: float) -> None:
    high = low + span
    marks: list[Any] = canvas.ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1)
    assert len(marks) <= 8
    assert marks == sorted(marks)
    assert all(low - slack <= mark <= high + slack for mark in marks)


def test_a_ratio_that_has_no_number_is_a_dash_in_a_terminal() -> None:
    release = result("hazards").release.to_dict()
    term: Any = release["result"]["terms"][0]  # type: ignore[index,call-overload]
    term.update({"hazard_ratio": None, "lower": None, "upper": None})
    line = describe_release(release).splitlines()[2]
    assert "- to -" in line and "None" not in line
