"""From a researcher's words and the sites' Cards to a Plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from synthema_core import moments
from synthema_core.analyses import find
from synthema_core.analyses.base import Analysis
from synthema_core.card import Card
from synthema_core.charging import mechanism_of
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound
from synthema_core.plan import SMALLEST_FEDERATION, Mode, OutputPolicy, Participant, Plan, PrivacyTarget
from synthema_core.schemas import Schema

DEFAULT_EPSILON = 1.0
DEFAULT_DELTA = 1e-6
_VALID_DAYS = 30


def select_cards(cards: Iterable[Card], dataset: str, sites: Sequence[str] = ()) -> list[Card]:
    """The newest Card of `dataset` at each named site (all that have it, where none is named)."""
    offered = list(cards)
    newest: dict[str, Card] = {}
    for card in offered:
        if card.dataset == dataset and card.version >= newest.get(card.site, card).version:
            newest[card.site] = card
    if not newest:
        names = sorted({card.dataset for card in offered})
        raise NotFound(
            f"No site offers a dataset '{dataset}'.", f"Offered are {', '.join(names)}." if names else "Ask the sites."
        )
    missing = sorted(set(sites) - newest.keys())
    if missing:
        raise NotFound(f"The site '{missing[0]}' does not offer '{dataset}'.", f"It is at {', '.join(sorted(newest))}.")
    return [newest[site] for site in sorted(sites or newest)]


def _shared(cards: Sequence[Card], what: str, values: Sequence[str]) -> str:
    if len(set(values)) != 1:
        sites = ", ".join(card.site for card in cards)
        raise InvalidPlan(
            f"The sites {sites} do not share one {what}.", "Ask only sites that do, or their engineers to update."
        )
    return values[0]


def _strictest(cards: Sequence[Card], limit: str) -> int:
    values = [value for card in cards if isinstance(value := card.policy.get(limit), int)]
    return max(values, default=0)


def make_plan(
    analysis: str,
    options: Mapping[str, str],
    cards: Sequence[Card],
    *,
    requester: str,
    purpose: str,
    now: datetime,
    epsilon: float | None = None,
    delta: float | None = None,
    supersedes: str = "",
) -> Plan:
    """The Plan of that question to the sites of these Cards, under the strictest of their limits.

    Parameters
    ----------
    options
        As typed: ``{"time": "survival_days", ...}``; see the analysis.
    epsilon, delta
        The cost of a private analysis; refused for an exact one.

    Raises
    ------
    NotFound, InvalidInput, InvalidPlan
        One sentence and a hint.
    """
    kind = find(analysis)
    question = kind.from_options(options, _schema_of(cards))
    return plan_of(
        question,
        cards,
        requester=requester,
        purpose=purpose,
        now=now,
        epsilon=epsilon,
        delta=delta,
        supersedes=supersedes,
    )


def plan_of(
    question: Analysis,
    cards: Sequence[Card],
    *,
    requester: str,
    purpose: str,
    now: datetime,
    epsilon: float | None = None,
    delta: float | None = None,
    supersedes: str = "",
) -> Plan:
    """The Plan that asks this question; else as `make_plan`."""
    schema = _schema_of(cards)
    question.check_against(schema)
    kind = type(question)
    plan = Plan(
        analysis=kind.name,
        parameters=question.parameters(),
        mode=Mode.PRIVATE if kind.private else Mode.EXACT,
        engine=_shared(cards, "engine version", [card.engine for card in cards]),
        schema=schema.digest,
        layout=question.layout,
        participants=tuple(
            Participant(card.site, card.identity, card.dataset, card.version, card.commitment) for card in cards
        ),
        output=OutputPolicy(
            min_patients=max(1, _strictest(cards, "min_patients")),
            min_sites=max(SMALLEST_FEDERATION, _strictest(cards, "min_sites")),
        ),
        requester=requester,
        purpose=purpose,
        created_at=moments.spell(now),
        expires_at=moments.spell(now + timedelta(days=_VALID_DAYS)),
        privacy=_privacy(kind, epsilon, delta),
        supersedes=supersedes,
    )
    mechanism_of(plan, question)  # a cost that no noise can keep is told before stewards are asked
    return plan


def capacity_of(cards: Sequence[Card]) -> int:
    """The most patients that any of these sites may have: what code for each patient must have time for."""
    return max(1, _strictest(cards, "max_patients"))


def _schema_of(cards: Sequence[Card]) -> Schema:
    if len(cards) < SMALLEST_FEDERATION:
        raise InvalidPlan(
            f"A secure sum needs at least {SMALLEST_FEDERATION} sites, and {len(cards)} were chosen.", "Ask more sites."
        )
    _shared(cards, "schema", [card.schema.digest for card in cards])
    return cards[0].schema


def _privacy(kind: type[Analysis], epsilon: float | None, delta: float | None) -> PrivacyTarget | None:
    if kind.private:
        return PrivacyTarget(DEFAULT_EPSILON if epsilon is None else epsilon, DEFAULT_DELTA if delta is None else delta)
    if epsilon is not None or delta is not None:
        raise InvalidInput(f"'{kind.name}' is exact: it has no epsilon.", "Leave --epsilon and --delta out.")
    return None
