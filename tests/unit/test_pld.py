"""What Charges cost by their privacy loss distributions: published numbers, and a second computation."""

from __future__ import annotations

import math
import sys

import pytest
from dp_accounting import GaussianDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.pld.privacy_loss_distribution import from_discrete_gaussian_mechanism

from synthema_core.privacy.accounting import epsilon_of
from synthema_core.privacy.mechanisms import ApproximateDp, DiscreteGaussian, DistributedGaussian, Mechanism, PureDp
from synthema_core.privacy.pld import pld_epsilon

DELTA = 1e-6


def renyi(mechanisms: list[Mechanism], delta: float = DELTA) -> float:
    return epsilon_of([sum(costs) for costs in zip(*(one.rdp for one in mechanisms), strict=True)], delta)


def test_two_hundred_gaussians_of_deviation_twenty_are_3_31_and_by_renyi_3_54() -> None:
    spent: list[Mechanism] = [DiscreteGaussian(20.0, 1.0)] * 200
    assert pld_epsilon(spent, DELTA) == pytest.approx(3.31, abs=0.005)
    assert renyi(spent) == pytest.approx(3.54, abs=0.005)
    by_zcdp = 0.25 + 2 * math.sqrt(0.25 * math.log(1e6))  # Bun, Steinke 2016, Proposition 1.3, for rho = 1/4
    assert by_zcdp == pytest.approx(3.967, abs=0.001)
    assert renyi(spent) < by_zcdp


def test_fifty_of_epsilon_a_tenth_are_3_17_at_the_worst_and_never_more_than_5() -> None:
    """Of Laplace noise, 3.12 (3.30 by Renyi): it is not the worst that has this epsilon."""
    spent: list[Mechanism] = [PureDp(0.1)] * 50
    assert pld_epsilon(spent, DELTA) == pytest.approx(3.17, abs=0.01)
    assert 3.30 < renyi(spent) < 5.0


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("deviation", [4.54, 12.0, 40.0])
def test_a_discrete_gaussian_is_within_half_a_per_cent(deviation: float, delta: float) -> None:
    exact = from_discrete_gaussian_mechanism(deviation).get_epsilon_for_delta(delta)
    assert pld_epsilon([DiscreteGaussian(deviation, 1.0)], delta) == pytest.approx(exact, rel=5e-3)


def test_gaussians_of_different_size_add_up_as_dp_accountings_do() -> None:
    accountant = PLDAccountant()
    for multiplier in (3.0, 5.0, 5.0, 11.0):
        accountant.compose(GaussianDpEvent(multiplier))
    ours = pld_epsilon([DiscreteGaussian(2.0**16 * one, 2.0**16) for one in (3.0, 5.0, 5.0, 11.0)], DELTA)
    assert ours == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-3)


def test_both_computations_agree_where_only_one_is_needed() -> None:
    """A pure mechanism that costs next to nothing has everything composed numerically."""
    gaussians: list[Mechanism] = [DiscreteGaussian(4.54, 1.0), DistributedGaussian(9.1, 1.0, 3, 100)]
    assert pld_epsilon([*gaussians, PureDp(1e-3)], DELTA) == pytest.approx(pld_epsilon(gaussians, DELTA), abs=5e-3)


def test_parts_that_are_small_for_their_grid_cost_what_they_fall_short_by() -> None:
    coarse = DistributedGaussian(1.5 * 3, 1.0, 9, 10_000_000)
    assert pld_epsilon([coarse], DELTA) > pld_epsilon([DiscreteGaussian(4.5, 1.0)], DELTA) + 0.01


def test_own_deltas_are_spent_first_and_then_there_is_no_epsilon() -> None:
    three: list[Mechanism] = [ApproximateDp(0.5, 1e-7)] * 3
    assert pld_epsilon(three, DELTA) == pytest.approx(1.5, abs=0.01)
    assert pld_epsilon(three * 4, DELTA) == math.inf


@pytest.mark.parametrize(
    ("spent", "epsilon"), [([], 0.0), ([DiscreteGaussian(2.0**39, 1.0)], 0.0), ([PureDp(0.3)], 0.3)], ids=str
)
def test_the_simplest(spent: list[Mechanism], epsilon: float) -> None:
    assert pld_epsilon(spent, DELTA) == pytest.approx(epsilon, abs=1e-3)


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.54, 30.0, 300.0])
def test_it_is_never_above_what_the_ledger_counts(ratio: float, delta: float) -> None:
    spent: list[Mechanism] = [
        DiscreteGaussian(2.0**16 * ratio, 2.0**16),
        DistributedGaussian(2.0**17, 2.0**14, 7, 1000),
    ]
    assert pld_epsilon(spent, delta) <= renyi(spent, delta)


def test_nobody_waits_for_dp_accounting_who_has_only_gaussians() -> None:
    import subprocess

    told = (
        "import sys; from synthema_core.privacy.pld import pld_epsilon;"
        "from synthema_core.privacy.mechanisms import DiscreteGaussian;"
        "pld_epsilon([DiscreteGaussian(4.0, 1.0)], 1e-6); print('dp_accounting' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "False"
