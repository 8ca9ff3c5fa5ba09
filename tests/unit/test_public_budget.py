"""A Budget as its site shows it: what survives the wire, what is refused, and that a planner's answer is the site's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.budgets import BUDGET, charge, told
from synthema_core.errors import InvalidInput
from synthema_core.ledger import Filter, Spent, Standing
from synthema_core.privacy.accounting import ORDERS
from synthema_core.privacy.calibration import calibrate
from synthema_core.privacy.mechanisms import PureDp
from synthema_core.public_budget import PublicBudget

TOLD = told(charge("r1", 1.0, "rosalind"), charge("r2", 0.5, "john", reading=True), promised=0.1)


def cost(epsilon: float) -> Spent:
    return Spent.of(calibrate(epsilon, 1e-6, 1.0))


def data() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(json.dumps(TOLD.to_dict()))
    return whole


def test_the_wire_keeps_every_number() -> None:
    again = PublicBudget.from_dict(data())
    assert again.to_dict() == TOLD.to_dict()
    assert np.array_equal(again.standing.spent.rdp, TOLD.standing.spent.rdp)


CHANGES: list[dict[str, Any]] = [
    {"epsilon": 0},
    {"epsilon": "3"},
    {"delta": None},
    {"filters": []},
    {"filters": [{"order": 1.05, "ceiling": 1.0, "own_delta": 0.0}]},
    {"filters": [{"order": 2.0}]},
    {"rdp": [0.0] * (len(ORDERS) - 1)},
    {"rdp": [-1.0] * len(ORDERS)},
    {"rdp": [True] * len(ORDERS)},
    {"rdp": None},
    {"spent": -0.1},
    {"spent": float("inf")},
    {"spent": float("nan")},
    {"left": None},
    {"shares": {"spent": 0.1}},
    {"renewals": "two"},
    {"datasets": [7]},
    {"patients": 7},
    {"requests": {"r1": 0.5}},
    {"requests": [1]},
    {"requests": {"r1": {"epsilon": "1", "share": 0.1}}},
    {"requesters": {"rosalind": {}}},
    {"requesters": {"x" * 5_000: {"rdp": [0.0] * len(ORDERS), "own_delta_spent": 0.0, "charges": 1}}},
    {"purposes": {str(number): {} for number in range(10_001)}},
    {"epsilon_per_researcher": -1},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_what_is_no_budget_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        PublicBudget.from_dict({**data(), **change})


@pytest.mark.parametrize("part", sorted(TOLD.to_dict()))
def test_what_lacks_a_part_is_refused(part: str) -> None:
    with pytest.raises(InvalidInput):
        PublicBudget.from_dict({name: value for name, value in data().items() if name != part})


@given(st.lists(st.floats(0.05, 2.0), max_size=5), st.floats(0.05, 3.0))
def test_a_planner_is_told_what_the_site_would_decide(spent: list[float], asked: float) -> None:
    """Through the wire, to the last bit: the filter is the site's and so is the vector."""
    made = [charge(f"r{number}", epsilon, f"p{number}") for number, epsilon in enumerate(spent)]
    standing = Standing.of(BUDGET, made)
    found = PublicBudget.from_dict(json.loads(json.dumps(told(*made).to_dict())))
    outlook = found.outlook(cost(asked), "rosalind", "other")
    room = standing.has_room(cost(asked)) and Filter.of(3.0, BUDGET).has_room(cost(asked))
    assert (outlook.rule == "") is room
    assert outlook.after == standing.plus(cost(asked)).spent_epsilon


def test_what_people_are_shown_is_not_what_decides() -> None:
    """Of pure-epsilon noise fewer fit than the conversion at the best order says; the planner goes by the filter."""
    four = Spent.of(PureDp(0.5)) + Spent.of(PureDp(0.5)) + Spent.of(PureDp(0.5)) + Spent.of(PureDp(0.5))
    outlook = PublicBudget.from_dict(told().to_dict()).outlook(four, "rosalind", "")
    assert outlook.after <= BUDGET.epsilon
    assert outlook.rule == "budget"


LIMITED = told(
    charge("r1", 0.8, "rosalind", "Who lives longer?"),
    charge("r2", 0.8, "rosalind", "Something else", reading=True),
    limits={"epsilon_per_researcher": 1.2, "epsilon_per_purpose": 1.2},
)


@pytest.mark.parametrize(
    ("researcher", "purpose", "epsilon", "rule"),
    [
        ("rosalind", "another", 0.5, "epsilon_per_researcher"),
        ("john", "who lives longer?", 0.8, ""),
        ("john", "who lives longer?", 1.1, "epsilon_per_purpose"),
        ("john", "another", 1.1, ""),
        ("john", "another", 1.5, "epsilon_per_researcher"),
        ("rosalind", "another", 3.0, "budget"),
    ],
)
def test_the_rule_that_would_refuse_is_named(researcher: str, purpose: str, epsilon: float, rule: str) -> None:
    """What was only read again counts against the researcher and not against the patients' Budget."""
    assert LIMITED.outlook(cost(epsilon), researcher, purpose).rule == rule


def test_what_is_left_is_never_below_nothing() -> None:
    full = replace(TOLD, standing=Standing.of(BUDGET, [charge("r", 2.9, "rosalind")]))
    outlook = full.outlook(cost(2.0), "john", "")
    assert (outlook.left, outlook.rule) == (0.0, "budget")
    assert outlook.share > 1
