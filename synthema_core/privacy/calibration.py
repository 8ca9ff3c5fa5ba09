"""How much noise a target takes, and what a noise costs: the same at the sites and at the hub."""

from __future__ import annotations

import math

from synthema_core.errors import InvalidPlan
from synthema_core.privacy.accounting import ORDERS, ceiling, epsilon_of
from synthema_core.privacy.mechanisms import DiscreteGaussian, DistributedGaussian

_SMALLEST_EPSILON, _LARGEST_EPSILON = 1e-3, 100.0
_LAST_BITS = 1e-9
"""In which machines may differ: what follows from them is rounded to three digits."""


def calibrate(
    epsilon: float, delta: float, sensitivity: float, contributors: int = 1, values: int = 1
) -> DistributedGaussian:
    """The least noise that costs at most (epsilon, delta).

    The deviation is rounded up to three significant digits, so that it is the same on every machine.

    Raises
    ------
    InvalidPlan
        If the target is so small that no order could show it kept, however large the noise; or so large that a
        site's part of the noise would be too small for the grid.
    """
    allowed = ceiling(epsilon, delta)
    if not any(allowed):
        raise InvalidPlan(f"No noise keeps the cost to epsilon {epsilon:g} at delta {delta:g}.", "Use a larger one.")
    # a Gaussian costs order * (sensitivity / deviation)^2 / 2, and one order at which it is below the ceiling suffices
    squared = min(order / (2 * most) for order, most in zip(ORDERS, allowed, strict=True) if most)
    deviation = _rounded_up(math.sqrt(squared) * sensitivity)
    found = DistributedGaussian(deviation, sensitivity, contributors, values)
    while epsilon_of(found.rdp, delta) > epsilon * (1 + _LAST_BITS):  # parts that are small for their grid fall short
        deviation = _rounded_up(deviation * 1.01)
        found = DistributedGaussian(deviation, sensitivity, contributors, values)
    return found


def epsilon_for_deviation(
    deviation: float, delta: float, sensitivity: float, contributors: int = 1, values: int = 1
) -> float:
    """The least epsilon, of three digits and from 1/1000 on, for which `calibrate` finds no more noise than this.

    Parameters
    ----------
    deviation
        sigma, of the noise that is counted on, in ring steps: `deviation_counted_on` of what a sum may have.

    Raises
    ------
    InvalidPlan
        If that is more than any Plan may declare.
    """
    epsilon = _rounded_up(max(_SMALLEST_EPSILON, epsilon_of(DiscreteGaussian(deviation, sensitivity).rdp, delta)))
    while epsilon <= _LARGEST_EPSILON:
        if calibrate(epsilon, delta, sensitivity, contributors, values).standard_deviation <= deviation:
            return epsilon
        epsilon = _rounded_up(epsilon * 1.001)
    raise InvalidPlan("So little noise would cost more than a Plan may.", "Use a larger --standard-error.")


def deviation_counted_on(deviation: float, contributors: int, sites: int) -> float:
    """sigma of which a sum over so many sites has this deviation: each adds a part, and fewer parts are counted on."""
    return deviation * math.sqrt(contributors / sites)


def _rounded_up(value: float) -> float:
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / digit * (1 - _LAST_BITS)) * digit:.3g}")
