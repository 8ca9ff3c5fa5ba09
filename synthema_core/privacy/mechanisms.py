"""Mechanisms as frozen data: what each costs, in Rényi differential privacy, and what is written of it in a Ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.privacy.accounting import ORDERS

_LARGEST_DEVIATION = 2.0**40
_SMALLEST_PART = 1.5
"""Below it, in ring steps, sums of discrete Gaussians are too far from one for the correction to be of use."""


class Mechanism(Protocol):
    """What a Charge is of."""

    @property
    def rdp(self) -> tuple[float, ...]:
        """The cost at each of ORDERS."""
        ...

    @property
    def own_delta(self) -> float:
        """The probability with which nothing is promised at all, beside what `rdp` says."""
        ...

    def describe(self) -> str:
        """In words, for people."""
        ...

    def to_dict(self) -> dict[str, Json]: ...


def _check_gaussian(standard_deviation: float, sensitivity: float) -> None:
    if not (0 < standard_deviation <= _LARGEST_DEVIATION and 0 < sensitivity <= _LARGEST_DEVIATION):
        raise InvalidPlan("A discrete Gaussian needs a positive deviation and a bounded sensitivity.")


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

    name: ClassVar[str] = "discrete-gaussian"
    own_delta: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _check_gaussian(self.standard_deviation, self.sensitivity)

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
        """order * rho."""
        return tuple(order * self.rho for order in ORDERS)

    def describe(self) -> str:
        return f"discrete Gaussian, deviation {self.standard_deviation / self.sensitivity:.3g} times a patient's part"

    def to_dict(self) -> dict[str, Json]:
        return {
            "mechanism": self.name,
            "standard_deviation": self.standard_deviation,
            "sensitivity": self.sensitivity,
        }


def shortfall_of(site_deviation: float, contributors: int) -> float:
    """tau: bounds by how much the log-probabilities of a sum and of one discrete Gaussian differ, at any value.

    Kairouz, Liu, Steinke 2021, Theorem 1; for parts of at least half a ring step.
    """
    parts = range(1, contributors)
    return 10 * sum(math.exp(-2 * math.pi**2 * site_deviation**2 * part / (part + 1)) for part in parts)


def rdp_of_sums(ratio: float, shortfall: float, values: int) -> tuple[float, ...]:
    """The cost at each of ORDERS: the smaller of the paper's two bounds (Equation 17).

    The first holds, since a sum of discrete Gaussians has mean 0 and is sub-Gaussian as its parts are, so that the
    likelihood ratio of one Gaussian costs order * ratio^2 / 2 under it, too; its own differs by tau for each value.

    Parameters
    ----------
    ratio
        Sensitivity over deviation.
    """
    together = (ratio + shortfall * math.sqrt(values)) ** 2
    return tuple(min(order / 2 * ratio**2 + shortfall * values, order / 2 * together) for order in ORDERS)


@dataclass(frozen=True, slots=True)
class DistributedGaussian:
    """Noise inside a secure sum. Each site draws a part, a discrete Gaussian of variance sigma^2 / contributors.

    Sums of discrete Gaussians are no discrete Gaussian, but nearly: Kairouz, Liu, Steinke 2021 (Theorem 1, Equation 17)
    bound by how much they fall short. With one contributor there is nothing to correct.

    Parameters
    ----------
    standard_deviation
        sigma, of the noise that is counted on, in ring steps.
    sensitivity
        L2 norm by which one patient, added or removed, changes all Contributions of a site together, in ring steps.
    contributors
        n: so many parts are counted on. More sites than these may add one; some of them may know theirs.
    values
        d: numbers that carry noise, over all Rounds.
    """

    standard_deviation: float
    sensitivity: float
    contributors: int
    values: int

    name: ClassVar[str] = "distributed-discrete-gaussian"
    own_delta: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _check_gaussian(self.standard_deviation, self.sensitivity)
        if self.contributors < 1 or self.values < 1:
            raise InvalidPlan("Distributed noise needs a contributor and a value.")
        if self.contributors > 1 and self.site_deviation < _SMALLEST_PART:
            raise InvalidPlan(
                "A site's part of the noise would be too small for the grid of the numbers.",
                "Use a smaller --epsilon, or an analysis with a finer grid.",
            )

    @property
    def site_deviation(self) -> float:
        """Of what one site draws, in ring steps."""
        return self.standard_deviation / math.sqrt(self.contributors)

    def sum_variance(self, sites: int) -> float:
        """Of each value of a sum over so many sites, in squared ring steps: each adds a part."""
        return sites * self.site_deviation**2

    @property
    def rdp(self) -> tuple[float, ...]:
        ratio, shortfall = (
            self.sensitivity / self.standard_deviation,
            shortfall_of(self.site_deviation, self.contributors),
        )
        return rdp_of_sums(ratio, shortfall, self.values)

    def describe(self) -> str:
        ratio = self.standard_deviation / self.sensitivity
        return f"discrete Gaussian of {self.contributors} sites, deviation {ratio:.3g} times a patient's part"

    def to_dict(self) -> dict[str, Json]:
        return {
            "mechanism": self.name,
            "standard_deviation": self.standard_deviation,
            "sensitivity": self.sensitivity,
            "contributors": self.contributors,
            "values": self.values,
        }


def _check_target(epsilon: float) -> None:
    if not 0 < epsilon <= 100:
        raise InvalidPlan("A mechanism costs an epsilon above 0 and at most 100.")


def _pure_rdp(epsilon: float) -> tuple[float, ...]:
    """Of any epsilon-DP mechanism: at most order * epsilon^2 / 2 (Bun, Steinke 2016, Proposition 3.3), and epsilon."""
    return tuple(min(order * epsilon**2 / 2, epsilon) for order in ORDERS)


@dataclass(frozen=True, slots=True)
class PureDp:
    """A mechanism of which only its epsilon is known."""

    epsilon: float

    name: ClassVar[str] = "pure-dp"
    own_delta: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _check_target(self.epsilon)

    @property
    def rdp(self) -> tuple[float, ...]:
        return _pure_rdp(self.epsilon)

    def describe(self) -> str:
        return f"epsilon {self.epsilon:g} by its own word, no guarantee"

    def to_dict(self) -> dict[str, Json]:
        return {"mechanism": self.name, "epsilon": self.epsilon}


@dataclass(frozen=True, slots=True)
class ApproximateDp:
    """A mechanism of which only (epsilon, delta) is known: pure but for an event of probability `delta`."""

    epsilon: float
    delta: float

    name: ClassVar[str] = "approximate-dp"

    def __post_init__(self) -> None:
        _check_target(self.epsilon)
        if not 0 < self.delta < 0.01:
            raise InvalidPlan("A mechanism's own delta is above 0 and below 0.01.")

    @property
    def own_delta(self) -> float:
        return self.delta

    @property
    def rdp(self) -> tuple[float, ...]:
        return _pure_rdp(self.epsilon)

    def describe(self) -> str:
        return f"epsilon {self.epsilon:g}, delta {self.delta:g} by its own word, no guarantee"

    def to_dict(self) -> dict[str, Json]:
        return {"mechanism": self.name, "epsilon": self.epsilon, "delta": self.delta}


def mechanism_from(data: Mapping[str, Any]) -> Mechanism:
    """The mechanism that `to_dict` wrote, whichever it is.

    Raises
    ------
    InvalidPlan
        For anything else.
    """
    kinds: Mapping[str, type[Any]] = {
        kind.name: kind for kind in (DiscreteGaussian, DistributedGaussian, PureDp, ApproximateDp)
    }
    name = str(data.get("mechanism"))
    if name not in kinds:
        raise InvalidPlan(f"There is no mechanism '{name}'.")
    try:
        kind = kinds[name]
        read: Mechanism = kind(**{part: value for part, value in data.items() if part != "mechanism"})
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InvalidPlan("A mechanism cannot be read.") from None
    return read
