"""What a private Plan takes from the Budget of this site's patients, and what every Charge took."""

from __future__ import annotations

from dataclasses import dataclass

from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Analysis
from synthema_core.charging import charge_of
from synthema_core.ledger import Budget, Charge, Filter, Spent, Standing
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader
from synthema_core.privacy.mechanisms import Mechanism
from synthema_core.renewal import Renewal
from synthema_datasite.service.ledger import RENEW
from synthema_datasite.service.records import BUDGETS, CHARGE, RENEWALS
from synthema_datasite.service.renewals import groups
from synthema_datasite.service.site import Site


@dataclass(frozen=True, slots=True)
class SubCost:
    """What one researcher, or one purpose, has cost and would cost.

    Parameters
    ----------
    spent, after
        Epsilon without this Plan, and with it.
    limit
        The most that it may come to.
    """

    spent: float
    after: float
    limit: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What one Plan would do to the Budget of the patients it is about.

    Parameters
    ----------
    standing, then
        Where they stand without this Plan's Charge, and with it.
    cost
        The Charge's.
    mechanism
        What is charged: the noise, or what a model of diffprivlib says of its own.
    """

    patients: str
    standing: Standing
    then: Standing
    cost: Spent
    requester: SubCost
    purpose: SubCost
    mechanism: Mechanism

    @property
    def budget(self) -> Budget:
        return self.standing.budget

    @property
    def spent(self) -> float:
        """Epsilon of all Charges since the last renewal."""
        return self.standing.spent_epsilon

    @property
    def after(self) -> float:
        """The same, with this Plan's."""
        return self.then.spent_epsilon

    @property
    def fits(self) -> bool:
        return self.standing.has_room(self.cost)

    @property
    def left(self) -> float:
        """Epsilon, afterwards."""
        return max(0.0, self.budget.epsilon - self.after) if self.fits else 0.0

    @property
    def more(self) -> int:
        """How many more Plans of this cost would fit afterwards."""
        return times(self.then, self.cost) if self.fits else 0


def times(standing: Standing, cost: Spent) -> int:
    """How many Charges of that cost still fit; at most a million."""
    most = 1_000_000
    for limit in standing.filters:
        each, room = cost.at(limit.order), limit.ceiling - standing.spent.at(limit.order)
        if each:
            most = min(most, max(0, int(room / each)))
        if cost.own_delta:
            most = min(most, max(0, int((limit.own_delta - standing.spent.own_delta) / cost.own_delta + 1e-9)))
    return most


def cost_of(site: Site, plan: Plan, analysis: Analysis) -> Cost | None:
    """None for a Plan that costs nothing."""
    mechanism = charge_of(plan, analysis)
    if mechanism is None:
        return None
    dataset, policy, cost = plan.participant(site.name).dataset, site.state.policy(), Spent.of(mechanism)
    look = site.ledger.look(site.journal, policy, dataset, plan.requester, plan.purpose)
    limits, budget = policy.for_dataset(dataset), look.standing.budget

    def within(limit: float, spent: Spent) -> SubCost:
        after = spent + cost
        room = Filter.of(limit, budget).has_room(after)
        return SubCost(spent.epsilon(budget), after.epsilon(budget), limit, room)

    return Cost(
        limits.patients,
        look.standing,
        look.standing.plus(cost),
        cost,
        within(limits.epsilon_per_researcher, look.requester),
        within(limits.epsilon_per_purpose, look.purpose),
        mechanism,
    )


def spent_on(site: Site, journal: JournalReader, plan: Plan) -> float | None:
    """Epsilon of everything that the patients of a Plan were ever charged; None for a Plan that costs nothing."""
    if charge_of(plan, from_plan(plan.analysis, plan.parameters)) is None:
        return None
    policy = site.state.policy()
    patients = policy.patients_of(plan.participant(site.name).dataset)
    return site.ledger.account(journal, policy, patients).standing.cumulative_epsilon


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One Charge, or one Renewal in its place.

    Parameters
    ----------
    alone, so_far
        Epsilon of the Charge by itself, and of all up to it since the first: no renewal sets it back.
    """

    at: str
    so_far: float
    charge: Charge | None = None
    alone: float = 0.0
    renewal: Renewal | None = None


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """Some of what was charged to one group of patients, newest first, and how much of it there is."""

    patients: str
    lines: tuple[LedgerLine, ...]
    count: int


def read_ledger(site: Site, patients: str, first: int, most: int) -> LedgerReading:
    """Up to `most` lines, leaving out the `first` newest."""
    policy = site.state.policy()
    streams = [BUDGETS + dataset for dataset in groups(site, policy).get(patients, ())]
    entries = [entry for stream in (*streams, RENEWALS + patients) for entry in site.journal.entries(stream)]
    kept = sorted((entry for entry in entries if entry.kind in (CHARGE, RENEW)), key=lambda entry: entry.sequence)
    budget = site.ledger.account(site.journal, policy, patients).standing.budget
    costs: dict[Mechanism, Spent] = {}
    total, lines = Spent.nothing(), list[LedgerLine]()
    shown = range(len(kept) - first - most, len(kept) - first)
    for index, entry in enumerate(kept):
        if entry.kind == RENEW:
            if index in shown:
                lines.append(LedgerLine(entry.at, total.epsilon(budget), renewal=Renewal.from_dict(entry.body)))
            continue
        charge = Charge.from_dict(entry.body)
        cost = costs.setdefault(charge.mechanism, Spent.of(charge.mechanism))
        total = total if charge.reading else total + cost
        if index in shown:
            lines.append(LedgerLine(charge.at, total.epsilon(budget), charge, cost.epsilon(budget)))
    return LedgerReading(patients, tuple(reversed(lines)), len(kept))
