"""The noise a site adds, as frozen data: what it is, what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.privacy.accounting import ORDERS, ceiling, epsilon_of

_BISECTIONS = 60
_LARGEST_DEVIATION = 2.0**40


@dataclass(frozen=True, slots=True)
class DiscreteGaussian:
    """Integer noise with probability proportional to exp(-x^2 / (2 sigma^2)), on each value of a Contribution.

    Satisfies rho-zCDP with rho = sensitivity^2 / (2 sigma^2) (Canonne, Kamath, Steinke 2020, Theorem 4), as the
    continuous Gaussian does, but without its floating-point leaks.

    Parameters
    ----------
    standard_deviation
        sigma, in ring steps.
    sensitivity
        L2 norm by which one patient, added or removed, changes the Contribution, in ring steps.
    """

    standard_deviation: float
    sensitivity: float

    def __post_init__(self) -> None:
        fits = 0 < self.standard_deviation <= _LARGEST_DEVIATION and 0 < self.sensitivity <= _LARGEST_DEVIATION
        if not fits:
            raise InvalidPlan("A discrete Gaussian needs a positive deviation and a bounded sensitivity.")

    @property
    def variance(self) -> float:
        """An upper bound that is tight for sigma above 1: the discrete Gaussian's variance is at most sigma^2."""
        return self.standard_deviation**2

    @property
    def rho(self) -> float:
        """The zCDP cost."""
        return self.sensitivity**2 / (2 * self.variance)

    @property
    def rdp(self) -> tuple[float, ...]:
        """The RDP cost at each of ORDERS: order * rho."""
        return tuple(order * self.rho for order in ORDERS)

    def to_dict(self) -> dict[str, Json]:
        return {
            "mechanism": "discrete-gaussian",
            "standard_deviation": self.standard_deviation,
            "sensitivity": self.sensitivity,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        if data.get("mechanism") != "discrete-gaussian":
            raise InvalidPlan(f"There is no mechanism '{data.get('mechanism')}'.")
        try:
            return cls(float(data["standard_deviation"]), float(data["sensitivity"]))
        except (KeyError, TypeError, ValueError):
            raise InvalidPlan("A mechanism cannot be read.") from None


def calibrate(epsilon: float, delta: float, sensitivity: float) -> DiscreteGaussian:
    """The least noise that costs at most (epsilon, delta); sites and hub compute the same.

    The deviation is rounded up to three significant digits, so that it is the same on every machine.

    Raises
    ------
    InvalidPlan
        If the target is so small that no order could show it kept, however large the noise.
    """
    if not any(ceiling(epsilon, delta)):
        raise InvalidPlan(f"No noise keeps the cost to epsilon {epsilon:g} at delta {delta:g}.", "Use a larger one.")
    low, high = 0.0, 1.0
    while epsilon_of(DiscreteGaussian(high * sensitivity, sensitivity).rdp, delta) > epsilon:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle > 0 and epsilon_of(DiscreteGaussian(middle * sensitivity, sensitivity).rdp, delta) <= epsilon:
            high = middle
        else:
            low = middle
    return DiscreteGaussian(_rounded_up(high * sensitivity), sensitivity)


def _rounded_up(value: float) -> float:
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / digit * (1 - 1e-9)) * digit:.3g}")
