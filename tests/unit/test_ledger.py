"""A Budget cannot be overspent, in whatever order and whatever was answered before; held against dp_accounting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from dp_accounting import GaussianDpEvent
from dp_accounting.rdp import RdpAccountant
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.builders import at, plan
from synthema_core.errors import BudgetSpent, IntegrityFailure, InvalidPolicy
from synthema_core.ledger import Budget, Charge, Standing
from synthema_core.privacy.accounting import ORDERS
from synthema_core.privacy.mechanisms import DiscreteGaussian, calibrate

BUDGET = Budget(3.0, 1e-6)
PLAN = plan("histogram")
mechanisms = st.builds(DiscreteGaussian, st.floats(2, 60), st.floats(0.5, 3))


def charge(mechanism: DiscreteGaussian, number: int = 0) -> Charge:
    return Charge.of(mechanism, at=at(), request=f"r{number}", job=f"j{number}", plan=PLAN, dataset="trial")


def true_epsilon(spent: Iterable[DiscreteGaussian], delta: float = BUDGET.delta) -> float:
    """Of all together, by dp_accounting."""
    accountant = RdpAccountant(ORDERS)
    for mechanism in spent:
        accountant.compose(GaussianDpEvent(mechanism.standard_deviation / mechanism.sensitivity))
    return float(accountant.get_epsilon(delta))


def spend(asked: Sequence[DiscreteGaussian], budget: Budget = BUDGET) -> list[Charge]:
    """What of it the filter lets through, one after the other."""
    charges: list[Charge] = []
    for number, mechanism in enumerate(asked):
        try:
            Standing.of(budget, charges).check(charge(mechanism, number))
        except BudgetSpent:
            continue
        charges.append(charge(mechanism, number))
    return charges


@settings(max_examples=60, deadline=None)
@given(st.lists(mechanisms, min_size=1, max_size=12))
def test_what_is_spent_is_dp_accountings_sum(asked: list[DiscreteGaussian]) -> None:
    standing = Standing.of(BUDGET, map(charge, asked))
    assert standing.spent_epsilon == pytest.approx(true_epsilon(asked))
    assert Standing.of(BUDGET, map(charge, reversed(asked))).spent_epsilon == pytest.approx(standing.spent_epsilon)


@settings(max_examples=60, deadline=None)
@given(st.lists(mechanisms, min_size=1, max_size=40), st.floats(0.3, 8))
def test_the_total_never_passes_the_budget(asked: list[DiscreteGaussian], epsilon: float) -> None:
    charges = spend(asked, Budget(epsilon, 1e-6))
    assert true_epsilon(one.mechanism for one in charges) <= epsilon + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(mechanisms, max_size=10), mechanisms)
def test_a_charge_is_refused_exactly_if_the_total_would_pass(
    before: list[DiscreteGaussian], one: DiscreteGaussian
) -> None:
    """Nothing is refused that would fit: the filter gives away no part of the Budget."""
    total = true_epsilon([*before, one])
    assume(abs(total - BUDGET.epsilon) > 1e-6)
    standing = Standing.of(BUDGET, map(charge, before))
    assert standing.preview(one) == pytest.approx(total)
    if total > BUDGET.epsilon:
        with pytest.raises(BudgetSpent) as refused:
            standing.check(charge(one))
        assert refused.value.rule == "budget"
    else:
        standing.check(charge(one))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_questions_chosen_after_the_answers_cannot_overspend(data: st.DataObject) -> None:
    """The next question depends on whether the last was answered and on what is left, as an attacker's would."""
    charges: list[Charge] = []
    for number in range(20):
        standing = Standing.of(BUDGET, charges)
        left = max(BUDGET.epsilon - standing.spent_epsilon, 0.02)
        epsilon = data.draw(st.sampled_from([left, left / 2, left * 1.5, 0.1]))
        next_one = DiscreteGaussian(4.5 / epsilon, 1.0)  # about what that epsilon takes
        try:
            standing.check(charge(next_one, number))
        except BudgetSpent:
            continue
        charges.append(charge(next_one, number))
    assert true_epsilon(one.mechanism for one in charges) <= BUDGET.epsilon + 1e-9


def test_a_spent_budget_stays_spent() -> None:
    """One patient's protection is not given back: not by refusals, not by asking for less, not in another order."""
    one = calibrate(1.0, 1e-6, 1.0)
    charges = spend([one] * 40)
    assert 3 < len(charges) < 40, "answers share their cost"
    assert 2.7 < Standing.of(BUDGET, charges).spent_epsilon <= 3.0
    for order in (charges, list(reversed(charges))):
        for _ in range(3):
            with pytest.raises(BudgetSpent):
                Standing.of(BUDGET, order).check(charge(one))


@given(st.lists(mechanisms, min_size=1, max_size=8))
def test_spending_only_grows(asked: list[DiscreteGaussian]) -> None:
    spent = [Standing.of(BUDGET, map(charge, asked[:count])).spent_epsilon for count in range(len(asked) + 1)]
    assert spent[0] == 0
    assert spent == sorted(spent)
    assert spent[-1] > 0


def test_a_look_charges_nothing() -> None:
    standing = Standing.of(BUDGET, [])
    standing.check(charge(calibrate(1.0, 1e-6, 1.0)))
    standing.preview(calibrate(1.0, 1e-6, 1.0))
    assert standing == Standing(BUDGET)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-6), (-1, 1e-6), (101, 1e-6), (1, 0), (1, 0.01), (float("nan"), 1e-6)]
)
def test_a_budget_is_a_ceiling(epsilon: float, delta: float) -> None:
    with pytest.raises(InvalidPolicy, match="A budget needs"):
        Budget(epsilon, delta)


def test_a_charge_names_its_plan_and_comes_back_from_the_journal() -> None:
    one = charge(DiscreteGaussian(4.54, 1.0))
    assert (one.plan_digest, one.dataset) == (PLAN.digest, "trial")
    assert Charge.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    "tamper",
    [
        lambda data: data.pop("job"),
        lambda data: data.pop("mechanism"),
        lambda data: data.update(refunded=True),
        lambda data: data.update(mechanism="none"),
        lambda data: data.update(mechanism=None),
        lambda data: data["mechanism"].update(mechanism="nothing"),
        lambda data: data["mechanism"].update(standard_deviation=float("inf")),
        lambda data: data["mechanism"].update(standard_deviation=float("nan")),
        lambda data: data["mechanism"].update(sensitivity=0),
        lambda data: data["mechanism"].update(sensitivity=-1),
        lambda data: data["mechanism"].pop("sensitivity"),
    ],
)
def test_a_charge_that_cannot_be_read_is_not_free(tamper: Any) -> None:
    """It stops the site rather than count as nothing."""
    data = json.loads(json.dumps(charge(DiscreteGaussian(4.54, 1.0)).to_dict()))
    tamper(data)
    with pytest.raises(IntegrityFailure):
        Charge.from_dict(data)
