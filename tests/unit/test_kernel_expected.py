"""What intervals to expect: wider where patients are fewer or epsilon is smaller, and of every private analysis."""

from __future__ import annotations

import re

import pytest

from support.builders import NOW, SITES, card
from support.invented_registry import QUESTIONS, SCHEMA
from synthema_core import analyses
from synthema_core.errors import InvalidInput
from synthema_core.planning import make_plan
from synthema_core.rehearsal import foresee, rehearse
from synthema_kernel import expected
from synthema_kernel.line import Line
from synthema_kernel.session import Rehearsed

CURVES = {"time": "years", "event": "died", "group": "male"}
ASKED = {
    "cox-private": QUESTIONS["hazards"][1],
    "glm-private": QUESTIONS["binomial"][1],
    "crosstab-private": {"rows": "arm", "columns": "died"},
    "cumulative-incidence-private": {**CURVES, "competing": "relapsed"},
    "kaplan-meier-private": CURVES,
    "histogram": {"column": "age"},
    "mean": {"column": "age"},
    "summary-private": {"columns": "arm,age", "by": "male"},
}


def planned(analysis: str, typed: dict[str, str], epsilon: float | None = 3.0, where: str = "") -> Rehearsed:
    cards = [card(site, schema=SCHEMA) for site in SITES]
    plan = make_plan(
        analysis, typed, cards, requester="rosalind", purpose="A test", now=NOW, epsilon=epsilon, where=where
    )
    return Rehearsed("test", plan, SCHEMA, 1)


def numbers(cells: tuple[str, ...]) -> list[float]:
    """`no estimate` is wider than any."""
    found = [re.search(r"[0-9.]+", cell) for cell in cells]
    return [float(one[0]) if one else 1e9 for one in found]


def test_it_is_known_of_every_built_in_private_analysis() -> None:
    code = {"code-per-patient", "code-per-block"}
    assert {name for name in analyses.names() if analyses.find(name).private} - code == set(ASKED)


@pytest.mark.parametrize("analysis", sorted(ASKED))
def test_fewer_patients_and_smaller_costs_are_never_narrower(analysis: str) -> None:
    told = expected.table(planned(analysis, ASKED[analysis]), (500, 4000))
    assert told.columns == ("Patients", "epsilon 1", "epsilon 3", "epsilon 9")
    assert [row[0] for row in told.rows] == ["500", "4,000"]
    few, many = (numbers(row[1:]) for row in told.rows)
    for row in (few, many):
        assert row[0] >= row[1] >= row[2] > 0
    assert all(one >= other for one, other in zip(few, many, strict=True))
    assert "95 % interval" in str(told)


@pytest.mark.parametrize("analysis", sorted(ASKED))
def test_every_private_plan_can_be_tried_without_noise(analysis: str) -> None:
    rehearsed = planned(analysis, ASKED[analysis])
    done, rounds = rehearse(rehearsed.plan, SCHEMA)
    assert rounds == analyses.find(analysis).from_parameters(rehearsed.plan.parameters).max_rounds
    assert done.result


def test_patients_are_those_of_the_cohort() -> None:
    rehearsed = planned("histogram", {"column": "arm"}, 100.0, where="age > 90")
    told = foresee(rehearsed.plan, SCHEMA, 600, 100.0, 0)
    assert told["total"]["count"] == pytest.approx(600, abs=5)  # type: ignore[index,call-overload]


def test_exact_questions_have_nothing_to_foresee() -> None:
    exact = planned("crosstab", {"rows": "arm", "columns": "died"}, None)
    with pytest.raises(InvalidInput) as caught:
        expected.table(exact, (500,))
    assert "--epsilon" in caught.value.hint


@pytest.mark.parametrize("typed", ["", "many", "5", "500,", "1e3", "500000", "100,200,300,400,500", "-500"])
def test_numbers_that_cannot_be_tried_are_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        expected.sizes(Line("plan", ("mean",), {"patients": typed}))


def test_without_the_option_there_is_no_table() -> None:
    assert expected.sizes(Line("plan", ("mean",), {})) == ()
