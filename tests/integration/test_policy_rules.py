"""Every limit of a policy, one by one: parsed from the file, explained, documented, enforced under a rule's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from support.builders import SCHEMA, days_later
from support.site import PASSPHRASE, STEWARD, TrialSite, write_patients, write_schema
from support.staged import plan_for
from synthema_core.analyses import from_plan
from synthema_core.errors import Refused
from synthema_core.plan import OutputPolicy, Plan, PrivacyTarget
from synthema_core.policy import DatasetPolicy, parse_policy
from synthema_core.policy_explained import explain_policy
from synthema_core.request import Status, Verb
from synthema_core.schemas import Kind
from synthema_datasite.ingest import ingest
from synthema_datasite.service.claims import Claims

ROOT = Path(__file__).parents[2]
OPEN = {
    "min_patients": "5",
    "exact": "true",
    "exact_times": "false",
    "max_numbers_per_patient": "50.0",
    "epsilon_per_request": "1.5",
    "code": '["per-patient", "aggregate"]',
    "max_patients": "100",
    "code_cpu_seconds": "5.0",
}
"""Under which everything below is allowed."""


def exact(here: TrialSite) -> Plan:
    return here.plan()


def private(here: TrialSite) -> Plan:
    return here.plan("histogram", epsilon=1.0)


def alone(here: TrialSite) -> Plan:
    """Asks this site and no other."""
    plan = private(here)
    own = (plan.participant(here.site.name),)
    return replace(plan, participants=own, output=OutputPolicy(5, 1), privacy=PrivacyTarget(1.0, 1e-6, insiders=0))


def of_shared_patients(here: TrialSite) -> Plan:
    """About patients of whom some are in another dataset too."""
    folder = here.state.folder.parent
    table = write_patients(folder / "other.csv", 12)
    ingest(here.state, here.site.journal, table, "other", write_schema(folder), "engineer", here.site.now())
    return private(here)


def model(here: TrialSite) -> Plan:
    return replace(private(here), analysis="diffprivlib")


def finest(here: TrialSite) -> Plan:
    return here.plan(options={"time": "days", "event": "died", "step": "60"})


def event_times(here: TrialSite) -> Plan:
    """A survival curve at the event times themselves, of a dataset whose times are whole days."""
    folder = here.state.folder.parent
    whole_days = [replace(f, kind=Kind.INTEGER) if f.name == "days" else f for f in SCHEMA.fields]
    schema = write_schema(folder, replace(SCHEMA, name="whole_days", fields=tuple(whole_days)))
    table = folder / "whole.csv"
    rows = [line.split(",") for line in write_patients(table, 300).read_text().splitlines()]
    table.write_text("\n".join(",".join([row[0], row[1].partition(".")[0], *row[2:]]) for row in rows))
    ingest(here.state, here.site.journal, table, "trial", schema, "engineer", here.site.now())
    plan = here.plan(options={"time": "days", "event": "died", "step": "1"})
    return replace(plan, parameters=from_plan(plan.analysis, {**plan.parameters, "exact_times": True}).parameters())


def code(here: TrialSite) -> Plan:
    return plan_for(here, "per-patient", epsilon=1.0)


def sent_back(here: TrialSite, plan: Plan) -> str:
    """The rule under which the site sends the Plan back as it comes in; empty if it waits."""
    record = here.submitted(plan)
    if record.request.status is Status.UNDER_REVIEW:
        return ""
    found = re.search(r"\(rule '([^']+)'\)$", str(record.last(Verb.REVIEW).detail["reason"]))
    return found[1] if found else "no rule"


def refused_as_model(here: TrialSite, plan: Plan) -> str:
    """Whatever else the site says of a model that does not fit the Plan's parts."""
    rule = sent_back(here, plan)
    return rule if rule == "diffprivlib" else ""


def claimed(here: TrialSite, plan: Plan) -> str:
    """The rule under which a run is refused that one steward has approved; empty if it begins."""
    here.submitted(plan)
    try:
        here.reviewing.approve("r1", STEWARD, PASSPHRASE)
        here.clock.now = days_later(1)
        Claims(here.site).claim("j1", "r1", plan.digest)
    except Refused as error:
        return error.rule
    return ""


def waits(here: TrialSite, plan: Plan) -> str:
    """Whether a Plan from sites that were met waits for a steward all the same."""
    here.submitted(here.plan("histogram", epsilon=0.1, purpose="To get to know each other"), "r0")
    if here.record("r0").request.status is Status.UNDER_REVIEW:
        here.reviewing.approve("r0", STEWARD, PASSPHRASE)
    return "" if here.submitted(plan).request.status is Status.APPROVED else "waits for a steward"


@dataclass(frozen=True)
class Limit:
    """A value that allows, one that forbids, and the rule that says so."""

    lax: str
    strict: str
    rule: str
    ask: Callable[[TrialSite], Plan] = exact
    found: Callable[[TrialSite, Plan], str] = sent_back
    besides: tuple[str, ...] = ()


TWO_GROUPS = ("[patients.own]", "epsilon = 3.0", "[datasets.other]", 'patients = "all"')
LIMITS: dict[str, Limit] = {
    # Asked under the lax value; a Card tells it, so the Plan below keeps to it and not to the strict one.
    "min_patients": Limit("5", "6", "min_patients"),
    "min_sites": Limit("3", "4", "min_sites"),
    "insiders": Limit("1", "2", "insiders", private),
    "local": Limit("true", "false", "local", alone),
    "exact": Limit("true", "false", "exact"),
    "exact_times": Limit("true", "false", "exact_times", event_times),
    "min_time_step": Limit("30.0", "60.5", "min_time_step", finest),
    "max_numbers_per_patient": Limit("50.0", "0.2", "max_numbers_per_patient"),
    "analyses": Limit('["kaplan-meier"]', '["cox"]', "analyses"),
    "epsilon_per_request": Limit("1.0", "0.9", "epsilon_per_request", private),
    "approval_days": Limit("2.0", "0.5", "expiry", found=claimed),
    "requesters": Limit('["rosalind"]', '["otto"]', "requesters"),
    "stewards": Limit("1", "2", "approval", found=claimed),
    "epsilon_per_researcher": Limit("1.0", "0.9", "epsilon_per_researcher", private, claimed),
    "patients": Limit('"all"', '"own"', "patients", of_shared_patients, claimed, TWO_GROUPS),
    "epsilon_per_purpose": Limit("1.0", "0.9", "epsilon_per_purpose", private, claimed),
    "diffprivlib": Limit("true", "false", "diffprivlib", model, refused_as_model),
    "auto_approve": Limit('["histogram"]', '["cox"]', "waits for a steward", private, waits, ("auto_epsilon = 1.0",)),
    "auto_epsilon": Limit("1.0", "0.9", "waits for a steward", private, waits, ('auto_approve = ["histogram"]',)),
    "code": Limit('["per-patient"]', '["per-block", "aggregate"]', "code", code),
    "max_patients": Limit("40", "39", "max_patients", code),
    "code_cpu_seconds": Limit("1.0", "0.99", "code_cpu_seconds", code),
}


def policy(name: str, value: str, besides: tuple[str, ...]) -> str:
    rules = {**OPEN, name: value}
    return "\n".join(["[defaults]", *(f"{rule} = {value}" for rule, value in rules.items()), *besides, ""])


def test_every_limit_is_here() -> None:
    assert set(LIMITS) == {field.name for field in fields(DatasetPolicy)}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_in_the_file_forbids_under_its_rules_name(tmp_path: Path, name: str) -> None:
    limit = LIMITS[name]
    lax = TrialSite(tmp_path / "lax", policy=policy(name, limit.lax, limit.besides))
    lax.state.keep_sandbox("landlock")
    assert limit.found(lax, limit.ask(lax)) == "", "allowed as long as the limit allows it"
    strict = TrialSite(tmp_path / "strict", policy=policy(name, limit.lax, limit.besides))
    strict.state.keep_sandbox("landlock")
    plan = limit.ask(strict)
    (strict.state.folder / "policy.toml").write_text(policy(name, limit.strict, limit.besides))
    assert limit.found(strict, plan) == limit.rule


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_parsed_explained_and_documented(name: str) -> None:
    limit = LIMITS[name]
    lax, strict = (parse_policy(policy(name, value, limit.besides)) for value in (limit.lax, limit.strict))
    assert getattr(lax.defaults, name) != getattr(strict.defaults, name)
    told = {rule.rule: rule for rule in explain_policy(strict, "trial")}[name]
    assert told.sentence != {rule.rule: rule for rule in explain_policy(lax, "trial")}[name].sentence
    how_to = (ROOT / "docs" / "how-to" / "hospital-engineer.md").read_text()
    assert re.search(rf"^{name} = \S+.*  # \S", how_to, re.MULTILINE), f"{name} has a line and a remark in the how-to"
