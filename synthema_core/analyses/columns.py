"""Columns as a question carries them: named and labelled by the schema, and read from rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.schemas import Field, Kind, Schema

_NO_AND_YES = (("0", "no"), ("1", "yes"))
MOST_PATIENTS = 100_000.0
"""Patients one site may count in an exact analysis; the bounds of all its sums follow from it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, with the title and unit its schema gives it."""

    name: str
    label: str
    unit: str = ""

    @classmethod
    def of(cls, field: Field) -> Self:
        return cls(field.name, field.title or field.name, field.unit)

    def to_dict(self) -> dict[str, Json]:
        return {"column": self.name, "label": self.label, "unit": self.unit}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(str(data["column"]), str(data["label"]), str(data["unit"]))


@dataclass(frozen=True, slots=True)
class Factor:
    """A column whose patients fall into groups.

    Parameters
    ----------
    levels
        (code, label) in the schema's order, or those the researcher chose. Booleans have the codes 0 and 1.
    """

    column: Column
    levels: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not self.levels or len(dict(self.levels)) != len(self.levels):
            raise InvalidPlan(f"The groups of '{self.column.name}' must be named, and each once.")

    @classmethod
    def of(cls, field: Field) -> Self:
        if field.kind is Kind.BOOLEAN:
            return cls(Column.of(field), _NO_AND_YES)
        if field.kind is not Kind.CATEGORY:
            raise InvalidInput(
                f"'{field.name}' is {_article(field.kind)}: it does not sort patients into groups.",
                "Use a column of type category or boolean.",
            )
        return cls(Column.of(field), tuple((code, label or code) for code, label in field.codes))

    @property
    def is_boolean(self) -> bool:
        return self.levels == _NO_AND_YES

    def only(self, codes: Iterable[str]) -> Factor:
        """The same with these codes only, in the schema's order."""
        wanted = tuple(codes)
        labels = dict(self.levels)
        unknown = [code for code in wanted if code not in labels]
        if unknown or not wanted:
            raise InvalidInput(
                f"'{self.column.name}' has no code '{unknown[0] if unknown else ''}'.", f"It has {', '.join(labels)}."
            )
        return Factor(self.column, tuple(level for level in self.levels if level[0] in wanted))

    def indices(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): the position of each patient's level; -1 where missing or not among the levels."""
        values = rows[self.column.name]
        found = np.full(len(values), -1, dtype=np.int64)
        for position, (code, _) in enumerate(self.levels):
            found[values == (float(code) if values.dtype.kind == "f" else code)] = position
        return found

    def to_dict(self) -> dict[str, Json]:
        return {**self.column.to_dict(), "levels": [[code, label] for code, label in self.levels]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(Column.from_dict(data), tuple((str(code), str(label)) for code, label in data["levels"]))


def complete(rows: Rows, columns: Iterable[str]) -> NDArray[np.bool_]:
    """(n,): which patients have a value in every one of these columns."""
    present = [~np.isnan(rows[name]) if rows[name].dtype.kind == "f" else rows[name] != "" for name in columns]
    cohort: NDArray[np.bool_] = np.logical_and.reduce(present).astype(np.bool_)
    return cohort


def check_one_row_each(schema: Schema, analysis: str) -> None:
    """Refuse what an analysis that counts rows as patients would count wrongly."""
    if schema.rows_per_patient > 1:
        raise InvalidInput(
            f"'{analysis}' takes a row for a patient, and in '{schema.name}' a patient may have "
            f"{schema.rows_per_patient} rows.",
            "Ask a private analysis, or for a dataset with one row a patient.",
        )


def numeric_field(schema: Schema, name: str) -> tuple[Field, float, float]:
    """The number or integer of that name, its minimum and its maximum."""
    field = schema.field(name)
    if field.minimum is None or field.maximum is None:
        raise InvalidInput(
            f"'{name}' is {_article(field.kind)}, and a number is needed here.", "Use a column with a range."
        )
    return field, float(field.minimum), float(field.maximum)


def time_field(schema: Schema, name: str) -> tuple[Field, float]:
    """The time column of that name and its longest time; times before 0 make no sense."""
    field, shortest, longest = numeric_field(schema, name)
    if shortest < 0:
        raise InvalidInput(f"'{name}' may be negative by its schema: it is not a time.", "Use a time from 0 on.")
    return field, longest


def event_field(schema: Schema, name: str) -> Field:
    """The boolean of that name: whether the time ended in the event."""
    field = schema.field(name)
    if field.kind is not Kind.BOOLEAN:
        raise InvalidInput(f"'{name}' is {_article(field.kind)}, and an event is yes or no.", "Use a boolean column.")
    return field


def _article(kind: Kind) -> str:
    return f"an {kind}" if kind[0] in "aei" else f"a {kind}"
