"""Rows on disk: read only if they are the ones that were taken in, only the columns asked for, by a closed DuckDB."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from pyarrow import parquet

from support.builders import SCHEMA
from support.site import TrialSite
from synthema_core.errors import IntegrityFailure, NotFound, SynthemaError
from synthema_core.schemas import Schema
from synthema_datasite.service.records import dataset_records
from synthema_datasite.store.parquet import ParquetRows, closed_database


class Kept:
    """The trial's rows as they were taken in, and how to open them, rightly or wrongly."""

    def __init__(self, here: TrialSite) -> None:
        self.record = dataset_records(here.site.journal)["trial"]
        self.path = here.state.folder / self.record.path
        self.schema, self.sha256, self.committed = SCHEMA, self.record.sha256, self.record.facts.commitment
        self.salt = here.state.salt()

    def rows(self) -> ParquetRows:
        return ParquetRows(self.path, self.schema, self.sha256, self.committed, self.salt)

    def refused(self) -> str:
        with pytest.raises(SynthemaError) as told:
            self.rows().load(["days"])
        assert isinstance(told.value, IntegrityFailure | NotFound)
        assert told.value.hint == "Restore them."
        return type(told.value).__name__


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(TrialSite(tmp_path, patients=30))


def test_only_the_columns_asked_for_are_read_in_the_order_asked(kept: Kept) -> None:
    rows = kept.rows().load(["arm", "days"])
    assert list(rows) == ["arm", "days"]
    table = parquet.read_table(kept.path)
    assert rows["arm"].tolist() == table["arm"].to_pylist()
    np.testing.assert_array_equal(rows["days"], table["days"].to_numpy())


def test_a_column_that_the_schema_does_not_have_is_refused_before_the_file_is_touched(kept: Kept) -> None:
    kept.path.unlink()
    with pytest.raises(NotFound, match="no column 'blood'"):
        kept.rows().load(["days", "blood"])


@pytest.mark.parametrize("name", ['days" from x --', "days, id", "*"])
def test_a_column_name_is_never_a_statement(kept: Kept, name: str) -> None:
    with pytest.raises(NotFound, match="no column"):
        kept.rows().load([name])


def test_one_changed_byte_is_refused(kept: Kept) -> None:
    content = bytearray(kept.path.read_bytes())
    content[len(content) // 2] ^= 1
    kept.path.write_bytes(content)
    assert kept.refused() == "IntegrityFailure"


def test_another_table_in_its_place_is_refused(kept: Kept) -> None:
    """A patient fewer, in a file that is whole."""
    table = parquet.read_table(kept.path)
    parquet.write_table(table.slice(1), kept.path)
    assert kept.refused() == "IntegrityFailure"


def test_another_table_with_its_own_digest_is_refused_by_the_commitment(kept: Kept) -> None:
    """Whoever replaces the file and the digest beside it still lacks the salt."""
    table = parquet.read_table(kept.path)
    parquet.write_table(table.slice(1), kept.path)
    kept.sha256 = hashlib.sha256(kept.path.read_bytes()).hexdigest()
    assert kept.refused() == "IntegrityFailure"


@pytest.mark.parametrize("changed", [{"salt": b"0" * 32}, {"committed": "c" * 64}, {"sha256": "d" * 64}])
def test_another_salt_commitment_or_digest_is_refused(kept: Kept, changed: dict[str, Any]) -> None:
    vars(kept).update(changed)
    assert kept.refused() == "IntegrityFailure"


def test_another_schema_over_the_same_rows_is_refused(kept: Kept) -> None:
    """Another range scales another answer out of the same rows."""
    days = replace(SCHEMA.field("days"), maximum=10.0)
    fields = tuple(days if field.name == "days" else field for field in SCHEMA.fields)
    kept.schema = Schema(SCHEMA.name, fields, SCHEMA.patient_id, SCHEMA.title)
    assert kept.refused() == "IntegrityFailure"


def test_a_missing_file_is_refused(kept: Kept) -> None:
    kept.path.unlink()
    assert kept.refused() == "NotFound"
    kept.path.mkdir()
    assert kept.refused() == "NotFound"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_parquet('{other}')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('https://127.0.0.1:9/rows.csv')",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '{path}' (FORMAT parquet)",
        "ATTACH '{folder}/out.db'",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_paths = ['{other}']",
        "SET allowed_directories = ['/']",
        "SET lock_configuration = false",
    ],
)
def test_duckdb_reaches_no_other_file_and_no_network(kept: Kept, statement: str) -> None:
    other = kept.path.with_name("other.parquet")
    other.write_bytes(kept.path.read_bytes())
    before = {path: path.read_bytes() for path in kept.path.parent.iterdir()}
    spelt = statement.format(other=other, folder=kept.path.parent, path=kept.path)
    with closed_database(kept.path) as database:
        assert len(database.read_parquet(str(kept.path)).fetchall()) == 30
        with pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException), match=r"disabled|locked"):
            database.execute(spelt).fetchall()
    assert {path: path.read_bytes() for path in kept.path.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("enable_external_access", False),
        ("lock_configuration", True),
        ("autoinstall_known_extensions", False),
        ("autoload_known_extensions", False),
        ("allow_community_extensions", False),
    ],
)
def test_duckdb_is_closed_by_its_settings(kept: Kept, setting: str, value: bool) -> None:
    with closed_database(kept.path) as database:
        assert database.execute(f"SELECT current_setting('{setting}')").fetchall() == [(value,)]
        allowed = database.execute("SELECT current_setting('allowed_paths')").fetchall()
        assert allowed == [([str(kept.path)],)]


def test_a_folder_with_a_quote_in_its_name_opens_nothing_else(kept: Kept, tmp_path: Path) -> None:
    folder = tmp_path / "it's], ['"
    folder.mkdir()
    kept.path = kept.path.rename(folder / "rows.parquet")
    assert len(kept.rows().load(["days"])["days"]) == 30
    with closed_database(kept.path) as database:
        assert database.execute("SELECT current_setting('allowed_paths')").fetchall() == [([str(kept.path)],)]
