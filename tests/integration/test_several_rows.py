"""Hospitals whose patients have several rows: taken in, counted once by real workers, and refused to exact sums."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from support.builders import NOW, SCHEMA, SITES, Ticking, at
from support.hospitals import Hospital, Running, Trio, closing
from support.site import POLICY, write_schema
from synthema_core.analyses.base import Sums
from synthema_core.charging import mechanism_of
from synthema_core.errors import InvalidInput
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.schemas import Schema
from synthema_datasite.ingest import ingest
from synthema_datasite.service.records import dataset_records
from synthema_datasite.service.site import Site
from synthema_datasite.state import SiteState

VISITS = Schema.from_dict({**SCHEMA.to_dict(), "name": "visits", "rows_per_patient": 6})
PATIENTS, ROWS = 40, 5


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Trio:
    folder = tmp_path_factory.mktemp("sites")
    return {name: hospital(folder, name) for name in SITES}


def hospital(folder: Path, name: str) -> Hospital:
    """Patients of whom every one has been in both arms, at the age of 30 more often than at 80."""
    state = SiteState.initialise(folder / name, name, name.title(), POLICY)
    site = Site.open(state, Ticking(NOW))
    with (folder / f"{name}.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "days", "died", "age", "arm"])
        for visit in range(ROWS):
            for number in range(PATIENTS):
                table.writerow([f"{name}-{number}", 10 * visit, 0, 80 if visit == 0 else 30, "ab"[visit % 2]])
    ingest(state, site.journal, folder / f"{name}.csv", "trial", write_schema(folder, VISITS), "engineer", at())
    return Hospital(site, dataset_records(site.journal)["trial"])


def plan_of(trio: Trio, analysis: str, epsilon: float | None = 20.0, **options: str) -> Plan:
    cards = [hospital.site.cards()[0] for hospital in trio.values()]
    typed = {name.replace("_", "-"): value for name, value in options.items()}
    return make_plan(analysis, typed, cards, requester="rosalind", purpose="A test.", now=NOW, epsilon=epsilon)


def result(trio: Trio, plan: Plan) -> dict[str, object]:
    """Of a Job on all sites' real workers, noise included."""
    job = Running(trio, plan)
    with closing(job.workers):
        total = job.total(job.ask(1, np.zeros(0)))
    mechanism = mechanism_of(plan, job.analysis)
    assert mechanism is not None
    sums = Sums(plan.layout.dequantise(total), len(SITES), mechanism.sum_variance(len(SITES)))
    return job.analysis.advance(None, sums).result  # type: ignore[return-value,union-attr]


def test_a_hospital_counts_its_patients_once(trio: Trio) -> None:
    assert {hospital.record.facts.patients for hospital in trio.values()} == {PATIENTS}


def test_a_histogram_over_workers_counts_patients_and_says_how_many_were_cut(trio: Trio) -> None:
    told = result(trio, plan_of(trio, "histogram", column="arm", cells_per_patient="1"))
    assert told["total"]["count"] == pytest.approx(3 * PATIENTS, abs=15)  # type: ignore[index]
    assert told["bounding"]["cut"]["count"] == pytest.approx(3 * PATIENTS, abs=40)  # type: ignore[index]


def test_a_mean_over_workers_is_over_patients(trio: Trio) -> None:
    told = result(trio, plan_of(trio, "mean", column="age"))
    assert told["mean"]["value"] == pytest.approx(40, abs=4)  # type: ignore[index]
    assert told["patients"]["count"] == pytest.approx(3 * PATIENTS, abs=15)  # type: ignore[index]


@pytest.mark.parametrize("analysis", ["kaplan-meier", "cox"])
def test_exact_analyses_are_refused_before_anything_is_submitted(trio: Trio, analysis: str) -> None:
    with pytest.raises(InvalidInput, match="takes a row for a patient, and in 'visits' a patient may have 6 rows"):
        plan_of(trio, analysis, epsilon=None, time="days", event="died")


def test_a_private_curve_takes_a_patient_once(trio: Trio) -> None:
    told = result(trio, plan_of(trio, "kaplan-meier", time="days", event="died"))
    assert told["patients"] == pytest.approx(3 * PATIENTS, abs=25)
