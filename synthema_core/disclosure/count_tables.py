"""Which counts of a released table are left out: the small ones, and those that would give these back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthema_core.disclosure.cells import Mask
from synthema_core.disclosure.suppression import suppress
from synthema_core.disclosure.system import Relation, system_of_counts
from synthema_core.disclosure.tables import sums_over
from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class Hidden:
    """What is left out of a table of counts, and of the sums of its lines.

    Parameters
    ----------
    cells
        (rows, columns).
    rows, columns
        The sums over all columns, (rows,), and over all rows, (columns,).
    """

    cells: Mask
    rows: Mask
    columns: Mask
    total: bool

    @property
    def any(self) -> bool:
        return bool(self.cells.any() or self.rows.any() or self.columns.any() or self.total)


def hidden_in(table: Floats, least: int, *, sizes_told: bool = False) -> Hidden:
    """What to leave out of a table and its margins, so that no count from 1 to below `least` can be told.

    Everybody is taken to know every number that is shown, that all are counts, and which sums hold. Zeros are shown.

    Parameters
    ----------
    table
        (rows, columns): true counts of patients, each in one cell.
    sizes_told
        Whether everybody knows the sums over all rows; then these stay.
    """
    rows, columns = table.shape
    cells = np.arange(rows * columns).reshape(rows, columns)
    of_rows = rows * columns + np.arange(rows)
    if sizes_told:
        values = np.concatenate([table.reshape(-1), table.sum(1)])
        relations = [sums_over(cells, (1,), of_rows, "rows"), sums_over(cells, (0,), None, "columns")]
        small = _hidden(values, relations, least)
        return Hidden(small[cells], small[of_rows], np.zeros(columns, dtype=np.bool_), total=False)
    of_columns = of_rows[-1] + 1 + np.arange(columns)
    whole = np.array([of_columns[-1] + 1])
    values = np.concatenate([table.reshape(-1), table.sum(1), table.sum(0), [table.sum()]])
    relations = [
        sums_over(cells, (1,), of_rows, "rows"),
        sums_over(cells, (0,), of_columns, "columns"),
        sums_over(of_rows, (0,), whole, "all rows"),
        sums_over(of_columns, (0,), whole, "all columns"),
    ]
    small = _hidden(values, relations, least)
    return Hidden(small[cells], small[of_rows], small[of_columns], bool(small[whole[0]]))


def _hidden(values: Floats, relations: Sequence[Relation], least: int) -> Mask:
    small: Mask = (values > 0) & (values < least)
    if not small.any():
        return small
    system = system_of_counts(values, relations, least)
    return suppress(system, small, np.flatnonzero(small), [np.arange(len(values))]).hidden
