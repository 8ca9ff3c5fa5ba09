"""Checking a table against its Schema, every value of it; what is wrong is said by column and line, never by value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from synthema_core.errors import InvalidRows
from synthema_core.schemas import Field, Kind, Schema
from synthema_datasite.ingest.table import Table

Value: TypeAlias = float | int | bool | str | None
_MISSING = frozenset({"", "NA", "N/A", "NaN", "null"})
_BOOLEANS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}
_MOST_PROBLEMS, _MOST_ROWS = 10, 5
_LARGEST_WHOLE = 2**53
"""Above it, analyses (which count in float64) would take neighbouring whole numbers for one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a column, and in which lines of the file."""

    column: str
    what: str
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.lines:
            return f"Column '{self.column}' {self.what}."
        shown = ", ".join(map(str, self.lines[:_MOST_ROWS]))
        more = f" and {len(self.lines) - _MOST_ROWS} more" if len(self.lines) > _MOST_ROWS else ""
        return f"Column '{self.column}' {self.what} (line {shown}{more})."


class _Wrong(Exception):
    """One value cannot be taken; the text says why in words that fit many."""


def check_table(table: Table, schema: Schema) -> dict[str, list[Value]]:
    """The table's values as their Schema types them, None for missing.

    Raises
    ------
    InvalidRows
        With up to ten problems, each one sentence.
    """
    problems = _header_problems(table, schema)
    values: dict[str, list[Value]] = {}
    if not problems:
        for field in schema.fields:
            values[field.name], found = _read_column(field, table)
            problems += found
        problems += _crowded_patients(table, schema)
    if problems:
        shown = " ".join(map(str, problems[:_MOST_PROBLEMS]))
        more = f" And {len(problems) - _MOST_PROBLEMS} more." if len(problems) > _MOST_PROBLEMS else ""
        raise InvalidRows(shown + more, "Correct the file or its schema; nothing was taken in.")
    return values


def _header_problems(table: Table, schema: Schema) -> list[Problem]:
    names = [field.name for field in schema.fields]
    if not table.columns.keys() & set(names):  # said of no column: without a header line it would be a value
        raise InvalidRows(
            "The file's first line names none of the schema's columns.", "It needs a header line, with commas."
        )
    missing = [Problem(name, "is missing") for name in names if name not in table.columns]
    unknown = [Problem(name, "is not in the schema") for name in table.columns if name not in names]
    return missing + unknown


def _read_column(field: Field, table: Table) -> tuple[list[Value], list[Problem]]:
    read = _READERS[field.kind]
    values: list[Value] = []
    wrong: dict[str, list[int]] = {}
    for line, text in zip(table.lines, table.columns[field.name], strict=True):
        try:
            values.append(_read_value(field, read, text))
        except _Wrong as reason:
            wrong.setdefault(str(reason), []).append(line)
    return values, [Problem(field.name, what, tuple(lines)) for what, lines in wrong.items()]


def _read_value(field: Field, read: Callable[[Field, str], Value], text: str) -> Value:
    if text in _MISSING and not (field.kind is Kind.CATEGORY and text in field.levels and text):
        if field.required:
            raise _Wrong("lacks a value that is required")
        return None
    return read(field, text)


def _number(field: Field, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or "_" in text or not text.isascii():  # Python also reads 1_000 and other scripts' digits
        raise _Wrong("holds something that is not a number")
    if not math.isfinite(value):
        raise _Wrong("holds something that is not a finite number")
    if field.minimum is not None and value < field.minimum:
        raise _Wrong(f"goes below its minimum of {field.minimum:g} {field.unit}".rstrip())
    if field.maximum is not None and value > field.maximum:
        raise _Wrong(f"goes above its maximum of {field.maximum:g} {field.unit}".rstrip())
    return value


def _integer(field: Field, text: str) -> int:
    value = _number(field, text)
    if value != int(value):
        raise _Wrong("holds something that is not a whole number")
    if abs(value) > _LARGEST_WHOLE:
        raise _Wrong("holds a whole number that is too large to be kept exactly")
    return int(value)


def _boolean(_: Field, text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise _Wrong("holds something that is neither 0 nor 1") from None


def _category(field: Field, text: str) -> str:
    if text not in field.levels:
        raise _Wrong("holds a code that its schema does not list")
    return text


def _identifier(_: Field, text: str) -> str:
    return text


_READERS: dict[Kind, Callable[[Field, str], Value]] = {
    Kind.NUMBER: _number,
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.CATEGORY: _category,
    Kind.IDENTIFIER: _identifier,
}


def _crowded_patients(table: Table, schema: Schema) -> list[Problem]:
    """The lines that bring a patient more rows than the schema allows."""
    most, rows = schema.rows_per_patient, Counter[str]()
    again: list[int] = []
    for line, patient in zip(table.lines, table.columns[schema.patient_id], strict=True):
        rows[patient] += 1
        if rows[patient] > most:
            again.append(line)
    what = "names a patient again" if most == 1 else f"names a patient in more than {most} rows"
    return [Problem(schema.patient_id, what, tuple(again))] if again else []
