"""The factors that a formula's terms are products of: numbers, groups, and bases of smooth functions.

Each stands in two forms. In the form that is computed, its values lie between -1 and 1; in the form that is told, they
are what the formula says. An affine map leads from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.columns import Column, Factor
from synthema_core.analyses.regression.covariates import Number, Term
from synthema_core.design import splines
from synthema_core.design.quantities import Quantity
from synthema_core.errors import InvalidInput
from synthema_core.secure_sum.layout import Floats

_MOST_COLUMNS, _HIGHEST_DEGREE = 20, 8


class Numeric(Protocol):
    """A factor of one or more columns of numbers."""

    @property
    def text(self) -> str:
        """Its canonical spelling."""
        ...

    @property
    def quantity(self) -> Quantity: ...

    @property
    def terms(self) -> tuple[Term, ...]:
        """One a column; their scales are not used."""
        ...

    def values(self, rows: Rows, *, centred: bool) -> Floats:
        """(n, k) between -1 and 1; NaN where the quantity is missing."""
        ...

    def told(self, *, centred: bool) -> tuple[Floats, Floats]:
        """(k, k) parts and (k,) constants: what the formula says is values @ parts + constants.

        Without centring, the constants are 0.
        """
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """A number as it is."""

    quantity: Quantity

    @property
    def text(self) -> str:
        return self.quantity.factor

    @property
    def terms(self) -> tuple[Term, ...]:
        column = Column(self.quantity.text, self.quantity.label, self.quantity.values.unit)
        return Number(column, 0.0, 1.0).terms

    def values(self, rows: Rows, *, centred: bool) -> Floats:
        parts, constants = self.told(centred=centred)
        scaled: Floats = (self.quantity.evaluate(rows)[:, np.newaxis] - constants) / parts[0, 0]
        return np.clip(scaled, -1.0, 1.0)

    def told(self, *, centred: bool) -> tuple[Floats, Floats]:
        low, high = self.quantity.range
        if centred:
            return np.array([[(high - low) / 2]]), np.array([(low + high) / 2])
        return np.array([[max(abs(low), abs(high))]]), np.zeros(1)


@dataclass(frozen=True, slots=True)
class Powers:
    """A number and its powers: Legendre polynomials of its range where that is centred, else the powers themselves."""

    quantity: Quantity
    degree: int

    def __post_init__(self) -> None:
        if not 1 <= self.degree <= _HIGHEST_DEGREE:
            raise InvalidInput(f"poly() takes a degree from 1 to {_HIGHEST_DEGREE}.", "For example poly(age, 2).")

    @property
    def text(self) -> str:
        return f"poly({self.quantity.text}, {self.degree})"

    @property
    def terms(self) -> tuple[Term, ...]:
        (first,) = Plain(self.quantity).terms
        more = range(2, self.degree + 1)
        return (
            Term(f"{self.text}[1]", first.label, first.unit, first.per, 1.0),
            *(
                Term(f"{self.text}[{k}]", f"{first.label}, power {k}", "", f"1 {_power(first.unit, k)}".rstrip(), 1.0)
                for k in more
            ),
        )

    def values(self, rows: Rows, *, centred: bool) -> Floats:
        scaled = Plain(self.quantity).values(rows, centred=centred)
        if centred:
            return splines.legendre_polynomials(scaled[:, 0], self.degree)
        powers: Floats = scaled ** np.arange(1, self.degree + 1)
        return powers

    def told(self, *, centred: bool) -> tuple[Floats, Floats]:
        (((half_range,),), (centre,)) = Plain(self.quantity).told(centred=centred)
        if centred:
            return splines.powers_of_legendre(float(centre), float(half_range), self.degree)
        return np.diag(half_range ** np.arange(1, self.degree + 1)), np.zeros(self.degree)


def _power(unit: str, power: int) -> str:
    return f"{unit}^{power}" if unit else ""


@dataclass(frozen=True, slots=True)
class Spline:
    """A smooth function of a number between two bounds; beyond, it stays as at the bound.

    Parameters
    ----------
    text
        As it was typed, in canonical form.
    inner
        Knots between the bounds.
    degree
        Of B-splines; None for natural cubic splines.
    """

    text: str
    quantity: Quantity
    inner: tuple[float, ...]
    degree: int | None
    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = self.quantity.range
        if not low <= self.low < self.high <= high:
            raise InvalidInput(
                f"The bounds of '{self.text}' leave the range of '{self.quantity.text}', {low:g} to {high:g}.",
                "Give lower_bound and upper_bound within it.",
            )
        knots = (self.low, *self.inner, self.high)
        if any(second <= first for first, second in pairwise(knots)):
            raise InvalidInput(
                f"The knots of '{self.text}' are not in order between {self.low:g} and {self.high:g}.",
                "Give each once, the smallest first.",
            )
        if len(self.inner) + (self.degree or 1) > _MOST_COLUMNS:
            raise InvalidInput(f"'{self.text}' has more than {_MOST_COLUMNS} columns.", "Usual are 3 to 5.")

    @property
    def terms(self) -> tuple[Term, ...]:
        size = len(self.inner) + (self.degree or 1)
        label = self.quantity.label
        return tuple(
            Term(f"{self.text}[{k}]", f"{label}, spline {k} of {size}", "", "1", 1.0) for k in range(1, size + 1)
        )

    def values(self, rows: Rows, *, centred: bool) -> Floats:  # noqa: ARG002  without constants in either form
        numbers = self.quantity.evaluate(rows)
        if self.degree is None:
            scaled: Floats = splines.natural_splines(numbers, self.inner, self.low, self.high) / self._largest
            return np.clip(scaled, -1.0, 1.0)
        return splines.b_splines(numbers, self.inner, self.degree, self.low, self.high)

    def told(self, *, centred: bool) -> tuple[Floats, Floats]:  # noqa: ARG002
        size = len(self.terms)
        return np.diag(self._largest if self.degree is None else np.ones(size)), np.zeros(size)

    @property
    def _largest(self) -> Floats:
        return splines.largest_natural(self.inner, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Groups:
    """A category or boolean; the first of its levels is the reference."""

    quantity: Quantity
    factor: Factor

    @classmethod
    def of(cls, quantity: Quantity, reference: str | None = None) -> Groups:
        if quantity.is_number:
            raise InvalidInput(
                f"'{quantity.text}' is a number: it does not sort patients into groups.",
                "Use a category or boolean, or cut it: cut(age, 40, 60).",
            )
        column = Column(quantity.text, quantity.label, quantity.values.unit)
        factor = Factor(column, Factor.of(quantity.values).levels)
        if reference is None:
            levels = factor.levels
        else:
            first = factor.only([reference]).levels
            levels = (*first, *(level for level in factor.levels if level not in first))
        if len(levels) < 2:
            raise InvalidInput(f"'{quantity.text}' has one level only: it compares nobody.", "Leave it out.")
        return cls(quantity, Factor(column, levels))

    @property
    def text(self) -> str:
        first = Factor.of(self.quantity.values).levels[0]
        if self.factor.levels[0] == first:
            return self.quantity.factor
        return f"C({self.quantity.text}, Treatment({self.factor.levels[0][0]!r}))"

    @property
    def _is_boolean(self) -> bool:
        return {code for code, _ in self.factor.levels} == {"0", "1"} and not self.quantity.values.codes

    def term(self, level: int, *, full: bool) -> Term:
        """Of the column that tells this level; `full` where the reference has one too."""
        (code, label), (_, reference) = self.factor.levels[level], self.factor.levels[0]
        name, title, unit = self.quantity.text, self.quantity.label, self.quantity.values.unit
        if self._is_boolean and level == 1 and not full and code == "1":
            return Term(name, title, unit, f"{label} vs {reference}", 1.0)
        return Term(f"{name}={code}", f"{title}: {label}", unit, label if full else f"{label} vs {reference}", 1.0)

    def levels(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): -1 where missing or unknown."""
        return self.factor.indices({self.factor.column.name: self.quantity.evaluate(rows)})


Part: TypeAlias = Plain | Powers | Spline | Groups
