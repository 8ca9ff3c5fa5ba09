"""Taking a table in: all of it or nothing, and what is wrong is said without a patient's value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.builders import SCHEMA, at
from support.disk import full_disk
from support.site import write_patients, write_schema
from synthema_core.analyses.base import Rows
from synthema_core.errors import InvalidInput, InvalidRows, InvalidSchema, SynthemaError, Unavailable
from synthema_core.schemas import Field, Schema
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.ingest import ingest
from synthema_datasite.ingest.checks import check_table
from synthema_datasite.ingest.table import Table
from synthema_datasite.service.records import DATASETS, DatasetRecord
from synthema_datasite.state import SiteState
from synthema_datasite.store.parquet import ParquetRows

HEADER = "id,days,died,age,arm"
FIRST, SECOND = "zx-1,377.25,1,61.5,a", "zx-2,812.75,0,47.5,b"
PLANTED = ("zx-", "377.25", "812.75", "61.5", "47.5", "4711", "Leningrad")
"""Patients' values in the bad tables, distinctive enough to be looked for in what is said."""


@dataclass
class Shelf:
    """A datasite with one version of `trial`, and what its engineer types."""

    folder: Path
    state: SiteState
    journal: SqliteJournal

    def take(self, table: str | bytes | Path, schema: Path | None = None, name: str = "trial") -> DatasetRecord:
        if not isinstance(table, Path):
            content = table if isinstance(table, bytes) else table.encode()
            table = self.folder / "table.csv"
            table.write_bytes(content)
        return ingest(self.state, self.journal, table, name, schema or self.folder / "trial.yaml", "engineer", at())

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.state.rows_folder.rglob("*") if path.is_file()}

    def rows(self, record: DatasetRecord) -> Rows:
        store = ParquetRows(
            self.state.folder / record.path,
            record.facts.schema,
            record.sha256,
            record.facts.commitment,
            self.state.salt(),
        )
        return store.load([field.name for field in record.facts.schema.fields])

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        before = self.journal.head(), self.files()
        yield
        assert (self.journal.head(), self.files()) == before, "a failed ingest leaves no trace"
        self.journal.verify()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    state = SiteState.initialise(tmp_path / "alder", "alder", "Alder Hospital")
    shelf = Shelf(tmp_path, state, SqliteJournal(state.journal_path))
    write_schema(tmp_path)
    shelf.take(write_patients(tmp_path / "first.csv", 12))
    return shelf


def check_sentence(error: SynthemaError) -> str:
    assert error.hint, "says what to do about it"
    assert error.message.endswith(".")
    assert "\n" not in str(error)
    assert not [value for value in PLANTED if value in str(error)], "a patient's value is told"
    return str(error)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param(f"{HEADER},zip\n{FIRST},4711\n", "Column 'zip' is not in the schema.", id="unknown column"),
        pytest.param("id,days,died,arm\nzx-1,377.25,1,a\n", "Column 'age' is missing.", id="missing column"),
        pytest.param(f"{FIRST}\n{SECOND}\n", "first line names none of the schema's columns", id="no header line"),
        pytest.param("zx-1,4711,4711,61.5,a\nzx-2,1,1,1,b\n", "columns 2 and 3", id="no header line, equal values"),
        pytest.param("id;days;died;age;arm\nzx-1;377.25;1;61.5;a\n", "with commas", id="semicolons"),
        pytest.param(f"{HEADER},age\n{FIRST},61.5\n", "columns 4 and 6 of", id="duplicate column"),
        pytest.param("", "holds no patients", id="empty file"),
        pytest.param("\n\n \n", "holds no patients", id="blank lines only"),
        pytest.param(f"{HEADER}\n", "holds no patients", id="header only"),
        pytest.param(f"{HEADER}\n{FIRST}\nzx-2,812.75\n", "Line 3 of", id="short row"),
        pytest.param(f"{HEADER}\n{FIRST},4711\n", "has 6 values where the header has 5", id="long row"),
        pytest.param(f"{HEADER}\n{FIRST}\n{FIRST}\n", "'id' names a patient again (line 3).", id="patient twice"),
        pytest.param(f"{HEADER}\n,377.25,1,61.5,a\n", "'id' lacks a value", id="no patient id"),
        pytest.param(f"{HEADER}\nzx-1,Leningrad,1,61.5,a\n", "'days' holds something that is not a number", id="text"),
        pytest.param(f"{HEADER}\nzx-1,4_711,1,61.5,a\n", "not a number (line 2)", id="digits in groups"),
        pytest.param(f"{HEADER}\nzx-1,٤٧١١,1,61.5,a\n", "not a number (line 2)", id="digits of another script"),
        pytest.param(f"{HEADER}\nzx-1,inf,1,61.5,a\n", "not a finite number", id="infinite"),
        pytest.param(f"{HEADER}\nzx-1,nan,1,61.5,a\n", "not a finite number", id="not a number by name"),
        pytest.param(f"{HEADER}\nzx-1,-377.25,1,61.5,a\n", "below its minimum of 0 days (line 2)", id="negative time"),
        pytest.param(f"{HEADER}\nzx-1,4711,1,61.5,a\n", "above its maximum of 1000 days", id="above the maximum"),
        pytest.param(f"{HEADER}\nzx-1,377.25,Leningrad,61.5,a\n", "'died' holds something that", id="boolean"),
        pytest.param(f"{HEADER}\nzx-1,377.25,1,61.5,Leningrad\n", "'arm' holds a code that", id="unknown code"),
        pytest.param(f"{HEADER}\nzx-1,377.25,1,,a\n", "'age' lacks a value that is required", id="missing value"),
        pytest.param(f"{HEADER}\nzx-1,377.25,1,NA,a\n", "'age' lacks a value that is required", id="missing by name"),
        pytest.param(f"{HEADER}\nzx-1,377.25,1,61.5,Zürich\n".encode("latin-1"), "is not UTF-8 text", id="Latin-1"),
        pytest.param(f"{HEADER}\n{FIRST}".encode("utf-16"), "is not UTF-8 text", id="UTF-16"),
        pytest.param(f'{HEADER}\n"zx-1,377.25,1\n', "is not CSV", id="open quote"),
        pytest.param(f'{HEADER}\n"zx-1"4711,377.25,1,61.5,a\n', "is not CSV", id="text after a quote"),
    ],
)  # fmt: skip
def test_a_bad_table_is_sent_back_in_a_sentence_without_a_value(shelf: Shelf, table: str | bytes, said: str) -> None:
    with shelf.unharmed(), pytest.raises(InvalidRows) as told:
        shelf.take(table)
    assert said in check_sentence(told.value)


def test_every_problem_is_named_with_its_lines_up_to_a_readable_number(shelf: Shelf) -> None:
    rows = [f"zx-{number},-377.25,Leningrad,61.5,a" for number in range(9)]
    with shelf.unharmed(), pytest.raises(InvalidRows) as told:
        shelf.take("\n".join([HEADER, *rows]))
    said = check_sentence(told.value)
    assert "'days' goes below its minimum of 0 days (line 2, 3, 4, 5, 6 and 4 more)." in said
    assert "'died' holds something that is neither 0 nor 1 (line 2, 3, 4, 5, 6 and 4 more)." in said


def test_a_patient_has_as_many_rows_as_the_schema_allows_and_is_counted_once(shelf: Shelf) -> None:
    several = {**SCHEMA.to_dict(), "name": "visits", "rows_per_patient": 3}
    schema = write_schema(shelf.folder, Schema.from_dict(several))
    two = [FIRST, SECOND, FIRST, SECOND]
    record = shelf.take("\n".join([HEADER, *two, FIRST]), schema, "visits")
    assert (record.facts.patients, record.facts.schema.rows_per_patient) == (2, 3)
    assert len(shelf.rows(record)["id"]) == 5
    with shelf.unharmed(), pytest.raises(InvalidRows) as told:
        shelf.take("\n".join([HEADER, *two, FIRST, FIRST, SECOND, FIRST]), schema, "visits")
    assert "Column 'id' names a patient in more than 3 rows (line 7, 9)." in check_sentence(told.value)


def test_lines_are_counted_as_in_a_text_editor(shelf: Shelf) -> None:
    """Empty lines and values of several lines count."""
    table = f'\n{HEADER}\n\n"zx\n1",377.25,1,61.5,a\nzx-2,-377.25,0,47.5,b\n'
    with pytest.raises(InvalidRows, match=r"line 6\)"):
        shelf.take(table)
    with pytest.raises(InvalidRows, match="Line 4 of"):
        shelf.take(f"{HEADER}\n{FIRST}\n\nzx-2\n")


READ = Table({"id": ["p"], "days": ["1"], "died": ["1"], "age": ["1"], "arm": ["a"]}, (2,))


@given(st.text(), st.sampled_from(SCHEMA.fields))
@example("1e400", SCHEMA.field("days"))
@example("0x10", SCHEMA.field("days"))
def test_whatever_a_cell_holds_is_taken_or_refused_by_one_of_the_known_sentences(text: str, field: Field) -> None:
    known = (
        "lacks a value that is required",
        "holds something that is not a number",
        "holds something that is not a finite number",
        f"goes below its minimum of {field.minimum or 0:g} {field.unit}",
        f"goes above its maximum of {field.maximum or 0:g} {field.unit}",
        "holds something that is neither 0 nor 1",
        "holds a code that its schema does not list",
    )
    try:
        check_table(Table({**READ.columns, field.name: [text]}, READ.lines), SCHEMA)
    except InvalidRows as error:
        assert error.message in [f"Column '{field.name}' {what} (line 2)." for what in known]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param("name: trial\nfields:\n  - {name: id\n", ", line 4", id="open brace"),
        pytest.param("name: trial\n\tfields: []\n", ", line 2", id="tab"),
        pytest.param("name: trial\x07\n", "is not YAML", id="control character"),
        pytest.param("name: Zürich\n".encode("latin-1"), "is not UTF-8 text", id="Latin-1"),
        pytest.param("", "A schema is a mapping", id="empty"),
        pytest.param("- id\n- days\n", "A schema is a mapping", id="list"),
        pytest.param("name: trial\npatient_id: id\n", "has no 'fields'", id="no fields"),
        pytest.param("name: t\npatient_id: id\nfields: [{name: id, type: string}]\n", "'id' has a type", id="type"),
        pytest.param("name: t\npatient_id: id\nfields: [{name: id, type: identifier, x: 1}]\n", "key 'x'", id="key"),
        pytest.param("name: t\npatient_id: pid\nfields: [{name: id, type: identifier}]\n", "not a field", id="no id"),
        pytest.param("name: !!python/object/apply:os.getpid []\n", "is not YAML", id="code in YAML"),
    ],
)  # fmt: skip
def test_a_bad_schema_is_sent_back(shelf: Shelf, schema: str | bytes, said: str) -> None:
    path = shelf.folder / "bad.yaml"
    path.write_bytes(schema if isinstance(schema, bytes) else schema.encode())
    with shelf.unharmed(), pytest.raises(InvalidSchema) as told:
        shelf.take(f"{HEADER}\n{FIRST}\n", schema=path)
    assert said in str(told.value)
    assert "zx-" not in str(told.value)


@pytest.mark.parametrize("name", ["", "Trial", "../trial", "trial/1", "1trial", "trial.parquet", "t" * 64])
def test_a_bad_dataset_name_is_sent_back(shelf: Shelf, name: str) -> None:
    with shelf.unharmed(), pytest.raises(InvalidInput, match="cannot name a dataset") as told:
        shelf.take(f"{HEADER}\n{FIRST}\n", name=name)
    check_sentence(told.value)


def test_a_file_that_is_not_there_is_said(shelf: Shelf) -> None:
    with shelf.unharmed(), pytest.raises(InvalidRows, match="No such file") as told:
        shelf.take(shelf.folder / "absent.csv")
    check_sentence(told.value)
    with shelf.unharmed(), pytest.raises(InvalidRows, match="directory"):
        shelf.take(shelf.folder)
    with shelf.unharmed(), pytest.raises(InvalidSchema, match="No such file") as told:
        shelf.take(f"{HEADER}\n{FIRST}\n", schema=shelf.folder / "absent.yaml")
    check_sentence(told.value)


def test_the_same_content_twice_is_no_new_version(shelf: Shelf) -> None:
    with shelf.unharmed(), pytest.raises(InvalidInput, match="version 1 of 'trial' already"):
        shelf.take(shelf.folder / "first.csv")
    assert shelf.take(shelf.folder / "first.csv", name="other").facts.version == 1


@pytest.mark.parametrize("full", ["rows", "journal"])
@pytest.mark.parametrize("name", ["trial", "other"])
def test_no_room_on_the_disk_is_said_and_harms_nothing(shelf: Shelf, full: str, name: str) -> None:
    """The Journal's log grows at its end; the rows' file starts from nothing and is smaller."""
    log = shelf.state.journal_path.with_name("journal.sqlite-wal")
    room = log.stat().st_size if full == "journal" else 200
    second = write_patients(shelf.folder / "second.csv", 20, seed=2)
    with shelf.unharmed():
        with pytest.raises(Unavailable) as told, full_disk(room):
            shelf.take(second, name=name)
        assert ("journal.sqlite" if full == "journal" else f"rows/{name}") in told.value.message
        assert "Make room on the disk" in told.value.hint
        check_sentence(told.value)
    record = shelf.take(second, name=name)
    assert record.facts.patients == len(shelf.rows(record)["id"]) == 20


def test_a_second_version_leaves_the_first_as_it_was(shelf: Shelf) -> None:
    ((first_path, first),) = shelf.files().items()
    record = shelf.take(write_patients(shelf.folder / "second.csv", 20, seed=2))
    assert (record.facts.version, record.facts.patients, record.ingested_by) == (2, 20, "engineer")
    assert shelf.files()[first_path] == first
    one, two = (entry.body for entry in shelf.journal.entries(DATASETS + "trial"))
    assert one["commitment"] != two["commitment"]
    assert (one["version"], two["version"]) == (1, 2)


def test_a_commitment_tells_no_other_site_that_it_has_the_same_table(shelf: Shelf) -> None:
    """A plain hash of a small table would confirm a guess of it."""
    other = SiteState.initialise(shelf.folder / "birch", "birch", "Birch Hospital")
    journal = SqliteJournal(other.journal_path)
    record = ingest(other, journal, shelf.folder / "first.csv", "trial", shelf.folder / "trial.yaml", "e", at())
    (entry,) = shelf.journal.entries(DATASETS + "trial")
    assert record.sha256 == entry.body["sha256"]
    assert record.facts.commitment != entry.body["commitment"]


def test_only_the_owner_can_read_the_rows(shelf: Shelf) -> None:
    (path,) = map(Path, shelf.files())
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0


EVERY_KIND = Schema.from_dict(
    {
        "name": "kinds",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "centre", "type": "identifier", "required": False},
            {"name": "weight", "type": "number", "minimum": -1, "maximum": 1000, "required": False},
            {"name": "visits", "type": "integer", "minimum": 0, "maximum": 1e20, "required": False},
            {"name": "died", "type": "boolean", "required": False},
            {"name": "region", "type": "category", "codes": {"NA": "North America", "EU": "Europe"}, "required": False},
        ],
    }
)


def test_what_is_taken_in_is_what_is_read_back(shelf: Shelf) -> None:
    path = write_schema(shelf.folder, EVERY_KIND)
    table = (
        "region,id,centre,weight,visits,died\n"  # in another order than the schema
        "NA,007, north ,0.1,3,yes\n"
        'EU,7,"a, ""b""",1e2,0,FALSE\n'
        ",p3,,NA,,null\n"
        "EU,p4,NaN,-0.5,9007199254740992,1\n"
        "EU,p5,Ærø,12.300,4.0,No\n"
    )
    rows = shelf.rows(shelf.take(table, schema=path, name="kinds"))
    assert rows["id"].tolist() == ["007", "7", "p3", "p4", "p5"]
    assert rows["centre"].tolist() == ["north", 'a, "b"', "", "", "Ærø"]
    np.testing.assert_array_equal(rows["weight"], [0.1, 100, np.nan, -0.5, 12.3])
    np.testing.assert_array_equal(rows["visits"], [3, 0, np.nan, 2**53, 4])
    np.testing.assert_array_equal(rows["died"], [1, 0, np.nan, 1, 0])
    assert rows["region"].tolist() == ["NA", "EU", "", "EU", "EU"]


@pytest.mark.parametrize("value", ["9007199254740994", "99999999999999999999"])
def test_a_whole_number_that_would_be_rounded_is_refused(shelf: Shelf, value: str) -> None:
    path = write_schema(shelf.folder, EVERY_KIND)
    with shelf.unharmed(), pytest.raises(InvalidRows, match="too large to be kept exactly") as told:
        shelf.take(f"id,centre,weight,visits,died,region\np1,,,{value},,\n", schema=path, name="kinds")
    assert value not in check_sentence(told.value)


@pytest.mark.parametrize("spelling", ["1.5", "0.000001"])
def test_a_part_of_a_whole_is_no_integer(shelf: Shelf, spelling: str) -> None:
    path = write_schema(shelf.folder, EVERY_KIND)
    with shelf.unharmed(), pytest.raises(InvalidRows, match="'visits' holds something that is not a whole number"):
        shelf.take(f"id,centre,weight,visits,died,region\np1,,,{spelling},,\n", schema=path, name="kinds")


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_column(shelf: Shelf) -> None:
    record = shelf.take(f"{HEADER}\r\n{FIRST}\r\n{SECOND}\r\n".encode("utf-8-sig"))
    assert record.facts.patients == 2


def test_the_schema_that_was_used_is_the_one_recorded(shelf: Shelf) -> None:
    (entry,) = shelf.journal.entries(DATASETS + "trial")
    assert Schema.from_dict(entry.body["schema"]) == SCHEMA
