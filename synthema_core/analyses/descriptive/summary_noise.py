"""A private Table 1 as JSON: noisy sums made plausible, with intervals that contain the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from synthema_core.analyses.descriptive.noisy_tables import Consistent, consistent, plausible, together
from synthema_core.analyses.descriptive.noisy_tree import Quantiles, Tree
from synthema_core.analyses.descriptive.ratio import Ratio
from synthema_core.analyses.descriptive.summary_variables import Category, Quantity, Variable
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True)
class Noisy:
    """The sum of a Round, read.

    Parameters
    ----------
    groups
        Empty where there are none.
    trees
        By the place of a quantity.
    deviation
        Of the noise in a count of weight 1; one of weight 1/2 has twice as much.
    """

    groups: Sequence[tuple[str, str]]
    categories: Sequence[Category]
    quantities: Sequence[Quantity]
    trees: Mapping[int, Tree]
    blocks: Mapping[str, Floats]
    deviation: float
    quantile: float
    shares: Sequence[float]

    @property
    def _many(self) -> int:
        return max(1, len(self.groups))

    @cached_property
    def _tables(self) -> list[Consistent]:
        """Of each group."""
        start, tables = 0, []
        for category in self.categories:
            cells = len(category.factor.levels) + (not category.required)
            stop = start + cells * self._many
            tables.append(self.blocks["levels"][start:stop].reshape(self._many, cells))
            start = stop
        sizes = self.blocks["sizes"][1:]
        return [
            consistent(float(sizes[group]), [table[group] for table in tables], self.deviation**2)
            for group in range(self._many)
        ]

    @cached_property
    def _streams(self) -> list[list[int]]:
        """All groups together, then each; or all."""
        every = list(range(self._many))
        return [every, *([[group] for group in every] if self.groups else [])]

    @cached_property
    def _shown_sizes(self) -> list[int]:
        return [max(0, round(table.size)) for table in self._tables]

    @property
    def patients(self) -> int:
        return sum(self._shown_sizes)

    @property
    def sizes(self) -> list[Json]:
        return [
            {"code": code, "label": label, "patients": size}
            for (code, label), size in zip(self.groups, self._shown_sizes, strict=bool(self.groups))
        ]

    def variables(self, order: Sequence[Variable]) -> list[Json]:
        """In the order of the question."""
        quantities, categories = iter(range(len(self.quantities))), iter(range(len(self.categories)))
        return [
            self._quantity(next(quantities)) if isinstance(variable, Quantity) else self._category(next(categories))
            for variable in order
        ]

    def _quantity(self, place: int) -> dict[str, Json]:
        quantity = self.quantities[place]
        cells = [self._number(place, stream) for stream in self._streams]
        return {
            "kind": "number",
            **quantity.column.to_dict(),
            "range": [quantity.low, quantity.high],
            "resolution": quantity.step,
            "overall": cells[0],
            "groups": list[Json](cells[1:]),
            "test": None,
            "smd": None,
            "notes": [],
        }

    def _of(self, block: str, place: int) -> Floats:
        """(groups,): of the quantity in that place of a block."""
        own: Floats = self.blocks[block].reshape(-1, self._many)[place]
        return own

    def _number(self, place: int, stream: Sequence[int]) -> dict[str, Json]:
        quantity, many = self.quantities[place], len(stream)
        size = sum(self._tables[group].size for group in stream)
        shown = sum(self._shown_sizes[group] for group in stream)
        count, deviation = size, math.sqrt(sum(self._tables[group].size_variance for group in stream))
        if not quantity.required:
            optional = [place_ for place_, own in enumerate(self.quantities) if not own.required].index(place)
            count, deviation = float(self._of("values", optional)[stream].sum()), 2 * self.deviation * math.sqrt(many)
        total, spread = (float(self._of(block, place)[stream].sum()) for block in ("sums", "spreads"))
        ratio = Ratio(count, total, spread, deviation, self.deviation * math.sqrt(many), self.quantile)
        number = min(shown, max(0, round(count)))
        lower, upper = (quantity.centre + quantity.half * end for end in ratio.interval)
        mean, spreads = ratio.value, [None if end is None else quantity.half * end for end in ratio.spread]
        quantiles = self._quantiles(place, stream)
        return {
            "n": number,
            "at_least": number,
            "missing": shown - number,
            "mean": None if mean is None else quantity.centre + quantity.half * mean,
            "sd": spreads[0] if spreads[1] else None,  # the noise hides what may as well be 0
            "sd_interval": list[Json](spreads[1:]),
            "lower": lower,
            "upper": upper,
            "quantiles": None if quantiles is None else [middle for middle, _, _ in quantiles],
            "quantile_intervals": None if quantiles is None else [[low, high] for _, low, high in quantiles],
        }

    def _quantiles(self, place: int, stream: Sequence[int]) -> list[tuple[float | None, float, float]] | None:
        if place not in self.trees:
            return None
        tree, quantity = self.trees[place], self.quantities[place]
        start = self._many * sum(own.nodes for other, own in self.trees.items() if other < place)
        nodes = self.blocks["trees"][start : start + self._many * tree.nodes].reshape(self._many, -1)[stream].sum(0)
        read = Quantiles(tree, nodes, 2 * self.deviation * math.sqrt(len(stream)), self.quantile)
        found = []
        for share in self.shares:
            middle, low, high = read.at(share)
            told = None if middle is None else quantity.value(middle)
            found.append((told, quantity.value(low), quantity.value(high)))
        return found

    def _category(self, place: int) -> dict[str, Json]:
        category = self.categories[place]
        columns = [self._counted(place, stream) for stream in self._streams]
        return {
            "kind": "category",
            **category.column.to_dict(),
            "boolean": category.factor.is_boolean,
            "levels": [[code, label] for code, label in category.factor.levels],
            "overall": columns[0],
            "groups": list[Json](columns[1:]),
            "test": None,
            "smd": None,
            "taken_together": [],
            "notes": [],
        }

    def _counted(self, place: int, stream: Sequence[int]) -> dict[str, Any]:
        category, levels = self.categories[place], len(self.categories[place].factor.levels)
        whole = [plausible(self._tables[group].tables[place], self._shown_sizes[group]) for group in stream]
        counts = [int(count) for count in np.sum(np.array(whole), axis=0)]
        table = together([self._tables[group] for group in stream])
        shares = [table.share(place, level, self.quantile, optional=not category.required) for level in range(levels)]
        return {
            "n": sum(counts[:levels]),
            "missing": sum(counts[levels:]),
            "counts": counts[:levels],
            "proportions": [share for share, _, _ in shares],
            "lower": [low for _, low, _ in shares],
            "upper": [high for _, _, high in shares],
        }
