"""Whom a Plan is about: a condition on patients, and columns derived from others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.canonical import Json
from synthema_core.cohort.expressions import read
from synthema_core.cohort.meaning import length_of
from synthema_core.cohort.reading import read_tree
from synthema_core.cohort.spelling import spell
from synthema_core.cohort.tree import Name, walk
from synthema_core.cohort.words import in_words
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.schemas import Field, Schema

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_DEFINITION = re.compile(r"\s*([^=<>!]*?)\s*=(?!=)(.*)", re.DOTALL)
_MOST_DERIVED = 20


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that is computed: its name, and the canonical text of its expression."""

    name: str
    text: str

    @classmethod
    def read(cls, definition: str) -> Self:
        """Of ``name = expression``."""
        found = _DEFINITION.fullmatch(definition)
        if not found or not _NAME.fullmatch(found[1]):
            raise InvalidInput(
                f"'{definition.strip()[:60]}' derives no column.", "For example --derive 'old = age >= 60'."
            )
        return cls(found[1], spell(read_tree(found[2])))


@dataclass(frozen=True, slots=True)
class Cohort:
    """A choice of patients, by what is known of each of them alone.

    Parameters
    ----------
    where
        The canonical text of a condition; empty for all. Whoever it is not known to hold for is out.
    derived
        In this order: each may name columns of the schema and those before it.
    """

    where: str = ""
    derived: tuple[Derived, ...] = ()

    @classmethod
    def read(cls, where: str, derive: Sequence[str], schema: Schema) -> Self:
        """As it was typed, checked against the schema.

        Raises
        ------
        InvalidInput, NotFound
            One sentence that quotes the part which is wrong, and a hint.
        """
        condition = spell(read_tree(where)) if where.strip() else ""
        found = cls(condition, tuple(Derived.read(definition) for definition in derive))
        found.check_against(schema)
        return found

    @property
    def is_everyone(self) -> bool:
        """Whether nobody is left out. Columns may be derived all the same."""
        return not self.where

    def check_against(self, schema: Schema) -> None:
        """Raise unless all of it can be said of rows of this schema."""
        whole = self.schema(schema)
        if self.where:
            condition = read(self.where, whole)
            if not condition.is_condition:
                raise InvalidInput(f"'{self.where}' is no condition.", "For example --where 'age >= 60'.")
            if condition.is_constant:
                raise InvalidInput(f"'{self.where}' is the same for every patient.", "Use a column in it.")

    def schema(self, base: Schema) -> Schema:
        """The schema of the rows that an analysis is given: the derived columns stand after the others."""
        if len(self.derived) > _MOST_DERIVED:
            raise InvalidInput(f"More than {_MOST_DERIVED} columns are derived.", "Derive fewer.")
        whole = base
        for one in self.derived:
            if any(field.name == one.name for field in whole.fields):
                raise InvalidInput(f"There is a column '{one.name}' already.", "Give what is derived another name.")
            added = read(one.text, whole).named(one.name, f"{one.name} = {one.text}")
            whole = _with(whole, added)
        return whole

    def reads(self, columns: Iterable[str]) -> tuple[str, ...]:
        """The columns that must be read so that these are there, and the condition can be told: each once."""
        made = {one.name: _names(one.text) for one in self.derived}
        wanted = [*columns, *(_names(self.where) if self.where else ())]
        found: dict[str, None] = {}
        while wanted:
            name = wanted.pop(0)
            if name in made:
                wanted[:0] = made[name]
            else:
                found[name] = None
        return tuple(found)

    def apply(self, rows: Rows, schema: Schema) -> tuple[Rows, NDArray[np.bool_]]:
        """The rows that are in, with the derived columns whose own columns are there; and which of those given are.

        Returns
        -------
        (columns by name, (n,) bool)
        """
        whole, known = dict(rows), schema
        for one in self.derived:
            made = read(one.text, known)
            if all(name in whole for name in made.columns):
                whole[one.name] = made.evaluate(whole)
            known = _with(known, made.named(one.name))
        if not self.where:
            return whole, np.ones(length_of(rows), dtype=np.bool_)
        chosen: NDArray[np.bool_] = read(self.where, known).evaluate(whole) == 1
        return {name: values[chosen] for name, values in whole.items()}, chosen

    def sentences(self, schema: Schema) -> list[str]:
        """What a steward reads: nothing for all patients as they are."""
        whole = self.schema(schema)
        said = [f"Only those for whom {in_words(read_tree(self.where), whole)}."] if self.where else []
        return [*said, *(f"Derived for it: {one.name} = {one.text}." for one in self.derived)]

    def to_dict(self) -> dict[str, Json]:
        return {"where": self.where, "derive": [[one.name, one.text] for one in self.derived]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """As a Plan carries it. Raises InvalidPlan for anything else than `to_dict` wrote."""
        try:
            derived = tuple(Derived(name, text) for name, text in data["derive"])
            found = cls(data["where"], derived)
            texts = [*([found.where] if found.where else []), *(one.text for one in derived)]
            faithful = set(data) == {"where", "derive"} and all(spell(read_tree(text)) == text for text in texts)
            named = all(_NAME.fullmatch(one.name) for one in derived)
        except (KeyError, TypeError, ValueError, AttributeError, InvalidInput):
            raise InvalidPlan("The Plan's cohort cannot be read.", "Plan again.") from None
        if not faithful or not named or len(derived) > _MOST_DERIVED:
            raise InvalidPlan("The Plan's cohort is not in its canonical form.", "Plan again.")
        return found


EVERYONE = Cohort()


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.name for node in walk(read_tree(text)) if isinstance(node, Name)))


def _with(schema: Schema, field: Field) -> Schema:
    return Schema(
        schema.name,
        (*schema.fields, field),
        schema.patient_id,
        schema.title,
        schema.description,
        schema.rows_per_patient,
    )
