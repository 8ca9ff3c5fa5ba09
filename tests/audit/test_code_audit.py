"""Code that does what it can to tell of one patient tells no more than its Plan's epsilon, through the whole pipeline.

The site's part is the real one: rows, evaluations, clipping, noise and masks, in a secure sum with one other site that
adds its part of the noise, and an insider that adds nothing. What code does in the sandbox is played: it may do
anything there. Bugs are planted in the parts that are ours, and each is noticed. False alarms have a probability below
1e-7.

Many patients are audited at a time: each has values of their own, which nobody else's evaluation touches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from support.audits import ALARM, epsilon_shown, mean_audit, variance_audit
from support.code import FakeTime, InMemory, ScriptedSandbox, code_plan, per_block, per_patient
from support.sums import Remembered, summed_with
from synthema_core.analyses.base import Rows
from synthema_core.code import combine
from synthema_core.code.combine import FRACTIONAL_BITS, block_of, bounded
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.questions import PerBlock, PerPatient
from synthema_core.plan import Plan
from synthema_core.privacy import noise
from synthema_core.privacy.calibration import calibrate
from synthema_core.privacy.noise import draw
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.worker import contributions, contributor
from synthema_datasite.worker.contributions import OfCode
from synthema_datasite.worker.contributor import Contributor

Question: TypeAlias = PerPatient | PerBlock
Steps: TypeAlias = NDArray[np.int64]
Function: TypeAlias = Callable[[Rows], Any]

EPSILON, DELTA = 2.0, 1e-3  # a large delta, at which an audit by samples sees most
GROUPS, WIDTH, RUNS, FEW = 111, 9, 100, 10
"""Patients audited at a time, the values of each, and how often."""
KEY = b"a site's secret"
OUTPUTS = Outputs((Output("told", (GROUPS, WIDTH), 3.0),))
NOTHING = np.zeros(0)
CLIP = 1.0
TOO_LONG = 1e30


def question_of(shape: str) -> Question:
    made = per_patient if shape == "per-patient" else per_block
    capacity = 2 * GROUPS if shape == "per-patient" else GROUPS
    return made(outputs=OUTPUTS, clip=CLIP, capacity=capacity, columns_read=("age", "died"))


def plan_of(question: Question) -> Plan:
    return code_plan(question, epsilon=EPSILON, delta=DELTA)


# The tables: who is looked for has died, and their age says which values they have.


def one_in_each_block() -> list[str]:
    """A name that falls into each block, and a second one."""
    names: dict[int, list[str]] = {group: [] for group in range(GROUPS)}
    for number in count():
        block = names[block_of(f"p{number}", GROUPS, KEY)]
        block.append(f"p{number}")
        if min(map(len, names.values())) == 2:
            return [names[group][index] for index in (0, 1) for group in range(GROUPS)]
    raise AssertionError


def rows_of(question: Question, *, with_one_more: bool) -> Rows:
    """One patient of each age; and, in the neighbouring tables, somebody else of that age who died."""
    names = one_in_each_block() if isinstance(question, PerBlock) else [f"p{n}" for n in range(2 * GROUPS)]
    patients = 2 * GROUPS if with_one_more else GROUPS
    return {
        "id": np.array(names[:patients], dtype=object),
        "age": np.tile(np.arange(float(GROUPS)), 2)[:patients],
        "died": np.repeat([0.0, 1.0], GROUPS)[:patients],
    }


def told(rows: Rows, value: float) -> dict[str, Floats]:
    """That value in all places that are this age's own."""
    array = np.zeros((GROUPS, WIDTH))
    array[int(rows["age"][0])] = value
    return {"told": array}


def died(rows: Rows) -> bool:
    return bool(rows["died"].any())


class Otherwise:
    """Behaves one way with who is looked for, and another way without."""

    def __init__(self, about: Function, others: Function) -> None:
        self._about, self._others = about, others

    def __call__(self, rows: Rows) -> Any:
        return self._about(rows) if died(rows) else self._others(rows)


def crash(_: Rows) -> Any:
    raise ValueError("died")


def nothing(rows: Rows) -> dict[str, Floats]:
    return told(rows, 0.0)


def huge(rows: Rows) -> dict[str, Floats]:
    return told(rows, TOO_LONG)


def hugely_less(rows: Rows) -> dict[str, Floats]:
    return told(rows, -TOO_LONG)


HOSTILE: dict[str, Function] = {
    "huge values for one": Otherwise(huge, nothing),
    "the opposite for one": Otherwise(huge, hugely_less),
    "infinite for one": Otherwise(lambda rows: told(rows, math.inf), nothing),
    "NaN for one": Otherwise(lambda rows: told(rows, math.nan), huge),
    "crashes for one": Otherwise(crash, huge),
    "another shape for one": Otherwise(lambda _: {"told": np.ones(3)}, huge),
}
ALL_OVER = {"all places for one": Otherwise(lambda _: {"told": np.full((GROUPS, WIDTH), TOO_LONG)}, nothing)}
"""Where patients have no values of their own, one at a time is compared."""


# The pipeline


class Once:
    """A Contribution whose evaluations are made in the first Job only: what is played here comes out the same again."""

    def __init__(self, code: OfCode) -> None:
        self._values: Floats = code.values(NOTHING)
        self.wait = code.wait

    def values(self, round_input: Floats) -> Floats:
        return self._values


def evaluated(question: Question, rows: Rows, function: Function) -> Once:
    time = FakeTime()
    sandbox = ScriptedSandbox(function, time)
    return Once(OfCode(question, InMemory(rows), "id", KEY, sandbox.open, time.clock, time.sleep))


def colluders_view(question: Question, plan: Plan, code: Once) -> Steps:
    """The sum of a Job in which one other site added noise, and one, an insider, nothing. (groups, width)"""
    audited = Contributor("j1", "alder", plan, question, code, Remembered())
    mechanism = contributor.mechanism_of(plan, question)
    assert mechanism is not None
    honest = contributor.draw(mechanism.site_deviation, OUTPUTS.length)
    return summed_with(audited, plan, {"birch": honest}).view(np.int64).reshape(GROUPS, WIDTH)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenDP's sampler is as good, but slow; test_noise_audit audits both."""
    monkeypatch.setattr(noise, "FEW", 0)


def views(
    question: Question, function: Function, *, with_one_more: bool = False, runs: int = FEW
) -> NDArray[np.float64]:
    """(runs, groups, width)"""
    code = evaluated(question, rows_of(question, with_one_more=with_one_more), function)
    plan = plan_of(question)
    return np.array([colluders_view(question, plan, code) for _ in range(runs)], dtype=np.float64)


def shown(question: Question, function: Function, runs: int = RUNS) -> float:
    """The epsilon, along the direction in which these functions tell."""
    worlds = [views(question, function, with_one_more=more, runs=runs) for more in (False, True)]
    return epsilon_shown(*(world.sum(axis=2).reshape(-1) for world in worlds), DELTA)


def changed(question: Question, function: Function) -> float:
    """The most, in steps (L2), by which one of some patients changes the Contribution before noise."""
    rows = rows_of(question, with_one_more=True)
    everybody = np.arange(2 * GROUPS)

    def steps(where: NDArray[np.int64]) -> NDArray[np.float64]:
        code = evaluated(question, {name: values[where] for name, values in rows.items()}, function)
        return question.layout.quantise(code.values(NOTHING)).view(np.int64).astype(np.float64)

    before = steps(everybody)
    return max(float(np.linalg.norm(steps(np.delete(everybody, who)) - before)) for who in (0, GROUPS, 2 * GROUPS - 1))


def variance_of(question: Question) -> float:
    """What the noise needs, from first principles: a patient adds one vector, or has one replaced."""
    vectors = 2 if isinstance(question, PerBlock) else 1
    return calibrate(EPSILON, DELTA, vectors * CLIP * 2**FRACTIONAL_BITS).sum_variance(1)


SHAPES = pytest.mark.parametrize("shape", ["per-patient", "per-block"])
WORST = pytest.mark.parametrize(
    ("shape", "behaviour"), [("per-patient", "huge values for one"), ("per-block", "the opposite for one")]
)
"""The most that code of each shape can tell."""


@SHAPES
@pytest.mark.parametrize("function", HOSTILE.values(), ids=HOSTILE)
def test_hostile_code_shows_no_more_than_the_declared_epsilon(shape: str, function: Function) -> None:
    assert shown(question_of(shape), function, runs=FEW) < EPSILON


@WORST
def test_an_audit_that_saw_nothing_would_not_see_a_bug(shape: str, behaviour: str) -> None:
    assert 0.1 * EPSILON < shown(question_of(shape), HOSTILE[behaviour]) < EPSILON


@SHAPES
@pytest.mark.parametrize("function", (HOSTILE | ALL_OVER).values(), ids=HOSTILE | ALL_OVER)
def test_hostile_code_changes_a_contribution_by_no_more_than_the_sensitivity(shape: str, function: Function) -> None:
    question = question_of(shape)
    assert changed(question, function) <= question.sensitivity * (1 + 1e-12)


@SHAPES
def test_the_noise_is_what_the_clip_needs(shape: str) -> None:
    question = question_of(shape)
    seen = views(question, nothing)
    assert variance_audit(seen, variance_of(question)) > ALARM
    assert mean_audit(seen, variance_of(question)) > ALARM


DEFAULT = Outputs((Output("told", (GROUPS, WIDTH), 3.0, default=0.09),))


def with_default(shape: str) -> Question:
    question = question_of(shape)
    return replace(question, outputs=DEFAULT)


def default_audit(question: Question) -> float:
    """Everybody's evaluation fails: what is summed is known."""
    vector = bounded(None, question.outputs, question.clip).reshape(GROUPS, WIDTH)
    return mean_audit(views(question, crash) - GROUPS * vector, variance_of(question))


@SHAPES
def test_failures_count_for_the_declared_default(shape: str) -> None:
    assert default_audit(with_default(shape)) > ALARM


# Planted bugs


def unclipped(values: Floats | None, outputs: Outputs, clip: float) -> Steps:
    scaled = np.clip((outputs.defaults if values is None else values) / outputs.bounds, -1.0, 1.0)
    return np.rint(np.ldexp(scaled, FRACTIONAL_BITS)).astype(np.int64)


def unbounded(values: Floats | None, outputs: Outputs, clip: float) -> Steps:
    """The bound forgotten, up to four times it."""
    scaled = np.clip((outputs.defaults if values is None else values) / outputs.bounds, -4.0, 4.0)
    return np.rint(np.ldexp(scaled, FRACTIONAL_BITS)).astype(np.int64)


def clipped_by_value(values: Floats | None, outputs: Outputs, clip: float) -> Steps:
    """Each value to the clip, instead of their norm."""
    scaled = np.clip((outputs.defaults if values is None else values) / outputs.bounds, -clip, clip)
    return np.trunc(np.ldexp(scaled, FRACTIONAL_BITS)).astype(np.int64)


@pytest.mark.parametrize("bug", [unclipped, unbounded, clipped_by_value], ids=lambda bug: bug.__name__)
@WORST
def test_a_bug_in_the_clipping_is_noticed(
    monkeypatch: pytest.MonkeyPatch, bug: Callable[..., Steps], shape: str, behaviour: str
) -> None:
    question = question_of(shape)
    monkeypatch.setattr(combine, "bounded", bug)
    assert shown(question, HOSTILE[behaviour]) > EPSILON
    assert changed(question, HOSTILE[behaviour]) > question.sensitivity * 1.5


def noise_of(deviations: float) -> Callable[[float, int], Any]:
    def drawn(deviation: float, length: int) -> Any:
        return draw(deviation * deviations, length)

    return drawn


@WORST
def test_noise_for_a_third_of_the_clip_is_noticed(monkeypatch: pytest.MonkeyPatch, shape: str, behaviour: str) -> None:
    monkeypatch.setattr(contributor, "draw", noise_of(1 / 3))
    assert shown(question_of(shape), HOSTILE[behaviour]) > EPSILON


def test_noise_for_one_clip_where_a_block_is_replaced_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PerBlock, "_change", 1.0)
    question = question_of("per-block")
    assert changed(question, HOSTILE["the opposite for one"]) > question.sensitivity * 1.9
    assert variance_audit(views(question, nothing), variance_of(question)) < ALARM


@pytest.mark.parametrize("deviations", [0.5, 0.9, 1.1])
def test_noise_for_half_the_clip_or_a_little_off_is_noticed(monkeypatch: pytest.MonkeyPatch, deviations: float) -> None:
    question = question_of("per-patient")
    monkeypatch.setattr(contributor, "draw", noise_of(deviations))
    assert variance_audit(views(question, nothing), variance_of(question)) < ALARM


Summed: TypeAlias = Callable[[Iterable[Floats | None], Outputs, float], Floats]


@SHAPES
def test_defaults_that_are_dropped_are_noticed(monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    honest: Summed = combine.summed
    monkeypatch.setattr(
        contributions,
        "summed",
        lambda vectors, *rest: honest((vector for vector in vectors if vector is not None), *rest),
    )
    assert default_audit(with_default(shape)) < ALARM


@SHAPES
def test_an_answer_that_one_failure_spoils_is_noticed(monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    """It tells with certainty that somebody's evaluation failed."""
    honest: Summed = combine.summed

    def all_or_nothing(vectors: Iterable[Floats | None], outputs: Outputs, clip: float) -> Floats:
        whole = list(vectors)
        return honest([] if any(vector is None for vector in whole) else whole, outputs, clip)

    def crashes_for_one(rows: Rows) -> Any:
        return crash(rows) if died(rows) and rows["age"][0] == 0 else huge(rows)

    question = question_of(shape)
    assert changed(question, crashes_for_one) <= question.sensitivity * (1 + 1e-12)
    monkeypatch.setattr(contributions, "summed", all_or_nothing)
    assert changed(question, crashes_for_one) > question.sensitivity


def test_blocks_that_depend_on_the_other_patients_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One patient less shifts all that come after."""

    def in_turn(rows: Rows, patients: Any, blocks: int, key: bytes) -> list[Rows]:
        order = np.argsort(patients.astype(str))
        return [{name: values[order[index::blocks]] for name, values in rows.items()} for index in range(blocks)]

    def tells_who_is_together(rows: Rows) -> Any:
        return told(rows, TOO_LONG if rows["age"].sum() % 2 else -TOO_LONG)

    question = question_of("per-block")
    assert changed(question, tells_who_is_together) <= question.sensitivity * (1 + 1e-12)
    monkeypatch.setattr("synthema_core.code.questions.by_block", in_turn)
    assert changed(question, tells_who_is_together) > question.sensitivity


def test_rounding_after_summing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is too small for noise to show it: the Contributions themselves are compared."""

    def rounded_afterwards(vectors: Iterable[Floats | None], outputs: Outputs, clip: float) -> Floats:
        total = np.zeros(outputs.length)
        for values in vectors:
            scaled = np.clip((outputs.defaults if values is None else values) / outputs.bounds, -1.0, 1.0)
            total += scaled * min(1.0, clip / max(float(np.linalg.norm(scaled)), 1e-300))
        return np.asarray(np.ldexp(np.rint(np.ldexp(total, FRACTIONAL_BITS)), -FRACTIONAL_BITS))

    def dense(rows: Rows) -> Any:
        return {"told": np.random.default_rng(int(rows["age"][0])).normal(size=(GROUPS, WIDTH))}

    question = question_of("per-patient")
    assert changed(question, dense) <= question.sensitivity * (1 + 1e-12)
    monkeypatch.setattr(contributions, "summed", rounded_afterwards)
    assert changed(question, dense) > question.sensitivity
