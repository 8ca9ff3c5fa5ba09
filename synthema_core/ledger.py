"""The Ledger: Charges against a Budget, held by a filter that stays valid when questions depend on answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from synthema_core.canonical import Json
from synthema_core.errors import BudgetSpent, IntegrityFailure, InvalidPolicy, SynthemaError
from synthema_core.plan import Plan
from synthema_core.privacy.accounting import ORDERS, ceiling, epsilon_of
from synthema_core.privacy.mechanisms import DiscreteGaussian


@dataclass(frozen=True, slots=True)
class Budget:
    """The ceiling of what all answers together may tell about one of a site's patients."""

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 100 or not 0 < self.delta < 0.01:
            raise InvalidPolicy(
                "A budget needs 0 < epsilon <= 100 and 0 < delta < 0.01.", "Usual are epsilon 3 and delta 1e-6."
            )


@dataclass(frozen=True, slots=True)
class Charge:
    """One mechanism, charged for one Job before its rows were touched. Never taken back."""

    at: str
    request: str
    job: str
    plan_digest: str
    dataset: str
    mechanism: DiscreteGaussian

    @classmethod
    def of(cls, mechanism: DiscreteGaussian, *, at: str, request: str, job: str, plan: Plan, dataset: str) -> Self:
        return cls(at, request, job, plan.digest, dataset, mechanism)

    def to_dict(self) -> dict[str, Json]:
        return {
            "at": self.at,
            "request": self.request,
            "job": self.job,
            "plan_digest": self.plan_digest,
            "dataset": self.dataset,
            "mechanism": self.mechanism.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            return cls(**{**data, "mechanism": DiscreteGaussian.from_dict(data["mechanism"])})
        except (TypeError, KeyError, AttributeError, SynthemaError):
            raise IntegrityFailure("A charge of the ledger cannot be read.") from None


@dataclass(frozen=True, slots=True)
class Standing:
    """A Budget and what has been spent of it.

    Parameters
    ----------
    spent
        RDP so far, at each of ORDERS.
    """

    budget: Budget
    spent: tuple[float, ...] = (0.0,) * len(ORDERS)

    @classmethod
    def of(cls, budget: Budget, charges: Iterable[Charge]) -> Self:
        spent = [0.0] * len(ORDERS)
        for charge in charges:
            spent = [sum(pair) for pair in zip(spent, charge.mechanism.rdp, strict=True)]
        return cls(budget, tuple(spent))

    @property
    def spent_epsilon(self) -> float:
        """All Charges together, at the Budget's delta. Never reset."""
        return epsilon_of(self.spent, self.budget.delta)

    def preview(self, mechanism: DiscreteGaussian) -> float:
        """The epsilon spent if this were charged too."""
        return epsilon_of(self._with(mechanism), self.budget.delta)

    def check(self, charge: Charge) -> None:
        """Raise BudgetSpent unless some order has room for the Charge.

        This is the filter of Feldman and Zrnic (2021): it stops before the total at every order has passed that
        order's ceiling, and is valid although the analyst chooses each question after seeing the answers before.
        """
        self.check_room(charge.mechanism)

    def check_room(self, mechanism: DiscreteGaussian) -> None:
        """The same, of what is not a Charge yet."""
        if not self.has_room(mechanism, self.budget.epsilon):
            raise BudgetSpent(
                "This site's privacy budget for the dataset has no room for the request.",
                "Ask with a smaller --epsilon, or ask the site's stewards what is left.",
            )

    def has_room(self, mechanism: DiscreteGaussian, epsilon: float) -> bool:
        """Whether some order's total, with this one more, stays below what `epsilon` allows there."""
        limits = ceiling(epsilon, self.budget.delta)
        return any(cost <= limit for cost, limit in zip(self._with(mechanism), limits, strict=True))

    def _with(self, mechanism: DiscreteGaussian) -> tuple[float, ...]:
        return tuple(sum(pair) for pair in zip(self.spent, mechanism.rdp, strict=True))


def check_researcher(epsilon: float, budget: Budget, charges: Iterable[Charge], mechanism: DiscreteGaussian) -> None:
    """Raise BudgetSpent unless one researcher's answers about a Dataset, with this one more, cost at most `epsilon`.

    The same filter as the Budget's, at its delta, over fewer Charges: people who share their answers are held by the
    Budget alone.

    Parameters
    ----------
    charges
        For that researcher's Requests, and no others.
    """
    if not Standing.of(budget, charges).has_room(mechanism, epsilon):
        raise BudgetSpent(
            "This site's privacy limit for one researcher has no room for the request.",
            "Ask with a smaller --epsilon, or ask the site's stewards what is left to you.",
            rule="epsilon_per_researcher",
        )
