"""Outputs as tables: what is a cell of one, and what is a total of cells in the same one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synthema_core.disclosure.cells import Places, places
from synthema_core.disclosure.staged import Staged
from synthema_core.disclosure.system import Relation
from synthema_core.secure_sum.layout import Floats

_FEWEST_IN_A_SUM = 3


@dataclass(frozen=True, slots=True)
class Table:
    """An output.

    Parameters
    ----------
    whole, core
        Places of all its values, and of those that are no totals of others in it.
    totals
        The sums that hold within it.
    """

    name: str
    counts: bool
    whole: Places
    core: Places
    totals: tuple[Relation, ...]

    @property
    def views(self) -> tuple[Places, ...]:
        return (self.whole,) if self.core.shape == self.whole.shape else (self.core, self.whole)


def tables_of(staged: Staged) -> tuple[Table, ...]:
    where, counts = places(staged.outputs), staged.counts
    return tuple(
        _table(output.name, output.name in counts, where[output.name], staged.values)
        for output in staged.outputs.outputs
    )


def _table(name: str, counts: bool, whole: Places, values: Floats) -> Table:
    core, totals = whole, []
    for axis in range(whole.ndim):
        position = _total_along(values[whole], axis)
        if position is not None:
            total, rest = np.take(whole, [position], axis), np.delete(whole, position, axis)
            totals.append(sums_over(rest, (axis,), total.reshape(-1), f"one of {name} is the sum of the others"))
            core = np.delete(core, position, axis)
    return Table(name, counts, whole, core, tuple(totals))


def _total_along(values: Floats, axis: int) -> int | None:
    """The position along an axis that holds the sum of all others, in every line: the last or the first."""
    size = values.shape[axis]
    if size < _FEWEST_IN_A_SUM or not values.any():
        return None
    all_together = values.sum(axis)
    for position in (size - 1, 0):
        if same(2 * np.take(values, position, axis), all_together, np.abs(values).sum(axis)):
            return position
    return None


def same(left: Floats, right: Floats, scale: Floats | float = 0.0) -> bool:
    """Equal up to the rounding of sums of numbers of that size."""
    return bool((np.abs(left - right) <= 1e-9 * np.maximum(np.abs(right), scale)).all())


def axes_of(view: Places) -> Iterator[tuple[int, ...]]:
    """Every choice of axes to sum over, at least one."""
    for many in range(1, view.ndim + 1):
        yield from combinations(range(view.ndim), many)


def sums_over(view: Places, axes: tuple[int, ...], totals: Places | None, sentence: str) -> Relation:
    """That the values at `view`, summed over axes, are those at `totals`, (sums,); or a number known to everybody."""
    kept = [axis for axis in range(view.ndim) if axis not in axes]
    lines = view.transpose([*kept, *axes]).reshape(int(np.prod([view.shape[axis] for axis in kept], dtype=int)), -1)
    signs = np.ones(lines.shape[1])
    if totals is None:
        return Relation(sentence, lines, signs)
    return Relation(sentence, np.column_stack([lines, totals]), np.append(signs, -1.0))
