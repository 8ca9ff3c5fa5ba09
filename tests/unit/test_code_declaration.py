"""What is typed beside a function is read into what the Plan declares, or refused with the part that cannot be read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import card
from support.code import code
from synthema_core.code.declaration import (
    BLOCKS,
    CPU_SECONDS,
    check_taken,
    choose_function,
    make_question,
    read_outputs,
    usual_seconds,
)
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.questions import Aggregate, PerBlock, PerPatient
from synthema_core.code.shapes import SHAPES
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, SynthemaError

ONE = Outputs((Output("x", (), 1.0),))


def test_names_shapes_bounds_counts_and_defaults_are_read() -> None:
    read = read_outputs(" age=100, table[2, 3] = 1e3 ,n[4]=1,x=.5", ("n", "table"), "age=50, x = -0.25")
    assert read == Outputs(
        (
            Output("age", (), 100.0, default=50.0),
            Output("table", (2, 3), 1000.0, Content.COUNTS),
            Output("n", (4,), 1.0, Content.COUNTS),
            Output("x", (), 0.5, default=-0.25),
        )
    )


@pytest.mark.parametrize(
    ("returns", "counts", "defaults", "named"),
    [
        ("age", (), "", "'age' in --returns"),
        ("age=", (), "", "'' after 'age='"),
        ("age=old", (), "", "'old' after 'age='"),
        ("age=nan", (), "", "'nan' after 'age='"),
        ("age=inf", (), "", "'inf' after 'age='"),
        ("age=0", (), "", "'age' needs a bound"),
        ("age=-1", (), "", "'age' needs a bound"),
        ("=3", (), "", "'' cannot name"),
        ("a b=3", (), "", "'a b' cannot name"),
        ("age=1,,n=1", (), "", "'' in --returns"),
        ("age[]=1", (), "", "shape of 'age'"),
        ("age[2,]=1", (), "", "shape of 'age'"),
        ("age[-1]=1", (), "", "'age[-1]=1' in --returns"),
        ("age[0]=1", (), "", "'age' needs a shape"),
        ("age[1][2]=1", (), "", r"in --returns"),
        ("age[9999999]=1", (), "", "shape of 'age'"),
        ("age[99999,99]=1", (), "", "100,000"),
        ("age[2,2,2,2]=1", (), "", "'age' needs a shape"),
        ("age=1,age=2", (), "", "each name once"),
        ("", (), "", "at least one output"),
        ("age=1", ("n",), "", "no output 'n'"),
        ("age=1", (), "n=0", "no output 'n'"),
        ("age=1", (), "age", "'age' in --default"),
        ("age=1", (), "age=x", "'x' after 'age='"),
        ("age=1", (), "age=2", "default of the output 'age' is outside"),
    ],
)
def test_what_declares_nothing_is_named(returns: str, counts: tuple[str, ...], defaults: str, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_outputs(returns, counts, defaults)
    assert named in caught.value.message
    assert "\n" not in str(caught.value)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
SHAPES_OF_OUTPUTS = st.lists(st.integers(1, 9), max_size=3).map(tuple)
DECLARED = st.lists(
    st.builds(Output, NAMES, SHAPES_OF_OUTPUTS, st.integers(1, 99_999).map(float)),
    min_size=1,
    max_size=5,
    unique_by=lambda output: output.name,
).map(lambda outputs: Outputs(tuple(outputs)))


@given(DECLARED)
def test_what_outputs_spell_is_read_back(outputs: Outputs) -> None:
    assert read_outputs(", ".join(output.spell() for output in outputs.outputs)) == outputs


@given(st.text(), st.text())
def test_any_text_is_read_or_refused(returns: str, defaults: str) -> None:
    try:
        read_outputs(returns, (), defaults)
    except SynthemaError as error:
        assert error.message


@pytest.mark.parametrize(
    ("source", "shape", "named", "chosen"),
    [
        ("def f(rows): ...", "per-patient", "", "f"),
        ("def f(rows): ...\ndef g(rows): ...", "per-patient", "", "g"),
        ("def patient(rows): ...\ndef g(rows): ...", "per-patient", "", "patient"),
        ("def patient(rows): ...\ndef g(rows): ...", "per-block", "", "g"),
        ("def block(rows): ...\ndef g(rows): ...", "per-block", "", "block"),
        ("def aggregate(rows): ...\ndef study(rows): ...\ndef g(rows): ...", "aggregate", "", "aggregate"),
        ("def study(rows): ...\ndef g(rows): ...", "aggregate", "", "study"),
        ("def patient(rows): ...\ndef g(rows): ...", "per-patient", "g", "g"),
        ("def f(rows):\n    def patient(rows): ...", "per-patient", "", "f"),
        ("class A:\n    def patient(self): ...\ndef f(rows): ...", "per-patient", "", "f"),
    ],
)
def test_the_function_is_the_named_one_or_like_its_shape_or_the_last(
    source: str, shape: str, named: str, chosen: str
) -> None:
    assert choose_function(source, shape, named) == chosen


@pytest.mark.parametrize(
    ("source", "named", "message"),
    [
        ("x = 1", "", "defines no function"),
        ("def f(rows): ...", "g", "no function 'g'"),
        ("def f(rows:", "", "line 1"),
        ("async def f(rows): ...", "", "defines no function"),
    ],
)
def test_a_function_that_is_not_there_is_said(source: str, named: str, message: str) -> None:
    with pytest.raises(InvalidPlan, match=message) as caught:
        choose_function(source, "per-patient", named)
    assert caught.value.hint


def test_defaults_cut_nothing_and_make_time_for_every_patient() -> None:
    outputs = read_outputs("x[3]=1,y=2")
    patient = make_question("per-patient", code(), outputs, ("age",), patients=70, cpu_seconds=0.1)
    block = make_question("per-block", code(), outputs, ("age",), patients=70, cpu_seconds=5)
    assert isinstance(patient, PerPatient)
    assert isinstance(block, PerBlock)
    assert (patient.clip, patient.capacity) == (math.sqrt(4), 70)
    assert (block.clip, block.capacity) == (math.sqrt(4), BLOCKS)
    whole = make_question("aggregate", code(), outputs, ("age",), patients=70, cpu_seconds=30)
    assert isinstance(whole, Aggregate)
    assert whole.outputs == outputs


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ("per-row", {}, "no shape 'per-row'"),
        ("per-patient", {"blocks": 5}, "no blocks"),
        ("aggregate", {"blocks": 5}, "no blocks"),
        ("aggregate", {"clip": 1.0}, "not clipped"),
        ("per-patient", {"clip": 1.1}, "square root"),
    ],
)
def test_an_option_that_a_shape_does_not_have_is_refused(shape: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make_question(shape, code(), ONE, ("age",), patients=70, cpu_seconds=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_the_shapes_or_what_the_strictest_site_allows(shape: str) -> None:
    assert usual_seconds(shape, [card("alder")]) == CPU_SECONDS[shape]
    strict = [card("alder", policy={"code_cpu_seconds": 60.0}), card("birch", policy={"code_cpu_seconds": 0.05})]
    assert usual_seconds(shape, strict) == 0.05


@pytest.mark.parametrize("policy", [{}, {"code": []}, {"code": ["per-block"]}, {"code": "per-patient"}])
def test_a_site_that_takes_no_such_code_is_named_before_it_is_asked(policy: dict[str, object]) -> None:
    willing = card("alder", policy={"code": ["per-patient", "aggregate"]})
    check_taken("per-patient", [willing])
    with pytest.raises(Refused, match="'birch' takes no code") as caught:
        check_taken("per-patient", [willing, card("birch", policy=policy)])
    assert caught.value.rule == "code"
