"""The noise that a Plan declares costs what it says: held against dp_accounting, a computation that is not ours."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from dp_accounting import DpEvent, GaussianDpEvent, ZCDpEvent
from dp_accounting.pld.privacy_loss_distribution import from_discrete_gaussian_mechanism
from dp_accounting.rdp import RdpAccountant

from support.builders import SCHEMA, plan
from synthema_core.analyses.histogram import Histogram
from synthema_core.charging import mechanism_of
from synthema_core.errors import InvalidPlan
from synthema_core.plan import PrivacyTarget
from synthema_core.privacy.accounting import ORDERS, ceiling, epsilon_of
from synthema_core.privacy.mechanisms import DiscreteGaussian, calibrate
from synthema_core.privacy.noise import draw

TARGETS = [(epsilon, delta) for epsilon in (0.05, 0.3, 1.0, 3.0, 20.0, 100.0) for delta in (1e-9, 1e-6, 1e-3)]
LAST_BITS = 1e-8  # what rounding a deviation to three digits leaves out, since machines may differ in it


def their_epsilon(event: DpEvent, delta: float, orders: tuple[float, ...] | None = None) -> float:
    accountant = RdpAccountant(orders)
    accountant.compose(event)
    return float(accountant.get_epsilon(delta))


def our_epsilon(mechanism: DiscreteGaussian, delta: float) -> float:
    return epsilon_of(mechanism.rdp, delta)


@pytest.mark.parametrize("delta", [1e-10, 1e-6, 1e-3])
@pytest.mark.parametrize("multiplier", [0.2, 0.5, 1.0, 1.7, 4.54, 11.0, 80.0, 900.0])
def test_the_epsilon_told_is_dp_accountings(multiplier: float, delta: float) -> None:
    """At our orders the same; and our orders lose nothing against theirs."""
    ours = our_epsilon(DiscreteGaussian(3 * multiplier, 3), delta)
    for event in (GaussianDpEvent(multiplier), ZCDpEvent(1 / (2 * multiplier**2))):
        assert ours == pytest.approx(their_epsilon(event, delta, ORDERS), rel=1e-9)
        assert ours <= 1.05 * their_epsilon(event, delta)


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("deviation", [1.0, 2.91, 4.54, 12.0])
def test_the_epsilon_told_is_never_below_the_true_one(deviation: float, delta: float) -> None:
    """From the privacy loss distribution of the discrete Gaussian itself, with no detour over Rényi or zCDP."""
    true = from_discrete_gaussian_mechanism(deviation).get_epsilon_for_delta(delta)
    assert true <= our_epsilon(DiscreteGaussian(deviation, 1), delta) <= 1.35 * true


@pytest.mark.parametrize(("epsilon", "delta"), TARGETS)
@pytest.mark.parametrize("sensitivity", [1.0, 2.0**0.5, 700.0])
def test_calibrated_noise_keeps_the_target_and_is_not_more_than_needed(
    epsilon: float, delta: float, sensitivity: float
) -> None:
    mechanism = calibrate(epsilon, delta, sensitivity)
    assert mechanism.sensitivity == sensitivity
    assert our_epsilon(mechanism, delta) <= epsilon * (1 + LAST_BITS)
    less = replace(mechanism, standard_deviation=mechanism.standard_deviation * 0.98)
    assert our_epsilon(less, delta) > epsilon
    assert their_epsilon(GaussianDpEvent(less.standard_deviation / sensitivity), delta) > epsilon


def test_hub_and_sites_calibrate_the_same() -> None:
    """The deviation has three digits, so that no machine's last bit can make two noises of one Plan."""
    for epsilon, delta in TARGETS:
        mechanism = calibrate(epsilon, delta, 1.0)
        assert mechanism == calibrate(epsilon, delta, 1.0)
        assert mechanism.standard_deviation == float(f"{mechanism.standard_deviation:.3g}")


def test_less_epsilon_delta_or_more_sensitivity_is_more_noise() -> None:
    usual = calibrate(1.0, 1e-6, 1.0).standard_deviation
    assert calibrate(0.5, 1e-6, 1.0).standard_deviation > usual
    assert calibrate(1.0, 1e-7, 1.0).standard_deviation > usual
    assert calibrate(1.0, 1e-6, 10.0).standard_deviation == pytest.approx(10 * usual, rel=0.01)


@pytest.mark.parametrize(("epsilon", "delta"), [(1e-3, 1e-6), (2e-3, 1e-6), (5e-3, 1e-12)])
def test_a_target_that_no_noise_keeps_is_refused(epsilon: float, delta: float) -> None:
    assert not any(ceiling(epsilon, delta))
    with pytest.raises(InvalidPlan, match="No noise keeps the cost"):
        calibrate(epsilon, delta, 1.0)


def test_a_ceiling_converts_to_its_epsilon_and_nothing_costs_nothing() -> None:
    for epsilon, delta in TARGETS:
        assert epsilon_of(ceiling(epsilon, delta), delta) == pytest.approx(epsilon)
    assert epsilon_of([0.0] * len(ORDERS), 1e-6) == 0


def test_costs_are_those_of_zcdp() -> None:
    mechanism = DiscreteGaussian(6.0, 3.0)
    assert (mechanism.variance, mechanism.rho) == (36.0, 0.125)
    assert mechanism.rdp == pytest.approx([order / 8 for order in ORDERS])


BAD = [0.0, -1.0, math.inf, math.nan, 2.0**41]


@pytest.mark.parametrize(("deviation", "sensitivity"), [(bad, 1.0) for bad in BAD] + [(1.0, bad) for bad in BAD])
def test_noise_without_a_size_is_refused(deviation: float, sensitivity: float) -> None:
    with pytest.raises(InvalidPlan):
        DiscreteGaussian(deviation, sensitivity)


@pytest.mark.parametrize(
    "change",
    [
        {"mechanism": "laplace"},
        {"mechanism": None},
        {"standard_deviation": "wide"},
        {"standard_deviation": None},
        {"sensitivity": -1},
        {"sensitivity": []},
    ],
    ids=str,
)
def test_a_mechanism_comes_back_or_is_refused(change: dict[str, Any]) -> None:
    mechanism = DiscreteGaussian(4.54, 1.0)
    assert DiscreteGaussian.from_dict(mechanism.to_dict()) == mechanism
    with pytest.raises(InvalidPlan):
        DiscreteGaussian.from_dict({**mechanism.to_dict(), **change})


# What a Plan is charged


def test_an_exact_plan_has_no_mechanism_and_a_private_one_the_declared() -> None:
    question = Histogram.from_options({"column": "arm"}, SCHEMA)
    assert mechanism_of(plan("kaplan-meier"), question) is None
    assert mechanism_of(plan("histogram", epsilon=0.5), question) == calibrate(0.5, 1e-6, 1.0)


class FourRounds(Histogram):
    """As somebody's own private analysis might be."""

    @property
    def max_rounds(self) -> int:
        return 4


def test_the_declared_epsilon_is_of_all_rounds_together() -> None:
    """Four answers, each with that noise, cost what was declared for one."""
    private = plan("histogram", privacy=PrivacyTarget(1.0, 1e-6))
    mechanism = mechanism_of(private, FourRounds.from_options({"column": "arm"}, SCHEMA))
    assert mechanism is not None
    accountant = RdpAccountant(ORDERS)
    accountant.compose(GaussianDpEvent(mechanism.standard_deviation), 4)
    assert 0.97 <= accountant.get_epsilon(1e-6) <= 1 + LAST_BITS
    assert our_epsilon(mechanism, 1e-6) == pytest.approx(accountant.get_epsilon(1e-6)), "and are charged so"


def test_noise_is_drawn_as_steps_of_the_ring() -> None:
    noise = draw(calibrate(1.0, 1e-6, 1.0), 1000)
    assert (noise.shape, noise.dtype) == ((1000,), "uint64")
    assert 0 < abs(noise.view("int64")).max() < 100, "whole steps, negative ones wrapped"
