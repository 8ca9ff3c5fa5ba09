"""Quantiles from noisy counts: a tree of counts over a grid, made consistent, and read with intervals.

A patient counts once on each level of the tree: in one of its widest stretches of the grid, in one of the FAN parts of
that, and so on to a single value. The least-squares estimate of the values' counts makes all levels agree (Hay,
Rastogi, Miklau and Suciu 2010); a cumulative count then has a few times the noise of one node, instead of that of half
the grid. For grids of 64, a fan of 4 has about the least (compare Qardaji, Yang and Li 2013). Isotonic regression makes
cumulative counts ascend (Barlow et al. 1972). Intervals are Woodruff's (1952): where the cumulative share may be q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from synthema_core.secure_sum.layout import Floats

FAN = 4


@dataclass(frozen=True, slots=True)
class Tree:
    """Counts over a grid of so many cells."""

    cells: int

    @property
    def levels(self) -> int:
        return max(1, math.ceil(math.log(self.cells) / math.log(FAN) - 1e-9))

    @property
    def widths(self) -> tuple[int, ...]:
        """Cells of a node, by level, from the coarsest."""
        return tuple(FAN**power for power in reversed(range(self.levels)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Nodes, by level."""
        return tuple(-(-self.cells // width) for width in self.widths)

    @property
    def nodes(self) -> int:
        return sum(self.sizes)

    def counts(self, cells: NDArray[np.int64]) -> Floats:
        """(nodes,): how many values lie in each node. `cells`: (n,)."""
        found = [
            np.bincount(cells // width, minlength=size) for width, size in zip(self.widths, self.sizes, strict=True)
        ]
        return np.concatenate(found).astype(np.float64)


@cache
def _solver(cells: int) -> tuple[Floats, Floats]:
    """(cells, nodes): from noisy nodes to cumulative counts; and (cells, cells): their covariance for noise of 1."""
    tree = Tree(cells)
    levels = [
        np.arange(cells)[np.newaxis, :] // width == np.arange(size)[:, np.newaxis]
        for width, size in zip(tree.widths, tree.sizes, strict=True)
    ]
    design = np.vstack(levels).astype(np.float64)
    inverse = np.linalg.inv(design.T @ design)
    cumulate = np.tril(np.ones((cells, cells)))
    return cumulate @ inverse @ design.T, cumulate @ inverse @ cumulate.T


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What a noisy tree tells.

    Parameters
    ----------
    nodes
        (nodes,).
    deviation
        Of the noise in each node.
    quantile
        Of the standard normal, for an interval's two sides.
    """

    tree: Tree
    nodes: Floats
    deviation: float
    quantile: float

    @property
    def _cumulative(self) -> Floats:
        solve, _ = _solver(self.tree.cells)
        found: Floats = solve @ self.nodes
        return found

    @property
    def total(self) -> float:
        return float(self._cumulative[-1])

    def at(self, share: float) -> tuple[int | None, int, int]:
        """A quantile's place on the grid, None where noise may be all there is; and an interval for it."""
        below, last = self._cumulative, self.tree.cells - 1
        _, covariance = _solver(self.tree.cells)
        total_deviation = self.deviation * math.sqrt(covariance[-1, -1])
        if below[-1] <= max(0.0, self.quantile * total_deviation):
            return None, 0, last
        tilted = np.diag(covariance) - 2 * share * covariance[:, -1] + share**2 * covariance[-1, -1]
        varies = self.deviation**2 * np.maximum(tilted, 0.0) + below[-1] * share * (1 - share)
        apart, reach = below - share * below[-1], self.quantile * np.sqrt(varies)
        reached = np.append(np.flatnonzero(apart[:-1] >= -reach[:-1]), last)
        left = np.flatnonzero(apart[:-1] <= reach[:-1])
        from scipy.optimize import isotonic_regression  # large, and an idle site needs none of it

        ascending = np.clip(isotonic_regression(below).x, 0.0, below[-1])
        place = int(np.searchsorted(ascending, share * ascending[-1] - 1e-9))
        lower, upper = int(reached[0]), int(left[-1]) + 1 if len(left) else 0
        return min(place, last), min(lower, place), max(upper, place)
