"""A Dataset's versions: each a Parquet file that never changes, and an entry in the Journal that commits to it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from synthema_core.canonical import Json
from synthema_core.commitment import commitment
from synthema_core.errors import InvalidInput, Unavailable
from synthema_core.journal import Draft, Entry
from synthema_core.schemas import Kind, Schema
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.ingest.checks import Value, check_table
from synthema_datasite.ingest.overlap import check_one_budget, overlapping
from synthema_datasite.ingest.schema_file import read_schema
from synthema_datasite.ingest.table import read_csv
from synthema_datasite.service.records import DATASETS, DatasetRecord, dataset_records
from synthema_datasite.state import SiteState

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def ingest(
    state: SiteState, journal: SqliteJournal, table_path: Path, name: str, schema_path: Path, by: str, now: str
) -> DatasetRecord:
    """Take a table in as the next version of the Dataset `name`.

    Raises
    ------
    InvalidInput
        For a bad name, table or schema, content that is a version already, or patients who have another Budget as those
        of another Dataset. Journal and folder are as before.
    Unavailable
        If there is no room on the disk. Journal and folder are as before.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"'{name}' cannot name a dataset.", "Use lower-case letters, digits, hyphens.")
    schema = read_schema(schema_path)
    table = read_csv(table_path)
    values = check_table(table, schema)
    path = fresh = state.rows_folder / name / f".{os.getpid()}.new"
    try:
        sha256 = _write_parquet(fresh, values, schema)
        with journal.writing() as writer:
            earlier = writer.entries(DATASETS + name)
            _check_new(name, earlier, sha256)
            overlaps = overlapping(state, writer, name, values[schema.patient_id])
            check_one_budget(state.policy(), name, overlaps)
            path = fresh.with_name(f"v{len(earlier) + 1}.parquet")
            body: dict[str, Json] = {
                "name": name,
                "version": len(earlier) + 1,
                "schema": schema.to_dict(),
                "commitment": commitment(state.salt(), sha256, schema.digest),
                "patients": len(set(values[schema.patient_id])),
                "path": str(path.relative_to(state.folder)),
                "sha256": sha256,
                "overlaps": list[Json](overlaps),
            }
            writer.append(Draft(DATASETS + name, "ingest", by, now, body))
            _put_in_place(fresh, path)
    except Unavailable:
        _remove_unrecorded(state, journal, name, path)
        raise
    finally:
        fresh.unlink(missing_ok=True)
    return dataset_records(journal)[name]


def _put_in_place(fresh: Path, path: Path) -> None:
    """Rename, and have the folder on the disk: a recorded version whose file a power cut took would be lost."""
    try:
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unwritable(path.parent, error) from None


def _remove_unrecorded(state: SiteState, journal: SqliteJournal, name: str, path: Path) -> None:
    """The Journal's own commit comes after the file is in place; when it finds no room, the file has to go again."""
    with journal.writing() as writer:  # so that no other process is between its file and its entry
        recorded = [state.folder / str(entry.body["path"]) for entry in writer.entries(DATASETS + name)]
        if path not in recorded:
            path.unlink(missing_ok=True)


def _check_new(name: str, earlier: list[Entry], sha256: str) -> None:
    for entry in earlier:
        if entry.body["sha256"] == sha256:
            raise InvalidInput(f"This is version {entry.body['version']} of '{name}' already.", "Nothing was changed.")


def _write_parquet(path: Path, values: Mapping[str, list[Value]], schema: Schema) -> str:
    """Write the columns, to the disk itself; return the file's SHA-256."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {
        Kind.NUMBER: pa.float64(),
        Kind.INTEGER: pa.int64(),
        Kind.BOOLEAN: pa.bool_(),
        Kind.CATEGORY: pa.string(),
        Kind.IDENTIFIER: pa.string(),
    }
    arrays = {field.name: pa.array(values[field.name], type=kinds[field.kind]) for field in schema.fields}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        parquet.write_table(pa.table(arrays), path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unwritable(path.parent, error) from None


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__  # Arrow's own text is several sentences
    return Unavailable(
        f"The dataset cannot be written to {folder}: {reason}.",
        "Make room on the disk; nothing was taken in.",
    )
