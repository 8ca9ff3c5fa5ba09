"""What a private Plan takes from the Budget of this site's patients, and what is left of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from synthema_core.analyses.base import Analysis
from synthema_core.charging import mechanism_of
from synthema_core.ledger import Budget, Charge, Standing
from synthema_core.plan import Plan
from synthema_core.privacy.mechanisms import DiscreteGaussian
from synthema_datasite.service.records import charges
from synthema_datasite.service.register import Line
from synthema_datasite.service.site import Site


@dataclass(frozen=True, slots=True)
class Cost:
    """All in epsilon at the Budget's delta.

    Parameters
    ----------
    spent, after
        By all Charges so far, and with this Plan's.
    by_requester
        By all Charges for this researcher so far.
    requester_limit
        The most that they may come to.
    mechanism
        The noise that this site adds.
    """

    budget: Budget
    spent: float
    after: float
    by_requester: float
    requester_limit: float
    mechanism: DiscreteGaussian

    @property
    def fits(self) -> bool:
        return self.after <= self.budget.epsilon

    @property
    def left(self) -> float:
        """Afterwards."""
        return max(0.0, self.budget.epsilon - self.after)


def cost_of(site: Site, plan: Plan, analysis: Analysis, lines: Iterable[Line]) -> Cost | None:
    """None for an exact Plan.

    Parameters
    ----------
    lines
        All Requests of this site: they say who asked what was charged.
    """
    mechanism = mechanism_of(plan, analysis)
    if mechanism is None:
        return None
    dataset, policy = plan.participant(site.name).dataset, site.state.policy()
    budget, made = policy.budget(dataset), charges(site.journal, dataset)
    asked_by = {line.id: line.requester for line in lines}
    theirs = [charge for charge in made if asked_by.get(charge.request, plan.requester) == plan.requester]
    return Cost(
        budget,
        spent=_epsilon(budget, _rho(made)),
        after=_epsilon(budget, _rho(made) + mechanism.rho),
        by_requester=_epsilon(budget, _rho(theirs)),
        requester_limit=policy.for_dataset(dataset).epsilon_per_researcher,
        mechanism=mechanism,
    )


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One Charge; `alone` is its own epsilon, `so_far` that of all Charges up to it."""

    charge: Charge
    alone: float
    so_far: float


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """Some of the Charges of one Dataset, newest first, and how many there are."""

    dataset: str
    budget: Budget
    spent: float
    charges: int
    lines: tuple[LedgerLine, ...]


def read_ledger(site: Site, dataset: str, first: int, most: int) -> LedgerReading:
    """Up to `most` Charges, leaving out the `first` newest."""
    budget, made = site.state.policy().budget(dataset), charges(site.journal, dataset)
    totals = list(accumulate(charge.mechanism.rho for charge in made))
    newest = list(zip(made, totals, strict=True))[::-1]
    lines = tuple(
        LedgerLine(charge, _epsilon(budget, charge.mechanism.rho), _epsilon(budget, total))
        for charge, total in newest[first : first + most]
    )
    return LedgerReading(dataset, budget, _epsilon(budget, totals[-1]) if totals else 0.0, len(made), lines)


def _rho(made: Iterable[Charge]) -> float:
    return sum(charge.mechanism.rho for charge in made)


def _epsilon(budget: Budget, rho: float) -> float:
    """Of Charges with that summed rho: the RDP of each is order * rho, so all cost what one with the sum would cost."""
    return Standing(budget).preview(DiscreteGaussian(1.0, math.sqrt(2 * rho))) if rho else 0.0
