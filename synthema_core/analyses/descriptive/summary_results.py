"""A Table 1 as JSON, made of nothing that a small group could be computed back from.

Groups of fewer than `min_patients` are left out of every number, totals and tests included. Of a quantity with some,
but fewer than `min_patients` missing values in a group, the number of values is told as "at least", here and in the
column of all patients; means and standard deviations beside it are rounded, since the mean of whole numbers tells how
many they are; and intervals and tests take the least number. Small cells of categories are hidden (see
`disclosure.count_tables`); tests and differences take the levels of hidden cells together. So tests are made of what is
told, and tell no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import ndtri, stdtrit

from synthema_core.analyses.descriptive.bisection import patients_beyond
from synthema_core.analyses.descriptive.group_tests import (
    compare_counts,
    compare_means,
    difference_of_counts,
    difference_of_means,
)
from synthema_core.analyses.descriptive.summary_course import RESOLVED, Known
from synthema_core.analyses.descriptive.summary_variables import Category, Quantity, round_step
from synthema_core.analyses.wilson import wilson
from synthema_core.canonical import Json
from synthema_core.disclosure.cells import Mask
from synthema_core.disclosure.count_tables import hidden_in
from synthema_core.secure_sum.layout import Floats

_Groups = Sequence[tuple[str, str]]
_FINE = 20.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What else a question asks for. `tests`: welch, classical or no."""

    tests: str
    differences: bool
    confidence: float


@dataclass(frozen=True, slots=True)
class _Cell:
    """A quantity in a group: None for what is not told; `least` values at the least."""

    size: int
    number: int | None
    least: int
    mean: float | None = None
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The result of a Table 1 after its last Round."""

    known: Known
    groups: _Groups
    wanted: Wanted
    min_patients: int

    @property
    def shown(self) -> list[int]:
        """The groups that are large enough."""
        return [index for index, size in enumerate(self.known.sizes) if size >= max(1, self.min_patients)]

    @property
    def variables(self) -> list[Json]:
        quantities, categories = iter(range(len(self.known.shape.quantities))), iter(range(len(self.known.counts) + 1))
        return [
            self._quantity(variable, next(quantities))
            if isinstance(variable, Quantity)
            else self._category(variable, next(categories))
            for variable in self.known.shape.variables
        ]

    @property
    def outside(self) -> int | None:
        """Patients without a group; None where they are few."""
        return self.known.outside if not 0 < self.known.outside < self.min_patients else None

    def _pairs(self, kept: Sequence[int], of: Callable[[int, int], float | None]) -> dict[str, Json] | None:
        """Of every pair of groups, by `of` their places in `kept`; and the largest."""
        if not self.wanted.differences or len(kept) < 2:
            return None
        codes = [self.groups[group][0] for group in kept]
        pairs = [(codes[a], codes[b], of(a, b)) for a, b in combinations(range(len(kept)), 2)]
        sizes = [abs(value) for _, _, value in pairs if value is not None]
        return {
            "pairs": [{"groups": [first, second], "value": value} for first, second, value in pairs],
            "largest": max(sizes) if sizes else None,
        }

    # Quantities

    def _quantity(self, quantity: Quantity, index: int) -> dict[str, Json]:
        kept = [group for group in self.shown if self.known.asked.shown[index, group]]
        some_missing = [group for group in kept if 0 < self._missing(index, group) < self.min_patients]
        vague = bool(some_missing)
        cells = {group: self._cell(quantity, index, [group], vague=group in some_missing) for group in kept}
        overall = self._cell(quantity, index, kept, vague=vague) if kept else None
        notes = ["Few values are missing: numbers are told as at least, means rounded."] if vague else []
        notes += ["Groups with too few values are left out."] if len(kept) < len(self.shown) else []
        return {
            "kind": "number",
            **quantity.column.to_dict(),
            "range": [quantity.low, quantity.high],
            "resolution": quantity.step,
            "overall": self._told(quantity, index, overall, 0),
            "groups": [self._told(quantity, index, cells.get(group), group + 1) for group in self.shown]
            if self.known.shape.grouped
            else [],
            "test": self._test(list(cells.values())),
            "smd": self._differences(kept, list(cells.values())),
            "notes": list[Json](notes),
        }

    def _missing(self, index: int, group: int) -> int:
        return int(self.known.sizes[group] - self.known.values[index, group])

    def _cell(self, quantity: Quantity, index: int, groups: Sequence[int], *, vague: bool) -> _Cell:
        size = int(self.known.sizes[list(groups)].sum())
        number = int(self.known.values[index, list(groups)].sum())
        total, squares = self.known.sums(index)[:, list(groups)].sum(1)
        scale, centre = self.known.asked.scales[index], self.known.asked.centres[index]
        mean = quantity.centre + quantity.half * (centre + scale * total / number)
        spread = scale * math.sqrt(max(0.0, squares - total**2 / number) / (number - 1)) if number > 1 else None
        deviation = None if spread is None else quantity.half * spread * (spread >= RESOLVED)
        if not vague:
            return _Cell(size, number, number, float(mean), deviation)
        few = [group for group in groups if 0 < self._missing(index, group) < self.min_patients]
        exact = sum(int(self.known.values[index, group]) for group in groups if group not in few)
        least = exact + sum(int(self.known.sizes[group]) - self.min_patients + 1 for group in few)
        unit = round_step((deviation or quantity.step) / _FINE)
        return _Cell(size, None, max(least, 0), _to(mean, unit), None if deviation is None else _to(deviation, unit))

    def _told(self, quantity: Quantity, index: int, cell: _Cell | None, stream: int) -> dict[str, Json]:
        if cell is None:
            names = ("n", "at_least", "missing", "mean", "sd", "lower", "upper", "quantiles")
            return dict.fromkeys(names)
        lower, upper = self._interval(cell)
        return {
            "n": cell.number,
            "at_least": cell.least,
            "missing": None if cell.number is None else cell.size - cell.number,
            "mean": cell.mean,
            "sd": cell.deviation,
            "lower": lower,
            "upper": upper,
            "quantiles": self._quantiles(quantity, index, cell, stream),
        }

    def _interval(self, cell: _Cell) -> tuple[float | None, float | None]:
        if cell.mean is None or cell.deviation is None or cell.least < 2:
            return None, None
        reach = (
            float(stdtrit(cell.least - 1, 0.5 + self.wanted.confidence / 2)) * cell.deviation / math.sqrt(cell.least)
        )
        return cell.mean - reach, cell.mean + reach

    def _quantiles(self, quantity: Quantity, index: int, cell: _Cell, stream: int) -> list[Json]:
        """None where fewer than min_patients values are on one side of it."""
        if not quantity.sought:
            return [None for _ in self.known.shape.shares]
        found = self.known.searches[index][stream if self.known.shape.grouped else 0].found
        return [
            quantity.value(place)
            if self.min_patients <= 1 or patients_beyond(share, cell.least) >= self.min_patients
            else None
            for share, place in zip(self.known.shape.shares, found, strict=True)
        ]

    def _test(self, cells: Sequence[_Cell]) -> dict[str, Json] | None:
        if self.wanted.tests == "no":
            return None
        told = [(cell.least, cell.mean, cell.deviation) for cell in cells if cell.deviation is not None]
        if len(told) < max(2, len(cells)):
            return None
        n, means, deviations = np.array(told, dtype=np.float64).T
        found = compare_means(n, means, deviations, equal_variances=self.wanted.tests == "classical")
        return None if found is None else {**found, "conservative": any(cell.number is None for cell in cells)}

    def _differences(self, kept: Sequence[int], cells: Sequence[_Cell]) -> dict[str, Json] | None:
        def of(first: int, second: int) -> float | None:
            a, b = cells[first], cells[second]
            if a.mean is None or b.mean is None or a.deviation is None or b.deviation is None:
                return None
            return difference_of_means((a.mean, b.mean), (a.deviation, b.deviation))

        return self._pairs(kept, of)

    # Categories

    def _category(self, category: Category, index: int) -> dict[str, Json]:
        counts = self.known.table(index)[:, self.shown]
        levels = len(category.factor.levels)
        several = counts.shape[1] > 1
        found = hidden_in(counts[:levels] if category.required else counts, self.min_patients, sizes_told=True)
        unknown = np.column_stack([found.cells, found.rows]) if several else found.cells
        hidden = np.vstack([unknown, np.zeros((levels + 1 - len(unknown), unknown.shape[1]), dtype=np.bool_)])
        whole = np.column_stack([counts, counts.sum(1)]) if several else counts
        tested, merged = _told_levels(category, counts, hidden[:, : len(self.shown)])
        notes = ["Small numbers are not told, nor others that would tell them."] if hidden.any() else []
        notes += [f"Test and difference take together: {', '.join(merged)}."] if merged and tested is not None else []
        notes += ["With so many hidden numbers there is no test."] if tested is None and several else []
        columns = [self._counted(whole[:, place], hidden[:, place], levels) for place in range(whole.shape[1])]
        return {
            "kind": "category",
            **category.column.to_dict(),
            "boolean": category.factor.is_boolean,
            "levels": [[code, label] for code, label in category.factor.levels],
            "overall": columns[-1],
            "groups": list[Json](columns[: len(self.shown)]) if self.known.shape.grouped else [],
            "test": compare_counts(tested) if tested is not None and self.wanted.tests != "no" else None,
            "smd": None
            if tested is None
            else self._pairs(self.shown, lambda a, b: difference_of_counts(tested[:, a], tested[:, b])),
            "taken_together": list[Json](merged),
            "notes": list[Json](notes),
        }

    def _counted(self, counts: Floats, hidden: Mask, levels: int) -> dict[str, Json]:
        """Of one group. `counts`: (levels + 1,), the last of those without a value. A share is of those with one."""
        missing = None if hidden[levels] else int(counts[levels])
        number = None if missing is None else int(counts[:levels].sum())
        told = [None if hidden[level] else int(counts[level]) for level in range(levels)]
        shares = [None if count is None or not number else count / number for count in told]
        intervals = [_interval(share, number, self.wanted.confidence) for share in shares]
        return {
            "n": number,
            "missing": missing,
            "counts": list[Json](told),
            "proportions": list[Json](shares),
            "lower": [low for low, _ in intervals],
            "upper": [high for _, high in intervals],
        }


def _told_levels(category: Category, counts: Floats, hidden: Mask) -> tuple[Floats | None, list[str]]:
    """The table with levels of hidden cells as one, and their labels; None where it cannot be made of what is told."""
    levels = len(category.factor.levels)
    if hidden[levels].any() or counts[:levels].sum() == 0:
        return None, []
    partly: Mask = np.asarray(hidden[:levels].any(1))
    rows = counts[:levels]
    labels = [label for (_, label), part in zip(category.factor.levels, partly.tolist(), strict=True) if part]
    if not partly.any():
        return rows, []
    if partly.all():
        return None, labels
    return np.vstack([rows[~partly], rows[partly].sum(0)]), labels


def _interval(share: float | None, number: int | None, confidence: float) -> tuple[float | None, float | None]:
    if share is None or not number:
        return None, None
    return wilson(share, float(ndtri(0.5 + confidence / 2)) ** 2 / number)


def _to(value: float, unit: float) -> float:
    return round(round(value / unit) * unit, 12)
