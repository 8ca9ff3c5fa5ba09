"""A group's Budget as its site shows it to the federation: what is spent, under way, promised and left, and by whom.

It follows from Plans alone, never from a row. It is for planning: whether there is room is decided at the site, when
the Charge is made. The vectors are the site's own, so that a planner's arithmetic is the site's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidInput, InvalidPolicy
from synthema_core.ledger import Budget, Filter, Spent, Standing, SubLimit
from synthema_core.privacy.accounting import ORDERS

_MOST_PARTS = 10_000
_LONGEST_NAME = 4_000
_NUMBERS = ("spent", "reserved", "promised", "left", "largest", "cumulative")
_LIMITS = ("epsilon_per_researcher", "epsilon_per_purpose")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one Request was charged: its epsilon, and its part of the Budget. Parts add; epsilons do not."""

    epsilon: float
    share: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one more Charge would come to at one site.

    Parameters
    ----------
    after
        Epsilon spent with it.
    share
        The part of the Budget that would be spent with it.
    rule
        The rule by which the site would refuse it now; empty where there is room.
    """

    after: float
    left: float
    share: float
    rule: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class PublicBudget:
    """One group of patients at one site.

    Parameters
    ----------
    standing
        With what is reserved, without what is promised; `ever` is not told.
    numbers
        Epsilon by name: spent, reserved, promised, left, largest, cumulative.
    shares
        Parts of the Budget by name: spent, reserved, promised.
    requests
        What each Request was charged since the last renewal.
    requesters, purposes
        What each researcher, and each purpose by its folded words, has cost since; with what was only read again.
    limits
        Epsilon by name: epsilon_per_researcher, epsilon_per_purpose.
    """

    patients: str
    datasets: tuple[str, ...]
    standing: Standing
    numbers: Mapping[str, float]
    shares: Mapping[str, float]
    renewals: int
    requests: Mapping[str, Taken]
    requesters: Mapping[str, Spent]
    purposes: Mapping[str, Spent]
    limits: Mapping[str, float]

    @property
    def budget(self) -> Budget:
        return self.standing.budget

    def outlook(self, cost: Spent, requester: str, purpose: str) -> Outlook:
        """What that Charge would leave, checked as the site would.

        Parameters
        ----------
        purpose
            Its folded words.
        """
        then = self.standing.plus(cost)
        rule = "" if self.standing.has_room(cost) else "budget"
        for name, limit, spent in (
            (SubLimit.RESEARCHER, self.limits["epsilon_per_researcher"], self.requesters.get(requester)),
            (SubLimit.PURPOSE, self.limits["epsilon_per_purpose"], self.purposes.get(purpose)),
        ):
            if not rule and not Filter.of(limit, self.budget).has_room((spent or Spent.nothing()) + cost):
                rule = name
        after = then.spent_epsilon
        return Outlook(after, max(0.0, self.budget.epsilon - after), then.share, rule)

    def to_dict(self) -> dict[str, Json]:
        return {
            "patients": self.patients,
            "datasets": list[Json](self.datasets),
            **self.budget.to_dict(),
            "filters": [
                {"order": limit.order, "ceiling": limit.ceiling, "own_delta": limit.own_delta}
                for limit in self.standing.filters
            ],
            **self.numbers,
            "shares": dict(self.shares),
            "renewals": self.renewals,
            **_spent_to_dict(self.standing.spent),
            "requests": {name: {"epsilon": one.epsilon, "share": one.share} for name, one in self.requests.items()},
            "requesters": {name: _spent_to_dict(spent) for name, spent in self.requesters.items()},
            "purposes": {name: _spent_to_dict(spent) for name, spent in self.purposes.items()},
            **self.limits,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises InvalidInput for what `to_dict` never gives."""
        try:
            budget = Budget(*(_number(data[name]) for name in ("epsilon", "delta", "own_delta")))
            filters = tuple(
                Filter(_number(one["order"]), _number(one["ceiling"]), _number(one["own_delta"]))
                for one in data["filters"]
            )
            spent = _spent(data)
            parts = {name: _parts(data[name]) for name in ("requests", "requesters", "purposes")}
            if not filters:
                raise ValueError
            return cls(
                patients=_name(data["patients"]),
                datasets=tuple(map(_name, data["datasets"])),
                standing=Standing(budget, filters, spent, spent),
                numbers={name: _number(data[name]) for name in _NUMBERS},
                shares={name: _number(data["shares"][name]) for name in ("spent", "reserved", "promised")},
                renewals=int(_number(data["renewals"])),
                requests={
                    name: Taken(_number(one["epsilon"]), _number(one["share"]))
                    for name, one in parts["requests"].items()
                },
                requesters={name: _spent(one) for name, one in parts["requesters"].items()},
                purposes={name: _spent(one) for name, one in parts["purposes"].items()},
                limits={name: _number(data[name]) for name in _LIMITS},
            )
        except (TypeError, KeyError, ValueError, AttributeError, IntegrityFailure, InvalidPolicy):
            raise InvalidInput("A budget cannot be read.") from None


def _spent_to_dict(spent: Spent) -> dict[str, Json]:
    return {"rdp": list[Json](spent.rdp.tolist()), "own_delta_spent": spent.own_delta, "charges": spent.charges}


def _spent(data: Mapping[str, Any]) -> Spent:
    rdp = np.array([_number(value) for value in data["rdp"]], dtype=np.float64)
    if rdp.shape != (len(ORDERS),):
        raise ValueError
    return Spent(rdp, _number(data["own_delta_spent"]), int(_number(data["charges"])))


def _parts(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(data) > _MOST_PARTS or any(len(name) > _LONGEST_NAME for name in data):
        raise ValueError
    return data


def _number(value: Any) -> float:
    """A number of at least 0."""
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError
    return float(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise ValueError
    return value
