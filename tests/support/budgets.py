"""Budgets as sites tell them to the hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthema_core.ledger import Budget, Charge, Spent, Standing, folded_purpose
from synthema_core.privacy.calibration import calibrate
from synthema_core.public_budget import PublicBudget, Taken

BUDGET = Budget(3.0, 1e-6)


def charge(request: str, epsilon: float, requester: str, purpose: str = "A purpose", **more: Any) -> Charge:
    mechanism = calibrate(epsilon, 1e-6, 1.0)
    return Charge("2026-03-02T09:00:00Z", request, "j", "p" * 64, "trial", mechanism, requester, purpose, **more)


def told(*made: Charge, budget: Budget = BUDGET, promised: float = 0.0, **changes: Any) -> PublicBudget:
    """Where these Charges leave the Budget; a `promised` share on top."""
    standing = Standing.of(budget, made)
    (limit,) = standing.filters
    requests = {one.request: Spent.of(one.mechanism) for one in made if not one.reading}
    numbers = {
        "spent": standing.spent_epsilon,
        "reserved": 0.0,
        "promised": promised,
        "left": max(0.0, budget.epsilon - standing.spent_epsilon),
        "largest": 1.0,
        "cumulative": standing.cumulative_epsilon,
    }
    whole: dict[str, Any] = {
        "patients": "all",
        "datasets": ("trial",),
        "standing": standing,
        "numbers": numbers,
        "shares": {"spent": standing.share, "reserved": 0.0, "promised": promised},
        "renewals": 0,
        "requests": {name: Taken(cost.epsilon(budget), limit.share(cost)) for name, cost in requests.items()},
        "requesters": _summed({one.requester: one for one in made}, made, "requester"),
        "purposes": {
            folded_purpose(name): cost
            for name, cost in _summed({one.purpose: one for one in made}, made, "purpose").items()
        },
        "limits": {"epsilon_per_researcher": 3.0, "epsilon_per_purpose": 3.0},
    }
    return PublicBudget(**{**whole, **changes})


def _summed(names: Mapping[str, object], made: tuple[Charge, ...], part: str) -> dict[str, Spent]:
    return {
        name: sum((Spent.of(one.mechanism) for one in made if getattr(one, part) == name), Spent.nothing())
        for name in names
    }
