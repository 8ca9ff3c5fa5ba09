"""Models of diffprivlib to start a test from, and sites whose policy lets them be fitted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from support.builders import SCHEMA
from support.site import TrialSite
from synthema_core.analyses.base import Rows
from synthema_core.analyses.diffprivlib_model import DiffprivlibModel
from synthema_core.plan import Plan
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.staging import stage, staged_output

TYPED: Mapping[str, dict[str, str]] = {
    "naive-bayes": {"columns": "age,arm", "target": "died"},
    "logistic-regression": {"columns": "age,arm", "target": "died"},
    "linear-regression": {"columns": "age,arm", "target": "days"},
    "standard-scaler": {"columns": "days,age,arm"},
    "pca": {"columns": "days,age,died"},
}
POLICY = """
[defaults]
min_patients = 5
epsilon_per_request = 1.5
max_numbers_per_patient = 50.0
stewards = {stewards}
diffprivlib = {allowed}
"""


def typed(model: str, **changes: str) -> dict[str, str]:
    """What a researcher types."""
    return {"model": model, **TYPED[model], "epsilon": "1", **changes}


def model(name: str, **changes: str) -> DiffprivlibModel:
    return DiffprivlibModel.from_options(typed(name, **changes), SCHEMA)


OUTPUTS = model("logistic-regression").outputs
VALUES = np.array([0.4375, -0.25, 0.125])
REPORT: dict[str, Any] = {
    "end": "returned",
    "log": "",
    "cpu_seconds": 0.25,
    "wall_seconds": 0.25,
    "peak_bytes": 80 << 20,
    "findings": [],
    "suggestion": [],
    "left_out_each": False,
}


def model_site(
    folder: Path, *, allowed: bool = True, stewards: int = 1, more: str = "", patients: int = 40
) -> TrialSite:
    policy = POLICY.format(allowed=str(allowed).lower(), stewards=stewards) + more
    return TrialSite(folder, policy=policy, patients=patients)


def model_plan(here: TrialSite, name: str = "logistic-regression", epsilon: float = 1.0, **more: Any) -> Plan:
    own = {"model": name, **TYPED[name]}
    return here.plan("diffprivlib", own, epsilon=epsilon, purpose=more.pop("purpose", "Who dies early?"), **more)


def put_out(here: TrialSite, request: str = "r1") -> str:
    claim = Claims(here.site).claim(f"run-{request}", request, here.record(request).plan.digest)
    stage(here.site, claim, VALUES, REPORT)
    return staged_output(here.site, here.record(request)).commitment


def waiting(here: TrialSite) -> str:
    """A model that waits for a release decision; its commitment."""
    here.approved(model_plan(here))
    return put_out(here)


def patients(count: int = 60, seed: int = 1, **changes: Any) -> Rows:
    """Rows of the small trial; `changes` are whole columns."""
    dice = np.random.default_rng(seed)
    rows: dict[str, Any] = {
        "id": np.array([f"p{number}" for number in range(count)], dtype=object),
        "days": dice.uniform(0, 1000, count),
        "died": dice.integers(2, size=count).astype(np.float64),
        "age": dice.uniform(0, 100, count),
        "arm": np.array(["a", "b"], dtype=object)[dice.integers(2, size=count)],
    }
    return {**rows, **{name: np.asarray(column) for name, column in changes.items()}}
