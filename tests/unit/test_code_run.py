"""A run of code with a release decision: evaluated once, gated, and then without each patient in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from support.code import InMemory, ScriptedSandbox, aggregate, code_plan, ended, returned, table
from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.errors import Refused, Unavailable
from synthema_core.sandbox.port import End, Limits
from synthema_datasite.worker import code_run
from synthema_datasite.worker.code_run import CodeRun, run_code

PLANTED = "Leningrad-4711"
OUTPUTS = Outputs((Output("n", (), 1000.0, Content.COUNTS), Output("years", (2,), 1e6)))
AGES = tuple(float(20 + number) for number in range(12))


def honest(rows: Rows) -> dict[str, Any]:
    ages = rows["age"]
    return {"n": np.array(float(len(ages))), "years": np.array([ages.sum(), (ages**2).sum()])}


def run(function: Callable[[Rows], Any], *, ages: Any = AGES, ids: Any = None, **sandbox: Any) -> CodeRun:
    return run_in(ScriptedSandbox(function, **sandbox), ages, ids)


def run_in(sandbox: ScriptedSandbox, ages: Any = AGES, ids: Any = None, limit: float = 50.0) -> CodeRun:
    question = aggregate(outputs=OUTPUTS)
    return run_code(question, code_plan(question), InMemory(table(ages, ids)), "id", sandbox.open, limit)


def test_what_the_code_returns_of_all_rows_is_what_is_staged() -> None:
    sandbox = ScriptedSandbox(lambda rows: returned(honest(rows), f"{PLANTED} {len(rows['age'])}"))
    made = run_in(sandbox)
    assert made.values is not None
    assert made.values.tolist() == [12.0, sum(AGES), sum(age**2 for age in AGES)]
    assert made.report["end"] == "returned"
    assert made.report["log"] == f"{PLANTED} 12", "of the first evaluation alone"
    assert sandbox.closed == 1
    json.dumps(made.report, allow_nan=False)


def test_the_code_is_given_all_rows_without_who_they_are_about() -> None:
    sandbox = ScriptedSandbox(honest)
    run_in(sandbox)
    assert sandbox.evaluated[0]["age"].tolist() == list(AGES)
    assert {tuple(rows) for rows in sandbox.evaluated} == {("age", "died")}
    assert set(sandbox.limits) == {Limits(cpu_seconds=1.0)}


def test_then_each_patient_is_left_out_with_all_their_rows() -> None:
    ids = [f"p{number % 6}" for number in range(12)]
    sandbox = ScriptedSandbox(honest)
    made = run_in(sandbox, ids=ids)
    assert len(sandbox.evaluated) == 1 + 6
    for number, rows in enumerate(sandbox.evaluated[1:]):
        assert rows["age"].tolist() == [age for place, age in enumerate(AGES) if place % 6 != number]
    assert made.report["left_out_each"] is True


@pytest.mark.parametrize("patients", [0, 1, 4])
def test_of_too_few_patients_there_is_no_run(patients: int) -> None:
    sandbox = ScriptedSandbox(honest)
    with pytest.raises(Refused) as refused:
        run_in(sandbox, AGES, [f"p{number % max(patients, 1)}" for number in range(12)])
    assert refused.value.rule == "min_patients"
    assert sandbox.evaluated == []
    assert str(patients) not in refused.value.message


@pytest.mark.parametrize("end", [end for end in End if end is not End.RETURNED])
def test_code_that_fails_puts_nothing_out_and_tells_why_at_the_site(end: End) -> None:
    made = run(lambda _: ended(end, PLANTED))
    assert made.values is None
    assert (made.report["end"], made.report["log"]) == (end.value, PLANTED)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"n": np.array(1.0)},
        {"n": np.array(1.0), "years": np.zeros(2), "more": np.zeros(1)},
        {"n": np.array(1.0), "years": np.zeros(3)},
        {"n": np.array(1.5), "years": np.zeros(2)},
        {"n": np.array(-1.0), "years": np.zeros(2)},
        {"n": np.array(1001.0), "years": np.zeros(2)},
        {"n": np.array(np.nan), "years": np.zeros(2)},
        {"n": np.array("1"), "years": np.zeros(2)},
    ],
    ids=str,
)
def test_what_is_not_as_declared_is_a_bad_output_and_never_repaired(arrays: Any) -> None:
    sandbox = ScriptedSandbox(lambda _: arrays)
    made = run_in(sandbox)
    assert made.values is None
    assert made.report["end"] == End.BAD_OUTPUT.value
    assert str(made.report["refused"]).startswith(("The output", "The code"))
    assert len(sandbox.evaluated) == 1


def test_small_cells_are_found_and_suggested_to_be_left_out() -> None:
    made = run(lambda rows: {"n": np.array(2.0), "years": np.array([100.0, float(len(rows["age"]))])})
    found: Any = made.report["findings"]
    assert any("n" in finding["cells"] for finding in found)
    assert "n" in made.report["suggestion"]  # type: ignore[operator]


def kinds(made: CodeRun) -> set[str]:
    found: Any = made.report["findings"]
    return {finding["kind"] for finding in found}


def test_code_that_tells_of_one_patient_is_found_by_leaving_each_out() -> None:
    def about_one(rows: Rows) -> dict[str, Any]:
        one = float((rows["age"] == 25.0).sum()) * 900.0
        return {"n": np.array(12.0), "years": np.array([one + 1, 12.0])}

    assert kinds(run(about_one)) - kinds(run(honest)), "more is found than with honest code"


def test_code_that_fails_without_a_patient_is_found() -> None:
    def fails_without(rows: Rows) -> Any:
        if 25.0 not in rows["age"]:
            raise ValueError(PLANTED)
        return honest(rows)

    assert "fails-without-a-patient" in kinds(run(fails_without))


def test_code_that_returns_something_else_without_a_patient_is_found_and_takes_no_room() -> None:
    """A second answer is not gated: it may be of any size and any name."""

    def other_without(rows: Rows) -> Any:
        return honest(rows) if 25.0 in rows["age"] else {PLANTED: np.zeros(1_000_000)}

    made = run(other_without)
    assert made.values is not None
    assert "fails-without-a-patient" in kinds(made)
    assert PLANTED not in json.dumps(made.report)


def test_where_it_would_take_too_long_nobody_is_left_out_and_the_report_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(code_run, "_MOST_SECONDS_LEAVING_OUT", 0.01)
    sandbox = ScriptedSandbox(honest)
    made = run_in(sandbox)
    assert len(sandbox.evaluated) == 1
    assert made.report["left_out_each"] is False
    assert made.values is not None


def test_where_it_would_take_too_much_room_nobody_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_run, "_MOST_NUMBERS_LEAVING_OUT", 35)
    sandbox = ScriptedSandbox(honest)
    assert run_in(sandbox).report["left_out_each"] is False
    assert len(sandbox.evaluated) == 1


def test_code_that_is_slow_only_without_somebody_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 1.0, 2.0, 200.0])
    monkeypatch.setattr(code_run.time, "monotonic", lambda: next(moments))
    sandbox = ScriptedSandbox(honest)
    made = run_in(sandbox)
    assert len(sandbox.evaluated) == 1 + 3
    assert made.report["left_out_each"] is True
    assert "fails-without-a-patient" in kinds(made), "what is not known has failed"


def test_more_numbers_than_the_site_allows_are_found() -> None:
    assert "too-many-numbers" in kinds(run_in(ScriptedSandbox(honest), limit=0.1))
    assert "too-many-numbers" not in kinds(run_in(ScriptedSandbox(honest)))


@pytest.mark.parametrize("breaks_at", [-1, 0, 5])
def test_a_sandbox_that_breaks_is_an_error_of_the_engine(breaks_at: int) -> None:
    with pytest.raises(Unavailable):
        run(honest, breaks=Unavailable("The sandbox broke twice."), breaks_at=breaks_at)
