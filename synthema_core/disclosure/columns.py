"""The numeric columns of the rows, as the checks compare numbers with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.disclosure.staged import Staged
from synthema_core.secure_sum.layout import Floats

_FINEST = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Parameters
    ----------
    values
        In the rows' order, finite ones only.
    distinct
        Each value once, sorted.
    rare
        (len(distinct),): which are found in fewer than min_patients patients.
    step
        All values are multiples of this power of ten; 0 where they are of none down to a millionth.
    """

    name: str
    values: Floats
    distinct: Floats
    rare: NDArray[np.bool_]
    step: float

    @property
    def chance(self) -> float:
        """How likely a number of this column's range and step is a rare value by accident."""
        reach = float(self.distinct[-1] - self.distinct[0]) + self.step
        return float(self.rare.sum()) * self.step / reach if self.step and reach else 0.0


def columns_of(staged: Staged) -> Iterator[Column]:
    for name, raw in staged.rows.items():
        if raw.dtype.kind not in "biuf":
            continue
        values = raw.astype(np.float64)
        finite = np.isfinite(values)
        if finite.any():
            holders = None if staged.holders is None else staged.holders[finite]
            yield _column(name, values[finite], holders, staged.min_patients)


def _column(name: str, values: Floats, holders: NDArray[Any] | None, min_patients: int) -> Column:
    distinct, which = np.unique(values, return_inverse=True)
    if holders is not None:
        _, who = np.unique(holders.astype(str), return_inverse=True)
        pairs = np.unique(which.astype(np.int64) * (int(who.max()) + 1) + who)
        which = pairs // (int(who.max()) + 1)
    patients = np.bincount(which, minlength=len(distinct))
    return Column(name, values, distinct, patients < min_patients, _step(distinct))


def _step(distinct: Floats) -> float:
    for digits in range(_FINEST + 1):
        if np.array_equal(np.round(distinct, digits), distinct):
            return float(10.0**-digits)
    return 0.0
