"""A group's Budget as people read it: what is spent, under way, promised and left; by whom, for what, since when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat

from synthema_core import moments
from synthema_core.analyses import from_plan
from synthema_core.charging import charge_of
from synthema_core.errors import SynthemaError
from synthema_core.ledger import Budget, Spent, Standing, folded_purpose
from synthema_core.policy import Policy
from synthema_core.privacy.accounting import ORDERS, epsilon_of
from synthema_core.privacy.mechanisms import Mechanism
from synthema_core.public_budget import PublicBudget, Taken
from synthema_core.renewal import Renewal
from synthema_core.request import UNDER_WAY, Status
from synthema_core.request_record import request_record
from synthema_datasite.service.costs import times
from synthema_datasite.service.ledger import Account
from synthema_datasite.service.register import Line
from synthema_datasite.service.renewals import groups, waiting
from synthema_datasite.service.site import Site
from synthema_datasite.service.stored_answers import is_reading

_UNKNOWN = "not recorded"
_TAKEN = UNDER_WAY | {Status.STAGED, Status.CLEARED}
"""Charged, and not at an end: also while what was put out waits for a release decision."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a Budget.

    Parameters
    ----------
    epsilon
        By which it raises what the parts before it come to; less than its own, as costs add by Rényi divergence.
    share
        Of the Budget, by the filter that decides: shares add.
    count
        Charges, or Requests.
    """

    epsilon: float
    share: float
    count: int


@dataclass(frozen=True, slots=True)
class Spender:
    """A researcher, or a purpose, since the last renewal; `epsilon` with what was only read again."""

    name: str
    epsilon: float
    charges: int


@dataclass(frozen=True, slots=True)
class After:
    """What one more Charge would leave.

    Parameters
    ----------
    spent
        Epsilon, with it.
    more
        How many such Charges would still fit after it.
    """

    fits: bool
    spent: float
    left: float
    share: float
    more: int


@dataclass(frozen=True, slots=True, eq=False)
class BudgetReading:
    """One group of patients. Nothing in it depends on a row: Charges follow from Plans alone.

    Parameters
    ----------
    budget, declared
        What holds, and what the Policy says: it is more if it was raised since the Budget began.
    standing
        With what is reserved; without what is promised.
    spent, reserved, promised
        Charged to Jobs that have ended, to Jobs under way, and what Requests that were approved would be charged.
    largest
        The epsilon of the largest single request for which there is room, promises aside.
    by_requester, by_purpose
        The costliest first.
    renewals, waiting
        All that were made; and one that lacks a steward's signature.
    mechanisms
        How often each was charged, ever.
    """

    patients: str
    datasets: tuple[str, ...]
    budget: Budget
    declared: Budget
    standing: Standing
    spent: Part
    reserved: Part
    promised: Part
    largest: float
    by_requester: tuple[Spender, ...]
    by_purpose: tuple[Spender, ...]
    epsilon_per_researcher: float
    epsilon_per_purpose: float
    renewals: tuple[Renewal, ...]
    waiting: Renewal | None
    mechanisms: Mapping[Mechanism, int]
    requests: Mapping[str, Spent]
    requesters: Mapping[str, Spent]
    purposes: Mapping[str, Spent]

    @property
    def left(self) -> float:
        """Epsilon that is neither spent nor reserved; surely enough for requests whose epsilons add up to it."""
        return max(0.0, self.budget.epsilon - self.standing.spent_epsilon)

    @property
    def cumulative(self) -> float:
        """Epsilon of all that was ever charged: no renewal sets it back."""
        return self.standing.cumulative_epsilon

    @property
    def was_raised(self) -> bool:
        return self.budget != self.declared

    def after(self, mechanism: Mechanism) -> After:
        """What a planned request would leave."""
        cost = Spent.of(mechanism)
        then, fits = self.standing.plus(cost), self.standing.has_room(cost)
        spent = then.spent_epsilon
        left = max(0.0, self.budget.epsilon - spent) if fits else 0.0
        return After(fits, spent, left, then.share, times(then, cost) if fits else 0)

    def public(self) -> PublicBudget:
        """For the hub, which shows it to researchers; with the vectors from which a planner finds what would fit."""
        standing, budget = self.standing, self.budget
        share = {name: max(limit.share(spent) for limit in standing.filters) for name, spent in self.requests.items()}
        return PublicBudget(
            patients=self.patients,
            datasets=self.datasets,
            standing=standing,
            numbers={
                "spent": self.spent.epsilon,
                "reserved": self.reserved.epsilon,
                "promised": self.promised.epsilon,
                "left": self.left,
                "largest": self.largest,
                "cumulative": self.cumulative,
            },
            shares={"spent": self.spent.share, "reserved": self.reserved.share, "promised": self.promised.share},
            renewals=len(self.renewals),
            requests={name: Taken(spent.epsilon(budget), share[name]) for name, spent in self.requests.items()},
            requesters=self.requesters,
            purposes=self.purposes,
            limits={
                "epsilon_per_researcher": self.epsilon_per_researcher,
                "epsilon_per_purpose": self.epsilon_per_purpose,
            },
        )


def read_budgets(site: Site, lines: Sequence[Line]) -> list[BudgetReading]:
    """Of every group of patients of this site.

    Parameters
    ----------
    lines
        All Requests here: they say which Jobs are under way, and what is promised.
    """
    policy = site.state.policy()
    accounts = [site.ledger.account(site.journal, policy, patients) for patients in groups(site, policy)]
    return [_read(site, policy, account, lines) for account in accounts]


def pld_of(mechanisms: Mapping[Mechanism, int], budget: Budget) -> float | None:
    """Epsilon of all those Charges by privacy loss distributions, which is tighter; None where it cannot be had.

    For information: it holds for Charges that were fixed beforehand, and these were not.
    """
    return _pld(frozenset(mechanisms.items()), budget.delta)


@lru_cache(maxsize=64)
def _pld(mechanisms: frozenset[tuple[Mechanism, int]], delta: float) -> float | None:
    try:
        from synthema_core.privacy.pld import pld_epsilon

        epsilon = pld_epsilon(chain.from_iterable(repeat(one, count) for one, count in mechanisms), delta)
    except ImportError:  # its numbers for other kinds than Gaussian take a library that need not be there
        return None
    return epsilon if math.isfinite(epsilon) else None


def _read(site: Site, policy: Policy, account: Account, lines: Sequence[Line]) -> BudgetReading:
    standing, budget = account.standing, account.standing.budget
    under_way = {line.id for line in lines if line.status in _TAKEN}
    reserved = _sum(spent for request, spent in account.by_request.items() if request in under_way)
    ended = _sum(spent for request, spent in account.by_request.items() if request not in under_way)
    promises = [_promised(site, line) for line in lines if _is_promised(site, line, account)]
    promised = _sum(spent for spent in promises if spent is not None)
    limits = [policy.for_dataset(name) for name in account.datasets]
    return BudgetReading(
        patients=account.patients,
        datasets=account.datasets,
        budget=budget,
        declared=policy.budget_of(account.patients),
        standing=standing,
        spent=_part(standing, Spent.nothing(), ended),
        reserved=_part(standing, ended, reserved),
        promised=_part(standing, standing.spent, promised),
        largest=_largest(standing),
        by_requester=_spenders(account.by_requester, budget),
        by_purpose=_spenders(
            account.by_purpose, budget, {folded_purpose(line.purpose): line.purpose for line in lines}
        ),
        epsilon_per_researcher=min(limit.epsilon_per_researcher for limit in limits),
        epsilon_per_purpose=min(limit.epsilon_per_purpose for limit in limits),
        renewals=account.renewals,
        waiting=waiting(site, policy, account),
        mechanisms=account.mechanisms,
        requests=account.by_request,
        requesters=_known(account.by_requester),
        purposes=_known(account.by_purpose),
    )


def _part(standing: Standing, before: Spent, part: Spent) -> Part:
    budget = standing.budget
    added = (before + part).epsilon(budget) - before.epsilon(budget)
    return Part(max(0.0, added), max(limit.share(part) for limit in standing.filters), part.charges)


def _is_promised(site: Site, line: Line, account: Account) -> bool:
    """Approved here, and nothing was charged yet."""
    open_still = line.status is Status.APPROVED and moments.read(line.request.expires_at) > site.clock()
    return open_still and line.dataset in account.datasets


def _promised(site: Site, line: Line) -> Spent | None:
    """None for a Plan that this engine cannot read: it will be refused."""
    record = request_record(site.journal, line.id, site.name)
    if is_reading(record):  # a stored answer: nothing new for the patients
        return None
    plan = record.plan
    try:
        mechanism = charge_of(plan, from_plan(plan.analysis, plan.parameters))
    except SynthemaError:
        return None
    return Spent.of(mechanism) if mechanism is not None else None


def _largest(standing: Standing) -> float:
    """Of Gaussian noise, whose RDP is its order times one number."""
    room = min((limit.ceiling - standing.spent.at(limit.order)) / limit.order for limit in standing.filters)
    return epsilon_of([order * room for order in ORDERS], standing.budget.noise_delta) if room > 0 else 0.0


def _spenders(
    parts: Mapping[str | None, Spent], budget: Budget, spelled: Mapping[str, str] | None = None
) -> tuple[Spender, ...]:
    """The costliest first; `spelled` says how people wrote what is folded."""
    found = [
        Spender((spelled or {}).get(name, name) if name else _UNKNOWN, spent.epsilon(budget), spent.charges)
        for name, spent in parts.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.epsilon, one.name)))


def _known(parts: Mapping[str | None, Spent]) -> dict[str, Spent]:
    """With what nobody knows the asker of: it counts for everybody."""
    for_all = parts.get(None, Spent.nothing())
    return {name: spent + for_all for name, spent in parts.items() if name is not None}


def _sum(parts: Iterable[Spent]) -> Spent:
    return sum(parts, Spent.nothing())
