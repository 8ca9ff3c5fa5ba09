"""From a researcher's words and the sites' Cards to a Plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from synthema_core import moments
from synthema_core.analyses import find
from synthema_core.analyses.base import Analysis, other_form
from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB
from synthema_core.card import Card
from synthema_core.charging import epsilon_for_standard_error, mechanism_of
from synthema_core.cohort import EVERYONE, Cohort
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound
from synthema_core.plan import Mode, OutputPolicy, Participant, Plan, PrivacyTarget
from synthema_core.schemas import Schema
from synthema_core.secure_sum.terms import SMALLEST_FEDERATION

DEFAULT_EPSILON = 1.0
DEFAULT_DELTA = 1e-6
DEFAULT_INSIDERS = 1
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
    insiders: int | None = None,
    standard_error: float | None = None,
    supersedes: str = "",
    exact: bool = False,
    where: str = "",
    derive: Sequence[str] = (),
) -> Plan:
    """The Plan of that question to the sites of these Cards, under the strictest of their limits.

    Parameters
    ----------
    options
        As typed: ``{"time": "survival_days", ...}``; see the analysis.
    epsilon, delta
        The cost of a private analysis. Of one that has an exact and a private form, a cost asks for the private one.
    insiders
        So many sites may know or leave out their own noise (see `PrivacyTarget`).
    standard_error
        Instead of `epsilon`: the least is found for which the noise on a released number has this deviation, in its
        own unit, with all sites there.
    exact
        Asks for the exact form of an analysis whose usual form is private.
    where, derive
        Who is asked about, and columns derived from others, as ``name = expression`` (see `cohort`).

    Raises
    ------
    NotFound, InvalidInput, InvalidPlan
        One sentence and a hint.
    """
    kind = form_of(analysis, exact=exact, costs=epsilon is not None or standard_error is not None)
    if analysis == DIFFPRIVLIB and epsilon is not None:  # a part of its question: our noise has no part in it
        options, epsilon = {**options, "epsilon": repr(epsilon)}, None
    schema = _schema_of(cards)
    cohort = Cohort.read(where, derive, schema)
    question = kind.from_options(options, cohort.schema(schema))
    return plan_of(
        question,
        cards,
        cohort=cohort,
        requester=requester,
        purpose=purpose,
        now=now,
        epsilon=epsilon,
        delta=delta,
        insiders=insiders,
        standard_error=standard_error,
        supersedes=supersedes,
    )


def form_of(analysis: str, *, exact: bool, costs: bool) -> type[Analysis]:
    """The analysis of that name; or its other form, where the question says so.

    Raises
    ------
    NotFound, InvalidInput
        If there is no such analysis, or it has no such form.
    """
    kind = find(analysis)
    if exact and costs:
        raise InvalidInput("An exact answer has no epsilon.", "Leave --exact or the cost out.")
    if exact and kind.private:
        other = other_form(kind)
        if not other:
            raise InvalidInput(f"'{analysis}' has no exact form.", "Leave --exact out.")
        return find(other)
    other = other_form(kind) if costs and not kind.private else ""
    return find(other) if other else kind


def plan_of(
    question: Analysis,
    cards: Sequence[Card],
    *,
    cohort: Cohort = EVERYONE,
    requester: str,
    purpose: str,
    now: datetime,
    epsilon: float | None = None,
    delta: float | None = None,
    insiders: int | None = None,
    standard_error: float | None = None,
    supersedes: str = "",
) -> Plan:
    """The Plan that asks this question; else as `make_plan`."""
    schema = _schema_of(cards)
    question.check_against(cohort.schema(schema))
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
        output=OutputPolicy(max(1, _strictest(cards, "min_patients")), _min_sites(kind, cards)),
        requester=requester,
        purpose=purpose,
        created_at=moments.spell(now),
        expires_at=moments.spell(now + timedelta(days=_VALID_DAYS)),
        privacy=_privacy(kind, epsilon, delta, insiders, standard_error, cards),
        supersedes=supersedes,
        cohort=cohort,
    )
    if plan.privacy is not None and standard_error is not None:
        found = epsilon_for_standard_error(plan, plan.privacy.delta, question, standard_error)
        plan = replace(plan, privacy=replace(plan.privacy, epsilon=found))
    mechanism_of(plan, question)  # a cost that no noise can keep is told before stewards are asked
    return plan


def capacity_of(cards: Sequence[Card]) -> int:
    """The most patients that any of these sites may have: what code for each patient must have time for."""
    return max(1, _strictest(cards, "max_patients"))


def _schema_of(cards: Sequence[Card]) -> Schema:
    _shared(cards, "schema", [card.schema.digest for card in cards])
    return cards[0].schema


def _min_sites(kind: type[Analysis], cards: Sequence[Card]) -> int:
    """A site that is asked alone needs no others to hide among: what it gives carries all its noise."""
    if len(cards) == 1 and kind.private:
        return 1
    if len(cards) < SMALLEST_FEDERATION:
        alone = ", or one alone" if kind.private else ""
        raise InvalidPlan(
            f"A secure sum needs at least {SMALLEST_FEDERATION} sites, and {len(cards)} were chosen.",
            f"Ask more sites{alone}.",
        )
    return max(SMALLEST_FEDERATION, _strictest(cards, "min_sites"))


def _privacy(
    kind: type[Analysis],
    epsilon: float | None,
    delta: float | None,
    insiders: int | None,
    standard_error: float | None,
    cards: Sequence[Card],
) -> PrivacyTarget | None:
    """The target as it was typed, completed; where a standard error was, its epsilon is still to be found."""
    if not kind.private:
        if any(part is not None for part in (epsilon, delta, insiders, standard_error)):
            if kind.name == DIFFPRIVLIB:
                hint = "Leave --delta, --insiders and --standard-error out."
                raise InvalidInput(f"'{kind.name}' takes --epsilon alone: its noise is its own.", hint)
            hint = "Leave --epsilon, --delta, --insiders and --standard-error out."
            raise InvalidInput(f"'{kind.name}' is exact: it has no epsilon.", hint)
        return None
    if epsilon is not None and standard_error is not None:
        raise InvalidInput("--epsilon and --standard-error both say how much noise there is.", "Give one of them.")
    usual_insiders = max(DEFAULT_INSIDERS, _strictest(cards, "insiders")) if len(cards) > 1 else 0
    return PrivacyTarget(
        DEFAULT_EPSILON if epsilon is None else epsilon,
        DEFAULT_DELTA if delta is None else delta,
        usual_insiders if insiders is None else insiders,
    )
