"""Hiding the small cells of a table of patients so that they cannot be computed back from its totals.

The table has a row for each level and a column for each group. Everybody knows its sums: each group's patients, and
that a row's total is the sum over its groups. Which further cells must go is found by linear programming (see
`disclosure.suppression`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthema_core.disclosure.cells import Mask
from synthema_core.disclosure.suppression import suppress
from synthema_core.disclosure.system import System, parts
from synthema_core.secure_sum.layout import Floats


def hidden_cells(counts: Floats, min_patients: int) -> Mask:
    """Which cells of (levels, groups) are not told; with more than one group, the last column is that of row totals.

    Parameters
    ----------
    counts
        Each patient of a group is in one level of it. The groups' sizes are told.
    """
    groups = counts.shape[1]
    table = np.column_stack([counts, counts.sum(1)]) if groups > 1 else counts
    small = (table > 0) & (table < min_patients)
    if not small.any():
        return small
    system = _system(table, groups, min_patients)
    chosen = suppress(system, small.reshape(-1), np.flatnonzero(small), (np.arange(table.size, dtype=np.int64),))
    return chosen.hidden.reshape(table.shape)


def _system(table: Floats, groups: int, min_patients: int) -> System:
    """The cells as unknowns: columns add up to what is known, rows to their totals."""
    from scipy.sparse import coo_array  # large, and an idle site needs none of it

    place = np.arange(table.size, dtype=np.int64).reshape(table.shape)
    sums = [(column, np.ones(len(column))) for column in place.T]
    if groups > 1:
        signs = np.append(np.ones(groups), -1.0)
        sums += [(row, signs) for row in place]
    owner: NDArray[np.int64] = np.repeat(np.arange(len(sums)), [len(cells) for cells, _ in sums])
    cells, signs = (np.concatenate(parts_) for parts_ in zip(*sums, strict=True))
    matrix = coo_array((signs, (owner, cells)), shape=(len(sums), table.size)).tocsr()
    values = table.reshape(-1).astype(np.float64)
    most = np.broadcast_to(table.sum(0), table.shape).reshape(-1).astype(np.float64)
    return System(
        length=table.size,
        values=values,
        lower=np.zeros(table.size),
        upper=most,
        whole=np.ones(table.size, dtype=np.bool_),
        protection=np.full(table.size, float(min_patients)),
        matrix=matrix,
        part=parts(matrix),
        owner=np.zeros(0, dtype=np.int64),
    )
