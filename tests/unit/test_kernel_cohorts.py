"""--where, --derive and --exact: who is asked about, in a real IPython shell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.federation import FakeFederation
from support.notebook import Notebook, opened
from synthema_kernel.complaint import FederationError

KM = 'kaplan-meier --dataset trial --time days --event died --step 100 --purpose "Does arm B live longer?"'
OLD = "--where \"age >= 60 and arm == 'b'\""


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    with opened(FakeFederation()) as made:
        yield made


def test_a_question_is_about_the_patients_that_were_meant(notebook: Notebook) -> None:
    text = notebook.fed(f"plan {KM} {OLD}")
    assert "Only those for whom age is at least 60 years, and arm is 'b' (Arm B)." in text
    notebook.fed(f"run {KM} {OLD}")
    (record,) = notebook.federation.records.values()
    assert record.plan.cohort.where == "age >= 60 and arm == 'b'"


def test_its_answer_says_so_wherever_it_goes(notebook: Notebook) -> None:
    notebook.fed(f"run {KM} {OLD} --name old")
    notebook.federation.run_to_release(next(iter(notebook.federation.records)))
    text = notebook.fed("result old")
    assert "Patients for whom age >= 60 and arm == 'b'." in text
    assert "age &gt;= 60" in notebook.html.split("</svg>")[0], "in the picture, too"


def test_a_derived_column_is_as_good_as_another(notebook: Notebook) -> None:
    notebook.fed(f'run {KM} --derive "old = age >= 60; decade = age / 10" --group old --name by-age')
    (record,) = notebook.federation.records.values()
    assert [one.name for one in record.plan.cohort.derived] == ["old", "decade"]
    assert record.plan.parameters["group"]["label"] == "old = age >= 60"  # type: ignore[index,call-overload]
    assert "Derived for it: old = age >= 60." in notebook.fed(f'plan {KM} --derive "old = age >= 60"')


def test_asked_again_it_is_about_the_same_patients(notebook: Notebook) -> None:
    notebook.fed(f'run {KM} {OLD} --derive "old = age >= 70" --name old')
    notebook.fed("resubmit old --purpose Again")
    first, second = (record.plan for record in notebook.federation.records.values())
    assert first.cohort == second.cohort != type(first.cohort)()
    assert "cohort" not in notebook.fed("diff old")


def test_a_change_of_the_cohort_is_shown(notebook: Notebook) -> None:
    notebook.fed(f"run {KM} --name first")
    notebook.fed(f"run {KM} {OLD} --name second --supersedes first")
    assert "age >= 60" in notebook.fed("diff second")


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        (f'run {KM} --where "age = 60"', "'age = 60' cannot be read", "=="),
        (f'run {KM} --where "agee > 60"', "no column 'agee'", "days, died, age, arm"),
        (f"run {KM} --where", "needs --where", "age >= 60"),
        (f'run {KM} --derive "old"', "derives no column", "--derive"),
        (f"run {KM} --exact --epsilon 1", "An exact answer has no epsilon", ""),
        ("run mean --dataset trial --column age --purpose x --exact", "'mean' has no exact form", ""),
        (f"run {KM} --exact=yes", "--exact takes no value", ""),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_submitted(
    notebook: Notebook, line: str, says: str, hint: str
) -> None:
    with pytest.raises(FederationError) as told:
        notebook.fed(line)
    assert says in str(told.value) and hint in str(told.value)
    assert notebook.federation.records == {}


def test_code_chooses_its_patients_by_itself(notebook: Notebook) -> None:
    cell = (
        f'%%remote --shape per-patient --dataset trial --columns age --returns "n=1" --purpose x {OLD}\n'
        'def patient(rows):\n    return {"n": 1}'
    )
    with pytest.raises(FederationError, match="no option --where"):
        notebook.cell(cell)
