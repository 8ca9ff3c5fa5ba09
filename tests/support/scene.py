"""A hospital's page with something on it: code that was approved, its next version, and an output that waits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from support.builders import SITES
from support.code import aggregate, per_patient
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import code_site
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.questions import CodeQuestion
from synthema_core.code.source import Code
from synthema_core.disclosure import Staged, findings, gate, suggest_redaction
from synthema_core.plan import Plan
from synthema_core.planning import plan_of
from synthema_core.request import Verb
from synthema_core.request_record import RequestRecord
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.records import dataset_records
from synthema_datasite.service.staging import stage
from synthema_datasite.service.stewards import add_steward
from synthema_datasite.store.parquet import ParquetRows

FIRST = '''"""Early deaths in each arm."""

import numpy as np

HORIZON = 180  # days


def patient(rows):
    """What one patient adds to each sum."""
    row = rows.iloc[0]
    early = float(row["died"] == 1 and row["days"] <= HORIZON)
    arms = np.array([row["arm"] == "a", row["arm"] == "b"], dtype=float)
    return {"patients": arms, "early_deaths": early * arms}
'''
SECOND = '''"""Early deaths in each arm, and how much risk the patients carried."""

import numpy as np
from helpers.scores import risk_score

HORIZON = 365  # days


def patient(rows):
    """What one patient adds to each sum."""
    row = rows.iloc[0]
    early = float(row["died"] == 1 and row["days"] <= HORIZON)
    arms = np.array([row["arm"] == "a", row["arm"] == "b"], dtype=float)
    if row["age"] == 61.5:
        early = 1.0
    return {
        "patients": arms,
        "early_deaths": early * arms,
        "risk": risk_score(row["age"]) * arms,
    }
'''
SCORES = '''"""Scores that several studies use."""

import os

VERBOSE = bool(os.environ.get("STUDY_VERBOSE"))


def risk_score(age):
    """0 for the youngest, 3 for the oldest."""
    return float(min(3, max(0, (age - 20) // 20)))
'''
TABLE = '''"""Deaths by arm and age group, at each hospital."""

import numpy as np

AGES = [0, 35, 50, 65, 101]


def study(rows):
    table = np.zeros((2, 4))
    for number, arm in enumerate(["a", "b"]):
        dead = rows[(rows["arm"] == arm) & (rows["died"] == 1)]
        table[number] = np.histogram(dead["age"], bins=AGES)[0]
    print("patients", len(rows))
    return {
        "deaths": table,
        "person_days": np.array([rows["days"][rows["arm"] == arm].sum() for arm in "ab"]),
        "oldest": rows["age"].max(),
    }
'''
_OF_PATIENTS = (
    Output("patients", (2,), 1.0, Content.COUNTS),
    Output("early_deaths", (2,), 1.0, Content.COUNTS),
)
_RISK = Output("risk", (2,), 3.0)
_TABLE = Outputs(
    (
        Output("deaths", (2, 4), 1000.0, Content.COUNTS),
        Output("person_days", (2,), 1e6),
        Output("oldest", (), 120.0),
    )
)
_COLUMNS = ("days", "died", "age", "arm")
PURPOSES = {
    "first": "Do patients of arm B die early more often?",
    "second": "Do patients of arm B die early more often, given their risk?",
    "table": "In which age groups do patients of each arm die?",
}


@dataclass(frozen=True)
class Scene:
    """The site, and its Requests: `first` runs, `second` waits for review, the output of `table` for release."""

    here: TrialSite
    first: str = "first"
    second: str = "second"
    table: str = "table"


def scene(folder: Path, *, stewards: int = 1) -> Scene:
    """Everything in it was put there by the real functions; only the code of `table` was called in this process."""
    here = code_site(folder, stewards=stewards, patients=80)
    add_steward(here.site, "otto", PASSPHRASE)
    early = _per_patient(Code({"study.py": FIRST}, "patient"), _OF_PATIENTS)
    first = _ask(here, "first", early, epsilon=0.8)
    for steward in (STEWARD, "otto")[:stewards]:
        here.reviewing.approve("first", steward, PASSPHRASE, reason="Agreed at the meeting of 27 February.")
    Claims(here.site).claim("job-first", "first", first.plan.digest)
    _ask(here, "table", aggregate(code=Code({"study.py": TABLE}, "study"), outputs=_TABLE, columns_read=_COLUMNS))
    for steward in (STEWARD, "otto")[:stewards]:
        here.reviewing.approve("table", steward, PASSPHRASE)
    put_out_table(here)
    code = Code({"study.py": SECOND, "helpers/scores.py": SCORES}, "patient")
    later = _per_patient(code, (*_OF_PATIENTS, _RISK))
    _ask(here, "second", later, epsilon=1.0, supersedes=first.plan.digest)
    here.reviewing.ask("second", STEWARD, PASSPHRASE, "Why a year now, and not half a year as before?")
    answer = {"text": "The trial's protocol names one-year survival; half a year was a slip of mine."}
    here.told(Verb.ANSWER, "second", answer, actor="rosalind")
    return Scene(here)


def _per_patient(code: Code, outputs: tuple[Output, ...]) -> CodeQuestion:
    return per_patient(code=code, outputs=Outputs(outputs), columns_read=_COLUMNS, clip=1.5, capacity=100)


def _ask(here: TrialSite, name: str, question: CodeQuestion, **more: Any) -> RequestRecord:
    plan = plan_of(
        question,
        [here._card(), *(here._other_card(site) for site in SITES[1:])],
        requester="rosalind",
        purpose=PURPOSES[name],
        now=here.clock(),
        **more,
    )
    return submit(here, plan, name, "early-deaths" if name != "table" else "deaths-by-age")


def submit(here: TrialSite, plan: Plan, request: str, name: str) -> RequestRecord:
    """As `TrialSite.submitted`, under a name."""
    detail = {"plan": plan.to_dict(), "plan_digest": plan.digest, "name": name}
    here.told(Verb.SUBMIT, request, detail, actor=plan.requester)
    return here.record(request)


def put_out_table(here: TrialSite, request: str = "table") -> None:
    """What the run of TABLE leaves. It is our own code, so that it needs no sandbox here."""
    claim = Claims(here.site).claim(f"run-{request}", request, here.record(request).plan.digest)
    record = dataset_records(here.site.journal)["trial"]
    store = ParquetRows(
        here.state.folder / record.path, record.facts.schema, record.sha256, record.facts.commitment, here.state.salt()
    )
    rows = store.load(("id", *_COLUMNS))
    ids, given = rows["id"], {name: rows[name] for name in _COLUMNS}
    arrays = _study(given)
    without_each = [_study({name: values[ids != one] for name, values in given.items()}) for one in ids]
    gated = gate(arrays, _TABLE)
    checked = Staged(gated, len(ids), 5, rows=given, holders=ids, leave_one_out=without_each)
    found = findings(checked)
    report: dict[str, Any] = {
        "end": "returned",
        "log": f"patients {len(ids)}\n",
        "cpu_seconds": 0.031,
        "wall_seconds": 0.034,
        "peak_bytes": 96 << 20,
        "findings": [one.to_dict() for one in found],
        "suggestion": list(suggest_redaction(found, _TABLE)),
        "left_out_each": True,
    }
    stage(here.site, claim, gated.values, report)


def _study(rows: Any) -> dict[str, np.ndarray]:
    namespace: dict[str, Any] = {"print": lambda *_: None}
    exec(TABLE, namespace)
    import pandas as pd

    made = namespace["study"](pd.DataFrame(dict(rows)))
    return {name: np.asarray(value, dtype=np.float64) for name, value in made.items()}
