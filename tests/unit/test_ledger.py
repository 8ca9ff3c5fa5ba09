"""A Budget cannot be overspent, in whatever order and whatever was answered before; held against dp_accounting."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent
from dp_accounting.rdp import RdpAccountant
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.builders import at, plan
from synthema_core.errors import BudgetSpent, IntegrityFailure, InvalidPolicy
from synthema_core.ledger import Budget, Charge, Filter, Opened, Spent, Standing, SubLimit, folded_purpose
from synthema_core.privacy.accounting import ORDERS, epsilon_of
from synthema_core.privacy.calibration import calibrate
from synthema_core.privacy.mechanisms import ApproximateDp, DiscreteGaussian, Mechanism, PureDp

BUDGET = Budget(3.0, 1e-6)
PLAN = plan("histogram")
gaussians = st.builds(DiscreteGaussian, st.floats(2, 60), st.floats(0.5, 3))
mechanisms = st.one_of(gaussians, st.builds(PureDp, st.floats(0.01, 2)))


def charge(mechanism: Mechanism, number: int = 0, **more: Any) -> Charge:
    return Charge.of(mechanism, at=at(), request=f"r{number}", job=f"j{number}", plan=PLAN, dataset="trial", **more)


def true_epsilon(spent: Iterable[Any], delta: float = BUDGET.delta) -> float:
    """Of all together, by dp_accounting."""
    accountant = RdpAccountant(ORDERS)
    for mechanism in spent:
        accountant.compose(GaussianDpEvent(mechanism.standard_deviation / mechanism.sensitivity))
    return float(accountant.get_epsilon(delta))


def spend(asked: Sequence[Mechanism], budget: Budget = BUDGET) -> list[Charge]:
    """What of it the filter lets through, one after the other."""
    charges: list[Charge] = []
    for number, mechanism in enumerate(asked):
        if Standing.of(budget, charges).has_room(Spent.of(mechanism)):
            charges.append(charge(mechanism, number))
    return charges


@settings(max_examples=60, deadline=None)
@given(st.lists(gaussians, min_size=1, max_size=12))
def test_what_is_spent_is_dp_accountings_sum(asked: list[DiscreteGaussian]) -> None:
    standing = Standing.of(BUDGET, map(charge, asked))
    assert standing.spent_epsilon == standing.cumulative_epsilon == pytest.approx(true_epsilon(asked))
    assert Standing.of(BUDGET, map(charge, reversed(asked))).spent_epsilon == pytest.approx(standing.spent_epsilon)
    assert standing.spent.charges == len(asked)


@settings(max_examples=60, deadline=None)
@given(st.lists(gaussians, min_size=1, max_size=40), st.floats(0.3, 8))
def test_the_total_never_passes_the_budget(asked: list[DiscreteGaussian], epsilon: float) -> None:
    charges = spend(asked, Budget(epsilon, 1e-6))
    assert true_epsilon(one.mechanism for one in charges) <= epsilon + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(mechanisms, min_size=1, max_size=40), st.floats(0.3, 8))
def test_no_more_of_any_kind_fits_than_the_budget_has(asked: list[Mechanism], epsilon: float) -> None:
    """At the one order that was fixed, and so also at the best of all."""
    budget = Budget(epsilon, 1e-6)
    standing = Standing.of(budget, spend(asked, budget))
    (limit,) = standing.filters
    assert sum(one.mechanism.rdp[ORDERS.index(limit.order)] for one in spend(asked, budget)) <= limit.ceiling + 1e-12
    assert standing.spent_epsilon <= epsilon + 1e-9
    assert standing.share <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(gaussians, max_size=10), gaussians)
def test_a_charge_is_refused_exactly_if_the_total_would_pass(
    before: list[DiscreteGaussian], one: DiscreteGaussian
) -> None:
    """Nothing of Gaussian kind is refused that would fit: the filter gives away no part of the Budget."""
    total = true_epsilon([*before, one])
    assume(abs(total - BUDGET.epsilon) > 1e-6)
    standing = Standing.of(BUDGET, map(charge, before))
    assert standing.preview(one) == pytest.approx(total)
    if total > BUDGET.epsilon:
        with pytest.raises(BudgetSpent) as refused:
            standing.check_room(Spent.of(one))
        assert refused.value.rule == "budget"
    else:
        standing.check_room(Spent.of(one))


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
        if standing.has_room(Spent.of(next_one)):
            charges.append(charge(next_one, number))
    assert true_epsilon(one.mechanism for one in charges) <= BUDGET.epsilon + 1e-9


# The analyst who steers


@dataclass(frozen=True)
class Gamble:
    """Says 1 with probability `chance` if the patient is there, and e^loss times less often if not; else 0.

    Its privacy loss is `loss` where it says 1. Both can be chosen so that it is as bad as one order allows.
    """

    chance: float
    loss: float

    @property
    def rdp(self) -> tuple[float, ...]:
        orders, absent = np.array(ORDERS), self.chance * math.exp(-self.loss)
        one = math.log(self.chance) * orders + math.log(absent) * (1 - orders)
        nothing = math.log1p(-self.chance) * orders + math.log1p(-absent) * (1 - orders)
        return tuple(np.maximum(0.0, np.logaddexp(one, nothing) / (orders - 1)).tolist())

    @property
    def own_delta(self) -> float:
        return 0.0

    @classmethod
    def worst(cls, order: float, room: float, loss: float) -> Gamble:
        """The likeliest one of that loss with no more RDP at `order` than `room`."""
        low, high = -700.0, -1e-9  # of log chance
        for _ in range(50):
            middle = (low + high) / 2
            fits = cls(math.exp(middle), loss).rdp[ORDERS.index(order)] <= room
            low, high = (middle, high) if fits else (low, middle)
        return cls(math.exp(low), loss)


def test_an_analyst_who_steers_by_the_answers_gets_no_more_than_delta() -> None:
    """First noise of a tenth of the Budget; then, after each answer, the gamble that the filter lets through and that
    most likely takes the privacy loss past epsilon. Were any order allowed to vouch, it would be twice delta."""
    standing = Standing.of(BUDGET)
    (limit,) = standing.filters
    rho = 0.1 * limit.ceiling / limit.order
    after = standing.plus(Spent.of(DiscreteGaussian(math.sqrt(1 / (2 * rho)), 1.0)))
    grid = np.linspace(-5, 5, 41)
    weights = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi) * (grid[1] - grid[0])
    likely = 0.0
    for z, weight in zip(grid, weights, strict=True):
        answer = rho + math.sqrt(2 * rho) * z  # the privacy loss of the first answer, which the analyst sees
        best = 0.0
        for order in (4.0, 5.5, 7.0, limit.order, 13.0, 20.0, 22.0):
            past = math.log(order / (order - 1))  # by so much past epsilon each gamble gains most
            room = epsilon_room(order, rho)
            gamble = Gamble.worst(order, room, BUDGET.epsilon + past - answer)
            if after.has_room(Spent.of(gamble)):
                best = max(best, gamble.chance * -math.expm1(-past))
        likely += weight * best
    assert 0.5 * BUDGET.delta < likely <= BUDGET.delta * 1.001, "and it does get that much"


def epsilon_room(order: float, rho: float) -> float:
    """What that order's own ceiling leaves after noise of that rho."""
    loss = math.log1p(-1 / order) - (math.log(BUDGET.delta) + math.log(order)) / (order - 1)
    return max(0.0, BUDGET.epsilon - loss - order * rho)


def test_the_order_is_the_one_at_which_most_gaussian_noise_fits() -> None:
    for epsilon, delta in ((0.1, 1e-6), (1.0, 1e-6), (3.0, 1e-6), (10.0, 1e-5), (100.0, 1e-3)):
        limit = Filter.of(epsilon, Budget(epsilon, delta))
        rho = limit.ceiling / limit.order
        assert epsilon_of([order * rho for order in ORDERS], delta) == pytest.approx(epsilon)
        assert epsilon_of([order * rho * 1.001 for order in ORDERS], delta) > epsilon


# Own deltas


def test_mechanisms_with_a_delta_of_their_own_need_a_part_of_the_budgets() -> None:
    one = ApproximateDp(0.2, 1e-7)
    with pytest.raises(BudgetSpent):
        Standing.of(BUDGET).check_room(Spent.of(one))
    budget = Budget(3.0, 1e-6, own_delta=3e-7)
    assert len(spend([one] * 9, budget)) == 3, "three times 1e-7, although that is not 3e-7 in floating point"
    assert Standing.of(budget, spend([one] * 9, budget)).has_room(Spent.of(DiscreteGaussian(9.0, 1.0)))


def test_what_is_kept_for_own_deltas_is_not_there_for_noise() -> None:
    whole, part = Budget(3.0, 1e-6), Budget(3.0, 1e-6, own_delta=9e-7)
    assert part.noise_delta == pytest.approx(1e-7)
    one = calibrate(1.0, 1e-6, 1.0)
    assert len(spend([one] * 20, part)) < len(spend([one] * 20, whole))
    assert true_epsilon([c.mechanism for c in spend([one] * 20, part)], 1e-7) <= 3.0


# Ever


def test_a_spent_budget_stays_spent() -> None:
    """One patient's protection is not given back: not by refusals, not by asking for less, not in another order."""
    one = calibrate(1.0, 1e-6, 1.0)
    charges = spend([one] * 40)
    assert 3 < len(charges) < 40, "answers share their cost"
    assert 2.7 < Standing.of(BUDGET, charges).spent_epsilon <= 3.0
    for order in (charges, list(reversed(charges))):
        for _ in range(3):
            with pytest.raises(BudgetSpent):
                Standing.of(BUDGET, order).check_room(Spent.of(one))


@given(st.lists(mechanisms, min_size=1, max_size=8))
def test_spending_only_grows(asked: list[Mechanism]) -> None:
    standings = [Standing.of(BUDGET, map(charge, asked[:count])) for count in range(len(asked) + 1)]
    for spent in ([one.spent_epsilon for one in standings], [one.share for one in standings]):
        assert spent[0] == 0
        assert spent == sorted(spent)
        assert spent[-1] > 0


def test_a_look_charges_nothing() -> None:
    standing, one = Standing.of(BUDGET), calibrate(1.0, 1e-6, 1.0)
    standing.check_room(Spent.of(one))
    standing.preview(one)
    standing.plus(Spent.of(one))
    assert (standing.spent.charges, standing.spent_epsilon, standing.share) == (0, 0.0, 0.0)


def test_a_reading_costs_the_patients_nothing() -> None:
    """What was told already is told again."""
    again = charge(calibrate(1.0, 1e-6, 1.0), reading=True)
    assert Standing.of(BUDGET, [again]).spent.charges == 0


def test_shares_add_where_epsilons_do_not() -> None:
    one = Spent.of(calibrate(1.0, 1e-6, 1.0))
    standings = [Standing.of(BUDGET).plus(one), Standing.of(BUDGET).plus(one).plus(one)]
    assert standings[1].share == pytest.approx(2 * standings[0].share)
    assert standings[1].spent_epsilon < 2 * standings[0].spent_epsilon


def test_every_filter_must_have_room() -> None:
    """The one that was fixed when the Budget began, and that of a Policy lowered since."""
    one, lower = Spent.of(calibrate(1.0, 1e-6, 1.0)), Budget(0.5, 1e-6)
    both = (Filter.of(3.0, BUDGET), Filter.of(0.5, lower))
    for filters in (both, both[::-1]):
        standing = Standing(BUDGET.least(lower), filters, Spent.nothing(), Spent.nothing())
        assert not standing.has_room(one)
        assert standing.plus(one).share > 1
    assert Standing(BUDGET, both[:1], Spent.nothing(), Spent.nothing()).has_room(one)


# Limits for some


@pytest.mark.parametrize(("rule", "whom"), [(SubLimit.RESEARCHER, "one researcher"), (SubLimit.PURPOSE, "one purpose")])
def test_a_part_of_the_charges_has_a_limit_of_its_own(rule: str, whom: str) -> None:
    one = Spent.of(calibrate(1.0, 1e-6, 1.0))
    SubLimit(rule, 1.0).check_room(BUDGET, Spent.nothing(), one)
    for limit, spent in ((1.0, one), (0.9, Spent.nothing()), (0.0, Spent.nothing())):
        with pytest.raises(BudgetSpent, match=whom) as refused:
            SubLimit(rule, limit).check_room(BUDGET, spent, one)
        assert refused.value.rule == rule


@pytest.mark.parametrize("same", ["Does  ARM b live\tlonger?", " does arm B live longer? ", "Does arm Ｂ live longer?"])
def test_a_purpose_is_known_by_its_words(same: str) -> None:
    assert folded_purpose(same) == folded_purpose("Does arm B live longer?")
    assert folded_purpose("Do they of arm B live longer?") != folded_purpose(same)


# What is written down


@pytest.mark.parametrize(
    ("epsilon", "delta", "own_delta"),
    [
        (0, 1e-6, 0),
        (-1, 1e-6, 0),
        (101, 1e-6, 0),
        (1, 0, 0),
        (1, 0.01, 0),
        (float("nan"), 1e-6, 0),
        (1, 1e-6, 1e-6),
        (1, 1e-6, -1e-9),
        (1, 1e-6, float("nan")),
    ],
)
def test_a_budget_is_a_ceiling(epsilon: float, delta: float, own_delta: float) -> None:
    with pytest.raises(InvalidPolicy, match="A budget"):
        Budget(epsilon, delta, own_delta)


def test_the_smaller_of_two_budgets_is_smaller_in_every_part() -> None:
    assert Budget(3.0, 1e-6, 5e-7).least(Budget(1.0, 1e-5, 1e-7)) == Budget(1.0, 1e-6, 1e-7)


def test_an_opened_budget_comes_back_from_the_journal() -> None:
    opened = Opened.of(Budget(3.0, 1e-6, 1e-7))
    assert Opened.from_dict(json.loads(json.dumps(opened.to_dict()))) == opened
    whole = Opened.of(Budget(3.0, 1e-6, 0))
    assert Opened.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": -1.0},
        {"epsilon": True},
        {"epsilon": "3"},
        {"delta": None},
        {"own_delta": 1.0},
        {"order": 8.95},
        {"order": 0},
        {"ceiling": float("inf")},
        {"ceiling": float("nan")},
        {"ceiling": -1.0},
        {"more": 1},
    ],
)
def test_an_opened_budget_that_cannot_be_read_stops_the_site(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityFailure):
        Opened.from_dict({**Opened.of(BUDGET).to_dict(), **change})


def test_a_charge_names_its_plan_and_comes_back_from_the_journal() -> None:
    for mechanism in (DiscreteGaussian(4.54, 1.0), calibrate(1.0, 1e-6, 9.0), PureDp(0.5), ApproximateDp(0.5, 1e-7)):
        for one in (charge(mechanism), charge(mechanism, reading=True)):
            assert (one.plan_digest, one.dataset) == (PLAN.digest, "trial")
            assert (one.requester, one.purpose) == ("rosalind", "Does arm B live longer?")
            assert Charge.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_a_charge_of_the_first_version_still_counts() -> None:
    data = charge(DiscreteGaussian(4.54, 1.0)).to_dict()
    for part in ("requester", "purpose", "reading"):
        del data[part]
    one = Charge.from_dict(data)
    assert (one.requester, one.purpose, one.reading) == ("", "", False)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda data: data.pop("job"),
        lambda data: data.pop("mechanism"),
        lambda data: data.update(refunded=True),
        lambda data: data.update(reading=1),
        lambda data: data.update(reading="no"),
        lambda data: data.update(requester=None),
        lambda data: data.update(purpose=3),
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


@pytest.mark.parametrize("rdp", [(-1.0,), (float("nan"),), (float("inf"),), (0.0, 0.0)])
def test_a_cost_that_is_none_makes_no_room(rdp: tuple[float, ...]) -> None:
    class Odd(Gamble):
        @property
        def rdp(self) -> tuple[float, ...]:
            return rdp * len(ORDERS)

    with pytest.raises(IntegrityFailure):
        Spent.of(Odd(0.1, 1.0))  # type: ignore[arg-type]
