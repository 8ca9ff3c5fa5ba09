"""A CSV file as columns of text, exactly as written."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from synthema_core.errors import InvalidRows

_FIRST_ROW = 2  # in a text editor: the header is line 1


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name, all equally long, in the file's order."""

    columns: dict[str, list[str]]
    rows: int


def read_csv(path: Path) -> Table:
    """The table in that file.

    Raises
    ------
    InvalidRows
        If it cannot be read, is empty, has a column twice, or a row with more or fewer values than the header. Says
        where, never what.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file, strict=True))
    except OSError as error:
        raise InvalidRows(f"The file {path} cannot be read: {error.strerror}.", "Check its path and rights.") from None
    except UnicodeDecodeError:
        raise InvalidRows(f"The file {path} is not UTF-8 text.", "Export it as CSV in UTF-8.") from None
    except csv.Error:
        raise InvalidRows(f"The file {path} is not CSV.", "Export it with commas and a header line.") from None
    return _table(path, [line for line in lines if line])


def _table(path: Path, lines: list[list[str]]) -> Table:
    if len(lines) < _FIRST_ROW:
        raise InvalidRows(f"The file {path} holds no patients.", "It needs a header line and one line a patient.")
    header = [name.strip() for name in lines[0]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InvalidRows(f"The file {path} has the column '{twice[0]}' twice.", "Rename one of them.")
    for number, line in enumerate(lines[1:], start=_FIRST_ROW):
        if len(line) != len(header):
            raise InvalidRows(
                f"Line {number} of {path} has {len(line)} values where the header has {len(header)}.",
                "Quote values that hold commas.",
            )
    columns = {name: [line[place].strip() for line in lines[1:]] for place, name in enumerate(header)}
    return Table(columns, len(lines) - 1)
