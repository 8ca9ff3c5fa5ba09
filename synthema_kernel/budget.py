"""The sites' Budgets as a researcher plans with them: where they stand, and what one more question would leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from synthema_core.errors import SynthemaError, Unavailable
from synthema_core.ledger import Spent, folded_purpose
from synthema_core.public_budget import Outlook, PublicBudget

if TYPE_CHECKING:
    from synthema_core.card import Card
    from synthema_core.plan import Plan


@dataclass(frozen=True, slots=True)
class Mine:
    """One Request of the researcher's that a site has charged."""

    request: str
    name: str
    purpose: str
    at: str
    epsilon: float
    share: float


@dataclass(frozen=True, slots=True)
class SiteBudget:
    """One group of patients at one site, as the hub shows it to one researcher.

    Parameters
    ----------
    told
        The researcher's own part of `requests`, `requesters` and `purposes`; everything else whole.
    others_share, others_requests
        Of the Budget, what all others' Requests have taken, and how many they were.
    """

    site: str
    told: PublicBudget
    mine: tuple[Mine, ...]
    others_share: float
    others_requests: int

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            mine = tuple(Mine(**line) for line in data["mine"])
            others = data["others"]
            told = PublicBudget.from_dict(data)
            return cls(str(data["site"]), told, mine, float(others["share"]), int(others["requests"]))
        except (KeyError, TypeError, ValueError, SynthemaError):
            raise Unavailable("The federation service told a budget that cannot be read.") from None

    @property
    def my_share(self) -> float:
        return sum(line.share for line in self.mine)


@dataclass(frozen=True, slots=True)
class SiteOutlook:
    """What a planned question would leave at one site; `outlook` is None where the site has told nothing yet."""

    site: str
    before: SiteBudget | None
    outlook: Outlook | None

    @property
    def refused(self) -> bool:
        return self.outlook is not None and self.outlook.rule != ""


def outlooks(plan: Plan, budgets: Sequence[SiteBudget], cards: Sequence[Card]) -> list[SiteOutlook]:
    """What the Plan would leave at each of its sites; empty for one that costs nothing.

    The cost is the Plan's own mechanism and the standing is the site's own vector: the site computes the same.
    """
    from synthema_core.analyses import from_plan
    from synthema_core.charging import charge_of, declared_epsilon

    question = from_plan(plan.analysis, plan.parameters)
    mechanism, declared = charge_of(plan, question), declared_epsilon(plan, question)
    if mechanism is None or declared is None:
        return []
    cost, limits = Spent.of(mechanism), {card.site: card.policy for card in cards}
    found = []
    for participant in plan.participants:
        before = budget_of(budgets, participant.site, participant.dataset)
        outlook = before.told.outlook(cost, plan.requester, folded_purpose(plan.purpose)) if before else None
        if before and outlook:
            outlook = _with_limits(plan, declared, before, outlook, limits.get(participant.site, {}))
        found.append(SiteOutlook(participant.site, before, outlook))
    return found


def budget_of(budgets: Sequence[SiteBudget], site: str, dataset: str) -> SiteBudget | None:
    return next((one for one in budgets if one.site == site and dataset in one.told.datasets), None)


def _with_limits(
    plan: Plan, declared: float, before: SiteBudget, outlook: Outlook, limits: Mapping[str, Any]
) -> Outlook:
    """A site's limits for one request come before its Budget."""
    most = limits.get("epsilon_per_request")
    rule = outlook.rule
    if isinstance(most, int | float) and declared > most:
        rule = "epsilon_per_request"
    if plan.privacy is not None and plan.privacy.delta > before.told.budget.delta:
        rule = "delta"
    return Outlook(outlook.after, outlook.left, outlook.share, rule)


def outlook_of(budgets: Sequence[SiteBudget], researcher: str, epsilon: float, delta: float) -> list[SiteOutlook]:
    """What one more request of that cost, about any of these patients, would leave, by Gaussian noise."""
    from synthema_core.privacy.calibration import calibrate

    cost = Spent.of(calibrate(epsilon, delta, 1.0))
    return [SiteOutlook(one.site, one, one.told.outlook(cost, researcher, "")) for one in budgets]
