"""A site whose budget is there to be spent: requests that its policy approves by itself, claimed one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.builders import SCHEMA, at
from support.site import PASSPHRASE, STEWARD, TrialSite, write_patients, write_schema
from synthema_core.plan import Plan
from synthema_core.request import Status
from synthema_datasite.ingest import ingest
from synthema_datasite.service.claims import Claim, Claims

POLICY = """
[defaults]
min_patients = 5
epsilon_per_request = 2.0
epsilon_per_researcher = 100.0
epsilon_per_purpose = 100.0
auto_approve = ["histogram"]
auto_epsilon = 2.0
"""


def spending_site(folder: Path, more: str = "", *, policy: str = POLICY) -> TrialSite:
    return TrialSite(folder, policy=f"{policy}{more}")


def rewrite(here: TrialSite, more: str, *, policy: str = POLICY) -> None:
    """What its engineer writes into policy.toml."""
    (here.state.folder / "policy.toml").write_text(f"{policy}{more}")


def approved(here: TrialSite, request: str, epsilon: float = 1.0, **more: Any) -> Plan:
    plan = here.plan("histogram", epsilon=epsilon, **more)
    here.submitted(plan, request)
    if here.record(request).request.status is Status.UNDER_REVIEW:  # the first one: the sites have not met
        here.reviewing.approve(request, STEWARD, PASSPHRASE)
    return plan


def spend(here: TrialSite, request: str, epsilon: float = 1.0, **more: Any) -> Claim:
    """A Request, approved and claimed. Raises as the claim does."""
    plan = approved(here, request, epsilon, **more)
    return Claims(here.site).claim(f"job-{request}", request, plan.digest)


def take_in(here: TrialSite, name: str, *, seed: int, patients: int = 12) -> None:
    """Another table; of the same patients as others of that seed, as far as they go."""
    folder = here.state.folder.parent
    table = write_patients(folder / f"{name}.csv", patients, seed)
    if seed == 1:  # the same patients, and yet other rows than theirs
        table.write_text(table.read_text().replace(",a\n", ",b\n"))
    ingest(here.state, here.site.journal, table, name, write_schema(folder, SCHEMA), "engineer", at())
