"""A Cohort at one real site: who is computed on, and how far apart exact answers about different patients must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.site import PASSPHRASE, STEWARD, TrialSite
from synthema_core.plan import Plan
from synthema_core.request import Verb
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.service.claims import Claim
from synthema_datasite.service.job_desk import ClaimedJobs
from synthema_datasite.service.reading import read_request
from synthema_datasite.worker.process import WorkerProcess

KM = {"time": "days", "event": "died", "step": "100"}


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    """Forty patients; `aged` knows how old the youngest are."""
    return TrialSite(tmp_path)


def aged(here: TrialSite, youngest: int) -> float:
    """An age below which that many of the site's patients are."""
    from pyarrow import parquet

    (path,) = here.state.rows_folder.rglob("*.parquet")
    ages = sorted(parquet.read_table(path)["age"].to_pylist())
    return float((ages[youngest - 1] + ages[youngest]) / 2)


def approved(here: TrialSite, number: int, analysis: str = "kaplan-meier", **more: Any) -> Plan:
    options = KM if analysis == "kaplan-meier" else None
    return here.approved(here.plan(analysis, options, purpose=f"Question {number}", **more), f"r{number}")


def desk(here: TrialSite, claims: list[Claim]) -> ClaimedJobs:
    """With the worker process that a served datasite starts."""

    def start(claim: Claim) -> WorkerProcess:
        claims.append(claim)
        rows, folder = here.state.folder / claim.dataset.path, here.state.job_folder(claim.job)
        return WorkerProcess(claim, "alder", rows, here.state.salt(), folder)

    return ClaimedJobs(here.site, start, lambda: True)


def asked(here: TrialSite, number: int, analysis: str = "kaplan-meier", **more: Any) -> str:
    """The rule by which the Job of a question that its steward has approved is refused; empty if it begins."""
    plan = approved(here, number, analysis, **more)
    jobs = desk(here, [])
    answer = jobs.answer(opened(number, plan))
    jobs.close_all()
    assert answer is not None
    return "" if answer.kind is Kind.ANNOUNCED else str(answer.body["error"]["rule"])


def opened(number: int, plan: Plan) -> JobMessage:
    return JobMessage(Kind.OPEN, {"job": f"j{number}", "request": f"r{number}", "plan_digest": plan.digest})


def test_answers_whose_difference_would_be_about_a_few_patients_are_refused(here: TrialSite) -> None:
    young = aged(here, 4)
    assert asked(here, 1) == ""
    assert asked(here, 2, where=f"age >= {young}") == "cohort-difference", "all but four"
    assert asked(here, 3, where="age >= 0") == "", "all, in other words"
    assert asked(here, 4, where=f"age >= {aged(here, 5)}") == "", "all but five, which the policy allows"
    assert asked(here, 5, where=f"age >= {aged(here, 7)}") == "cohort-difference", "two from the last"


def test_that_holds_against_answers_that_failed_after_they_began(here: TrialSite) -> None:
    assert asked(here, 1) == ""
    here.told(Verb.FAIL, "r1", {"failure": {"error": "round-failed", "message": "A site was away."}})
    assert asked(here, 2, where=f"age >= {aged(here, 2)}") == "cohort-difference"


def test_what_was_approved_and_never_ran_is_not_held_against_anybody(here: TrialSite) -> None:
    here.approved(here.plan("kaplan-meier", KM), "r9")
    assert asked(here, 2, where=f"age >= {aged(here, 2)}") == ""


def test_private_answers_are_neither_held_nor_held_against(here: TrialSite) -> None:
    """Their noise covers any patient, also one by whom two of them differ."""
    young = aged(here, 2)
    assert asked(here, 1, "histogram", epsilon=0.3) == ""
    assert asked(here, 2, where=f"age >= {young}") == ""
    assert asked(here, 3, "histogram", epsilon=0.3, where=f"age < {young}") == ""


def test_a_hub_cannot_have_an_answer_forgotten(here: TrialSite) -> None:
    """By opening a Job that is over once more: that is refused, and is no sign that nothing had left."""
    plan, claims = approved(here, 1), list[Claim]()
    jobs = desk(here, claims)
    jobs.answer(opened(1, plan))
    jobs.answer(JobMessage(Kind.CLOSE, {"job": "j1"}))
    again = jobs.answer(opened(1, plan))
    assert again is not None and again.kind is Kind.REFUSED
    assert asked(here, 2, where=f"age >= {aged(here, 2)}") == "cohort-difference"


def test_nor_is_a_job_forgotten_that_cannot_go_on_after_a_restart(here: TrialSite) -> None:
    """Its first answers have left."""
    plan, claims = approved(here, 1), list[Claim]()
    first, second = desk(here, claims), desk(here, claims)
    first.answer(opened(1, plan))
    first.close_all()
    (rows,) = here.state.rows_folder.rglob("*.parquet")
    away = rows.rename(rows.with_suffix(".away"))
    refusal = second.answer(opened(1, plan))
    assert refusal is not None and refusal.kind is Kind.REFUSED
    away.rename(rows)
    assert asked(here, 2, where=f"age >= {aged(here, 2)}") == "cohort-difference"


def test_too_few_patients_of_a_cohort_are_no_exact_answer(here: TrialSite) -> None:
    assert asked(here, 1, where=f"age < {aged(here, 4)}") == "min_patients"


def test_a_cohort_that_the_schema_cannot_say_is_sent_back(here: TrialSite) -> None:
    good = here.plan("kaplan-meier", KM, where="age >= 60", derive=["old = age >= 70"])
    assert good.cohort.where == "age >= 60"
    forged = Plan.from_dict(
        {**good.to_dict(), "cohort": {"where": "agee >= 60", "derive": []}, "parameters": dict(good.parameters)}
    )
    record = here.submitted(forged)
    assert record.request.status == "rejected"


def test_a_steward_reads_whom_it_is_about(here: TrialSite) -> None:
    record = here.submitted(here.plan("kaplan-meier", KM, where="age >= 60 and arm == 'b'"))
    lines = [line for section in read_request(here.site, record) for line in section.lines]
    (who,) = [value for label, value in lines if label == "Patients"]
    assert "60" in who and "Arm B" in who
    columns = dict(lines)["Columns read"]
    assert "arm" in columns and "age" in columns, "also those that only the filter reads"
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
