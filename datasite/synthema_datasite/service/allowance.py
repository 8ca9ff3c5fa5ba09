"""What one researcher's private answers about a Dataset may cost together, beside what all of them may."""

from __future__ import annotations

from synthema_core.ledger import Charge, check_researcher
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader
from synthema_core.privacy.mechanisms import DiscreteGaussian
from synthema_core.request_record import REQUESTS
from synthema_datasite.service.records import charges
from synthema_datasite.service.site import Site


def charges_of(journal: JournalReader, dataset: str, researcher: str) -> list[Charge]:
    """The Charges for that researcher's Requests. Who asked is in the Plan, under the digest that stewards signed."""
    return [charge for charge in charges(journal, dataset) if _asked_by(journal, charge.request) in (researcher, None)]


def check_allowance(site: Site, journal: JournalReader, plan: Plan, mechanism: DiscreteGaussian | None) -> None:
    """Raise BudgetSpent, under the rule ``epsilon_per_researcher``, if the Plan would cost its requester too much.

    Call inside the transaction that approves or charges.
    """
    if mechanism is None:
        return
    dataset, policy = plan.participant(site.name).dataset, site.state.policy()
    limit = policy.for_dataset(dataset).epsilon_per_researcher
    check_researcher(limit, policy.budget(dataset), charges_of(journal, dataset, plan.requester), mechanism)


def _asked_by(journal: JournalReader, request: str) -> str | None:
    """None if the Journal has no such Request: then the Charge counts for everybody."""
    entries = journal.entries(REQUESTS + request)
    plan = entries[0].body["detail"] if entries else None
    return str(plan["plan"]["requester"]) if isinstance(plan, dict) and isinstance(plan["plan"], dict) else None
