"""Released results of code: every number in table, frame and array; what was left out is missing, never 0."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.code import aggregate, code_plan, per_block, per_patient
from support.federation import release_of
from synthema_core.analyses.base import Sums
from synthema_core.charging import mechanism_of
from synthema_core.code.declaration import AnyShape, read_outputs
from synthema_core.code.outputs import Outputs
from synthema_core.code.references import redacted
from synthema_core.errors import NotFound
from synthema_kernel.outcome import outputs, rounded
from synthema_kernel.result import Result

HOSTILE = "<script>alert(1)</script> \x1b[2J & ]]>"
DECLARED = read_outputs("age=100, died=1, arms[4]=1, table[2,3]=10, cube[2,2,2]=1", ("died",))
MAKERS = {"per-patient": per_patient, "per-block": per_block, "aggregate": aggregate}


def question(shape: str, declared: Outputs = DECLARED) -> AnyShape:
    return MAKERS[shape](outputs=declared)


def result(shape: str, left_out: tuple[str, ...] = (), declared: Outputs = DECLARED) -> Result:
    """In ring units value 0, 1, 2 ... in order, from three sites."""
    asked = question(shape, declared)
    plan = code_plan(asked)
    mechanism = mechanism_of(plan, asked)
    values = declared.unflatten(np.arange(declared.length, dtype=np.float64))
    sums = Sums({name: v.reshape(-1) for name, v in values.items()}, 3, mechanism.sum_variance(3) if mechanism else 0.0)
    made: Any = asked.advance(None, sums).result
    return Result(release_of(plan, redacted(made, left_out, declared) if left_out else made))


def texts(svg: str) -> str:
    return " ".join("".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.text)


@pytest.mark.parametrize("shape", MAKERS)
def test_arrays_have_their_declared_shapes_and_units(shape: str) -> None:
    shown = result(shape)
    scale = DECLARED.bounds if shape != "aggregate" else np.ones(DECLARED.length)
    expected = DECLARED.unflatten(np.arange(DECLARED.length) * scale)
    assert list(shown) == [output.name for output in DECLARED.outputs]
    for output in DECLARED.outputs:
        assert shown[output.name].shape == output.shape
        np.testing.assert_allclose(shown[output.name], expected[output.name])
    with pytest.raises(NotFound, match="no output 'weight'") as caught:
        shown["weight"]
    assert "age" in caught.value.hint


@pytest.mark.parametrize("shape", MAKERS)
def test_the_frame_holds_every_number_with_its_place_and_its_noise(shape: str) -> None:
    shown = result(shape)
    frame = shown.to_frame()
    assert len(frame) == DECLARED.length
    np.testing.assert_allclose(frame.value, np.concatenate([shown[name].reshape(-1) for name in shown]))
    table = frame[frame.output == "table"]
    assert table.cell.tolist() == ["0,0", "0,1", "0,2", "1,0", "1,1", "1,2"]
    for place, value in zip(table.cell, table.value, strict=True):
        assert shown["table"][tuple(int(part) for part in place.split(","))] == value
    if shape == "aggregate":
        assert frame.lower.isna().all()
        return
    reach = 1.959963984540054 * frame.noise_standard_deviation
    np.testing.assert_allclose(frame.upper - frame.value, reach)
    np.testing.assert_allclose(frame.value - frame.lower, reach)
    assert (frame.noise_standard_deviation > 0).all()


def test_blocks_are_shown_as_means_with_the_noise_of_a_mean() -> None:
    shown = result("per-block")
    evaluations = 8 * 3
    frame = shown.to_frame()
    np.testing.assert_allclose(frame["mean"], frame.value / evaluations)
    text = shown._repr_mimebundle_()["text/plain"]
    assert "Outputs over 24 blocks" in text
    mean, total = (rounded(value) for value in (100 * 3 / evaluations, 100 * 3))
    died = outputs(shown.values)[1]
    assert died.cells[0].reach == pytest.approx(frame.upper[1] / evaluations - frame.value[1] / evaluations)
    assert (mean, total) == ("12.5", "300")
    assert "mean over 24 blocks at 3 sites" in texts(shown.to_svg())
    assert "mean" not in result("per-patient").to_frame().columns


def test_what_a_site_left_out_is_missing_everywhere() -> None:
    shown = result("aggregate", ("arms[1]", "died"))
    assert math.isnan(shown["arms"][1])
    assert not np.isnan(shown["arms"][[0, 2, 3]]).any()
    assert math.isnan(float(shown["died"]))
    frame = shown.to_frame()
    assert frame[frame.value.isna()][["output", "cell"]].to_numpy().tolist() == [["died", ""], ["arms", "1"]]
    text = shown._repr_mimebundle_()["text/plain"]
    assert re.search(r"arms\[1\] +left out", text)
    assert re.search(r"died +left out", text)
    assert "Left out by a site, and therefore of everything: arms[1], died." in texts(shown.to_svg())


@pytest.mark.parametrize("shape", MAKERS)
def test_pictures_are_plain_svg_and_say_what_the_whiskers_are(shape: str) -> None:
    svg = result(shape).to_svg()
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {"svg", "title", "desc", "rect", "line", "text"}
    assert "NaN" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert ("intervals of the privacy noise alone" in texts(svg)) == (shape != "aggregate")
    assert "Larger outputs are not drawn" in texts(svg)  # the cube
    assert "Does it hold?" in texts(svg)


def test_points_and_whiskers_stand_where_the_numbers_say() -> None:
    shown = result("per-patient", declared=read_outputs("a=100, b=1"))
    svg = shown.to_svg()
    centres = [float(x) + 4.5 for x in re.findall(r'<rect x="([^"]+)"[^>]*rx="4.5"', svg)]
    zeros = [float(x) for x in re.findall(r'<line x1="([^"]+)" y1="[^"]+" x2="\1"[^>]*stroke="#57606a"', svg)]
    ends = re.findall(r'<line x1="([^"]+)" y1="([^"]+)" x2="([^"]+)" y2="\2" stroke="#1b1f24" stroke-width="1.6"', svg)
    for centre, zero, (low, _, high), output in zip(centres, zeros, ends, outputs(shown.values), strict=True):
        (cell,) = output.cells
        assert cell.value is not None
        per_unit = (float(high) - float(low)) / (2 * (cell.reach or 0))
        assert centre == pytest.approx((float(low) + float(high)) / 2, abs=0.05)
        assert centre - zero == pytest.approx(cell.value * per_unit, abs=0.05)


def test_bars_reach_their_values_and_a_left_out_one_is_said() -> None:
    shown = result("aggregate", ("x[1]",), read_outputs("x[4]=10"))
    svg = shown.to_svg()
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([^"]+)"[^>]*fill="#6aaed6"', svg)]
    assert len(heights) == 3
    assert heights[0] == 0
    assert heights[2] / heights[1] == pytest.approx(3 / 2, abs=0.01)
    assert svg.count(">left out<") == 1


def test_long_outputs_are_cut_in_the_table_and_whole_in_the_frame() -> None:
    shown = result("aggregate", declared=read_outputs("x[500]=1000"))
    text = shown._repr_mimebundle_()["text/plain"]
    assert "the first 24 of 500 numbers" in text
    assert "x[23]" in text
    assert "x[24]" not in text
    assert len(shown.to_frame()) == 500


@pytest.mark.parametrize("shape", MAKERS)
def test_hostile_words_stay_words(shape: str) -> None:
    release = replace(result(shape).release, purpose=HOSTILE, requester=HOSTILE, sites=(HOSTILE,))
    hostile = {**release.result, "title": HOSTILE, "left_out": [HOSTILE]}
    hostile["outputs"] = [{**output, "name": HOSTILE} for output in hostile["outputs"]]  # type: ignore[union-attr,dict-item,arg-type]
    bundle = Result(replace(release, result=hostile))._repr_mimebundle_()
    assert "<script" not in bundle["text/html"]
    assert "<script" not in bundle["image/svg+xml"]
    assert "\x1b" not in "".join(bundle.values())
    ElementTree.fromstring(bundle["image/svg+xml"])


def test_noise_is_told_by_output_and_not_in_one_unit_for_all() -> None:
    assert "in each released number" not in result("per-patient")._repr_mimebundle_()["text/plain"]


VALUES = st.lists(st.none() | st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=30)


@given(VALUES, st.none() | st.floats(1e-9, 1e9), st.none() | st.integers(1, 1000))
def test_any_numbers_are_drawn_and_told(
    values: list[float | None], reach: float | None, evaluations: int | None
) -> None:
    output = {
        "name": "x",
        "shape": [len(values)],
        "content": "numbers",
        "values": values,
        "noise_standard_deviation": reach,
        "reach": reach,
    }
    single = {**output, "name": "y", "shape": [], "values": values[:1]}
    whole = {**result("per-patient").release.result, "outputs": [output, single], "evaluations": evaluations}
    shown = Result(replace(result("per-patient").release, result=whole))
    bundle = shown._repr_mimebundle_()
    ElementTree.fromstring(bundle["image/svg+xml"])
    assert not re.search(r'="-?(nan|inf)"', bundle["image/svg+xml"])
    assert shown["x"].shape == (len(values),)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12.0, "12"),
        (-3.0, "-3"),
        (1234.5, "1,234"),
        (0.123456, "0.1235"),
        (-18.577, "-18.58"),
        (None, "left out"),
    ],
)
def test_numbers_are_rounded_to_what_is_read(value: float | None, text: str) -> None:
    assert rounded(value) == text
