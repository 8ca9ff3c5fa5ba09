"""Each rule by which a site refuses a Plan, broken alone: the Plan is refused under that rule's name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from support.builders import ENGINE, KEYS, SCHEMA, SITES, plan
from support.code import QUESTIONS, code_plan
from synthema_core import admission
from synthema_core.admission import DatasetFacts, SiteFacts, admit
from synthema_core.analyses import from_plan
from synthema_core.code.shapes import SHAPES
from synthema_core.cohort import Cohort
from synthema_core.errors import Refused
from synthema_core.identity import public_key
from synthema_core.ledger import Budget
from synthema_core.plan import Mode, OutputPolicy, Plan, PrivacyTarget
from synthema_core.policy import DatasetPolicy, Policy
from synthema_core.schemas import Field, Kind, Schema
from synthema_core.secure_sum.layout import Block, Layout

EXACT_TIMES = Schema(
    name="whole_days",
    patient_id="id",
    fields=(
        Field("id", Kind.IDENTIFIER),
        Field("days", Kind.INTEGER, unit="days", minimum=0, maximum=1000),
        Field("died", Kind.BOOLEAN),
    ),
)


def limits(**changes: Any) -> DatasetPolicy:
    return DatasetPolicy(**{"min_patients": 5, "exact": True, "max_numbers_per_patient": 12.0, **changes})


def dataset(**changes: Any) -> DatasetFacts:
    asked = plan().participant("alder")
    whole = {"name": "trial", "version": 1, "schema": SCHEMA, "commitment": asked.commitment, "patients": 40}
    return DatasetFacts(**{**whole, **changes})


def site(*, policy: DatasetPolicy | None = None, budget: Budget | None = None, **changes: Any) -> SiteFacts:
    """Alder, which has met all three sites before."""
    whole = {
        "site": "alder",
        "identity": public_key(KEYS["alder"]),
        "engine": ENGINE,
        "datasets": {"trial": changes.pop("dataset", dataset())},
        "policy": Policy(policy or limits(), default_budget=budget or Budget(3.0, 1e-6)),
        "known_identities": {name: public_key(KEYS[name]) for name in SITES},
    }
    return SiteFacts(**{**whole, **changes})


def private(**changes: Any) -> Plan:
    return plan("histogram", **changes)


def alone() -> Plan:
    """Asks Alder alone, which adds the noise in full."""
    return private(sites=("alder",), output=OutputPolicy(5, 1), privacy=PrivacyTarget(1.0, 1e-6, insiders=0))


def exact_times() -> tuple[Plan, SiteFacts]:
    """A survival curve at the event times themselves, from a dataset large enough for its many numbers."""
    asked = plan(options={"time": "days", "event": "died", "step": "1"})
    question = from_plan("kaplan-meier", {**asked.parameters, "exact_times": True})
    asked = replace(asked, parameters=question.parameters(), schema=EXACT_TIMES.digest)
    return asked, site(dataset=dataset(schema=EXACT_TIMES, patients=10_000))


def code(shape: str = "per-patient") -> Plan:
    """An evaluation may take a second; there is time for a hundred patients."""
    capacity = {} if shape == "aggregate" else {"capacity": 100}
    return code_plan(QUESTIONS[shape](cpu_seconds=1.0, **capacity))


def code_site(**changes: Any) -> SiteFacts:
    return site(policy=limits(**{"code": SHAPES, "max_patients": 100, **changes}), sandbox="landlock")


def refused_under(asked: Plan, facts: SiteFacts) -> str:
    with pytest.raises(Refused) as refused:
        admit(asked, facts)
    assert str(refused.value)
    return refused.value.rule


@pytest.mark.parametrize("analysis", ["kaplan-meier", "cox", "histogram"])
def test_a_plan_within_all_rules_is_admitted(analysis: str) -> None:
    asked = plan(analysis)
    assert admit(asked, site()) == from_plan(asked.analysis, asked.parameters)


def other_parameters(asked: Plan, **changes: Any) -> Plan:
    return replace(asked, parameters={**asked.parameters, **changes})


BROKEN: dict[str, list[Callable[[], tuple[Plan, SiteFacts]]]] = {
    "participants": [lambda: (plan(sites=("birch", "cedar", "douglas")), site())],
    "identity": [lambda: (plan(), site(identity=public_key(KEYS["douglas"])))],
    "known-identities": [
        lambda: (plan(), site(known_identities={"cedar": public_key(KEYS["douglas"])})),
        lambda: (plan(), site(known_identities={"alder": public_key(KEYS["douglas"])})),
    ],
    "dataset": [lambda: (plan(), site(datasets={})), lambda: (plan(), site(datasets={"other": dataset(name="other")}))],
    "dataset-version": [
        lambda: (plan(), site(dataset=dataset(version=2))),
        lambda: (plan(), site(dataset=dataset(commitment="0" * 64))),
    ],
    "engine": [lambda: (plan(), site(engine="f" * 64))],
    "analyses": [lambda: (plan(), site(policy=limits(analyses=("cox", "histogram"))))],
    "min_patients": [
        lambda: (plan(), site(policy=limits(min_patients=6))),
        lambda: (private(), site(policy=limits(min_patients=6))),
        lambda: (plan(), site(dataset=dataset(patients=4))),
    ],
    "min_sites": [
        lambda: (plan(), site(policy=limits(min_sites=4))),
        lambda: (plan(sites=(*SITES, "douglas")), site(policy=limits(min_sites=4))),  # four now, but three would do
    ],
    "insiders": [lambda: (private(), site(policy=limits(insiders=2)))],
    "local": [lambda: (alone(), site()), lambda: (alone(), site(policy=limits(min_sites=5)))],
    "diffprivlib": [lambda: (replace(plan(), analysis="diffprivlib"), site())],
    "cohort": [
        lambda: (replace(code(), cohort=Cohort("age >= 60")), code_site()),
    ],
    "schema": [lambda: (plan(), site(dataset=dataset(schema=EXACT_TIMES)))],
    "parameters": [
        lambda: (other_parameters(plan(), confidence=2.0), site()),
        lambda: (other_parameters(plan(), more=1), site()),
        lambda: (other_parameters(private(), column={**private().parameters["column"], "label": "Other"}), site()),  # type: ignore[dict-item]
        lambda: (replace(plan(), analysis="mean"), site()),
    ],
    "mode": [
        lambda: (replace(private(), mode=Mode.EXACT, privacy=None), site()),
        lambda: (replace(plan(), mode=Mode.PRIVATE, privacy=PrivacyTarget(1.0, 1e-6)), site()),
    ],
    "layout": [
        lambda: (replace(private(), layout=Layout((Block("cells", 2, 10.0),))), site()),
        lambda: (replace(plan(), layout=Layout((Block("cells", 2, 10.0),))), site()),
    ],
    "exact": [lambda: (plan(), site(policy=limits(exact=False)))],
    "exact_times": [
        exact_times,
        lambda: (exact_times()[0], replace(exact_times()[1], policy=Policy(limits(min_time_step=0.0)))),
    ],
    "min_time_step": [lambda: (plan(), site(policy=limits(min_time_step=100.5)))],
    "max_numbers_per_patient": [lambda: (plan(), site(policy=limits(max_numbers_per_patient=0.5)))],
    "epsilon_per_request": [lambda: (private(epsilon=1.01), site())],
    "delta": [lambda: (private(privacy=PrivacyTarget(1.0, 2e-6)), site())],
    "noise": [lambda: (private(privacy=PrivacyTarget(1e-3, 1e-6)), site())],
    "requesters": [
        lambda: (plan(), site(policy=limits(requesters=("otto",)))),
        lambda: (private(), site(policy=limits(requesters=("otto", "rosalin", "rosalind2")))),
    ],
    "code": [
        lambda: (code(), code_site(code=())),
        lambda: (code(), code_site(code=("per-block", "aggregate"))),
        lambda: (code("aggregate"), code_site(code=("per-patient", "per-block"))),
    ],
    "sandbox": [lambda shape=shape: (code(shape), replace(code_site(), sandbox="")) for shape in SHAPES],
    "code_cpu_seconds": [lambda: (code(), code_site(code_cpu_seconds=0.99))],
    "max_patients": [
        lambda: (code(), replace(code_site(), datasets={"trial": dataset(patients=101)})),
        lambda: (code("aggregate"), replace(code_site(), datasets={"trial": dataset(patients=101)})),
    ],
    "capacity": [lambda: (code(), code_site(max_patients=101))],
}


@pytest.mark.parametrize(("rule", "broken"), [(rule, broken) for rule, cases in BROKEN.items() for broken in cases])
def test_a_plan_that_breaks_a_rule_is_refused_under_its_name(
    rule: str, broken: Callable[[], tuple[Plan, SiteFacts]]
) -> None:
    asked, facts = broken()
    assert refused_under(asked, facts) == rule


def test_every_rule_is_broken_above() -> None:
    assert set(re.findall(r'rule="([^"]+)"', inspect.getsource(admission))) == set(BROKEN)


# The edges


def test_limits_are_met_exactly() -> None:
    """What a Card shows as allowed is allowed."""
    cells = plan().layout.length
    admit(plan(), site(dataset=dataset(patients=5)))
    admit(plan(), site(policy=limits(min_time_step=100.0)))
    admit(plan(), site(policy=limits(max_numbers_per_patient=cells / 40)))
    admit(plan(output=OutputPolicy(9, 3)), site(policy=limits(min_patients=9)))
    admit(plan(sites=(*SITES, "douglas"), output=OutputPolicy(5, 4)), site(policy=limits(min_sites=4)))
    admit(private(epsilon=0.5), site(policy=limits(epsilon_per_request=0.5)))
    admit(private(privacy=PrivacyTarget(1.0, 1e-7)), site(budget=Budget(3.0, 1e-7)))


def test_how_many_insiders_a_site_wants_is_met_exactly() -> None:
    admit(private(), site(policy=limits(insiders=1)))
    admit(private(privacy=PrivacyTarget(1.0, 1e-6, insiders=0)), site(policy=limits(insiders=0)))
    assert refused_under(private(privacy=PrivacyTarget(1.0, 1e-6, insiders=0)), site()) == "insiders"
    admit(plan(), site(policy=limits(insiders=9)))  # an exact Plan has no noise to know


def test_one_site_alone_needs_no_other_where_its_policy_allows_that() -> None:
    """Neither other sites nor insiders: its own noise hides its patients."""
    admit(alone(), site(policy=limits(local=True, min_sites=5, insiders=3)))


def test_the_numbers_of_all_rounds_count() -> None:
    """Cox asks again and again: each iterate's sums are numbers about the same patients."""
    question = from_plan("cox", plan("cox").parameters)
    numbers = question.layout.length * question.max_rounds
    assert question.max_rounds > 1
    admit(plan("cox"), site(policy=limits(max_numbers_per_patient=numbers / 40)))
    assert refused_under(plan("cox"), site(policy=limits(max_numbers_per_patient=(numbers - 1) / 40))) == (
        "max_numbers_per_patient"
    )


def test_exact_times_need_a_steward_who_allows_them() -> None:
    asked, facts = exact_times()
    admit(asked, replace(facts, policy=Policy(limits(exact_times=True))))


def test_no_private_plan_is_refused_because_of_rows() -> None:
    """Whether a site has few patients is itself private."""
    for patients in (0, 1, 10_000_000):
        admit(private(), site(dataset=dataset(patients=patients), policy=limits(exact=False, min_patients=5)))


def test_the_datasets_own_limits_count() -> None:
    strict, lax = limits(exact=False), limits()
    assert refused_under(plan(), replace(site(), policy=Policy(lax, {"trial": strict}))) == "exact"
    admit(plan(), replace(site(), policy=Policy(strict, {"trial": lax})))


def test_a_site_first_met_in_this_plan_is_taken_at_its_word() -> None:
    admit(plan(), site(known_identities={}))


@pytest.mark.parametrize("shape", SHAPES)
def test_code_within_all_rules_is_admitted(shape: str) -> None:
    """Also where built-in exact analyses are forbidden: code has a rule of its own."""
    asked = code(shape)
    assert admit(asked, code_site(exact=False)) == from_plan(asked.analysis, asked.parameters)
    admit(asked, code_site(code=(shape,), code_cpu_seconds=1.0))


def test_code_of_blocks_or_of_all_rows_needs_no_time_for_each_patient() -> None:
    for shape in ("per-block", "aggregate"):
        admit(code(shape), code_site(max_patients=1_000_000))


def test_who_may_ask_is_named_exactly() -> None:
    admit(plan(), site(policy=limits(requesters=("otto", "rosalind"))))
    admit(plan(), site(policy=limits(requesters=())))


@pytest.mark.parametrize("shape", ["per-patient", "per-block"])
def test_no_code_with_a_guarantee_is_refused_because_of_rows(shape: str) -> None:
    """Within what the site has promised: a broken promise is refused whatever is asked."""
    for patients in (0, 1, 4, 100):
        admit(code(shape), replace(code_site(), datasets={"trial": dataset(patients=patients)}))


@pytest.mark.parametrize("patients", [1, 4])
def test_a_refusal_never_tells_how_many_patients_there_are(patients: int) -> None:
    facts = site(dataset=dataset(patients=patients), policy=limits(max_numbers_per_patient=0.0, min_patients=3))
    for asked in (plan(), plan("cox")):
        with pytest.raises(Refused) as refused:
            admit(asked, facts)
        assert str(patients) not in str(refused.value)
