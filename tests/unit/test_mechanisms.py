"""The noise that a Plan declares costs what it says: held against dp_accounting, a computation that is not ours."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dp_accounting import DpEvent, GaussianDpEvent, LaplaceDpEvent, ZCDpEvent
from dp_accounting.pld.privacy_loss_distribution import from_discrete_gaussian_mechanism
from dp_accounting.rdp import RdpAccountant
from scipy.optimize import brentq
from scipy.special import logsumexp

from support.builders import SCHEMA, plan
from synthema_core.analyses.descriptive.histogram import Histogram
from synthema_core.charging import mechanism_of
from synthema_core.errors import InvalidPlan
from synthema_core.plan import PrivacyTarget
from synthema_core.privacy.accounting import ORDERS, ceiling, epsilon_of
from synthema_core.privacy.calibration import calibrate, deviation_counted_on, epsilon_for_deviation
from synthema_core.privacy.mechanisms import (
    ApproximateDp,
    DiscreteGaussian,
    DistributedGaussian,
    Mechanism,
    PureDp,
    mechanism_from,
    rdp_of_sums,
    shortfall_of,
)
from synthema_core.privacy.noise import draw
from synthema_core.secure_sum import Terms
from synthema_core.secure_sum.layout import Layout

TARGETS = [(epsilon, delta) for epsilon in (0.05, 0.3, 1.0, 3.0, 20.0, 100.0) for delta in (1e-9, 1e-6, 1e-3)]
LAST_BITS = 1e-8  # what rounding a deviation to three digits leaves out, since machines may differ in it


def their_epsilon(event: DpEvent, delta: float, orders: tuple[float, ...] | None = None) -> float:
    accountant = RdpAccountant(orders)
    accountant.compose(event)
    return float(accountant.get_epsilon(delta))


def our_epsilon(mechanism: Mechanism, delta: float) -> float:
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


@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_parts_that_are_small_for_their_grid_are_made_larger(epsilon: float) -> None:
    """So many values that what the parts fall short by is felt; the target is kept all the same."""
    ratio = calibrate(epsilon, 1e-6, 1.0).standard_deviation
    contributors = int((ratio / 1.52) ** 2)
    mechanism = calibrate(epsilon, 1e-6, 1.0, contributors, 10**13)
    assert mechanism.standard_deviation > ratio
    assert our_epsilon(mechanism, 1e-6) <= epsilon * (1 + LAST_BITS)
    assert our_epsilon(replace(mechanism, standard_deviation=mechanism.standard_deviation * 0.98), 1e-6) > epsilon


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
    with pytest.raises(InvalidPlan):
        mechanism_from({**mechanism.to_dict(), **change})


ALL = [DiscreteGaussian(4.54, 1.0), DistributedGaussian(9.1, 1.0, 3, 12), PureDp(0.5), ApproximateDp(0.5, 1e-7)]


@pytest.mark.parametrize("mechanism", ALL, ids=lambda mechanism: mechanism.name)
def test_a_ledger_reads_back_every_mechanism(mechanism: Mechanism) -> None:
    assert mechanism_from(json.loads(json.dumps(mechanism.to_dict()))) == mechanism
    assert mechanism.describe()
    with pytest.raises(InvalidPlan):
        mechanism_from({**mechanism.to_dict(), "more": 1})


# Noise in parts


def pmf(variance: float, reach: int) -> np.ndarray:
    x = np.arange(-reach, reach + 1)
    weights = np.exp(-(x**2) / (2 * variance))
    return weights / weights.sum()


def sum_of(part_variance: float, parts: int) -> np.ndarray:
    """The distribution of the sum of so many discrete Gaussians, by convolution."""
    one = pmf(part_variance, math.ceil(14 * math.sqrt(part_variance)) + 12)
    whole = one
    for _ in range(parts - 1):
        whole = np.convolve(whole, one)
    return whole


def log_sum_of(site_deviation: float, parts: int) -> np.ndarray:
    """Logarithms of its probabilities: high orders weigh values of 10^-300 and less."""
    one = -(np.arange(-48, 49) ** 2) / (2 * site_deviation**2)
    one -= logsumexp(one)
    whole = one
    for _ in range(parts - 1):
        terms = [
            np.pad(whole + share, (place, len(one) - 1 - place), constant_values=-np.inf)
            for place, share in enumerate(one)
        ]
        whole = logsumexp(terms, axis=0)
    return whole


def true_epsilon_of_sum(part_variance: float, parts: int, delta: float) -> float:
    """Of one count under the sum of so many discrete Gaussians: from its own distribution, by convolution."""
    whole = sum_of(part_variance, parts)
    there, here = np.append(whole, 0.0), np.append(0.0, whole)  # with one patient more, everything is one further up

    def overshoot(epsilon: float) -> float:
        return float(np.clip(there - math.exp(epsilon) * here, 0, None).sum())

    return float(brentq(lambda epsilon: overshoot(epsilon) - delta, 0.0, 60.0))


@pytest.mark.parametrize("parts", [2, 3, 6, 20])
@pytest.mark.parametrize("deviation", [4.54, 8.0, 20.0])
def test_what_a_sum_of_parts_is_said_to_cost_is_never_below_what_it_costs(parts: int, deviation: float) -> None:
    if deviation / math.sqrt(parts) < 1.5:
        with pytest.raises(InvalidPlan, match="too small for the grid"):
            DistributedGaussian(deviation, 1.0, parts, 1)
        return
    mechanism = DistributedGaussian(deviation, 1.0, parts, 1)
    true = true_epsilon_of_sum(mechanism.site_deviation**2, parts, 1e-6)
    assert true <= our_epsilon(mechanism, 1e-6) <= 1.25 * true


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("parts", [2, 3, 5, 10])
@pytest.mark.parametrize("site_deviation", [0.5, 0.6, 0.8, 1.0, 1.5])
def test_the_bound_of_a_sum_holds_at_every_order(site_deviation: float, parts: int, shift: int) -> None:
    """Against the Renyi divergence of the sum itself, where the parts are so small that it is not a Gaussian's."""
    deviation, tau = site_deviation * math.sqrt(parts), shortfall_of(site_deviation, parts)
    whole = log_sum_of(site_deviation, parts)
    there, here = whole[shift:], whole[:-shift]
    orders = [order for order in ORDERS if order <= 12]
    true = np.array([logsumexp(order * there + (1 - order) * here) / (order - 1) for order in orders])
    for values in (1, 2, 1000):  # each of them moved by `shift`: divergences of independent values add up
        bound = rdp_of_sums(shift * math.sqrt(values) / deviation, tau, values)
        assert np.all(values * true <= np.array(bound[: len(orders)]) * (1 + 1e-9))


@pytest.mark.parametrize(("site_deviation", "parts"), [(0.5, 2), (0.6, 3), (0.8, 10)])
def test_tau_bounds_how_far_a_sum_is_from_one_gaussian(site_deviation: float, parts: int) -> None:
    """And is needed: the sum is a fiftieth of it away, or more."""
    whole = sum_of(site_deviation**2, parts)
    one = pmf(parts * site_deviation**2, len(whole) // 2)
    near = np.abs(np.arange(len(whole)) - len(whole) // 2) <= 5 * site_deviation * math.sqrt(parts)
    away = float(np.abs(np.log(whole[near] / one[near])).max())
    assert shortfall_of(site_deviation, parts) / 100 < away < shortfall_of(site_deviation, parts)


def test_tau_is_the_papers() -> None:
    """Ten times the sum of exp(-2 pi^2 s^2 k / (k + 1)); the least case, by hand: 10 exp(-pi^2 / 4)."""
    assert shortfall_of(0.5, 2) == pytest.approx(0.848049, rel=1e-5)
    assert shortfall_of(0.5, 3) == pytest.approx(10 * (0.0848049 + 0.0372588), rel=1e-5)
    assert shortfall_of(7.0, 1) == 0
    assert rdp_of_sums(0.5, 0.01, 4)[ORDERS.index(4.0)] == pytest.approx(0.5 + 0.04)
    assert rdp_of_sums(0.5, 0.01, 4)[ORDERS.index(1.1)] == pytest.approx(0.55 * 0.52**2)


def test_parts_that_are_small_for_their_grid_cost_more() -> None:
    """The correction: of next to nothing from four steps on, and felt at one and a half."""
    fine, coarse = DistributedGaussian(4.0 * 3, 1.0, 9, 100), DistributedGaussian(1.5 * 3, 1.0, 9, 100)
    assert our_epsilon(fine, 1e-6) == our_epsilon(DiscreteGaussian(12.0, 1.0), 1e-6)
    assert our_epsilon(coarse, 1e-6) > our_epsilon(DiscreteGaussian(4.5, 1.0), 1e-6)
    assert our_epsilon(replace(coarse, values=10_000), 1e-6) > our_epsilon(coarse, 1e-6)


def test_one_contributor_draws_all_and_costs_what_a_discrete_gaussian_does() -> None:
    alone = DistributedGaussian(7.0, 2.0, 1, 1000)
    assert alone.site_deviation == 7.0
    assert alone.rdp == pytest.approx(DiscreteGaussian(7.0, 2.0).rdp)


@pytest.mark.parametrize("sites", range(3, 21))
def test_survivors_noise_without_the_insiders_is_what_is_counted_on(sites: int) -> None:
    """Whoever is missing, as far as a sum may go without, and however many insiders, as far as the Plan allows."""
    names = tuple(f"site-{number:02}" for number in range(sites))
    for insiders in range(Terms.for_noisy_sum(names, 3, 0).most_insiders + 1):
        terms = Terms.for_noisy_sum(names, 3, insiders)
        mechanism = calibrate(1.0, 1e-6, 2.0**16, terms.contributors, 10)
        for survivors in range(terms.least, sites + 1):
            honest = mechanism.sum_variance(survivors - insiders)
            assert honest >= mechanism.standard_deviation**2 * (1 - 1e-12)


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("contributors", [1, 9])
@pytest.mark.parametrize("ratio", [0.8, 4.54, 33.0, 400.0])
def test_the_epsilon_for_a_deviation_is_the_least_that_buys_it(ratio: float, contributors: int, delta: float) -> None:
    sensitivity = 2.0**16 * 1.7
    epsilon = epsilon_for_deviation(ratio * sensitivity, delta, sensitivity, contributors, 10)
    assert epsilon == float(f"{epsilon:.3g}")
    assert calibrate(epsilon, delta, sensitivity, contributors, 10).standard_deviation <= ratio * sensitivity
    less = calibrate(0.98 * epsilon, delta, sensitivity, contributors, 10)
    assert less.standard_deviation > ratio * sensitivity or epsilon <= 2e-3


def test_noise_so_wide_that_it_costs_next_to_nothing_costs_a_little() -> None:
    assert epsilon_for_deviation(2.0**30, 1e-3, 1.0) == 1e-3
    assert epsilon_for_deviation(2.0**30, 1e-6, 1.0) == pytest.approx(0.0026, rel=0.05)


def test_noise_so_narrow_that_no_plan_may_have_it_is_refused() -> None:
    with pytest.raises(InvalidPlan, match="would cost more than a Plan may"):
        epsilon_for_deviation(0.05, 1e-6, 1.0)


@pytest.mark.parametrize(("contributors", "sites"), [(1, 1), (2, 3), (6, 10), (13, 20)])
def test_what_is_counted_on_gives_the_sum_of_all_sites_the_deviation_asked_for(contributors: int, sites: int) -> None:
    counted = deviation_counted_on(50.0, contributors, sites)
    assert DistributedGaussian(counted, 1.0, contributors, 1).sum_variance(sites) == pytest.approx(2500)


def test_what_only_says_its_epsilon_is_believed_that_and_no_more() -> None:
    assert PureDp(0.5).rdp == tuple(min(order / 8, 0.5) for order in ORDERS)
    assert our_epsilon(PureDp(0.5), 1e-6) <= 0.5 + 0.01
    assert (PureDp(0.5).own_delta, ApproximateDp(0.5, 1e-7).own_delta) == (0.0, 1e-7)
    for event, orders in ((PureDp(2.0), ORDERS),):
        theirs = RdpAccountant(orders)
        theirs.compose(LaplaceDpEvent(0.5))  # an example of a mechanism with that epsilon
        assert our_epsilon(event, 1e-6) >= theirs.get_epsilon(1e-6)


# What a Plan is charged

A_PATIENT = 2.0**16
"""Ring steps that a histogram counts a patient as."""


def test_an_exact_plan_has_no_mechanism_and_a_private_one_the_declared() -> None:
    question = Histogram.from_options({"column": "arm"}, SCHEMA)
    assert mechanism_of(plan("kaplan-meier"), question) is None
    assert mechanism_of(plan("histogram", epsilon=0.5), question) == calibrate(0.5, 1e-6, A_PATIENT, 2, 2)


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
    accountant.compose(GaussianDpEvent(mechanism.standard_deviation / A_PATIENT), 4)
    assert 0.97 <= accountant.get_epsilon(1e-6) <= 1 + LAST_BITS
    assert our_epsilon(mechanism, 1e-6) == pytest.approx(accountant.get_epsilon(1e-6)), "and are charged so"
    assert (mechanism.values, mechanism.contributors) == (4 * private.layout.length, 2)


def test_noise_is_drawn_as_steps_of_the_ring() -> None:
    noise = draw(4.54, 1000)
    assert (noise.shape, noise.dtype) == ((1000,), "uint64")
    assert 0 < abs(noise.view("int64")).max() < 100, "whole steps, negative ones wrapped"


def test_a_sum_that_could_leave_the_ring_by_its_noise_is_refused() -> None:
    made = plan("histogram")
    block = replace(made.layout.blocks[0], bound=2.0**61 / 3, fractional_bits=0)
    full = replace(made, layout=Layout((block,)))
    assert mechanism_of(full, Histogram.from_options({"column": "arm"}, SCHEMA)) is not None
    fuller = replace(full, layout=Layout((replace(block, bound=(2.0**63 - 2048) / 3),)))
    with pytest.raises(InvalidPlan, match="could overflow the ring"):
        mechanism_of(fuller, Steep.from_options({"column": "arm"}, SCHEMA))


class Steep(Histogram):
    """Its noise is about 2**30 steps."""

    @property
    def sensitivity(self) -> float:
        return 2.0**28
