"""Expressions of a dataset's columns: read from text against a schema, computed from rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from synthema_core.analyses.base import Rows
from synthema_core.cohort.interpreting import meaning_of
from synthema_core.cohort.meaning import Meaning, Values, as_field
from synthema_core.cohort.reading import read_tree
from synthema_core.cohort.spelling import spell
from synthema_core.cohort.tree import Name, Node, walk
from synthema_core.schemas import Field, Schema

_UNNAMED = "expression"


@dataclass(frozen=True, slots=True)
class Expression:
    """One value a row, with all that the schema says of it.

    Parameters
    ----------
    text
        Its canonical spelling.
    columns
        The columns it is computed from, in the order in which it names them.
    """

    text: str
    columns: tuple[str, ...]
    tree: Node
    _meaning: Meaning = field(compare=False, repr=False)

    @classmethod
    def of(cls, tree: Node, schema: Schema) -> Self:
        names = dict.fromkeys(node.name for node in walk(tree) if isinstance(node, Name))
        return cls(spell(tree), tuple(names), tree, meaning_of(tree, schema))

    @property
    def field(self) -> Field:
        """Kind, range, unit and codes, under a name that says nothing; the title is the text.

        Raises
        ------
        InvalidInput
            If it is the same for every patient.
        """
        return self.named(_UNNAMED)

    @property
    def is_condition(self) -> bool:
        return self._meaning.is_condition

    @property
    def is_constant(self) -> bool:
        return self._meaning.constant

    def named(self, name: str, title: str = "") -> Field:
        """The column that has these values."""
        return as_field(self._meaning, name, title or self.text)

    def evaluate(self, rows: Rows) -> Values:
        """(n,), as in Rows: float64 with NaN for missing, codes with '' for missing."""
        return self._meaning.compute(rows)


def read(text: str, schema: Schema) -> Expression:
    """The expression that a text says about rows of this schema.

    Raises
    ------
    InvalidInput, NotFound
        One sentence that quotes the part which is wrong, and a hint.
    """
    return Expression.of(read_tree(text), schema)
