"""A formula's right-hand side as a Plan carries it, and its matrix.

Numbers are centred in the middle of their range and divided by half of it wherever the formula allows that, which is
where for every product with the number in it there is the same product without it. What is told is always in
original units: the products' columns are linear in one another, so the way back is a matrix (see `to_original`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.regression.covariates import Term
from synthema_core.canonical import Json
from synthema_core.design.cells import Cells
from synthema_core.design.coding import coded_terms
from synthema_core.design.factors import Groups, Part, Powers, Spline
from synthema_core.design.formulae import terms_of
from synthema_core.design.products import Product, linear_map, size_of
from synthema_core.design.quantities import are_in, schema_of
from synthema_core.design.reading import read_factor
from synthema_core.errors import InvalidInput, NotFound
from synthema_core.schemas import Field, Schema
from synthema_core.secure_sum.layout import Floats

_MOST_TERMS, _MOST_FACTORS, _MOST_COLUMNS = 50, 4, 100


@dataclass(frozen=True, slots=True)
class Block:
    """A term of a formula.

    Parameters
    ----------
    places
        Of its columns.
    smooth
        Whether a single coefficient of it says little, as a spline's.
    """

    text: str
    label: str
    places: range
    smooth: bool


@dataclass(frozen=True, slots=True)
class Design:
    """The columns of a model's matrix, without an intercept, each between -1 and 1 on rows of the schema.

    Parameters
    ----------
    spelled
        The terms, each as the canonical texts of its factors.
    fields
        The schema's fields that they read.
    """

    spelled: tuple[tuple[str, ...], ...]
    fields: tuple[Field, ...]
    _parts: Mapping[str, Part] = field(init=False, repr=False, compare=False)
    _products: tuple[tuple[Product, ...], ...] = field(init=False, repr=False, compare=False)
    _centred: frozenset[str] = field(init=False, repr=False, compare=False)
    _map: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.spelled) <= _MOST_TERMS:
            raise InvalidInput(f"A formula has 1 to {_MOST_TERMS} terms.", "Name at least one column.")
        if not all(0 < len(term) <= _MOST_FACTORS for term in self.spelled):
            raise InvalidInput(f"A term is a product of at most {_MOST_FACTORS} factors.", "Use fewer interactions.")
        schema = schema_of(self.fields)
        parts = {text: read_factor(text, schema) for term in self.spelled for text in term}
        groups = [text for text, part in parts.items() if isinstance(part, Groups)]
        coded = coded_terms(self.spelled, groups)
        if not 0 < sum(size_of(one, parts) for term in coded for one in term) <= _MOST_COLUMNS:
            raise InvalidInput(f"A formula has 1 to {_MOST_COLUMNS} columns.", "Use fewer terms or levels.")
        products = tuple(
            tuple(made for one in term for made in Product.all_of(one, order, parts))
            for term, order in zip(coded, self.spelled, strict=True)
        )
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "_products", products)
        centred, way = linear_map([one for term in products for one in term], parts)
        object.__setattr__(self, "_centred", centred)
        object.__setattr__(self, "_map", way)

    @classmethod
    def read(cls, formula: str, schema: Schema) -> Self:
        """Of the right-hand side of a formula.

        Raises
        ------
        InvalidInput, NotFound
            For what cannot be read, columns that the schema does not have, and terms that occur twice.
        """
        spelled: list[tuple[str, ...]] = []
        columns: dict[str, None] = {}
        for term in terms_of(formula):
            parts = {part.text: part for part in (read_factor(text, schema) for text in term)}
            if {frozenset(other) for other in spelled} & {frozenset(parts)}:
                raise InvalidInput(f"The term '{':'.join(parts)}' occurs twice.", "Write it once.")
            spelled.append(tuple(parts))
            columns |= dict.fromkeys(name for part in parts.values() for name in part.quantity.columns)
        fields = [Field.from_dict(schema.field(name).to_dict()) for name in columns]
        return cls(tuple(spelled), tuple(fields))

    @property
    def formula(self) -> str:
        """The right-hand side in canonical form."""
        return " + ".join(":".join(term) for term in self.spelled)

    @property
    def columns(self) -> tuple[str, ...]:
        """The schema's columns that are read."""
        return tuple(field.name for field in self.fields)

    @property
    def terms(self) -> tuple[Term, ...]:
        """One a column. The scale is its own; where numbers are in products, only `to_original` leads back."""
        flat = [one for term in self._products for one in term]
        return tuple(one.term(self._parts, float(self._map[1 + place, 1 + place])) for place, one in enumerate(flat))

    @property
    def blocks(self) -> Iterator[Block]:
        """Each term of the formula."""
        first = 0
        for term, products in zip(self.spelled, self._products, strict=True):
            parts = [self._parts[text] for text in term]
            places = range(first, first + len(products))
            label = " × ".join(part.quantity.label for part in parts)
            yield Block(":".join(term), label, places, any(isinstance(part, Spline | Powers) for part in parts))
            first += len(products)

    @property
    def cells(self) -> Cells:
        """The groups into which the formula sorts patients."""
        return Cells.of(
            [[part for text in term if isinstance(part := self._parts[text], Groups)] for term in self.spelled]
        )

    def known(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,): who has a value in every factor, with levels that the schema has."""
        mask = np.ones(len(rows[self.columns[0]]), dtype=np.bool_)
        for part in self._parts.values():
            if isinstance(part, Groups):
                mask &= part.levels(rows) >= 0
            else:
                mask &= ~np.isnan(part.values(rows, centred=part.text in self._centred)).any(axis=1)
        return mask

    def matrix(self, rows: Rows) -> Floats:
        """(n, p)."""
        numbers: dict[str, Floats] = {}
        levels: dict[str, NDArray[np.int64]] = {}
        for text, part in self._parts.items():
            if isinstance(part, Groups):
                levels[text] = part.levels(rows)
            else:
                numbers[text] = part.values(rows, centred=text in self._centred)
        length = len(rows[self.columns[0]])
        columns = [one.column(numbers, levels, length) for term in self._products for one in term]
        return np.column_stack(columns).astype(np.float64)

    def reach(self, beta: Floats) -> float:
        """The largest |x beta| of any row of the schema, or a bound of it.

        Columns of which a row has one, or which add up to 1 at most, count by the largest of them.
        """
        found = 0.0
        flat = [one for term in self._products for one in term]
        for _, together in groupby(zip(flat, np.abs(beta), strict=True), key=lambda pair: pair[0].kin):
            shares: dict[tuple[tuple[str, int], ...], float] = defaultdict(float)
            for one, size in together:
                shares[one.shared(self._parts)] += float(size)
            found += max(shares.values())
        return found

    def to_original(self, *, intercept: bool = False) -> Floats:
        """(p, p), or (p + 1, p + 1) with the intercept first: what leads from coefficients to those in original units.

        A covariance C becomes A C A' with the same matrix A.
        """
        return np.linalg.inv(self._map if intercept else self._map[1:, 1:]).astype(np.float64)

    def to_dict(self) -> dict[str, Json]:
        return {
            "terms": [list[Json](term) for term in self.spelled],
            "fields": [field.to_dict() for field in self.fields],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises InvalidInput for anything else than `to_dict` wrote; needs no parser of formulae."""
        fields = tuple(Field.from_dict(part) for part in data["fields"])
        try:
            made = cls(tuple(tuple(str(text) for text in term) for term in data["terms"]), fields)
        except NotFound as error:
            raise InvalidInput(error.message, "Plan again.") from None
        made._check_canonical()
        return made

    def _check_canonical(self) -> None:
        """Refuse terms that `read` would not have written: otherwise spelled, twice, or with fields not read."""
        terms = [frozenset(term) for term in self.spelled]
        spelled = all(part.text == text for text, part in self._parts.items())
        read = dict.fromkeys(name for term in self.spelled for text in term for name in self._columns_of(text))
        alone = all(len(one) == len(term) > 0 for one, term in zip(terms, self.spelled, strict=True))
        if not spelled or not alone or len(set(terms)) != len(terms) or tuple(read) != self.columns:
            raise InvalidInput("The design is not in its canonical form.", "Plan again.")

    def _columns_of(self, text: str) -> Sequence[str]:
        return self._parts[text].quantity.columns

    def matches(self, schema: Schema) -> bool:
        """Whether its fields are the schema's own, so that all constants are."""
        return are_in(self.fields, schema)
