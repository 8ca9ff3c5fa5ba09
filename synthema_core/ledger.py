"""The Ledger: Charges against the Budget of a site's patients, held by a filter that is fixed before the first Charge.

A filter decides, each time anew, whether one more Charge fits. It has to hold although the analyst chooses each
question after seeing the answers before, and that fixes its form (Feldman and Zrnic 2021, Theorem 3.1): Rényi
divergences at *one* order add up against one ceiling. Letting whichever of many orders vouch at the end looks better
and is not valid: each order's bound holds in expectation only, and an analyst who steers towards one order after this
answer and towards another after that one passes the (epsilon, delta) that each promises. A union bound over the orders
would mend it, at a price. So a Budget's order is chosen when it is opened: the one at which the most Gaussian noise
fits. For that kind, whose divergence grows in proportion to the order, nothing is lost against the best of all orders;
of pure-epsilon mechanisms fewer fit than their epsilons would add up to.

What is shown as epsilon is the conversion, at the best order, of what has been spent: for people, never for deciding.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.canonical import Json
from synthema_core.errors import BudgetSpent, IntegrityFailure, InvalidPolicy, SynthemaError
from synthema_core.plan import Plan
from synthema_core.privacy.accounting import ORDERS, ceiling, epsilon_of
from synthema_core.privacy.mechanisms import Mechanism, mechanism_from

Curve: TypeAlias = NDArray[np.float64]
"""RDP at each of ORDERS."""

_ROUNDING = 1e-9
"""By so much, relatively, a sum of deltas may pass its limit: three times 1e-7 is not 3e-7 in floating point."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The ceiling of what all answers together may tell about one of a group of patients.

    Parameters
    ----------
    own_delta
        The part of `delta` that is kept for mechanisms with a delta of their own, which add up. 0: none fits.
    """

    epsilon: float
    delta: float
    own_delta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 100 or not 0 < self.delta < 0.01:
            raise InvalidPolicy(
                "A budget needs 0 < epsilon <= 100 and 0 < delta < 0.01.", "Usual are epsilon 3 and delta 1e-6."
            )
        if not 0 <= self.own_delta < self.delta:
            raise InvalidPolicy("A budget's own_delta is a part of its delta.", "Give at least 0 and less than delta.")

    @property
    def noise_delta(self) -> float:
        """At which Rényi divergences are converted: what own_delta leaves."""
        return self.delta - self.own_delta

    def least(self, other: Self) -> Self:
        """Part by part the smaller of both."""
        pairs = ((self.epsilon, other.epsilon), (self.delta, other.delta), (self.own_delta, other.own_delta))
        return type(self)(*(min(pair) for pair in pairs))

    def to_dict(self) -> dict[str, Json]:
        return {"epsilon": self.epsilon, "delta": self.delta, "own_delta": self.own_delta}


@dataclass(frozen=True, slots=True, eq=False)
class Spent:
    """What several Charges come to; they add.

    Parameters
    ----------
    rdp
        Their sum, at each of ORDERS.
    own_delta
        The sum of the mechanisms' own deltas.
    """

    rdp: Curve
    own_delta: float = 0.0
    charges: int = 0

    @classmethod
    def nothing(cls) -> Self:
        return cls(np.zeros(len(ORDERS)))

    @classmethod
    def of(cls, mechanism: Mechanism) -> Self:
        """One Charge. Raises IntegrityFailure for a cost that is none: it would make room."""
        rdp, own_delta = np.array(mechanism.rdp, dtype=np.float64), float(mechanism.own_delta)
        if rdp.shape != (len(ORDERS),) or not (np.isfinite(rdp).all() and (rdp >= 0).all() and 0 <= own_delta < 1):
            raise IntegrityFailure("A mechanism's cost is not a number of at least 0 at each order.")
        return cls(rdp, own_delta, 1)

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.rdp + other.rdp, self.own_delta + other.own_delta, self.charges + other.charges)

    def at(self, order: float) -> float:
        return float(self.rdp[ORDERS.index(order)])

    def epsilon(self, budget: Budget) -> float:
        """At the Budget's delta; own deltas are within its own_delta."""
        return epsilon_of(self.rdp.tolist(), budget.noise_delta)


@dataclass(frozen=True, slots=True)
class Filter:
    """What Charges together may cost: a ceiling at one order, and one for own deltas.

    Parameters
    ----------
    order
        One of ORDERS.
    ceiling
        Of the RDP there.
    """

    order: float
    ceiling: float
    own_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.order not in ORDERS or not 0 <= self.ceiling < math.inf or not 0 <= self.own_delta < 1:
            raise IntegrityFailure("A budget of the ledger has no ceiling that can be read.")

    @classmethod
    def of(cls, epsilon: float, budget: Budget) -> Self:
        """For that epsilon, at the Budget's deltas; the epsilon may be 0, and then nothing fits."""
        return cls(*_best_order(epsilon, budget.noise_delta), budget.own_delta)

    def has_room(self, spent: Spent) -> bool:
        """Whether all that may be spent."""
        return spent.at(self.order) <= self.ceiling and spent.own_delta <= self.own_delta * (1 + _ROUNDING)

    def share(self, spent: Spent) -> float:
        """The part of the ceiling that is spent, 1 where nothing fits under it; shares add, as epsilons do not."""
        return spent.at(self.order) / self.ceiling if self.ceiling else 1.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A Budget as it was when it began, with the filter that it then fixed."""

    budget: Budget
    filter: Filter

    @classmethod
    def of(cls, budget: Budget) -> Self:
        return cls(budget, Filter.of(budget.epsilon, budget))

    def to_dict(self) -> dict[str, Json]:
        return {**self.budget.to_dict(), "order": self.filter.order, "ceiling": self.filter.ceiling}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises IntegrityFailure for what `to_dict` never gives."""
        try:
            parts = {name: data[name] for name in ("epsilon", "delta", "own_delta", "order", "ceiling")}
            if len(data) != len(parts) or not all(type(part) in (float, int) for part in parts.values()):
                raise IntegrityFailure("A budget of the ledger cannot be read.")
            order, limit = float(parts.pop("order")), float(parts.pop("ceiling"))
            budget = Budget(**{name: float(part) for name, part in parts.items()})
            return cls(budget, Filter(order, limit, budget.own_delta))
        except (TypeError, KeyError, SynthemaError):
            raise IntegrityFailure("A budget of the ledger cannot be read.") from None


@dataclass(frozen=True, slots=True)
class Charge:
    """One mechanism, charged for one Job before its rows were touched. Never taken back.

    Parameters
    ----------
    requester, purpose
        Of the Plan; empty in Charges of the first version, whose Requests say so.
    reading
        A Release that was there already was given to somebody else: it counts against the limits of that researcher
        and that purpose, and not against the patients' Budget, as nothing new was told about them.
    """

    at: str
    request: str
    job: str
    plan_digest: str
    dataset: str
    mechanism: Mechanism
    requester: str = ""
    purpose: str = ""
    reading: bool = False

    @classmethod
    def of(
        cls, mechanism: Mechanism, *, at: str, request: str, job: str, plan: Plan, dataset: str, reading: bool = False
    ) -> Self:
        return cls(at, request, job, plan.digest, dataset, mechanism, plan.requester, plan.purpose, reading)

    def to_dict(self) -> dict[str, Json]:
        return {
            "at": self.at,
            "request": self.request,
            "job": self.job,
            "plan_digest": self.plan_digest,
            "dataset": self.dataset,
            "mechanism": self.mechanism.to_dict(),
            "requester": self.requester,
            "purpose": self.purpose,
            "reading": self.reading,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            charge = cls(**{**data, "mechanism": mechanism_from(data["mechanism"])})
        except (TypeError, KeyError, AttributeError, SynthemaError):
            raise IntegrityFailure("A charge of the ledger cannot be read.") from None
        texts = (charge.at, charge.request, charge.job, charge.plan_digest, charge.dataset, charge.requester)
        if not all(isinstance(text, str) for text in (*texts, charge.purpose)) or type(charge.reading) is not bool:
            raise IntegrityFailure("A charge of the ledger cannot be read.")
        return charge


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Where a group of patients stands: its Budget, and what has been spent of it.

    Parameters
    ----------
    budget
        What holds now: the smallest of those that were opened and the Policy's. For showing.
    filters
        All of them must have room. A Policy that was lowered adds its own, so that it holds at once; one that was
        raised adds nothing before a renewal.
    spent
        Since the last renewal.
    ever
        Since the first Charge. What a patient has borne: no renewal takes it back.
    """

    budget: Budget
    filters: tuple[Filter, ...]
    spent: Spent
    ever: Spent

    @classmethod
    def of(cls, budget: Budget, charges: Iterable[Charge] = ()) -> Self:
        """With no renewal; Charges for readings cost the patients nothing."""
        spent = sum((Spent.of(charge.mechanism) for charge in charges if not charge.reading), Spent.nothing())
        return cls(budget, (Filter.of(budget.epsilon, budget),), spent, spent)

    @property
    def spent_epsilon(self) -> float:
        """All Charges since the last renewal together."""
        return self.spent.epsilon(self.budget)

    @property
    def cumulative_epsilon(self) -> float:
        """All Charges ever made, together. Never reset."""
        return self.ever.epsilon(self.budget)

    def plus(self, cost: Spent) -> Standing:
        """As it would be with this charged too."""
        return Standing(self.budget, self.filters, self.spent + cost, self.ever + cost)

    def preview(self, mechanism: Mechanism) -> float:
        """The epsilon spent if this were charged too."""
        return self.plus(Spent.of(mechanism)).spent_epsilon

    @property
    def share(self) -> float:
        """The part of the Budget that is spent, by the filter that has the least room; above 1 if it was lowered."""
        return max(limit.share(self.spent) for limit in self.filters)

    def has_room(self, cost: Spent) -> bool:
        total = self.spent + cost
        return all(limit.has_room(total) for limit in self.filters)

    def check_room(self, cost: Spent) -> None:
        """Raise BudgetSpent unless every filter has room for that too."""
        if not self.has_room(cost):
            raise BudgetSpent(
                "This site's privacy budget for these patients has no room for the request.",
                "Ask with a smaller --epsilon, or ask the site's stewards what is left.",
            )


@dataclass(frozen=True, slots=True)
class SubLimit:
    """The most that some of the Charges to a group of patients may cost together: one researcher's, or one purpose's.

    The same filter as the Budget's, at its deltas, over fewer Charges, those for readings included. It spreads a
    Budget; it does not protect: people who share their answers are held by the Budget alone, and a purpose that is put
    in other words is another purpose, as only people can tell whether it means the same.

    Parameters
    ----------
    rule
        The limit's name in policy.toml, RESEARCHER or PURPOSE.
    """

    RESEARCHER: ClassVar[str] = "epsilon_per_researcher"
    PURPOSE: ClassVar[str] = "epsilon_per_purpose"

    rule: str
    epsilon: float

    def check_room(self, budget: Budget, spent: Spent, cost: Spent) -> None:
        """Raise BudgetSpent, under the rule's name, unless there is room for that too.

        Parameters
        ----------
        spent
            By those Charges alone, since the last renewal.
        """
        if not Filter.of(self.epsilon, budget).has_room(spent + cost):
            whom = "one researcher" if self.rule == self.RESEARCHER else "one purpose"
            raise BudgetSpent(
                f"This site's privacy limit for {whom} has no room for the request.",
                "Ask with a smaller --epsilon, or ask the site's stewards what is left to you.",
                rule=self.rule,
            )


@lru_cache(maxsize=256)
def _best_order(epsilon: float, delta: float) -> tuple[float, float]:
    """The order whose ceiling holds the most Gaussian noise, and that ceiling."""
    limits = ceiling(epsilon, delta)
    return max(zip(ORDERS, limits, strict=True), key=lambda pair: pair[1] / pair[0])


def folded_purpose(purpose: str) -> str:
    """The words of a purpose, by which Charges for it are found: case, spacing and Unicode's spellings do not count."""
    return " ".join(unicodedata.normalize("NFKC", purpose).casefold().split())
