"""Rows of one Dataset version, read through DuckDB after their content was checked against the commitment."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.commitment import commitment
from synthema_core.errors import IntegrityFailure, NotFound
from synthema_core.schemas import Kind, Schema

if TYPE_CHECKING:
    import duckdb

_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "threads": 1,
    "memory_limit": "2GB",
}


def closed_database(path: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB that can read this one file: no other, no network, no extension, and no statement opens it again.

    By itself DuckDB reads and writes whatever a statement names, and fetches extensions for it.
    """
    import duckdb

    quoted = str(path).replace("'", "''")
    database = duckdb.connect(":memory:", config=_CLOSED)
    database.execute(f"SET allowed_paths = ['{quoted}']")  # takes no parameter, and must come before the next
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


class ParquetRows:
    """Implements RowStore over one immutable Parquet file.

    Parameters
    ----------
    sha256, committed
        What the Journal recorded about the file.
    salt
        The site's secret, without which the commitment cannot be recomputed.
    """

    def __init__(self, path: Path, schema: Schema, sha256: str, committed: str, salt: bytes) -> None:
        self._path, self._schema, self._sha256 = path, schema, sha256
        self._committed, self._salt = committed, salt

    def load(self, columns: Sequence[str]) -> Rows:
        """Only these columns: (n,) float64 with NaN for missing, or codes with '' for missing.

        Raises
        ------
        IntegrityFailure
            If the file is not the one that was taken in.
        NotFound
            For a column that the Schema does not have.
        """
        fields = [self._schema.field(column) for column in columns]
        self._check_content()
        table = self._read(columns)
        return {field.name: _column(field.kind, table[field.name]) for field in fields}

    def _check_content(self) -> None:
        try:
            with self._path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            raise NotFound("The dataset's rows are not where they were taken in.", "Restore them.") from None
        found = commitment(self._salt, sha256, self._schema.digest)
        if sha256 != self._sha256 or not hmac.compare_digest(found, self._committed):
            raise IntegrityFailure("The dataset's rows were changed after they were taken in.", "Restore them.")

    def _read(self, columns: Sequence[str]) -> dict[str, Any]:
        with closed_database(self._path) as database:
            chosen = ", ".join(f'"{column}"' for column in columns)
            return dict(database.read_parquet(str(self._path)).project(chosen).fetchnumpy())


def _column(kind: Kind, values: Any) -> NDArray[Any]:
    missing = np.ma.getmaskarray(values)
    plain = np.ma.getdata(values)
    if kind in (Kind.CATEGORY, Kind.IDENTIFIER):
        codes = plain.astype(object)
        codes[missing] = ""
        return codes
    numbers = plain.astype(np.float64)
    numbers[missing] = np.nan
    return numbers
