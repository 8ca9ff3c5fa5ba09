"""The columns of a design: products of factors' columns, and how those told follow from those computed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.regression.covariates import Term
from synthema_core.design.coding import Coded
from synthema_core.design.factors import Groups, Part, Spline
from synthema_core.secure_sum.layout import Floats

Monomial: TypeAlias = frozenset[tuple[str, int]]
"""Factors by text, each with the number of one of its columns; of categories, a level other than the reference."""
_SPANNED = 1e-9


@dataclass(frozen=True, slots=True)
class Product:
    """One column of a design.

    Parameters
    ----------
    numbers
        (factor, its column).
    groups
        (category, its level, whether in this term each of its levels has a column).
    order
        The factors as the formula has them.
    """

    numbers: tuple[tuple[str, int], ...]
    groups: tuple[tuple[str, int, bool], ...]
    order: tuple[str, ...]

    @classmethod
    def all_of(cls, coded: Coded, order: Sequence[str], parts: Mapping[str, Part]) -> list[Product]:
        """Those of one coded product; the first factor's columns vary fastest."""
        full = dict(coded)
        texts = [text for text in order if text in full]
        sizes = [_places(parts[text], full=full[text]) for text in texts]
        found = []
        for places in product(*reversed(sizes)):
            chosen = dict(zip(texts, reversed(places), strict=True))
            groups = [(text, at, full[text]) for text, at in chosen.items() if isinstance(parts[text], Groups)]
            numbers = [(text, at) for text, at in chosen.items() if not isinstance(parts[text], Groups)]
            found.append(cls(tuple(numbers), tuple(groups), tuple(texts)))
        return found

    def term(self, parts: Mapping[str, Part], scale: float) -> Term:
        """What the column's coefficient is about."""
        each = {}
        for text, at in self.numbers:
            part = parts[text]
            assert not isinstance(part, Groups)
            each[text] = part.terms[at]
        for text, level, full in self.groups:
            group = parts[text]
            assert isinstance(group, Groups)
            each[text] = group.term(level, full=full)
        found = [each[text] for text in self.order]
        return Term(
            name=":".join(one.name for one in found),
            label=" × ".join(one.label for one in found),
            unit=found[0].unit if len(found) == 1 else "",
            per=" × ".join(one.per for one in found),
            scale=scale,
        )

    def column(self, numbers: Mapping[str, Floats], levels: Mapping[str, NDArray[np.int64]], length: int) -> Floats:
        """(n,)."""
        values: Floats = np.ones(length)
        for text, at in self.numbers:
            values = values * numbers[text][:, at]
        for text, level, _ in self.groups:
            values = np.where(levels[text] == level, values, 0.0)
        return values

    @property
    def kin(self) -> tuple[tuple[str, ...], tuple[bool, ...]]:
        """What columns of one product of factors have in common."""
        return self.order, tuple(full for _, _, full in self.groups)

    def shared(self, parts: Mapping[str, Part]) -> tuple[tuple[str, int], ...]:
        """Its place among columns that are never negative and add up to 1 at most: levels and B-splines."""
        splines = [(text, at) for text, at in self.numbers if isinstance(part := parts[text], Spline) and part.degree]
        return (*splines, *((text, level) for text, level, _ in self.groups))

    def expanded(self, factors: Mapping[tuple[str, int], Mapping[Monomial, float]]) -> dict[Monomial, float]:
        """As a sum of monomials: a column of a reference level is 1 less those of the others."""
        total: dict[Monomial, float] = {frozenset(): 1.0}
        for key in (*self.numbers, *((text, level) for text, level, _ in self.groups)):
            total = _times(total, factors[key])
        return total


def size_of(coded: Coded, parts: Mapping[str, Part]) -> int:
    """Of how many columns a coded product consists."""
    return math.prod(len(_places(parts[text], full=full)) for text, full in coded)


def _places(part: Part, *, full: bool) -> range:
    if isinstance(part, Groups):
        return range(0 if full else 1, len(part.factor.levels))
    return range(len(part.terms))


def _times(one: Mapping[Monomial, float], other: Mapping[Monomial, float]) -> dict[Monomial, float]:
    total: dict[Monomial, float] = defaultdict(float)
    for (left, first), (right, second) in product(one.items(), other.items()):
        total[left | right] += first * second
    return dict(total)


def linear_map(products: Sequence[Product], parts: Mapping[str, Part]) -> tuple[frozenset[str], Floats]:
    """Which numbers are computed centred, and (p + 1, p + 1) M with [1, told] = [1, computed] @ M.

    A number is centred if that leaves the told columns linear combinations of the computed ones.
    """
    centred: frozenset[str] = frozenset()
    for text in [text for text, part in parts.items() if not isinstance(part, Groups)]:
        if _map(products, parts, centred | {text}) is not None:
            centred |= {text}
    found = _map(products, parts, centred)
    assert found is not None, "without centring, told columns are multiples of computed ones"
    return centred, found


def _map(products: Sequence[Product], parts: Mapping[str, Part], centred: frozenset[str]) -> Floats | None:
    """None where a told column is no combination of those computed."""
    computed, told = _factors(parts, centred, told=False), _factors(parts, centred, told=True)
    intercept: dict[Monomial, float] = {frozenset(): 1.0}
    have = [intercept, *(one.expanded(computed) for one in products)]
    want = [intercept, *(one.expanded(told) for one in products)]
    monomials = {
        monomial: place for place, monomial in enumerate(dict.fromkeys(m for one in (*have, *want) for m in one))
    }
    from_computed, from_told = _dense(have, monomials), _dense(want, monomials)
    size = np.abs(from_told).max(axis=0)
    solution = np.linalg.lstsq(from_computed, from_told / size, rcond=None)[0]
    if np.abs(from_computed @ solution - from_told / size).max() > _SPANNED:
        return None
    way: Floats = solution * size
    way[np.abs(solution) < 1e-14] = 0.0
    return way


def _dense(columns: Sequence[Mapping[Monomial, float]], monomials: Mapping[Monomial, int]) -> Floats:
    matrix = np.zeros((len(monomials), len(columns)))
    for place, column in enumerate(columns):
        for monomial, value in column.items():
            matrix[monomials[monomial], place] = value
    return matrix


def _factors(
    parts: Mapping[str, Part], centred: frozenset[str], *, told: bool
) -> dict[tuple[str, int], dict[Monomial, float]]:
    """Each factor's columns, and each level, as sums of monomials."""
    found: dict[tuple[str, int], dict[Monomial, float]] = {}
    for text, part in parts.items():
        if isinstance(part, Groups):
            others = range(1, len(part.factor.levels))
            found |= {(text, level): {frozenset({(text, level)}): 1.0} for level in others}
            found[text, 0] = {frozenset(): 1.0, **{frozenset({(text, level)}): -1.0 for level in others}}
            continue
        scales, constants = part.told(centred=text in centred)
        for at in range(len(constants)):
            if not told:
                found[text, at] = {frozenset({(text, at)}): 1.0}
                continue
            found[text, at] = {frozenset({(text, k)}): scales[k, at] for k in range(len(constants)) if scales[k, at]}
            if constants[at]:
                found[text, at][frozenset()] = float(constants[at])
    return found
