"""The Rounds of a Table 1: what the hub asks, what a site answers, and what the hub then knows.

*Numerically.* u is a value between -1 and 1 on its schema's range. The first Round's sums of u and u^2 over all groups
give a centre and a scale alone: v = (u - centre) / scale has mean 0 and standard deviation 1. Its sums by group, with
FRACTIONAL_BITS bits, make means and standard deviations as precise as the pooled ones to 1e-8 of a standard deviation
even where that is a millionth of the range. Below RESOLVED of half the range, values count as all the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.descriptive.bisection import Search, rank
from synthema_core.analyses.descriptive.summary_schedule import Schedule
from synthema_core.analyses.descriptive.summary_variables import Category, Quantity, Variable
from synthema_core.errors import Refused, RoundFailed
from synthema_core.secure_sum.layout import Floats

MOST_PATIENTS = 2.0**21
"""At one site."""
FRACTIONAL_BITS = 35  # as many as the sum over 100 sites leaves room for
RESOLVED = 2.0**-24
_SMALLEST_SCALE = 2.0**-16
_LARGEST_SCALE = 16.0

Group = NDArray[np.int64]
Searches = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A Round's input.

    Parameters
    ----------
    centres, scales
        (quantities,). Not known in Round 1.
    shown
        (quantities, groups): 1 where a group is large enough. The others add nothing to what is asked of a quantity.
    thresholds
        (quantities, streams, quantiles): places on each grid. The streams are all groups together, then each; or one.
    """

    round: int
    centres: Floats
    scales: Floats
    shown: Floats
    thresholds: Floats

    def values(self) -> Floats:
        if self.round == 1:
            return np.ones(1)
        parts = (self.centres, self.scales, self.shown.reshape(-1), self.thresholds.reshape(-1))
        return np.concatenate([[self.round], *parts]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Shape:
    """What both sides read off the question."""

    variables: tuple[Variable, ...]
    groups: int
    grouped: bool
    shares: tuple[float, ...]
    schedule: Schedule

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return tuple(variable for variable in self.variables if isinstance(variable, Quantity))

    @property
    def categories(self) -> tuple[Category, ...]:
        return tuple(variable for variable in self.variables if isinstance(variable, Category))

    @property
    def streams(self) -> int:
        return self.groups + self.grouped

    def read(self, values: Floats) -> Asked:
        """Refuses what is no input of one of the Rounds."""
        many, sizes = len(self.quantities), (len(self.quantities), self.groups)
        searched = (many, self.streams, len(self.shares))
        round_index = int(values[0]) if len(values) and values[0] in range(1, len(self.schedule.shares) + 1) else 0
        expected = 1 if round_index == 1 else 1 + 2 * many + math.prod(sizes) + math.prod(searched)
        if not round_index or values.shape != (expected,):
            raise Refused("The Plan has no such Round.", rule="iterate")
        if round_index == 1:
            begun = [[Search.over(quantity.cells, searched[2]).thresholds] for quantity in self.quantities]
            thresholds = np.broadcast_to(np.array(begun, dtype=np.float64).reshape(many, 1, searched[2]), searched)
            return Asked(1, np.zeros(many), np.ones(many), np.ones(sizes), thresholds)
        ends = np.cumsum([1, many, many, math.prod(sizes)])
        _, centres, scales, shown, thresholds = np.split(values, ends)
        asked = Asked(round_index, centres, scales, shown.reshape(sizes), thresholds.reshape(searched))
        self._check(asked)
        return asked

    def _check(self, asked: Asked) -> None:
        cells = np.array([quantity.cells for quantity in self.quantities]).reshape(-1, 1, 1)
        sound = (
            (np.abs(asked.centres) <= 1).all()
            and (asked.scales >= _SMALLEST_SCALE).all()
            and (asked.scales <= _LARGEST_SCALE).all()
            and np.isin(asked.shown, (0, 1)).all()
            and ((asked.thresholds >= 0) & (asked.thresholds < cells)).all()
            and (asked.thresholds == np.floor(asked.thresholds)).all()
        )
        if not sound:
            raise Refused("What is asked about lies outside the declared bounds.", rule="iterate")

    # At a site

    def contribution(self, rows: Rows, group: Group, asked: Asked) -> Floats:
        """(length,). `group`: each row's, (n,), -1 for none."""
        share = self.schedule.shares[asked.round - 1]
        parts = [self._first(rows, group)] if share.first else []
        parts.append(self._below(rows, group, asked, share.searched))
        if share.moments[1] > share.moments[0]:
            parts.append(self._moments(rows, group, asked)[slice(*share.moments)])
        if share.counts[1] > share.counts[0]:
            parts.append(self._counts(rows, group)[slice(*share.counts)])
        filled = np.concatenate(parts)
        return np.concatenate([filled, np.zeros(self.schedule.length - len(filled))])

    def _first(self, rows: Rows, group: Group) -> Floats:
        numbers: list[Floats] = [np.array([np.count_nonzero(group < 0)]), _tally(group, self.groups)]
        sums = []
        for quantity in self.quantities:
            u = quantity.scaled(rows)
            known = ~np.isnan(u)
            if not quantity.required:
                numbers.append(_tally(group[known], self.groups))
            inside = u[known & (group >= 0)]
            sums.append([inside.sum(), inside @ inside])
        return np.concatenate([*numbers, np.array(sums).reshape(-1)])

    def _moments(self, rows: Rows, group: Group, asked: Asked) -> Floats:
        found = []
        for quantity, centre, scale, shown in zip(
            self.quantities, asked.centres, asked.scales, asked.shown, strict=True
        ):
            v = (quantity.scaled(rows) - centre) / scale
            known = ~np.isnan(v) & (group >= 0)
            weights = (v[known], v[known] ** 2)
            found += [shown * np.bincount(group[known], weight, minlength=self.groups) for weight in weights]
        return np.concatenate(found)

    def _below(self, rows: Rows, group: Group, asked: Asked, searched: Searches) -> Floats:
        found = []
        for index, streams in groupby(searched, key=itemgetter(0)):
            shown = np.append(asked.shown[index] == 1, [False])[group]  # a group of -1 is the last: nobody's
            cells = np.where(shown, self.quantities[index].on_grid(rows), self.quantities[index].cells)
            for _, stream in streams:
                own = cells[group == stream - 1] if self.grouped and stream else cells
                found.append([np.count_nonzero(own <= threshold) for threshold in asked.thresholds[index, stream]])
        return np.array(found, dtype=np.float64).reshape(-1)

    def _counts(self, rows: Rows, group: Group) -> Floats:
        """By category, level and group."""
        found: list[Floats] = [np.zeros(0)]
        for category in self.categories:
            level = category.factor.indices(rows)
            inside = (level >= 0) & (level < category.asked) & (group >= 0)
            cell = level[inside] * self.groups + group[inside]
            found.append(_tally(cell, category.asked * self.groups))
        return np.concatenate(found)


def _tally(places: Group, length: int) -> Floats:
    return np.bincount(places[places >= 0], minlength=length).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Known:
    """What the hub has been told, and what it asks next.

    Parameters
    ----------
    first, moments, counts
        As far as they have come, in the order of the Schedule.
    searches
        By quantity and stream.
    """

    shape: Shape
    asked: Asked
    first: Floats
    moments: Floats
    counts: Floats
    searches: tuple[tuple[Search, ...], ...]

    @classmethod
    def nothing(cls, shape: Shape) -> Self:
        searches = tuple(
            (Search.over(quantity.cells, len(shape.shares)),) * shape.streams for quantity in shape.quantities
        )
        none = np.zeros(0)
        return cls(shape, shape.read(np.ones(1)), none, none, none, searches)

    @property
    def outside(self) -> int:
        """Patients without a group."""
        return int(self.first[0])

    @property
    def sizes(self) -> Floats:
        """(groups,): their patients."""
        return self.first[1 : 1 + self.shape.groups]

    @property
    def values(self) -> Floats:
        """(quantities, groups): how many have a value."""
        start, found = 1 + self.shape.groups, []
        for quantity in self.shape.quantities:
            if quantity.required:
                found.append(self.sizes)
                continue
            found.append(self.first[start : start + self.shape.groups])
            start += self.shape.groups
        return np.array(found).reshape(-1, self.shape.groups)

    @property
    def _sums(self) -> Floats:
        """(quantities, 2): of u and u^2 over all groups."""
        many = 2 * len(self.shape.quantities)
        return self.first[len(self.first) - many :].reshape(-1, 2)

    def after(self, values: Floats, min_patients: int) -> Self:
        """With what a Round brought."""
        share = self.shape.schedule.shares[self.asked.round - 1]
        first, below, moments, counts = share.read(values)
        told = replace(
            self,
            first=np.concatenate([self.first, first]),
            moments=np.concatenate([self.moments, moments]),
            counts=np.concatenate([self.counts, counts]),
        )
        if self.asked.round == 1:
            if not (told.sizes >= max(1, min_patients)).any():
                raise RoundFailed("Too few patients to be described, in every group.", "Ask about larger groups.")
            told = replace(told, asked=told._begun(max(1, min_patients)))
        if len(below):
            told = replace(told, searches=told._narrowed(below, share.searched))
        return told

    def asking_next(self) -> Self:
        thresholds = [[search.thresholds for search in streams] for streams in self.searches]
        own = np.array(thresholds, dtype=np.float64).reshape(self.asked.thresholds.shape)
        return replace(self, asked=replace(self.asked, round=self.asked.round + 1, thresholds=own))

    def _begun(self, enough: int) -> Asked:
        """The centre and the scale of each quantity, and which groups are large enough."""
        n = np.maximum(self.values.sum(1), 1.0)
        totals, squares = self._sums.T
        centres = np.clip(totals / n, -1.0, 1.0)
        wide = np.sqrt(np.maximum(squares / n - centres**2, 0.0) * np.maximum(1.0, 2 * n / MOST_PATIENTS))
        scales = np.clip(wide, _SMALLEST_SCALE, _LARGEST_SCALE)
        shown = (self.values >= enough) & (self.sizes >= enough)
        return replace(self.asked, centres=centres, scales=scales, shown=shown.astype(np.float64))

    def _narrowed(self, below: Floats, searched: Searches) -> tuple[tuple[Search, ...], ...]:
        searches = [list(streams) for streams in self.searches]
        for (index, stream), counts in zip(searched, below.reshape(len(searched), -1), strict=True):
            if number := self.numbers(index)[stream]:
                targets = [rank(share, number) for share in self.shape.shares]
                found = searches[index][stream].narrowed([int(count) for count in counts], targets)
                searches[index][stream] = found
        return tuple(tuple(streams) for streams in searches)

    def numbers(self, index: int) -> list[int]:
        """Values in each stream of a quantity, over groups that are large enough."""
        own = [int(number) for number in self.values[index] * self.asked.shown[index]]
        return [sum(own), *own] if self.shape.grouped else own

    def sums(self, index: int) -> Floats:
        """(2, groups): of v and v^2 of a quantity."""
        both: Floats = self.moments.reshape(-1, 2, self.shape.groups)[index]
        return both

    def table(self, index: int) -> Floats:
        """(levels + 1, groups): patients of a category; the last row is of those without a value."""
        start = sum(category.asked for category in self.shape.categories[:index]) * self.shape.groups
        category = self.shape.categories[index]
        counts = self.counts[start : start + category.asked * self.shape.groups].reshape(-1, self.shape.groups)
        left = self.sizes - counts.sum(0)
        return np.vstack([counts, left, np.zeros_like(left)] if category.required else [counts, left])
