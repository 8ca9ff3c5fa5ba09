"""policy.toml: what is not understood is refused, and what is not said is the safe default."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any

import pytest

from synthema_core.errors import InvalidPolicy
from synthema_core.ledger import Budget
from synthema_core.policy import DatasetPolicy, Policy, default_policy_toml, parse_policy
from synthema_core.policy_explained import explain_policy

EVERY_LIMIT: dict[str, Any] = {
    "min_patients": 20,
    "min_sites": 5,
    "exact": True,
    "exact_times": True,
    "min_time_step": 90.5,
    "max_numbers_per_patient": 3.5,
    "analyses": ("cox", "histogram"),
    "epsilon_per_request": 0.25,
    "approval_days": 7.0,
    "requesters": ("rosalind", "otto"),
    "stewards": 2,
    "epsilon_per_researcher": 0.75,
    "auto_approve": ("histogram",),
    "auto_epsilon": 0.5,
    "code": ("per-patient", "aggregate"),
    "max_patients": 250,
    "code_cpu_seconds": 2.5,
}


def toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def table(limits: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {toml(value)}" for name, value in limits.items())


def test_every_limit_is_tried_here() -> None:
    assert set(EVERY_LIMIT) == {field.name for field in fields(DatasetPolicy)}
    assert all(getattr(DatasetPolicy(), name) != value for name, value in EVERY_LIMIT.items())


def test_a_new_datasite_says_its_defaults_in_full() -> None:
    """And they are those of a site that says nothing."""
    assert parse_policy(default_policy_toml()) == parse_policy("") == Policy()
    said = tomllib.loads(default_policy_toml())["defaults"]
    assert set(said) == {*EVERY_LIMIT, "budget"}
    assert not Policy().defaults.exact


@pytest.mark.parametrize("name", EVERY_LIMIT)
def test_a_dataset_inherits_what_it_does_not_say(name: str) -> None:
    own = {name: getattr(DatasetPolicy(), name)}
    policy = parse_policy(f"[defaults]\n{table(EVERY_LIMIT)}\n[datasets.bmt]\n{table(own)}")
    assert policy.for_dataset("other") == policy.defaults == DatasetPolicy(**EVERY_LIMIT)
    assert policy.for_dataset("bmt") == DatasetPolicy(**{**EVERY_LIMIT, **own})


def test_budgets_are_a_datasets_own_or_the_default() -> None:
    policy = parse_policy(
        """
        [defaults.budget]
        epsilon = 2
        delta = 1e-8
        [datasets.bmt.budget]
        epsilon = 5.5
        delta = 1e-5
        [datasets.scd.budget]
        epsilon = 1
        [datasets.aml]
        exact = true
        """
    )
    assert policy.budget("bmt") == Budget(5.5, 1e-5)
    assert policy.budget("scd") == Budget(1.0, 1e-8), "a delta that is not said is the default's, not a laxer one"
    assert policy.budget("aml") == policy.budget("never named") == Budget(2.0, 1e-8)
    assert parse_policy("").budget("any") == Budget(3.0, 1e-6)


def test_a_dataset_of_any_name_leaves_the_defaults_alone() -> None:
    policy = parse_policy("[defaults]\nmin_patients = 50\n[datasets.defaults]\nexact = true\nbudget = {epsilon = 90}")
    assert policy.for_dataset("other") == DatasetPolicy(min_patients=50)
    assert policy.for_dataset("defaults") == DatasetPolicy(min_patients=50, exact=True)
    assert policy.budget("other") == Budget(3.0, 1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "min_patients: 5",
        "[defaults",
        "[defaults]\nexact = true\nexact = false",
        "min_patients = 5",
        "[limits]",
        "[defaults]\nmin_patient = 50",
        "[datasets.bmt]\nexakt = true",
        "[datasets.bmt.budgets]\nepsilon = 1",
        "defaults = 3",
        "datasets = 3",
        "[datasets]\nbmt = true",
        "[defaults]\nbudget = 3",
        "[defaults.budget]\ndelta = 1e-6",
        "[defaults.budget]\nepsilon = 1\nrho = 1",
        '[defaults.budget]\nepsilon = "1"',
        "[defaults.budget]\nepsilon = true",
        "[defaults.budget]\nepsilon = 0",
        "[defaults.budget]\nepsilon = -1",
        "[defaults.budget]\nepsilon = inf",
        "[defaults.budget]\nepsilon = 1\ndelta = 0.5",
        "[datasets.bmt.budget]\nepsilon = 1\ndelta = 0",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """A misspelt limit must not be a missing one."""
    with pytest.raises(InvalidPolicy):
        parse_policy(text)


WRONG = {
    "min_patients": ["5.0", '"5"', "true", "2", "0", "-10", "[5]"],
    "min_sites": ["3.0", "2", "-3", "false"],
    "exact": ["1", '"yes"', "[true]"],
    "exact_times": ["0", '"no"'],
    "min_time_step": ["-0.1", '"30"', "nan", "inf", "true"],
    "max_numbers_per_patient": ["-1", "inf", "nan", "[12]"],
    "analyses": ['"cox"', "[1]", "true", '[["cox"]]'],
    "epsilon_per_request": ["-1", "inf", "nan", "true"],
    "approval_days": ["0", "-1", "inf", '"30"', "3651", "1e300"],
    "requesters": ['"rosalind"', "[1]", "true"],
    "stewards": ["0", "-1", "2.0", "true", '"two"'],
    "epsilon_per_researcher": ["-0.1", "inf", "nan", "true", '"3"'],
    "auto_approve": ['"histogram"', "[1]", "true", '["code-aggregate"]', '["histogram", "code-per-patient"]'],
    "auto_epsilon": ["-0.1", "inf", "nan", "false"],
    "code": ['"aggregate"', "[1]", "true"],
    "max_patients": ["2", "0", "-5", "100.0", "true", "inf"],
    "code_cpu_seconds": ["0", "-1", "inf", "nan", '"5"'],
}
UNKNOWN_SHAPES = ["per-row", "Aggregate", "", "code-aggregate"]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
@pytest.mark.parametrize("where", ["defaults", "datasets.bmt"])
def test_a_limit_of_the_wrong_type_or_size_is_refused(where: str, name: str, value: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(f"[{where}]\n{name} = {value}")
    assert name in str(refused.value)


def test_every_limit_is_tried_with_wrong_values() -> None:
    assert set(WRONG) == set(EVERY_LIMIT)


@pytest.mark.parametrize("shape", UNKNOWN_SHAPES)
def test_an_unknown_shape_of_code_is_refused(shape: str) -> None:
    with pytest.raises(InvalidPolicy, match=f"shape of code '{shape}'"):
        parse_policy(f'[defaults]\ncode = ["aggregate", "{shape}"]')


def test_a_whole_number_will_do_where_a_number_is_wanted() -> None:
    assert parse_policy("[defaults]\nmin_time_step = 7").defaults == DatasetPolicy(min_time_step=7.0)


def test_the_digest_names_every_limit() -> None:
    """`policy:<digest>` signs for a decision: no limit can change under it."""
    changed = [DatasetPolicy(**{name: value}) for name, value in EVERY_LIMIT.items()]
    budgets = [Budget(1.0, 1e-6), Budget(2.0, 1e-6), Budget(1.0, 1e-7)]
    policies = [Policy(), *map(Policy, changed), *(Policy(default_budget=budget) for budget in budgets)]
    for name in ("aml", "bmt"):
        policies += [Policy(datasets={name: limits}) for limits in (DatasetPolicy(), *changed)]
        policies += [Policy(budgets={name: budget}) for budget in budgets]
    assert len({policy.digest for policy in policies}) == len(policies)
    assert Policy().digest == parse_policy(default_policy_toml()).digest


def test_a_card_shows_every_limit() -> None:
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in EVERY_LIMIT.items()}
    assert DatasetPolicy(**EVERY_LIMIT).public() == lists


# In words


def test_every_rule_is_explained_as_it_is_typed() -> None:
    policy = parse_policy(f"[defaults]\n{table(EVERY_LIMIT)}")
    told = explain_policy(policy, "bmt")
    assert [rule.rule for rule in told] == [*(field.name for field in fields(DatasetPolicy)), "budget"]
    for rule in told:
        assert rule.sentence.endswith(".")
        assert rule.sentence[0].isupper()
        assert len(rule.sentence) > 20
    values = {rule.rule: rule.value for rule in told}
    assert (values["exact"], values["min_patients"], values["approval_days"]) == ("true", "20", "7")
    assert values["code"] == "[per-patient, aggregate]"
    assert values["budget"] == "epsilon 3, delta 1e-06"


@pytest.mark.parametrize("name", EVERY_LIMIT)
def test_an_explanation_says_the_value_and_changes_with_it(name: str) -> None:
    policies = [Policy(DatasetPolicy()), Policy(DatasetPolicy(**{name: EVERY_LIMIT[name]}))]
    if name.startswith("auto_"):  # each takes effect with the other only
        both = {"auto_approve": EVERY_LIMIT["auto_approve"], "auto_epsilon": EVERY_LIMIT["auto_epsilon"]}
        policies[1] = Policy(DatasetPolicy(**both))
    before, after = ({rule.rule: rule for rule in explain_policy(policy, "bmt")}[name] for policy in policies)
    assert before.value != after.value
    assert before.sentence != after.sentence


def test_names_for_auto_approval_have_no_effect_where_two_stewards_must_agree() -> None:
    limits = DatasetPolicy(auto_approve=("histogram",), stewards=2)
    (told,) = [rule for rule in explain_policy(Policy(limits), "bmt") if rule.rule == "auto_approve"]
    assert "have no effect" in told.sentence


def test_the_datasets_own_limits_are_explained() -> None:
    policy = Policy(DatasetPolicy(), {"bmt": DatasetPolicy(min_sites=7)}, {"bmt": Budget(1.5, 1e-7)})
    told = {rule.rule: rule for rule in explain_policy(policy, "bmt")}
    assert (told["min_sites"].value, told["budget"].value) == ("7", "epsilon 1.5, delta 1e-07")
    assert {rule.rule: rule.value for rule in explain_policy(policy, "other")}["min_sites"] == "3"
