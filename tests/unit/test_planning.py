"""From a researcher's words and the sites' Cards to a Plan under the strictest limits, or one sentence why not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.builders import NOW, SCHEMA, SITES, card
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Done, Sums
from synthema_core.card import Card
from synthema_core.charging import mechanism_of
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, SynthemaError
from synthema_core.plan import Mode, Plan, PrivacyTarget
from synthema_core.planning import form_of, make_plan, select_cards
from synthema_core.rehearsal import rehearse
from synthema_core.schemas import Schema

OPTIONS = {
    "kaplan-meier": {"time": "days", "event": "died", "step": "100"},
    "cox": {"time": "days", "event": "died", "covariates": "age"},
    "histogram": {"column": "arm"},
    "mean": {"column": "age"},
}


def make(analysis: str = "kaplan-meier", cards: list[Card] | None = None, **changes: Any) -> Plan:
    asked = {"requester": "rosalind", "purpose": "Does arm B live longer?", "now": NOW, **changes}
    return make_plan(analysis, OPTIONS[analysis], cards or [card(site) for site in SITES], **asked)


# Cards


def offered() -> list[Card]:
    """Two datasets; birch has two versions of one, the older announced last."""
    return [
        card("birch", version=2),
        card("alder"),
        card("alder", dataset="other"),
        card("cedar"),
        card("birch", version=1),
    ]


def chosen(*arguments: Any) -> list[tuple[str, str, int]]:
    return [(card.site, card.dataset, card.version) for card in select_cards(offered(), *arguments)]


def test_all_sites_that_have_the_dataset_are_asked_about_its_newest_version() -> None:
    assert chosen("trial") == [("alder", "trial", 1), ("birch", "trial", 2), ("cedar", "trial", 1)]
    assert chosen("other") == [("alder", "other", 1)]


def test_named_sites_are_asked_and_no_others() -> None:
    assert chosen("trial", ["cedar", "birch"]) == [("birch", "trial", 2), ("cedar", "trial", 1)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bmt",), r"No site offers a dataset 'bmt'\. Offered are other, trial\."),
        (("other", ["alder", "birch"]), r"The site 'birch' does not offer 'other'\. It is at alder\."),
        (("trial", ["zelkova"]), r"The site 'zelkova' does not offer 'trial'\. It is at alder, birch, cedar\."),
    ],
)
def test_what_is_not_offered_is_told_with_what_is(arguments: Any, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        chosen(*arguments)


def test_without_any_card_nobody_is_blamed() -> None:
    with pytest.raises(NotFound, match="Ask the sites"):
        select_cards([], "trial")


# Plans


@pytest.mark.parametrize("analysis", OPTIONS)
def test_a_plan_can_be_rehearsed_on_mocks(analysis: str) -> None:
    done, rounds = rehearse(make(analysis), SCHEMA)
    assert done.result["kind"] == analysis
    assert rounds >= 1


def test_a_plan_carries_what_the_cards_say() -> None:
    made = make(supersedes="a" * 64)
    assert [(p.site, p.identity, p.dataset, p.version, p.commitment) for p in made.participants] == [
        (c.site, c.identity, c.dataset, c.version, c.commitment) for c in map(card, SITES)
    ]
    assert (made.schema, made.engine, made.supersedes) == (SCHEMA.digest, card("alder").engine, "a" * 64)
    assert (made.requester, made.created_at, made.expires_at) == (
        "rosalind", "2026-03-02T09:00:00.000Z", "2026-04-01T09:00:00.000Z",
    )  # fmt: skip


def test_the_strictest_limits_of_all_sites_count() -> None:
    policies = {"alder": {"min_patients": 20}, "birch": {"min_sites": 4}, "cedar": {"min_patients": 7}, "douglas": {}}
    made = make(cards=[card(site, policy=policy) for site, policy in policies.items()])
    assert (made.output.min_patients, made.output.min_sites) == (20, 4)


def test_a_card_without_limits_makes_no_plan_below_the_least() -> None:
    unlimited = {"min_patients": None, "min_sites": None}
    made = make(cards=[card(site, policy=unlimited) for site in SITES])
    assert (made.output.min_patients, made.output.min_sites) == (1, 3)


OTHER_SCHEMA = Schema.from_dict({**SCHEMA.to_dict(), "title": "Another"})


@pytest.mark.parametrize(
    ("cards", "says"),
    [
        ([card(site) for site in SITES[:2]], "at least 3 sites, and 2 were chosen"),
        ([card("alder"), card("birch"), card("cedar", schema=OTHER_SCHEMA)], "do not share one schema"),
        ([card("alder"), card("birch"), card("cedar", engine="f" * 64)], "do not share one engine version"),
        ([card(site, policy={"min_sites": 4}) for site in SITES], "sums must be over at least 4"),
        ([card("alder"), card("birch"), card("birch")], "each site and each identity key once"),
        ([card("alder"), card("birch"), replace(card("cedar"), identity=card("birch").identity)], "identity key once"),
    ],
)
def test_sites_that_cannot_be_summed_make_no_plan(cards: list[Card], says: str) -> None:
    with pytest.raises(InvalidPlan, match=says):
        make(cards=cards)


@pytest.mark.parametrize("cost", [{"delta": 1e-6}, {"insiders": 1}, {"insiders": 0}], ids=str)
@pytest.mark.parametrize("analysis", ["kaplan-meier", "cox"])
def test_an_exact_analysis_has_no_privacy_cost(analysis: str, cost: dict[str, float]) -> None:
    assert (make(analysis).mode, make(analysis).privacy) == (Mode.EXACT, None)
    with pytest.raises(InvalidInput, match="it has no epsilon"):
        make(analysis, **cost)


@pytest.mark.parametrize("cost", [{"epsilon": 1.0}, {"standard_error": 5.0}], ids=str)
def test_a_cost_chooses_the_private_form(cost: dict[str, float]) -> None:
    plan = make("kaplan-meier", **cost)
    assert (plan.analysis, plan.mode) == ("kaplan-meier-private", Mode.PRIVATE)


def test_a_private_analysis_costs_what_was_said_or_the_usual() -> None:
    assert (make("histogram").mode, make("histogram").privacy) == (Mode.PRIVATE, PrivacyTarget(1.0, 1e-6))
    assert make("histogram", epsilon=0.5).privacy == PrivacyTarget(0.5, 1e-6)
    assert make("histogram", delta=1e-8).privacy == PrivacyTarget(1.0, 1e-8)


@pytest.mark.parametrize(
    "cost",
    [{"epsilon": 0.0}, {"epsilon": -1.0}, {"epsilon": 101.0}, {"delta": 0.0}, {"delta": 0.01}, {"epsilon": 0.001}],
    ids=str,
)
def test_a_cost_that_cannot_be_kept_is_told_at_once(cost: dict[str, float]) -> None:
    """Not taken for the usual one, and not found out by the stewards."""
    with pytest.raises(InvalidPlan) as told:
        make("histogram", **cost)
    assert told.value.hint


MANY = [replace(card("alder"), site=f"site-{number:02}", identity=f"{number:064x}") for number in range(12)]


@pytest.mark.parametrize(("sites", "insiders"), [(1, 0), (3, 1), (4, 1), (10, 1)])
def test_one_insider_is_allowed_for_where_there_can_be_one(sites: int, insiders: int) -> None:
    made = make("histogram", cards=MANY[:sites])
    assert made.privacy == PrivacyTarget(1.0, 1e-6, insiders)
    assert made.terms.contributors == made.terms.least - insiders


def test_as_many_are_allowed_for_as_the_strictest_card_wants() -> None:
    wanted = {"insiders": 2}
    cards = [replace(card, policy={**card.policy, **wanted}) if card == MANY[3] else card for card in MANY[:10]]
    assert make("histogram", cards=cards).privacy == PrivacyTarget(1.0, 1e-6, 2)
    assert make("histogram", cards=cards, insiders=0).privacy == PrivacyTarget(1.0, 1e-6, 0), "as was said"


def test_more_insiders_are_counted_on_less_noise_so_that_there_is_more() -> None:
    deviations = []
    for insiders in range(4):
        made = make("histogram", cards=MANY[:10], insiders=insiders)
        assert made.privacy == PrivacyTarget(1.0, 1e-6, insiders)
        mechanism = mechanism_of(made, from_plan(made.analysis, made.parameters))
        assert mechanism is not None
        assert mechanism.contributors == 7 - insiders
        deviations.append(mechanism.site_deviation)
    assert deviations == sorted(deviations)
    assert deviations[3] == pytest.approx(deviations[0] * math.sqrt(7 / 4))


@pytest.mark.parametrize(("sites", "insiders"), [(1, 1), (3, 2), (4, 2), (10, 4), (10, -1)])
def test_more_insiders_than_the_sites_bear_are_refused(sites: int, insiders: int) -> None:
    with pytest.raises(InvalidPlan, match="insider"):
        make("histogram", cards=MANY[:sites], insiders=insiders)


@pytest.mark.parametrize("sites", [1, 3, 4, 10])
@pytest.mark.parametrize("standard_error", [1.5, 5.0, 6.37, 80.0])
def test_a_standard_error_finds_the_least_epsilon(sites: int, standard_error: float) -> None:
    """Of what is released: a count, with the noise of all sites."""
    made = make("histogram", cards=MANY[:sites], standard_error=standard_error, delta=1e-7)
    assert made.privacy is not None
    assert (made.privacy.delta, made.privacy.insiders) == (1e-7, 0 if sites == 1 else 1)

    def released(epsilon: float) -> float:
        asked = make("histogram", cards=MANY[:sites], epsilon=epsilon, delta=1e-7)
        mechanism = mechanism_of(asked, from_plan(asked.analysis, asked.parameters))
        assert mechanism is not None
        counts = Sums({"cells": np.zeros(2)}, sites, mechanism.sum_variance(sites))
        done = from_plan(asked.analysis, asked.parameters).advance(None, counts)
        assert isinstance(done, Done)
        return float(done.result["noise_standard_deviation"])  # type: ignore[arg-type]

    assert released(made.privacy.epsilon) <= standard_error < released(0.98 * made.privacy.epsilon)
    assert released(made.privacy.epsilon) > 0.97 * standard_error


@pytest.mark.parametrize(
    ("analysis", "cost", "error", "says"),
    [
        ("histogram", {"epsilon": 1.0, "standard_error": 5.0}, InvalidInput, "both say how much noise"),
        ("histogram", {"standard_error": 0.0}, InvalidInput, "a number above 0"),
        ("histogram", {"standard_error": math.inf}, InvalidInput, "a number above 0"),
        ("histogram", {"standard_error": math.nan}, InvalidInput, "a number above 0"),
        ("histogram", {"standard_error": 0.01}, InvalidPlan, "more than a Plan may"),
        ("mean", {"standard_error": 1.0}, InvalidInput, "depends on what comes out"),
    ],
    ids=str,
)
def test_a_standard_error_that_cannot_be_had_is_told(
    analysis: str, cost: dict[str, float], error: type[SynthemaError], says: str
) -> None:
    with pytest.raises(error, match=says) as told:
        make(analysis, **cost)
    assert told.value.hint


@pytest.mark.parametrize(
    ("analysis", "options", "error"),
    [
        ("median", {}, NotFound),
        ("kaplan-meier", {"time": "day", "event": "died"}, NotFound),
        ("kaplan-meier", {"time": "days"}, InvalidInput),
        ("kaplan-meier", {"time": "days", "event": "died", "colour": "red"}, InvalidInput),
        ("cox", {"time": "days", "event": "died", "covariates": "id"}, InvalidInput),
    ],
)
def test_a_question_that_cannot_be_asked_is_one_sentence(
    analysis: str, options: dict[str, str], error: type[SynthemaError]
) -> None:
    with pytest.raises(error) as told:
        make_plan(analysis, options, [card(site) for site in SITES], requester="rosalind", purpose="To learn", now=NOW)
    assert told.value.hint


# Forms


def test_an_exact_form_is_asked_for_by_name() -> None:
    assert form_of("histogram", exact=False, costs=True).name == "histogram"
    assert form_of("kaplan-meier", exact=True, costs=False).name == "kaplan-meier"
    with pytest.raises(InvalidInput, match="'mean' has no exact form"):
        form_of("mean", exact=True, costs=False)
    with pytest.raises(InvalidInput, match="An exact answer has no epsilon"):
        form_of("histogram", exact=True, costs=True)
