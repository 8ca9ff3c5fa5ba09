"""A CSV file as columns of text, exactly as written."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from synthema_core.errors import InvalidRows

_FEWEST_LINES = 2


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name, all equally long, in the file's order.

    Parameters
    ----------
    lines
        Where each row ends, as a text editor counts lines: empty ones too, and the header is line 1.
    """

    columns: dict[str, list[str]]
    lines: tuple[int, ...]

    @property
    def rows(self) -> int:
        return len(self.lines)


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
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, values) for values in reader if values]
    except OSError as error:
        raise InvalidRows(f"The file {path} cannot be read: {error.strerror}.", "Check its path and rights.") from None
    except UnicodeDecodeError:
        raise InvalidRows(f"The file {path} is not UTF-8 text.", "Export it as CSV in UTF-8.") from None
    except csv.Error:
        raise InvalidRows(f"The file {path} is not CSV.", "Export it with commas and a header line.") from None
    return _table(path, lines)


def _table(path: Path, lines: list[tuple[int, list[str]]]) -> Table:
    if len(lines) < _FEWEST_LINES:
        raise InvalidRows(f"The file {path} holds no patients.", "It needs a header line and one line a patient.")
    header, rows = [name.strip() for name in lines[0][1]], lines[1:]
    _check_names_differ(path, header)
    for number, values in rows:
        if len(values) != len(header):
            raise InvalidRows(
                f"Line {number} of {path} has {len(values)} values where the header has {len(header)}.",
                "Quote values that hold commas.",
            )
    columns = {name: [values[place].strip() for _, values in rows] for place, name in enumerate(header)}
    return Table(columns, tuple(number for number, _ in rows))


def _check_names_differ(path: Path, header: list[str]) -> None:
    for place, name in enumerate(header):
        first = header.index(name)
        if first < place:  # told by place: without a header line the name would be a patient's value
            raise InvalidRows(
                f"The columns {first + 1} and {place + 1} of {path} have the same name.",
                "Rename one of them in the file's header line.",
            )
