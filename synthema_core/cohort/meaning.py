"""What a tree means under a schema: its kind, what values it may have, and how it is computed from rows.

Every expression has a range that follows from the schema alone, by interval arithmetic. So a derived column can be
scaled, clipped and protected by noise like any other, and an expression that could have no value (the logarithm of 0,
a division by 0) is refused before anybody's rows are read. Missing values go through: what is computed from one is
missing, and conditions know three values (Kleene).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.errors import InvalidInput
from synthema_core.schemas import Field, Kind

Values: TypeAlias = NDArray[Any]
Compute: TypeAlias = Callable[[Rows], Values]

LARGEST = 1e12
"""Of any value: sums and differences of larger ones lose digits."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One value a row.

    Parameters
    ----------
    low, high
        Of a number: every value lies between. A condition is 0 or 1.
    codes
        (code, label) of a category.
    constant
        Whether it is the same for every row.
    optional
        Whether it may be missing.
    """

    kind: Kind
    compute: Compute
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    codes: tuple[tuple[str, str], ...] = ()
    constant: bool = False
    optional: bool = False

    def as_constant(self) -> Meaning:
        return replace(self, constant=True)

    @property
    def is_number(self) -> bool:
        return self.kind in (Kind.NUMBER, Kind.INTEGER)

    @property
    def is_condition(self) -> bool:
        return self.kind is Kind.BOOLEAN


def number(
    compute: Compute, low: float, high: float, parts: tuple[Meaning, ...], *, whole: bool = False, unit: str = ""
) -> Meaning:
    """A number computed from others. What is lost by rounding is given back: no value is outside the range.

    Raises
    ------
    InvalidInput
        If it can be larger than any that can be computed with.
    """
    if not (math.isfinite(low) and math.isfinite(high) and max(abs(low), abs(high)) <= LARGEST):
        raise InvalidInput(
            f"An expression can be larger than {LARGEST:g} on this schema's ranges.", "Use clip(x, low, high) first."
        )

    def within(rows: Rows) -> Values:
        return np.clip(compute(rows), low, high)

    return Meaning(
        Kind.INTEGER if whole else Kind.NUMBER,
        within,
        low,
        high,
        unit,
        constant=all(part.constant for part in parts),
        optional=any(part.optional for part in parts),
    )


def condition(compute: Compute, parts: tuple[Meaning, ...], *, optional: bool | None = None) -> Meaning:
    """0, 1, or missing."""
    may_miss = any(part.optional for part in parts) if optional is None else optional
    constant = bool(parts) and all(part.constant for part in parts)
    return Meaning(Kind.BOOLEAN, compute, constant=constant, optional=may_miss)


def category(
    compute: Compute, codes: tuple[tuple[str, str], ...], *, optional: bool, constant: bool = False
) -> Meaning:
    return Meaning(Kind.CATEGORY, compute, codes=codes, constant=constant, optional=optional)


def of_column(field: Field) -> Meaning:
    """A column as the rows have it. Raises InvalidInput for what tells patients apart."""
    name = field.name

    def read(rows: Rows) -> Values:
        return rows[name]

    if field.kind is Kind.IDENTIFIER:
        raise InvalidInput(f"'{name}' tells patients apart: no expression can use it.", "Use another column.")
    if field.kind is Kind.BOOLEAN:
        return Meaning(Kind.BOOLEAN, read, optional=not field.required)
    if field.kind is Kind.CATEGORY:
        return category(read, field.codes, optional=not field.required)
    assert field.minimum is not None and field.maximum is not None, "numbers have a range"
    low, high = float(field.minimum), float(field.maximum)
    return Meaning(field.kind, read, low, high, field.unit, optional=not field.required)


def of_constant(value: float) -> Meaning:
    whole = float(value).is_integer()

    def fill(rows: Rows) -> Values:
        return np.full(length_of(rows), float(value))

    if abs(value) > LARGEST:
        raise InvalidInput(f"The number {value:g} is larger than {LARGEST:g}.", "Use a smaller one.")
    return Meaning(Kind.INTEGER if whole else Kind.NUMBER, fill, value, value, constant=True)


def of_code(code: str) -> Meaning:
    """A code by itself: a category with one level."""

    def fill(rows: Rows) -> Values:
        return np.full(length_of(rows), code, dtype=object)

    return category(fill, ((code, code),), optional=False, constant=True)


def length_of(rows: Rows) -> int:
    """Rows there are. Of no columns there are none: whoever reads an expression reads at least one."""
    return len(next(iter(rows.values()))) if rows else 0


def absent(values: Values) -> NDArray[np.bool_]:
    """(n,): where there is no value."""
    found: NDArray[np.bool_] = np.isnan(values) if values.dtype.kind == "f" else values == ""
    return found.astype(np.bool_)


def as_field(found: Meaning, name: str, title: str) -> Field:
    """The column that has these values.

    Raises
    ------
    InvalidInput
        If all its values are the same.
    """
    required = not found.optional
    if found.constant:
        raise InvalidInput(f"'{title}' is the same for every patient.", "Use a column in it.")
    if found.kind is Kind.CATEGORY:
        return Field(name, Kind.CATEGORY, title, codes=found.codes, required=required)
    if found.is_condition:
        return Field(name, Kind.BOOLEAN, title, required=required)
    if not found.low < found.high:
        raise InvalidInput(f"'{title}' is {found.low:g} for every patient.", "Use a column in it.")
    return Field(name, found.kind, title, found.unit, found.low, found.high, required=required)
