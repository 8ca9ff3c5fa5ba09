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
    "insiders": 2,
    "local": True,
    "exact": True,
    "exact_times": True,
    "min_time_step": 90.5,
    "max_numbers_per_patient": 3.5,
    "analyses": ("cox", "histogram"),
    "epsilon_per_request": 0.25,
    "approval_days": 7.0,
    "requesters": ("rosalind", "otto"),
    "stewards": 2,
    "patients": "own",
    "epsilon_per_researcher": 0.75,
    "epsilon_per_purpose": 0.6,
    "auto_approve": ("histogram",),
    "auto_epsilon": 0.5,
    "code": ("per-patient", "aggregate"),
    "max_patients": 250,
    "code_cpu_seconds": 2.5,
    "diffprivlib": True,
}
OWN = {"own": Budget(2.0, 1e-7)}
"""The budget of the patients that EVERY_LIMIT names."""
OWN_TOML = "\n[patients.own]\nepsilon = 2.0\ndelta = 1e-7\n"


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
    policy = parse_policy(f"[defaults]\n{table(EVERY_LIMIT)}\n[datasets.bmt]\n{table(own)}{OWN_TOML}")
    assert policy.for_dataset("other") == policy.defaults == DatasetPolicy(**EVERY_LIMIT)
    assert policy.for_dataset("bmt") == DatasetPolicy(**{**EVERY_LIMIT, **own})


def test_a_budget_belongs_to_a_group_of_patients() -> None:
    policy = parse_policy(
        """
        [defaults.budget]
        epsilon = 2
        delta = 1e-8
        [patients.transplanted]
        epsilon = 5.5
        delta = 1e-5
        own_delta = 1e-6
        [patients.anaemic]
        epsilon = 1
        [datasets.bmt]
        patients = "transplanted"
        [datasets.gvhd]
        patients = "transplanted"
        [datasets.scd]
        patients = "anaemic"
        [datasets.aml]
        exact = true
        """
    )
    assert policy.budget("bmt") == policy.budget("gvhd") == Budget(5.5, 1e-5, 1e-6)
    assert policy.budget("scd") == Budget(1.0, 1e-8), "a delta that is not said is the default's, not a laxer one"
    assert policy.budget("aml") == policy.budget("never named") == Budget(2.0, 1e-8)
    assert [policy.patients_of(name) for name in ("bmt", "scd", "aml")] == ["transplanted", "anaemic", "all"]
    assert parse_policy("").budget("any") == Budget(3.0, 1e-6)
    assert parse_policy("[patients.all]\nepsilon = 1").budget("any") == Budget(1.0, 1e-6)


def test_the_group_of_all_others_can_be_another_one() -> None:
    policy = parse_policy('[defaults]\npatients = "own"\n[datasets.bmt]\npatients = "all"' + OWN_TOML)
    assert (policy.budget("any"), policy.budget("bmt")) == (Budget(2.0, 1e-7), Budget(3.0, 1e-6))


def test_a_budget_written_with_a_dataset_is_its_patients() -> None:
    """As policies of the first version have it."""
    assert parse_policy("[datasets.bmt.budget]\nepsilon = 1").budget("other") == Budget(1.0, 1e-6)
    own = '[datasets.bmt]\npatients = "own"\n'
    policy = parse_policy(f"[defaults.budget]\nepsilon = 2\ndelta = 1e-8\n{own}[datasets.bmt.budget]\nepsilon = 1")
    assert (policy.budget("bmt"), policy.budget("other")) == (Budget(1.0, 1e-8), Budget(2.0, 1e-8))
    same = "[datasets.aml.budget]\nepsilon = 1\n[datasets.bmt.budget]\nepsilon = 1"
    assert parse_policy(same).budget("other") == Budget(1.0, 1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "[defaults.budget]\nepsilon = 1\n[patients.all]\nepsilon = 2",
        "[defaults.budget]\nepsilon = 2\n[datasets.bmt.budget]\nepsilon = 5.5",
        "[datasets.aml.budget]\nepsilon = 1\n[datasets.bmt.budget]\nepsilon = 2",
        '[datasets.bmt]\npatients = "own"\nbudget = {epsilon = 3}' + OWN_TOML,
        '[datasets.bmt]\npatients = "own"\nbudget = {epsilon = 2, delta = 1e-7, own_delta = 1e-8}' + OWN_TOML,
    ],
)
def test_two_budgets_of_the_same_patients_are_one_too_many(text: str) -> None:
    with pytest.raises(InvalidPolicy, match=r"one budget in .* and another in"):
        parse_policy(text)


@pytest.mark.parametrize("where", ["defaults", "datasets.bmt"])
def test_a_misspelt_group_does_not_begin_with_a_budget_of_its_own(where: str) -> None:
    with pytest.raises(InvalidPolicy, match="gives the patients 'onw' no budget"):
        parse_policy(f'[{where}]\npatients = "onw"' + OWN_TOML)


def test_a_dataset_of_any_name_leaves_the_defaults_alone() -> None:
    policy = parse_policy("[defaults]\nmin_patients = 50\n[datasets.defaults]\nexact = true")
    assert policy.for_dataset("other") == DatasetPolicy(min_patients=50)
    assert policy.for_dataset("defaults") == DatasetPolicy(min_patients=50, exact=True)


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
        "[defaults.budget]\nepsilon = 1\nown_delta = 1",
        "[defaults.budget]\nepsilon = 1\nown_delta = -1e-9",
        "patients = 3",
        "[patients]\nown = 3",
        "[patients.own]\ndelta = 1e-6",
        "[patients.own]\nepsilon = 1\nexact = true",
        "[patients.Own]\nepsilon = 1",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """A misspelt limit must not be a missing one."""
    with pytest.raises(InvalidPolicy):
        parse_policy(text)


WRONG = {
    "min_patients": ["5.0", '"5"', "true", "2", "0", "-10", "[5]"],
    "min_sites": ["3.0", "2", "-3", "false"],
    "insiders": ["-1", "1.0", "true", '"1"'],
    "local": ["1", '"yes"', "[true]"],
    "exact": ["1", '"yes"', "[true]"],
    "exact_times": ["0", '"no"'],
    "min_time_step": ["-0.1", '"30"', "nan", "inf", "true"],
    "max_numbers_per_patient": ["-1", "inf", "nan", "[12]"],
    "analyses": ['"cox"', "[1]", "true", '[["cox"]]'],
    "epsilon_per_request": ["-1", "inf", "nan", "true"],
    "approval_days": ["0", "-1", "inf", '"30"', "3651", "1e300"],
    "requesters": ['"rosalind"', "[1]", "true"],
    "stewards": ["0", "-1", "2.0", "true", '"two"'],
    "patients": ['""', "3", "true", '["all"]', '"All"', '"a b"', '"-a"', '"é"'],
    "epsilon_per_researcher": ["-0.1", "inf", "nan", "true", '"3"'],
    "epsilon_per_purpose": ["-0.1", "inf", "nan", "true", '"3"'],
    "auto_approve": ['"histogram"', "[1]", "true", '["code-aggregate"]', '["histogram", "code-per-patient"]'],
    "auto_epsilon": ["-0.1", "inf", "nan", "false"],
    "code": ['"aggregate"', "[1]", "true"],
    "max_patients": ["2", "0", "-5", "100.0", "true", "inf"],
    "code_cpu_seconds": ["0", "-1", "inf", "nan", '"5"'],
    "diffprivlib": ["0", '"no"'],
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
    budgets = [Budget(1.0, 1e-6), Budget(2.0, 1e-6), Budget(1.0, 1e-7), Budget(1.0, 1e-6, 1e-7)]
    policies = [Policy(), *(Policy(limits, budgets=OWN) for limits in changed)]
    policies += [Policy(default_budget=budget) for budget in budgets]
    for name in ("aml", "bmt"):
        policies += [Policy(datasets={name: limits}, budgets=OWN) for limits in (DatasetPolicy(), *changed)]
        policies += [Policy(budgets={name: budget}) for budget in budgets]
    assert len({policy.digest for policy in policies}) == len(policies)
    assert Policy().digest == parse_policy(default_policy_toml()).digest


def test_a_card_shows_every_limit() -> None:
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in EVERY_LIMIT.items()}
    assert DatasetPolicy(**EVERY_LIMIT).public() == lists


# In words


def test_every_rule_is_explained_as_it_is_typed() -> None:
    policy = parse_policy(f"[defaults]\n{table(EVERY_LIMIT)}{OWN_TOML}")
    told = explain_policy(policy, "bmt")
    assert [rule.rule for rule in told] == [*(field.name for field in fields(DatasetPolicy)), "budget"]
    for rule in told:
        assert rule.sentence.endswith(".")
        assert rule.sentence[0].isupper()
        assert len(rule.sentence) > 20
    values = {rule.rule: rule.value for rule in told}
    assert (values["exact"], values["min_patients"], values["approval_days"]) == ("true", "20", "7")
    assert values["code"] == "[per-patient, aggregate]"
    assert values["budget"] == "epsilon 2, delta 1e-07"


@pytest.mark.parametrize("name", EVERY_LIMIT)
def test_an_explanation_says_the_value_and_changes_with_it(name: str) -> None:
    policies = [Policy(DatasetPolicy()), Policy(DatasetPolicy(**{name: EVERY_LIMIT[name]}), budgets=OWN)]
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
    limits = DatasetPolicy(min_sites=7, patients="bmt")
    policy = Policy(DatasetPolicy(), {"bmt": limits}, {"bmt": Budget(1.5, 1e-7)})
    told = {rule.rule: rule for rule in explain_policy(policy, "bmt")}
    assert (told["min_sites"].value, told["budget"].value) == ("7", "epsilon 1.5, delta 1e-07")
    assert {rule.rule: rule.value for rule in explain_policy(policy, "other")}["min_sites"] == "3"
