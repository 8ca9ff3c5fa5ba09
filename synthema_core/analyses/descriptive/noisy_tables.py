"""Noisy counts of categories, made consistent: all categories of a group count the same patients, none less than none.

Every category's counts add up to the patients of the group, and so does the count of the group itself: their
least-squares estimate weighs each total by its noise, and each category's counts take an equal part of what their own
total misses (Barak et al. 2007; Hay et al. 2010). What is shown is the nearest table of whole numbers, none below
zero; intervals are of the estimates before that, which are not biased.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthema_core.analyses.wilson import wilson
from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class Consistent:
    """One group, or several added up.

    Parameters
    ----------
    size
        Estimated patients.
    tables
        Of each category, (cells,): adding up to `size`.
    variance
        Of the noise in a single count.
    size_variance
        Of the noise in `size`.
    """

    size: float
    tables: tuple[Floats, ...]
    variance: float
    size_variance: float

    def share(self, table: int, cell: int, quantile: float, *, optional: bool) -> tuple[float | None, float, float]:
        """A cell's share of the patients with a value, and an interval for it: Wilson's (1927), widened by the noise.

        Parameters
        ----------
        optional
            Whether the last cell is that of missing values.
        """
        counts, cells = self.tables[table], len(self.tables[table])
        number = self.size - (counts[-1] if optional else 0.0)
        of_number = self.size_variance * (1 - optional / cells) ** 2 + self.variance * optional * (1 - 1 / cells)
        if number <= max(0.0, quantile * math.sqrt(of_number)):
            return None, 0.0, 1.0
        share = float(counts[cell] / number)
        held = min(1.0, max(0.0, share))
        own, pull = 1 - 1 / cells, 1 / cells - held * (1 - optional / cells)
        spread = own * (1 + optional * held**2) - 2 * optional * held / cells
        noise = quantile**2 * (self.variance * spread + self.size_variance * pull**2) / number**2
        lower, upper = wilson(share, quantile**2 / number, noise)
        return held, min(lower, held), max(upper, held)


def consistent(size: float, tables: Sequence[Floats], variance: float) -> Consistent:
    """From noisy counts with independent noise of one variance."""
    precisions = [1.0, *(1 / len(table) for table in tables)]
    totals = [size, *(float(table.sum()) for table in tables)]
    whole = sum(precision * total for precision, total in zip(precisions, totals, strict=True)) / sum(precisions)
    moved = tuple(table + (whole - table.sum()) / len(table) for table in tables)
    return Consistent(whole, moved, variance, variance / sum(precisions))


def together(groups: Sequence[Consistent]) -> Consistent:
    """All groups as one."""
    many = len(groups)
    tables = zip(*(group.tables for group in groups), strict=True)
    return Consistent(
        sum(group.size for group in groups),
        tuple(np.sum(np.array(own), axis=0) for own in tables),
        many * groups[0].variance,
        many * groups[0].size_variance,
    )


def plausible(counts: Floats, total: int) -> list[int]:
    """The nearest whole numbers, none below zero, that add up to `total`."""
    if total <= 0:
        return [0] * len(counts)
    held = _onto_simplex(counts, float(total))
    whole = np.floor(held + 1e-9).astype(int)
    for place in np.argsort(whole - held, kind="stable")[: total - int(whole.sum())]:
        whole[place] += 1
    return [int(count) for count in whole]


def _onto_simplex(counts: Floats, total: float) -> Floats:
    """The nearest point with no coordinate below zero and that sum (Held, Wolfe and Crowder 1974)."""
    falling = np.sort(counts)[::-1]
    taken = (np.cumsum(falling) - total) / np.arange(1, len(counts) + 1)
    last = int(np.flatnonzero(falling > taken)[-1])
    held: Floats = np.maximum(counts - taken[last], 0.0)
    return held
