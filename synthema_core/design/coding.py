"""Which levels of a category get a column in which term, so that no column follows from others.

As in S, patsy and formulaic: a category beside the terms it is a refinement of has a column for each level but the
reference; where one of those terms is missing, for all levels. An intercept is always there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import TypeAlias

Coded: TypeAlias = frozenset[tuple[str, bool]]
"""A product of factors by their texts; True where a category has columns for all its levels."""


def coded_terms(terms: Sequence[Sequence[str]], categories: Iterable[str]) -> list[list[Coded]]:
    """For each term, the products it consists of."""
    groups = frozenset(categories)
    spanned: set[Coded] = {frozenset()}
    found = []
    for term in terms:
        choices = [[((text, False),), ()] if text in groups else [((text, False),)] for text in term]
        spans = [frozenset(part for parts in choice for part in parts) for choice in product(*choices)]
        new = [span for span in spans if span not in spanned]
        spanned.update(new)
        found.append(_merged(new, groups))
    return found


def _merged(products: Sequence[Coded], groups: frozenset[str]) -> list[Coded]:
    """By the rule: X and X:(levels but the reference) are together X:(all levels)."""
    kept: list[Coded] = []
    for one in sorted(products, key=len):
        found = next((other for other in kept if _refines(one, other, groups)), None)
        if found is None:
            kept.append(one)
            continue
        ((text, _),) = one - found
        rest = [other for other in kept if other != found]
        kept = _merged([*rest, found | {(text, True)}], groups)
    return kept


def _refines(one: Coded, other: Coded, groups: frozenset[str]) -> bool:
    """Whether it is the other times a category's levels but the reference."""
    added = one - other
    return len(one) == len(other) + 1 and len(added) == 1 and all(t in groups and not full for t, full in added)
