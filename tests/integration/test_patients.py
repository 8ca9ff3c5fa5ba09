"""One patient, one Budget: tables that share patients are found when they are taken in, by their identifiers alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.builders import SCHEMA, at
from support.site import TrialSite, write_schema
from support.spending import rewrite, spending_site, take_in
from synthema_core.errors import InvalidInput, Unavailable
from synthema_datasite.ingest import ingest

OWN = '[datasets.other]\npatients = "own"\n[patients.own]\nepsilon = 1.0\n'


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    """It has the dataset `trial`, and another is to come with a Budget of its own."""
    here = spending_site(tmp_path)
    rewrite(here, OWN)
    return here


def take(here: TrialSite, name: str, *patients: str) -> None:
    folder = here.state.folder.parent
    table = folder / f"{name}.csv"
    table.write_text("\n".join(["id,days,died,age,arm", *(f"{one},77.5,1,61.5,a" for one in patients), ""]))
    ingest(here.state, here.site.journal, table, name, write_schema(folder, SCHEMA), "engineer", at())


def overlaps(here: TrialSite, name: str) -> object:
    return here.site.journal.entries(f"dataset/{name}")[-1].body["overlaps"]


@pytest.mark.parametrize("patient", ["p1-3", " p1-3", "P1-3 "])
def test_a_patient_has_no_second_budget(here: TrialSite, patient: str) -> None:
    """One row in common is enough; who it is, is not said."""
    head, files = here.site.journal.head(), sorted(here.state.rows_folder.rglob("*.parquet"))
    with pytest.raises(InvalidInput, match="also in the dataset 'trial', under another budget") as refused:
        take(here, "other", "q1", patient, "q2")
    assert patient.strip().casefold() not in str(refused.value).casefold()
    assert "61.5" not in str(refused.value)
    assert here.site.journal.head() == head
    assert sorted(here.state.rows_folder.rglob("*.parquet")) == files
    assert not list((here.state.rows_folder / "other").iterdir())


def test_other_patients_may_have_one(here: TrialSite) -> None:
    take(here, "other", "q1", "q2", "p1-300")
    assert overlaps(here, "other") == []


def test_under_one_budget_patients_may_be_in_several_datasets(here: TrialSite) -> None:
    rewrite(here, "")
    take(here, "other", "q1", "p1-3")
    assert overlaps(here, "other") == ["trial"]
    take(here, "third", "q1")
    assert overlaps(here, "third") == ["other"]


def test_earlier_versions_count(here: TrialSite) -> None:
    """Of a patient who has left the newest version, something was told all the same."""
    take_in(here, "trial", seed=9)
    with pytest.raises(InvalidInput, match="under another budget"):
        take(here, "other", "p1-3")


def test_a_later_version_is_compared_too(here: TrialSite) -> None:
    take(here, "other", "q1", "q2")
    with pytest.raises(InvalidInput, match="also in the dataset 'trial'"):
        take(here, "other", "q1", "q2", "p1-3")
    with pytest.raises(InvalidInput, match="also in the dataset 'other'"):
        take(here, "trial", "z1", "q2")
    take(here, "other", "q1", "q2", "q3")


def test_rows_that_cannot_be_read_are_not_taken_for_others(here: TrialSite) -> None:
    (file,) = (here.state.rows_folder / "trial").glob("*.parquet")
    file.rename(file.with_suffix(".away"))
    with pytest.raises(Unavailable, match="to compare its patients"):
        take(here, "other", "q1")
    file.with_suffix(".away").rename(file)
    take(here, "other", "q1")
