"""A model of diffprivlib as a Plan: planned, charged, admitted where a site switches it on, and never vouched for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.builders import NOW, SCHEMA, SITES, card, plan
from support.models import TYPED, model, typed
from synthema_core.admission import DatasetFacts, SiteFacts, admit
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Sums
from synthema_core.auto_approval import why_a_steward
from synthema_core.charging import charge_of, declared_epsilon, mechanism_of
from synthema_core.code.references import redacted
from synthema_core.errors import InvalidInput, InvalidPolicy, Refused
from synthema_core.ledger import Spent
from synthema_core.plan import Mode, Plan
from synthema_core.planning import make_plan
from synthema_core.policy import DatasetPolicy, Policy, parse_policy
from synthema_core.privacy.mechanisms import PureDp
from synthema_core.rehearsal import rehearse
from synthema_core.release import guarantee_of
from synthema_core.staged import is_staged, outputs_of

MODELS = tuple(TYPED)
ALLOWED = DatasetPolicy(min_patients=5, diffprivlib=True, max_numbers_per_patient=50.0)


def asked(name: str = "logistic-regression", **changes: Any) -> Plan:
    """As `%fed run diffprivlib --model ... --epsilon 1` makes it."""
    own = {"model": name, **TYPED[name]}
    return make_plan(
        "diffprivlib",
        own,
        [card(site) for site in SITES],
        requester="rosalind",
        purpose="Who dies early?",
        now=NOW,
        epsilon=changes.pop("epsilon", 1.0),
        **changes,
    )


def facts(made: Plan, limits: DatasetPolicy = ALLOWED) -> SiteFacts:
    own = made.participant("alder")
    dataset = DatasetFacts("trial", 1, SCHEMA, own.commitment, 40)
    return SiteFacts("alder", own.identity, made.engine, {"trial": dataset}, Policy(limits), {})


def refused_by(made: Plan, **changes: Any) -> str:
    with pytest.raises(Refused) as refused:
        admit(made, facts(made, replace(ALLOWED, **changes)))
    return refused.value.rule


@pytest.mark.parametrize("name", MODELS)
def test_the_epsilon_that_is_typed_is_charged_by_name_and_is_no_target_of_ours(name: str) -> None:
    made = asked(name, epsilon=0.7)
    question = from_plan(made.analysis, made.parameters)
    assert (made.mode, made.privacy, made.terms.recovers) == (Mode.EXACT, None, False)
    assert made.parameters["epsilon"] == 0.7
    assert charge_of(made, question) == PureDp(0.7)
    assert declared_epsilon(made, question) == 0.7
    assert mechanism_of(made, question) is None, "the site adds no noise of its own"


def test_what_costs_nothing_is_charged_nothing_and_noise_is_charged_as_it_is() -> None:
    exact, private = plan(), plan("histogram", epsilon=1.0)
    for made in (exact, private):
        question = from_plan(made.analysis, made.parameters)
        assert charge_of(made, question) == mechanism_of(made, question)
    assert declared_epsilon(exact, from_plan(exact.analysis, exact.parameters)) is None
    assert declared_epsilon(private, from_plan(private.analysis, private.parameters)) == 1.0


def test_the_charge_leaves_its_mark_on_a_budget() -> None:
    made = asked(epsilon=1.0)
    charge = charge_of(made, from_plan(made.analysis, made.parameters))
    assert charge is not None
    assert min(Spent.of(charge).rdp) > 0
    assert "no guarantee" in charge.describe()


@pytest.mark.parametrize("changes", [{"delta": 1e-6}, {"insiders": 1}, {"standard_error": 1.0}])
def test_it_takes_an_epsilon_alone(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="takes --epsilon alone"):
        asked(**changes)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_rehearsed_on_mocks_with_the_same_code(name: str) -> None:
    done, rounds = rehearse(asked(name), SCHEMA)
    assert (rounds, done.result["kind"], done.result["sites"]) == (1, "diffprivlib", 3)
    assert [output["name"] for output in done.result["outputs"]] == [o.name for o in model(name).outputs.outputs]


# The Release


@pytest.mark.parametrize("name", MODELS)
def test_what_is_released_is_the_mean_of_the_sites_models(name: str) -> None:
    question = model(name)
    values = {output.name: np.arange(output.length) / 100 for output in question.outputs.outputs}
    result: Any = question.advance(None, Sums({key: 3 * value for key, value in values.items()}, 3)).result
    for output in result["outputs"]:
        assert output["values"] == pytest.approx(values[output["name"]].tolist())
    assert "no guarantee" in result["statement"]
    first = question.outputs.outputs[0].name
    left_out: Any = redacted(result, [first], question.outputs)
    assert set(left_out["outputs"][0]["values"]) == {None}


@pytest.mark.parametrize("exact_before", [True, False])
def test_it_is_released_by_decision_and_never_vouched_for(exact_before: bool) -> None:
    guarantee = guarantee_of(asked(), None, exact_before=exact_before)
    assert (guarantee.kind, guarantee.epsilon, guarantee.delta) == ("released", None, None)
    assert "no formal guarantee" in guarantee.statement
    assert "epsilon" not in guarantee.statement + guarantee.mechanism
    assert "ifferentially private" not in guarantee.statement


def test_it_needs_a_release_decision_and_parts_of_it_can_be_left_out() -> None:
    assert is_staged("diffprivlib") and is_staged("code-aggregate")
    assert not any(map(is_staged, ("cox", "histogram", "code-per-patient", "")))
    assert outputs_of(model("pca")) == model("pca").outputs
    made = plan()
    assert outputs_of(from_plan(made.analysis, made.parameters)) is None


# A site's rules


def test_it_is_off_by_default() -> None:
    assert DatasetPolicy().diffprivlib is False
    assert parse_policy("").for_dataset("trial").diffprivlib is False
    assert refused_by(asked(), diffprivlib=False) == "diffprivlib"
    assert refused_by(asked(), diffprivlib=False, exact=True, code=("aggregate",)) == "diffprivlib"


def test_it_is_admitted_where_it_is_on_whether_or_not_exact_sums_are() -> None:
    for exact in (True, False):
        made = asked()
        assert admit(made, facts(made, replace(ALLOWED, exact=exact))) == model("logistic-regression")


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"epsilon_per_request": 0.9}, "epsilon_per_request"),
        ({"min_patients": 41}, "min_patients"),
        ({"max_numbers_per_patient": 0.01}, "max_numbers_per_patient"),
        ({"analyses": ("histogram",)}, "analyses"),
    ],
)
def test_the_sites_other_limits_hold(limits: dict[str, Any], rule: str) -> None:
    assert refused_by(asked(epsilon=1.0), **limits) == rule


def test_a_plan_with_another_layout_or_range_is_refused() -> None:
    made = asked("standard-scaler")
    assert refused_by(replace(made, layout=asked("pca").layout)) == "layout"
    (first, *others) = made.parameters["columns"]  # type: ignore[misc]
    narrow = {**made.parameters, "columns": [{**first, "half_range": 1.0}, *others]}  # type: ignore[dict-item]
    assert refused_by(replace(made, parameters=narrow)) == "parameters"


def test_no_policy_approves_it_by_itself() -> None:
    with pytest.raises(InvalidPolicy, match="release decision"):
        DatasetPolicy(auto_approve=("diffprivlib",))
    made = asked()
    question = from_plan(made.analysis, made.parameters)
    willing = object.__new__(DatasetPolicy)  # what no policy.toml can say
    for name in DatasetPolicy.__slots__:
        object.__setattr__(willing, name, getattr(ALLOWED, name))
    object.__setattr__(willing, "auto_approve", ("diffprivlib",))
    why = why_a_steward(made, question, willing, known=SITES, exact_before=())
    assert "release decision" in why


def test_typed_and_planned_are_the_same_question() -> None:
    made = asked("pca", epsilon=1.0)
    assert from_plan(made.analysis, made.parameters) == model("pca")
    assert typed("pca")["epsilon"] == "1"
