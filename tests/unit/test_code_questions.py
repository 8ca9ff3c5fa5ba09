"""Code as a question in a Plan: what is written is read back, in one spelling, and nothing else is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import SCHEMA, SITES, card
from support.code import OUTPUTS, QUESTIONS, aggregate, code_plan, per_block, per_patient, table
from synthema_core.analyses import find, from_plan
from synthema_core.analyses.base import Done, Sums
from synthema_core.charging import mechanism_of
from synthema_core.code.combine import FRACTIONAL_BITS
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.questions import Aggregate, CodeQuestion, PerBlock, PerPatient
from synthema_core.code.shapes import SHAPES, analysis_name
from synthema_core.code.timing import LANES, WALL_FACTOR, answer_seconds
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_core.plan import Mode, Plan
from synthema_core.planning import capacity_of

Make = Callable[..., CodeQuestion]
EVERY = pytest.mark.parametrize("make", QUESTIONS.values(), ids=QUESTIONS)
GUARANTEED = pytest.mark.parametrize("make", [per_patient, per_block], ids=["per-patient", "per-block"])


@EVERY
def test_a_question_reads_back_from_its_plan(make: Make) -> None:
    question = make()
    plan = Plan.from_dict(json.loads(json.dumps(code_plan(question).to_dict())))
    assert plan.analysis == analysis_name(question.shape) == question.name
    assert from_plan(plan.analysis, plan.parameters) == question
    assert find(plan.analysis) is type(question)


def test_shapes_with_a_guarantee_are_private_and_the_other_is_exact() -> None:
    modes = {shape: code_plan(make()).mode for shape, make in QUESTIONS.items()}
    assert modes == {"per-patient": Mode.PRIVATE, "per-block": Mode.PRIVATE, "aggregate": Mode.EXACT}
    assert set(QUESTIONS) == set(SHAPES)


@EVERY
def test_every_part_of_a_question_is_under_the_plans_digest(make: Make) -> None:
    changes: list[dict[str, Any]] = [
        {"code": replace(make().code, files={**make().code.files, "h.py": ""})},
        {"outputs": Outputs((*make().outputs.outputs, Output("more", (), 1.0)))},
        {"columns_read": ("age",)},
        {"columns_read": ("died", "age")},
        {"cpu_seconds": 0.2},
    ]
    if make is not aggregate:
        changes += [{"clip": 0.5}, {"capacity": 61}]
    plans = [code_plan(make(**change)) for change in ({}, *changes)]
    assert len({plan.digest for plan in plans}) == len({plan.question_digest for plan in plans}) == len(changes) + 1


@EVERY
@pytest.mark.parametrize(
    "bad",
    [
        {"cpu_seconds": 0.0},
        {"cpu_seconds": 0.009},
        {"cpu_seconds": -1.0},
        {"cpu_seconds": 301.0},
        {"cpu_seconds": math.nan},
        {"cpu_seconds": math.inf},
        {"columns_read": ()},
        {"columns_read": ("age", "age")},
    ],
    ids=str,
)
def test_what_no_shape_takes(make: Make, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlan):
        make(**bad)


@GUARANTEED
@pytest.mark.parametrize(
    "bad",
    [
        {"clip": 0.0},
        {"clip": -1.0},
        {"clip": 2.001},
        {"clip": math.nan},
        {"clip": math.inf},
        {"capacity": 0},
        {"capacity": -1},
        {"capacity": 1_000_001},
        {"capacity": 100_000, "cpu_seconds": 1.0},
    ],
    ids=str,
)
def test_what_no_shape_with_a_guarantee_takes(make: Make, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlan):
        make(**bad)


@GUARANTEED
def test_the_largest_clip_cuts_nothing_within_the_bounds(make: Make) -> None:
    assert make(clip=math.sqrt(OUTPUTS.length))


@EVERY
@pytest.mark.parametrize(
    "change",
    [
        {"code": None},
        {"code": "def f(rows): ..."},
        {"outputs": []},
        {"outputs": {}},
        {"columns": "age,died"},
        {"columns": "ad"},
        {"columns": [["age"]]},
        {"columns": [3]},
        {"columns": None},
        {"cpu_seconds": "0.1"},
        {"cpu_seconds": None},
        {"cpu_seconds": [1]},
        {"cpu_seconds": 10**400},
        {"cpu_seconds": math.nan},
        {"more": 1},
        {"clip": 10**400},
        {"capacity": math.inf},
        {"capacity": math.nan},
        {"capacity": 5.5},
        {"capacity": "60"},
    ],
    ids=str,
)
def test_parameters_in_another_form_are_refused(make: Make, change: dict[str, Any]) -> None:
    """Also those that only some shapes have: an aggregate with a clip is none."""
    whole = make().parameters()
    assert type(make()).from_parameters(json.loads(json.dumps(whole))) == make()
    with pytest.raises(InvalidPlan):
        type(make()).from_parameters({**whole, **change})


@EVERY
def test_no_parameter_may_be_missing(make: Make) -> None:
    whole = make().parameters()
    for name in whole:
        with pytest.raises(InvalidPlan):
            type(make()).from_parameters({key: whole[key] for key in whole if key != name})


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(QUESTIONS)), st.dictionaries(st.sampled_from([*per_patient().parameters()]), ANY))
def test_whatever_the_parameters_are_nothing_breaks(shape: str, change: dict[str, Any]) -> None:
    kind, whole = type(QUESTIONS[shape]()), QUESTIONS[shape]().parameters()
    try:
        question = kind.from_parameters({**whole, **change})
    except InvalidPlan:
        return
    assert question.parameters() == {**whole, **change}


@EVERY
def test_code_is_not_typed_in_a_line(make: Make) -> None:
    with pytest.raises(InvalidInput, match="%%remote"):
        find(make().name).from_options({"column": "age"}, SCHEMA)


@EVERY
def test_code_is_never_given_who_a_patient_is(make: Make) -> None:
    make().check_against(SCHEMA)
    with pytest.raises(InvalidPlan, match="identifies patients"):
        make(columns_read=("age", "id")).check_against(SCHEMA)
    with pytest.raises(NotFound):
        make(columns_read=("age", "ferritin")).check_against(SCHEMA)


@EVERY
def test_one_round_without_input(make: Make) -> None:
    question = make()
    assert question.max_rounds == 1
    assert question.begin().input.shape == (0,)
    question.check_input(np.zeros(0))
    for values in (np.zeros(1), np.zeros((0, 1)), np.array(1.0)):
        with pytest.raises(Refused) as refused:
            question.check_input(values)
        assert refused.value.rule == "iterate"


@EVERY
def test_the_engine_itself_never_runs_code(make: Make) -> None:
    with pytest.raises(NotImplementedError):
        make().contribution(table([1.0]), np.zeros(0))


# What is summed


def test_the_sensitivity_is_one_vector_or_two() -> None:
    assert per_patient(clip=1.5).sensitivity == 1.5 * 2**FRACTIONAL_BITS
    assert per_block(clip=1.5).sensitivity == 2 * 1.5 * 2**FRACTIONAL_BITS


@GUARANTEED
@pytest.mark.parametrize("clip", [0.01, 1.0, 2.0])
def test_the_noise_is_calibrated_to_it(make: Make, clip: float) -> None:
    question = make(clip=clip)
    mechanism = mechanism_of(code_plan(question, epsilon=1.0), question)
    assert mechanism is not None
    assert mechanism.sensitivity == question.sensitivity
    other = mechanism_of(code_plan(make(clip=clip / 2), epsilon=1.0), make(clip=clip / 2))
    assert other is not None
    assert other.standard_deviation == pytest.approx(mechanism.standard_deviation / 2, rel=0.01)


@GUARANTEED
def test_the_layout_has_room_for_every_evaluation(make: Make) -> None:
    question = make(capacity=100_000, cpu_seconds=0.01)
    room = question.layout
    assert [block.fractional_bits for block in room.blocks] == [FRACTIONAL_BITS] * 2
    room.check_sum_fits(64, noise=2**40)
    room.quantise(np.full(OUTPUTS.length, 1e6))


@pytest.mark.parametrize("bound", [1e-9, 0.5, 1.0, 1000.0, 1e6, 1e12])
def test_an_aggregates_layout_is_as_fine_as_the_ring_allows(bound: float) -> None:
    question = aggregate(outputs=Outputs((Output("a", (), bound),)))
    (block,) = question.layout.blocks
    assert (block.bound, block.length) == (bound, 1)
    question.layout.check_sum_fits(64)
    values = question.layout.dequantise(question.layout.quantise(np.array([bound / 3])))
    assert values["a"][0] == pytest.approx(bound / 3, abs=2.0**-17 if bound > 1e9 else 2.0**-32)


@EVERY
def test_cards_say_how_many_patients_there_may_be(make: Make) -> None:
    cards = [card(site, policy={"max_patients": most}) for site, most in zip(SITES, (10, 70, 20), strict=True)]
    assert capacity_of(cards) == 70
    assert capacity_of([card(site) for site in SITES]) == 1
    assert make().cohort_size(table([1.0, 2.0])) == 2


# What comes out


def summed(question: CodeQuestion, noise_variance: float = 0.0) -> dict[str, Any]:
    blocks = {output.name: np.full(output.length, 0.5) for output in question.outputs.outputs}
    done = question.advance(None, Sums(blocks, 3, noise_variance))
    assert isinstance(done, Done)
    return done.result


def test_a_private_result_is_in_the_outputs_own_units_with_its_noise() -> None:
    steps = 3.0 * 2**FRACTIONAL_BITS
    result = summed(per_patient(), steps**2)
    age, flags = result["outputs"]
    assert (result["kind"], result["sites"], result["evaluations"]) == ("code-per-patient", 3, None)
    assert (age["values"], flags["values"]) == ([50.0], [1.0] * 3)
    assert (age["shape"], flags["shape"]) == ([], [3])
    assert age["noise_standard_deviation"] == pytest.approx(300.0)
    assert flags["noise_standard_deviation"] == pytest.approx(6.0)
    assert age["reach"] == pytest.approx(1.959964 * 300.0)
    json.dumps(result, allow_nan=False)


def test_how_many_blocks_there_were_is_public() -> None:
    assert summed(per_block(), 1.0)["evaluations"] == 3 * 8


def test_an_aggregates_result_has_no_noise() -> None:
    counted = Outputs((Output("n", (2,), 10.0, Content.COUNTS), Output("sum", (), 1e6)))
    result = summed(aggregate(outputs=counted))
    assert [output["values"] for output in result["outputs"]] == [[0.5, 0.5], [0.5]]
    assert [output["content"] for output in result["outputs"]] == ["counts", "numbers"]
    assert {output["reach"] for output in result["outputs"]} == {None}
    assert result["kind"] == "code-aggregate"


# Time


@pytest.mark.parametrize("evaluations", [1, 2, 3, 60, 10_000])
@pytest.mark.parametrize("cpu_seconds", [0.01, 0.1, 60.0])
def test_there_is_time_for_every_evaluation_at_its_limit(evaluations: int, cpu_seconds: float) -> None:
    told = answer_seconds(evaluations, cpu_seconds)
    assert told >= math.ceil(evaluations / LANES) * WALL_FACTOR * cpu_seconds + 1
    assert told == answer_seconds(evaluations, cpu_seconds)
    assert told <= answer_seconds(evaluations + 1, cpu_seconds)


@GUARANTEED
def test_when_a_site_answers_depends_on_the_plan_alone(make: Make) -> None:
    question = make(capacity=40, cpu_seconds=0.5)
    assert question.answer_seconds == answer_seconds(40, 0.5)


def test_ten_thousand_patients_are_answered_within_the_hour() -> None:
    assert per_patient(capacity=10_000, cpu_seconds=0.1).answer_seconds < 3600


def test_an_aggregate_answers_as_soon_as_it_can() -> None:
    assert aggregate().answer_seconds == 0


def test_the_three_are_three() -> None:
    assert {PerPatient.shape, PerBlock.shape, Aggregate.shape} == set(SHAPES)
