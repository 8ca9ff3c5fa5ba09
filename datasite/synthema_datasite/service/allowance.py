"""Reserving: the one place where a Charge is checked against what is left, and recorded."""

from __future__ import annotations

from synthema_core.errors import Refused
from synthema_core.journal import Draft
from synthema_core.ledger import Charge, Opened, Spent, SubLimit
from synthema_core.plan import Plan
from synthema_core.policy import Policy
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.privacy.mechanisms import Mechanism
from synthema_datasite.service.ledger import Look
from synthema_datasite.service.records import BUDGETS, CHARGE, OPEN
from synthema_datasite.service.site import Site


def reserve(site: Site, journal: JournalWriter, charge: Charge) -> float:
    """Charge, before a row is touched; the epsilon of all that these patients were ever charged, this included.

    Call inside the transaction that begins what is charged: nobody else decides meanwhile, and both are on disk, or
    none. The first Charge to a Dataset records the Budget of its patients too: what the Policy says later can lower it,
    and raise it only with a renewal.

    Raises
    ------
    BudgetSpent
        If the patients' Budget (but for a reading), the researcher's limit or the purpose's has no room.
    Refused
        If the Policy gives one patient two Budgets.
    """
    policy, cost = site.state.policy(), Spent.of(charge.mechanism)
    _check_together(site, journal, policy, charge.dataset)
    look = site.ledger.look(journal, policy, charge.dataset, charge.requester, charge.purpose)
    if not charge.reading:
        look.standing.check_room(cost)
    _check_sub_limits(policy, charge.dataset, look, cost)
    if not look.opened:
        body = Opened.of(policy.budget(charge.dataset)).to_dict()
        journal.append(Draft(BUDGETS + charge.dataset, OPEN, site.name, charge.at, body))
    journal.append(Draft(BUDGETS + charge.dataset, CHARGE, site.name, charge.at, charge.to_dict()))
    return (look.standing if charge.reading else look.standing.plus(cost)).cumulative_epsilon


def check_allowance(site: Site, journal: JournalReader, plan: Plan, mechanism: Mechanism | None) -> None:
    """Raise BudgetSpent, under the limit's name, if the Plan would cost its requester or its purpose too much.

    Call inside the transaction that approves.
    """
    if mechanism is not None:
        policy, dataset = site.state.policy(), plan.participant(site.name).dataset
        look = site.ledger.look(journal, policy, dataset, plan.requester, plan.purpose)
        _check_sub_limits(policy, dataset, look, Spent.of(mechanism))


def check_room(site: Site, journal: JournalReader, plan: Plan, mechanism: Mechanism, *, reading: bool = False) -> None:
    """Raise as `reserve` would now; nothing is recorded."""
    policy, dataset, cost = site.state.policy(), plan.participant(site.name).dataset, Spent.of(mechanism)
    _check_together(site, journal, policy, dataset)
    look = site.ledger.look(journal, policy, dataset, plan.requester, plan.purpose)
    _check_sub_limits(policy, dataset, look, cost)
    if not reading:
        look.standing.check_room(cost)


def _check_together(site: Site, journal: JournalReader, policy: Policy, dataset: str) -> None:
    """Datasets with patients in common were recorded as they were taken in; a Policy may have parted them since."""
    if site.ledger.is_split(journal, policy, dataset):
        raise Refused(
            "This site's policy gives some patients two budgets.",
            "Its engineer gives datasets with patients in common the same 'patients'.",
            rule="patients",
        )


def _check_sub_limits(policy: Policy, dataset: str, look: Look, cost: Spent) -> None:
    limits, budget = policy.for_dataset(dataset), look.standing.budget
    SubLimit(SubLimit.RESEARCHER, limits.epsilon_per_researcher).check_room(budget, look.requester, cost)
    SubLimit(SubLimit.PURPOSE, limits.epsilon_per_purpose).check_room(budget, look.purpose, cost)
