"""What Charges cost by their privacy loss distributions: closer to the truth than Rényi orders, and shown beside them.

For information only. It is no filter: it does not hold for Charges that were chosen after seeing earlier answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from scipy.special import log_ndtr, ndtr

from synthema_core.privacy.mechanisms import (
    ApproximateDp,
    DiscreteGaussian,
    DistributedGaussian,
    Mechanism,
    PureDp,
    shortfall_of,
)

_LARGEST_EPSILON = 1000.0
_GRID = 1e-4
"""Of the losses, which are rounded up to it, where they have no closed form."""


def pld_epsilon(mechanisms: Iterable[Mechanism], delta: float) -> float:
    """The epsilon of all of them together at `delta`; infinite where their own deltas use it up.

    Gaussians add up to one Gaussian, of which the exact epsilon is known (Balle, Wang 2018, Theorem 8). Discrete ones
    are taken for continuous ones: at a deviation of 4 steps that is half a per cent off, and ours have thousands.
    Mechanisms of which only an epsilon is known are taken for the worst that have it, and composed numerically.
    """
    squares, shortfall, others = 0.0, 0.0, list[PureDp | ApproximateDp]()
    for mechanism in mechanisms:
        if isinstance(mechanism, DiscreteGaussian | DistributedGaussian):
            squares += (mechanism.sensitivity / mechanism.standard_deviation) ** 2
        if isinstance(mechanism, DistributedGaussian):
            shortfall += shortfall_of(mechanism.site_deviation, mechanism.contributors) * mechanism.values
        if isinstance(mechanism, PureDp | ApproximateDp):
            others.append(mechanism)
    ratio = math.sqrt(squares)
    return shortfall + (_numerically(ratio, others, delta) if others else _of_gaussian(ratio, delta))


def _of_gaussian(ratio: float, delta: float) -> float:
    """Of a sensitivity of `ratio` deviations."""
    if ratio == 0 or _delta_of_gaussian(ratio, 0.0) <= delta:
        return 0.0
    from scipy.optimize import brentq  # large, and an idle site needs none of it

    return float(brentq(lambda epsilon: _delta_of_gaussian(ratio, epsilon) - delta, 0.0, _LARGEST_EPSILON, xtol=1e-10))


def _delta_of_gaussian(ratio: float, epsilon: float) -> float:
    return float(ndtr(ratio / 2 - epsilon / ratio) - math.exp(epsilon + log_ndtr(-ratio / 2 - epsilon / ratio)))


def _numerically(ratio: float, others: Iterable[PureDp | ApproximateDp], delta: float) -> float:
    from dp_accounting.pld import privacy_loss_distribution as losses
    from dp_accounting.pld.common import DifferentialPrivacyParameters

    whole = losses.identity(_GRID)
    if ratio:
        whole = losses.from_gaussian_mechanism(1 / ratio, value_discretization_interval=_GRID)
    for mechanism in others:
        known = DifferentialPrivacyParameters(mechanism.epsilon, mechanism.own_delta)
        whole = whole.compose(losses.from_privacy_parameters(known, value_discretization_interval=_GRID))
    return float(whole.get_epsilon_for_delta(delta))
