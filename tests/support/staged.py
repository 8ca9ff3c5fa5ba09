"""A trial site that takes code, and what runs of it leave there: put away by the real functions, nothing executed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from support.builders import SITES
from support.code import QUESTIONS, code
from support.site import PASSPHRASE, STEWARD, TrialSite
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.questions import CodeQuestion
from synthema_core.plan import Plan
from synthema_core.planning import plan_of
from synthema_core.request import Verb
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.staging import stage, staged_output

POLICY = """
[defaults]
min_patients = 5
min_sites = 3
exact = true
max_numbers_per_patient = 50.0
epsilon_per_request = 1.5
stewards = {stewards}
code = ["per-patient", "per-block", "aggregate"]
max_patients = 100
code_cpu_seconds = 5.0
"""
SOURCE = "def study(rows):\n    return {'deaths': [1, 2, 3], 'mean_age': 50.0}\n"
OUTPUTS = Outputs((Output("deaths", (3,), 1000.0, Content.COUNTS), Output("mean_age", (), 120.0)))
VALUES = np.array([11.0, 3.0, 12.0, 55.5])


def code_site(folder: Path, *, stewards: int = 1, policy: str = POLICY, patients: int = 40) -> TrialSite:
    """Its policy takes code of every shape, and its server has chosen a sandbox."""
    here = TrialSite(folder, policy=policy.format(stewards=stewards), patients=patients)
    here.state.keep_sandbox("landlock")
    return here


def question(shape: str = "aggregate", source: str = SOURCE) -> CodeQuestion:
    """Of three counts of deaths and a mean age."""
    capacity = {} if shape == "aggregate" else {"capacity": 100}
    return QUESTIONS[shape](
        code=code(source), outputs=OUTPUTS, columns_read=("days", "died"), cpu_seconds=1.0, **capacity
    )


def plan_for(here: TrialSite, shape: str = "aggregate", source: str = SOURCE, **more: Any) -> Plan:
    return plan_of(
        question(shape, source),
        [here._card(), *(here._other_card(site) for site in SITES[1:])],
        requester=more.pop("requester", "rosalind"),
        purpose=more.pop("purpose", "How many die early?"),
        now=here.clock(),
        **more,
    )


def put_out(here: TrialSite, request: str = "r1", *, values: Any = VALUES, log: str = "") -> str:
    """What a run of the approved code leaves: claimed, put away, journalled. Returns the commitment."""
    claim = Claims(here.site).claim(f"run-{request}", request, here.record(request).plan.digest)
    report: dict[str, Any] = {
        "end": "returned",
        "log": log,
        "cpu_seconds": 0.5,
        "wall_seconds": 0.75,
        "peak_bytes": 80 << 20,
        "findings": [{"severity": "danger", "output": "deaths", "message": "A count of 3 is below 5."}],
        "suggestion": ["deaths[1]"],
        "left_out_each": True,
    }
    stage(here.site, claim, np.asarray(values, dtype=np.float64), report)
    return staged_output(here.site, here.record(request)).commitment


def staged(here: TrialSite, request: str = "r1", *, log: str = "", by: Sequence[str] = (STEWARD,), **more: Any) -> str:
    """From the hub's word to an output that waits. Returns its commitment.

    Parameters
    ----------
    by
        The stewards who approve; `more` are the last one's conditions.
    """
    here.submitted(plan_for(here, purpose=more.pop("purpose", "How many die early?")), request)
    for steward in by:
        here.reviewing.approve(request, steward, PASSPHRASE, **(more if steward == by[-1] else {}))
    here.told(Verb.START, request, {"job": f"run-{request}"})
    return put_out(here, request, log=log)
