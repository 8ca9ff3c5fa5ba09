"""Vetting on whole jobs: the hostile are found or known to pass, the honest are left in peace."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attacks.honest_jobs import JOBS as HONEST
from attacks.hostile_jobs import JOBS as HOSTILE
from support.job_tables import FUNCTION, STOPS, Job
from synthema_core.code.shapes import SHAPES
from synthema_core.vetting import Kind, Severity, vet

FOUND = [job for job in HOSTILE if not job.passes_static]
PASSING = [job for job in HOSTILE if job.passes_static]
MOST_LOOKS = 2


def named(jobs: list[Job] | tuple[Job, ...]) -> list[Any]:
    return [pytest.param(job, id=job.name) for job in jobs]


def worst(job: Job, shape: str) -> dict[Kind, Severity]:
    """The worst severity of each kind that is found in a job."""
    kinds: dict[Kind, Severity] = {}
    for finding in vet(job.code, shape):
        kinds[finding.kind] = max(finding.severity, kinds.get(finding.kind, Severity.NOTE), key=lambda one: one.rank)
    return kinds


def rows(*, changed: bool = False, patients: int = 60) -> pd.DataFrame:
    """One row a patient; `changed` differs in the first only, who was followed longest by far, and is 7, or 37."""
    draw = np.random.default_rng(4)
    days = np.round(draw.uniform(1, 400, patients), 1)
    days[0] = 2902.0 if changed else 2900.0
    ages = draw.integers(8, 36, patients).astype(float)
    ages[0] = 37.0 if changed else 7.0
    died = draw.integers(0, 2, patients).astype(float)
    group = np.array(["2", *draw.choice(["1", "2", "3"], patients - 1)], dtype=object)
    return pd.DataFrame({"t2": days, "d3": died, "z1": ages, "group": group})


def test_the_tables_and_the_folders_hold_the_same() -> None:
    for jobs in (HOSTILE, HONEST):
        files = set(jobs[0].file.parent.glob("*.py")) - {jobs[0].file.parent / "__init__.py"}
        assert {job.file for job in jobs} == files
        assert len({job.name for job in jobs}) == len(jobs)
    assert len(FOUND) >= 25 and len(PASSING) >= 8 and len(HONEST) >= 8
    assert all(job.stopped_by in STOPS for job in PASSING)
    assert {job.stopped_by for job in PASSING} == set(STOPS), "each of them is tried"
    assert {job.shape for job in PASSING} == {job.shape for job in HONEST} == set(SHAPES)


@pytest.mark.parametrize("job", named(FOUND))
def test_a_hostile_job_is_found_out(job: Job) -> None:
    found = worst(job, job.shape)
    assert job.kinds
    for kind, severity in job.kinds.items():
        assert kind in found, f"{kind} is not found in {job.name}"
        assert found[kind] is severity


@pytest.mark.parametrize("job", named(PASSING))
def test_a_job_that_was_written_to_pass_does(job: Job) -> None:
    """If it no longer does, vetting has become better, and the tests of the other defences need another job."""
    assert not {kind: severity for kind, severity in worst(job, job.shape).items() if severity is not Severity.NOTE}


@pytest.mark.parametrize("job", named(HONEST))
def test_an_honest_job_is_left_in_peace(job: Job) -> None:
    for shape in SHAPES:
        severities = [finding.severity for finding in vet(job.code, shape)]
        assert Severity.DANGER not in severities
    looks = [finding for finding in vet(job.code, job.shape) if finding.severity is Severity.LOOK]
    assert len(looks) <= MOST_LOOKS


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "aggregate"])
@pytest.mark.parametrize("job", named(FOUND))
def test_a_guarantee_calms_what_is_returned_and_nothing_else(job: Job, shape: str) -> None:
    plain, calmed = worst(job, "aggregate"), worst(job, shape)
    assert plain.keys() == calmed.keys()
    reaching = {Kind.FILES, Kind.NETWORK, Kind.PROCESS, Kind.NATIVE, Kind.DYNAMIC, Kind.DUNDER, Kind.PATCHING}
    for kind in plain:
        if kind in reaching:
            assert calmed[kind] is plain[kind]
        if kind in {Kind.ROW_LEVEL, Kind.EXTREME, Kind.SINGLING_OUT, Kind.OUTPUT, Kind.LEAK}:
            assert calmed[kind] is Severity.NOTE


def study(file: Path) -> Any:
    return runpy.run_path(str(file))[FUNCTION]


@pytest.mark.parametrize("job", named((*HONEST, *PASSING)))
def test_a_job_returns_what_its_table_declares(job: Job) -> None:
    """Within the declared bounds where it is honest: else its result is cut, and the test of a defence is idle."""
    table = rows(patients=1) if job.shape == "per-patient" else rows()
    returned = {name: np.asarray(value) for name, value in study(job.file)(table[list(job.columns)]).items()}
    assert {name: value.shape for name, value in returned.items()} == {name: s for name, s, _, _ in job.outputs}
    for name, _, bound, _ in job.outputs:
        assert job.name == "passes_loud_block" or np.nanmax(np.abs(returned[name])) <= bound


@pytest.mark.parametrize("job", named([job for job in PASSING if job.name != "passes_slow_for_one"]))
def test_a_passing_job_does_depend_on_one_patient(job: Job) -> None:
    """A job that does no harm would be stopped by anything."""
    patients = 1 if job.shape == "per-patient" else 60
    answers = []
    for changed in (False, True):
        try:
            answers.append(study(job.file)(rows(changed=changed, patients=patients)[list(job.columns)]))
        except ZeroDivisionError:
            answers.append({})
    before, after = answers
    assert before.keys() != after.keys() or any(
        not np.array_equal(before[name], after[name], equal_nan=True) for name in before
    )


def test_the_digits_are_the_ages() -> None:
    """The first of the jobs that pass, read as its author would read it."""
    job = next(job for job in PASSING if job.name == "passes_digits")
    table = rows()
    index = float(study(job.file)(table)["index"])
    assert f"{index:.10f}".replace(".", "").zfill(12)[:12] == "".join(f"{age:02.0f}" for age in table["z1"][:6])
