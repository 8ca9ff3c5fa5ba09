"""What an outsider can reckon with: all values as unknowns, tied by the sums that hold between them.

Besides the released values there are unknowns that nobody releases and everybody can compute from them: steps of a
curve, and what remains of a group without a part of it. They are counts of patients too, never below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthema_core.disclosure.cells import Mask, Places
from synthema_core.disclosure.staged import Staged
from synthema_core.secure_sum.layout import Floats

_WIDE_NUMBERS = 0.2
"""A hidden number stays uncertain by this share of itself. Of a count: by min_patients."""
_REACH = 10.0
"""A hidden number is taken to be at most so many times the largest of its output."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Sums of one form; what each comes to is known to everybody (nothing, or the number of patients).

    Parameters
    ----------
    places
        (sums, terms): which values each sum is over.
    signs
        (terms,): 1 or -1.
    apart
        Terms that are of different outputs and have no patient in common, if this is no chance.
    """

    sentence: str
    places: Places
    signs: Floats
    apart: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Counts that are computed by taking one value from another.

    Parameters
    ----------
    name, whole
        The output that is taken away, and the one that it is taken from; the same for the steps of a curve.
    larger, smaller
        (n,): places of the two.
    sure
        Whether one is a part of the other for certain, not only in these numbers.
    lines
        (lines, points): places of the curves, of which `larger` and `smaller` are neighbours.
    """

    name: str
    whole: str
    larger: Places
    smaller: Places
    sure: bool
    lines: Places | None = None


@dataclass(frozen=True, slots=True)
class System:
    """All unknowns and the equations between them.

    Parameters
    ----------
    values
        (m,): the true values; first the outputs', then those of the sure Differences.
    lower, upper
        (m,): what everybody knows of them beforehand.
    whole
        (m,): which are counts.
    protection
        (m,): how wide the interval of a hidden one must stay.
    matrix
        (equations, m), sparse.
    part
        (m,): values of different parts have nothing to do with each other.
    owner
        (m - length,): place of the value that a difference is taken from.
    """

    length: int
    values: Floats
    lower: Floats
    upper: Floats
    whole: Mask
    protection: Floats
    matrix: Any
    part: Places
    owner: Places


def system_of(staged: Staged, relations: Sequence[Relation], differences: Sequence[Difference]) -> System:
    length = staged.outputs.length
    sure = [difference for difference in differences if difference.sure]
    larger = np.concatenate([np.zeros(0, np.int64), *(difference.larger for difference in sure)])
    smaller = np.concatenate([np.zeros(0, np.int64), *(difference.smaller for difference in sure)])
    values = np.concatenate([staged.values, staged.values[larger] - staged.values[smaller]])
    own = np.arange(length, len(values), dtype=np.int64)
    taken = Relation("", np.column_stack([larger, smaller, own]), np.array([1.0, -1.0, -1.0]))
    matrix = _matrix([*relations, taken], len(values))
    whole = np.concatenate([staged.counted, np.ones(len(own), dtype=np.bool_)])
    lower, upper = _limits(staged, len(own))
    wide = np.where(whole, float(staged.min_patients), np.maximum(_WIDE_NUMBERS * np.abs(values), 1e-6))
    return System(length, values, lower, upper, whole, wide, matrix, parts(matrix), larger)


def system_of_counts(values: Floats, relations: Sequence[Relation], least: int) -> System:
    """Of counts of patients alone, all sums between which are known.

    Parameters
    ----------
    least
        The interval of a hidden one must stay so wide.
    """
    matrix, everywhere = _matrix(relations, len(values)), np.ones(len(values))
    most = float(values.max(initial=0.0))
    return System(
        length=len(values),
        values=values,
        lower=0 * everywhere,
        upper=most * everywhere,
        whole=everywhere.astype(np.bool_),
        protection=float(least) * everywhere,
        matrix=matrix,
        part=parts(matrix),
        owner=np.zeros(0, dtype=np.int64),
    )


def _limits(staged: Staged, differences: int) -> tuple[Floats, Floats]:
    lower, upper, start, counts = [], [], 0, staged.counts
    for output in staged.outputs.outputs:
        own = staged.values[start : start + output.length]
        start += output.length
        most = max(staged.patients, own.max()) if output.name in counts else _REACH * max(float(np.abs(own).max()), 1.0)
        least = 0.0 if own.min() >= 0 else -most
        lower.append(np.full(output.length, least))
        upper.append(np.full(output.length, float(most)))
    most_counted = max(staged.patients, float(staged.values[staged.counted].max(initial=0.0)))
    lower.append(np.zeros(differences))
    upper.append(np.full(differences, float(most_counted)))
    return np.concatenate(lower), np.concatenate(upper)


def _matrix(relations: Sequence[Relation], width: int) -> Any:
    from scipy.sparse import coo_array, csr_array  # large, and an idle site needs none of it

    rows, columns, signs, start = [], [], [], 0
    for relation in relations:
        sums, terms = relation.places.shape
        rows.append(np.repeat(np.arange(start, start + sums), terms))
        columns.append(relation.places.reshape(-1))
        signs.append(np.tile(relation.signs, sums))
        start += sums
    if start == 0:
        return csr_array((0, width))
    entries = np.concatenate(signs), (np.concatenate(rows), np.concatenate(columns))
    return coo_array(entries, shape=(start, width)).tocsr()


def parts(matrix: Any) -> Places:
    """Which unknowns hang together, through any chain of equations."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    equations, width = matrix.shape
    tied = matrix.tocoo()
    graph = coo_array((np.ones(tied.nnz), (tied.row, tied.col + equations)), shape=(equations + width,) * 2)
    labels = connected_components(graph.tocsr(), directed=False)[1]
    return np.asarray(labels[equations:], dtype=np.int64)
