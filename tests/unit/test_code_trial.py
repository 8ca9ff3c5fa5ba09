"""Trying code on Mocks: in the real sandbox, bounded in number and time, and told in words its author can use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from support.builders import SCHEMA
from support.code import FakeTime, ScriptedSandbox, code, ended
from synthema_core.analyses.base import Rows
from synthema_core.code.declaration import AnyShape, make_question, read_outputs
from synthema_core.code.outputs import Outputs
from synthema_core.code.source import Code
from synthema_core.errors import Unavailable
from synthema_core.sandbox.choose import choose_backend
from synthema_core.sandbox.port import Backend, End
from synthema_core.sandbox.trial import MOST_EVALUATIONS, difference, try_out


@cache
def real_backend() -> Backend:
    return choose_backend()


@pytest.fixture
def backend() -> Backend:
    try:
        return real_backend()
    except Unavailable as error:
        pytest.skip(str(error))


@dataclass
class Scripted:
    """Implements Backend over a sandbox that does as it is told."""

    sandbox: ScriptedSandbox
    name: str = "scripted"

    def missing(self) -> str:
        return ""

    def open(self, code: Code, outputs: Outputs) -> AbstractContextManager[ScriptedSandbox]:
        return self.sandbox.open()


def question(
    shape: str = "per-patient", source: str = "def f(rows): ...", returns: str = "x=1", **more: float
) -> AnyShape:
    columns = ("age", "arm")
    usual: dict[str, float] = {"cpu_seconds": 10.0, **more}
    return make_question(shape, code(source), read_outputs(returns), columns, patients=100, **usual)  # type: ignore[arg-type]


SOURCE = """
import numpy as np

def f(rows):
    assert list(rows.columns) == ["age", "arm"] and len(rows) == 1
    age = rows.age.iloc[0]
    if age > 90:
        print("seen", age)
        raise ValueError(f"too old: {age}")
    if age > 80:
        return {"age": age}
    if age > 70:
        return {"age": age, "curve": np.arange(3)}
    if age > 60:
        return {"age": float("nan"), "curve": [0, 0]}
    return {"age": age, "curve": [0.5, 2]}
"""


def test_every_kind_of_end_is_counted_and_explained(backend: Backend) -> None:
    asked = question(source=SOURCE, returns="age=50, curve[2]=1")
    trial = try_out(asked, SCHEMA, backend, sites=3)
    ends = dict(trial.ends)
    assert trial.backend == backend.name
    assert trial.evaluations == trial.asked == MOST_EVALUATIONS
    assert set(ends) == {End.RETURNED, End.RAISED, End.BAD_OUTPUT}
    assert trial.returned == ends[End.RETURNED]
    told = "\n".join(trial.failures)
    assert "'curve' has the shape [3], and [2] is declared." in told
    assert "It returned no 'curve', which is declared." in told
    assert len(trial.failures) == 3
    age, curve = trial.spreads
    assert 0 <= age.lowest < age.highest <= 60
    assert 0 < age.beyond < trial.returned
    assert (curve.lowest, curve.highest, curve.beyond) == (0.5, 2.0, trial.returned)
    assert 0 < trial.cpu_seconds < 10
    assert trial.wall_seconds > 0


def test_an_error_is_told_with_its_line_and_what_was_printed(backend: Backend) -> None:
    source = "def f(rows):\n    print('look here')\n    raise KeyError('aeg')\n"
    trial = try_out(question(source=source), SCHEMA, backend, sites=3, most=6)
    assert trial.ends == ((End.RAISED, 6),)
    (told,) = trial.failures
    assert "look here" in told
    assert 'File "study.py", line 3' in told
    assert "KeyError: 'aeg'" in told
    assert trial.spreads == ()


@pytest.mark.parametrize(
    ("body", "end", "words"),
    [
        ("while True: pass", End.TIMEOUT, "longer than 0.2 CPU-seconds"),
        ("x = [bytearray(1 << 30) for _ in range(8)]", End.MEMORY, "more memory"),
        ("return 'text'", End.BAD_OUTPUT, "not made of numbers"),
        ("return float('inf')", End.BAD_OUTPUT, "missing or infinite"),
    ],
)
def test_what_limits_and_gates_stop_is_said(backend: Backend, body: str, end: End, words: str) -> None:
    seconds = 0.2 if end is End.TIMEOUT else 10.0
    source = f"def f(rows):\n    {body}\n"
    trial = try_out(question(source=source, cpu_seconds=seconds), SCHEMA, backend, sites=3, most=2)
    assert trial.ends == ((end, 2),)
    assert words in trial.failures[0]


def test_helpers_are_imported_and_a_module_that_is_not_there_is_named(backend: Backend) -> None:
    source = "from scores import double\ndef f(rows):\n    return double(0.25)\n"
    with_helper = code(source, "f", scores="def double(x):\n    return 2 * x\n")
    asked = make_question("per-patient", with_helper, read_outputs("x=1"), ("age",), patients=9, cpu_seconds=10)
    assert try_out(asked, SCHEMA, backend, sites=3, most=3).spreads[0].highest == 0.5
    missing = question(source=source)
    (told,) = try_out(missing, SCHEMA, backend, sites=3, most=3).failures
    assert "No module named 'scores'" in told


@pytest.mark.parametrize(
    ("shape", "evaluations", "rows"), [("per-patient", 60, {1}), ("per-block", 60, None), ("aggregate", 3, {200})]
)
def test_each_shape_is_tried_on_a_mock_of_every_site(shape: str, evaluations: int, rows: set[int] | None) -> None:
    sandbox = ScriptedSandbox(lambda _: {"x": np.array(0.5)})
    more = {"blocks": 40} if shape == "per-block" else {}
    trial = try_out(question(shape, **more), SCHEMA, Scripted(sandbox), sites=3)
    assert (trial.asked, trial.evaluations) == (evaluations, evaluations)
    sizes = {len(group["age"]) for group in sandbox.evaluated}
    assert (
        sizes == rows if rows else sum(len(group["age"]) for group in sandbox.evaluated) == pytest.approx(600, rel=0.25)
    )
    first = [tuple(group["age"]) for group in sandbox.evaluated[:3]]
    assert len(set(first)) == 3  # one of each site's Mock, and no two of them the same
    assert all(set(group) == {"age", "arm"} for group in sandbox.evaluated)


def test_a_trial_ends_in_time_and_says_how_far_it_came() -> None:
    time = FakeTime()
    sandbox = ScriptedSandbox(lambda _: {"x": np.array(0.5)}, time, seconds=lambda _: 7.0)
    trial = try_out(question(), SCHEMA, Scripted(sandbox), sites=3, patience_seconds=30, clock=time.clock)
    assert (trial.asked, trial.evaluations) == (60, 5)
    assert sandbox.closed == 1


def test_the_sites_limits_are_the_trials() -> None:
    sandbox = ScriptedSandbox(lambda _: {"x": np.array(0.5)})
    try_out(question(cpu_seconds=0.3), SCHEMA, Scripted(sandbox), sites=3, most=2)
    assert [limits.cpu_seconds for limits in sandbox.limits] == [0.3, 0.3]


def test_vectors_longer_than_the_clip_are_counted_as_the_engine_would_cut_them() -> None:
    values = iter([[0.6, 0.6], [9.0, 0.0], [9.0, 9.0], [0.0, -1.0]])
    sandbox = ScriptedSandbox(lambda _: {"x": np.array(next(values))})
    trial = try_out(question(returns="x[2]=1", clip=1.0), SCHEMA, Scripted(sandbox), sites=3, most=4)
    assert trial.shortened == 1  # only the third: a value beyond its bound is cut before the length is taken
    assert trial.spreads[0].beyond == 2


def test_failures_that_differ_in_numbers_only_are_told_once_and_few_at_most() -> None:
    said = iter([f"ValueError: bad {n}.5" for n in range(20)] + [f"{name}Error: x" for name in "ABCDE"])

    def fail(rows: Rows) -> object:
        return ended(End.RAISED, next(said))

    trial = try_out(question(), SCHEMA, Scripted(ScriptedSandbox(fail)), sites=3, most=25)  # type: ignore[arg-type]
    assert trial.failures == ("ValueError: bad 0.5", "AError: x", "BError: x")


def test_a_broken_sandbox_is_an_error_and_no_outcome() -> None:
    sandbox = ScriptedSandbox(lambda _: {"x": np.array(0.5)}, breaks=Unavailable("It broke."), breaks_at=2)
    with pytest.raises(Unavailable, match="It broke"):
        try_out(question(), SCHEMA, Scripted(sandbox), sites=3)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "It returned no 'x'"),
        ({"x": np.zeros(2), "y": np.zeros(1)}, "It returned 'y', which is not declared."),
        ({"x": np.zeros((2, 1))}, "'x' has the shape [2, 1], and [2] is declared."),
        ({"x": np.array(["a", "b"])}, "'x' is not made of numbers."),
        ({"x": np.array([1, np.nan])}, "'x' holds a value that is missing"),
        ({"x": np.zeros(2)}, "It returned what was declared."),
    ],
)
def test_the_difference_to_what_was_declared_is_one_sentence(arrays: dict[str, np.ndarray], said: str) -> None:
    assert said in difference(arrays, read_outputs("x[2]=1"))
    agrees = read_outputs("x[2]=1").flatten(arrays) is not None
    assert agrees == (said == "It returned what was declared.")
