"""A column of the schema or an expression of its columns, with all that is needed to read it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.canonical import Json
from synthema_core.cohort import expressions
from synthema_core.cohort.expressions import Expression
from synthema_core.cohort.tree import Call
from synthema_core.errors import InvalidInput, NotFound
from synthema_core.schemas import Field, Kind, Schema


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value a row.

    Parameters
    ----------
    text
        Its canonical spelling; a column's is its name.
    values
        What they are: kind, range, codes; the title of an expression is its text.
    sources
        The schema's fields it is made of.
    """

    text: str
    values: Field
    sources: tuple[Field, ...]
    expression: Expression | None = field(default=None, compare=False)

    @classmethod
    def read(cls, text: str, schema: Schema) -> Self:
        """Raises InvalidInput or NotFound for what is neither a column nor an expression of columns."""
        made = expressions.read(text, schema)
        sources = tuple(plain_field(schema.field(name)) for name in made.columns)
        if made.columns == (made.text,):
            return cls(made.text, sources[0], sources)
        return cls(made.text, made.field, sources, made)

    @property
    def factor(self) -> str:
        """As a formula has it: in I(...) where signs of its own could be taken for the formula's."""
        if self.expression is None or isinstance(self.expression.tree, Call):
            return self.text
        return f"I({self.text})"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(source.name for source in self.sources)

    @property
    def label(self) -> str:
        if self.expression is not None:
            return self.text
        return self.values.title or self.values.name

    @property
    def is_number(self) -> bool:
        return self.values.kind in (Kind.NUMBER, Kind.INTEGER)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value. Raises InvalidInput where it is no number."""
        low, high = self.values.minimum, self.values.maximum
        if not self.is_number or low is None or high is None:
            raise InvalidInput(f"'{self.text}' is no number, and one is needed here.", "Use a column with a range.")
        return float(low), float(high)

    def evaluate(self, rows: Rows) -> NDArray[Any]:
        """(n,), with the conventions of `Rows`."""
        return rows[self.text] if self.expression is None else self.expression.evaluate(rows)

    def to_dict(self) -> dict[str, Json]:
        return {"text": self.text, "fields": [source.to_dict() for source in self.sources]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            return cls.read(str(data["text"]), schema_of([Field.from_dict(part) for part in data["fields"]]))
        except NotFound as error:
            raise InvalidInput(error.message, "Plan again.") from None

    def matches(self, schema: Schema) -> bool:
        """Whether its columns are the schema's own, so that it means what the schema would make of it."""
        return are_in(self.sources, schema)


def plain_field(one: Field) -> Field:
    """The same with its range as floating-point numbers, as they are read back."""
    return Field.from_dict(one.to_dict())


def are_in(fields: Iterable[Field], schema: Schema) -> bool:
    """Whether the schema has exactly these fields, among others."""
    try:
        return all(plain_field(schema.field(one.name)) == one for one in fields)
    except NotFound:
        return False


def schema_of(fields: Sequence[Field]) -> Schema:
    """A schema of these fields alone, to read texts against."""
    patient = "patient"
    while patient in {one.name for one in fields}:
        patient += "_"
    return Schema("formula", (Field(patient, Kind.IDENTIFIER), *fields), patient)
