"""Table 1 with noise: one Round of noisy sums, charged to the patients' Budget.

*What one patient adds.* A patient counts by one row, chosen by a keyed hash where the schema allows more (see
`privacy.bounding`): so in one group, and with one value of each variable. In units of 2**20 ring steps their vector has

| part | squared length, at most |
|---|---|
| 1 among the groups | 1 |
| of each category, 1 among its levels | 1 |
| of each quantity, u and 1 - u^2, for u between -1 and 1 on the schema's range | 1 (see `mean`) |
| of each quantity that may be missing, 1/2 if it is not | 1/4 |
| of each quantity whose quantiles are asked for, 1/2 on each level of a tree (see `noisy_tree`) | levels / 4 |

All are whole numbers of steps for each patient. The rows of nobody else enter, so adding or removing a patient changes
the sum by this vector, whose L2 norm is at most the root of the sum over all variables: `sensitivity`. The Gaussian
mechanism (Dwork and Roth 2014; in whole numbers, Canonne, Kamath and Steinke 2020) releases all of them at the cost of
one. Groups cost nothing: a patient is in one of them. Variables share the cost equally, but that quantiles take about
as much as a mean: with p variables each number has about sqrt(p) times the noise it would have alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.descriptive.noisy_tree import Tree
from synthema_core.analyses.descriptive.summary_noise import Noisy
from synthema_core.analyses.descriptive.summary_options import (
    check_schema,
)
from synthema_core.analyses.descriptive.summary_question import Characteristics, read_common, typed_common
from synthema_core.analyses.descriptive.summary_variables import (
    PRIVATE_CELLS,
    Category,
    Quantity,
)
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan, Refused
from synthema_core.privacy.bounding import Bounding
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_PATIENTS = 10_000_000.0
_BITS = 20
_HALF = _BITS - 1
_MOST_PRIVATE_CELLS = 1024
_OPTIONS = ("columns", "by", "by-levels", "quantiles", "quantiles-of", "resolution", "confidence")

_Group = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrivateSummary(Characteristics):
    """The variables of a Table 1 by group, with noise. Parameters as for `Summary`.

    Parameters
    ----------
    cuts
        Whether the schema allows a patient more than the one row that is kept. Then those are counted who have more.
    """

    cuts: bool
    confidence: float

    name: ClassVar[str] = "summary-private"
    title: ClassVar[str] = "Table 1: characteristics of the patients, with noise"
    private: ClassVar[bool] = True
    exact_form: ClassVar[str] = "summary"
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        Characteristics.__post_init__(self)
        check_confidence(self.confidence)
        if any(tree.cells > _MOST_PRIVATE_CELLS for tree in self._trees.values()):
            raise InvalidPlan(
                f"With noise, a grid has at most {_MOST_PRIVATE_CELLS:,} steps.", "Use a larger --resolution."
            )

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, _OPTIONS)
        return cls(
            *typed_common(typed, schema, PRIVATE_CELLS),
            cuts=schema.rows_per_patient > 1,
            confidence=typed.confidence(),
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            *read_common(data),
            cuts=bool(data["cuts_counted"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            **Characteristics.parameters(self),
            "cuts_counted": self.cuts,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        check_schema(self.variables, self.by, schema)
        if self.cuts != (schema.rows_per_patient > 1):
            raise InvalidPlan("The Plan does not count whom something is cut of.", "Plan again.")

    @property
    def _trees(self) -> dict[int, Tree]:
        """Of the quantities, by their place among them, whose quantiles are asked for."""
        sought = enumerate(self.quantities)
        return {place: Tree(own.cells) for place, own in sought if own.sought and self.quantiles}

    @property
    def layout(self) -> Layout:
        """Of each part, group by group. A patient's weight is a power of two: how many ring steps its unit has."""
        groups = len(self.groups)
        lengths = {
            "sizes": (groups + 1, _BITS),
            "levels": (groups * sum(_cells(own) for own in self.categories), _BITS),
            "values": (groups * sum(not own.required for own in self.quantities), _HALF),
            "sums": (groups * len(self.quantities), _BITS),
            "spreads": (groups * len(self.quantities), _BITS),
            "trees": (groups * sum(tree.nodes for tree in self._trees.values()), _HALF),
        }
        blocks = [Block(name, length, _MOST_PATIENTS, bits) for name, (length, bits) in lengths.items() if length]
        return Layout((*blocks, *([self._cut] if self._cut else [])))

    @property
    def _cut(self) -> Block | None:
        return cuts.cut_block(_MOST_PATIENTS, _BITS, len(self.variables)) if self.cuts else None

    @property
    def max_rounds(self) -> int:
        return 1

    @property
    def sensitivity(self) -> float:
        """See the module: the root of the sum of all parts' squared lengths, in whole steps."""
        whole = 1 + len(self.categories) + len(self.quantities)
        halves = sum(not own.required for own in self.quantities) + sum(tree.levels for tree in self._trees.values())
        cut = 4**self._cut.fractional_bits if self._cut else 0
        return math.sqrt(whole * 4**_BITS + halves * 4**_HALF + cut)

    def steps_per_unit(self, sites: int) -> None:
        """Quotients of noisy sums: their noise depends on how many patients there are."""

    def begin(self) -> Next:
        return Next(np.zeros(0))

    def check_input(self, values: Floats) -> None:
        if values.shape != (0,):
            raise Refused("This analysis takes no input.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002  no iterate
        """Each block in turn. At its bound a sum is clipped rather than refused: a refusal would tell of rows."""
        bounded = Bounding(1).apply({name: rows[name] for name in self.columns}, patients)
        group = self.group_of(bounded.rows)
        parts: dict[str, list[Floats]] = {
            "sizes": [np.bincount(group + 1, minlength=len(self.groups) + 1).astype(np.float64)],
            "levels": [self._levels(category, bounded.rows, group) for category in self.categories],
            "cut": [np.array([float(bounded.cut.sum())])],
        }
        for place, quantity in enumerate(self.quantities):
            self._add(parts, quantity, self._trees.get(place), bounded.rows, group)
        added: Floats = np.concatenate([part for block in self.layout.blocks for part in parts[block.name]])
        return np.minimum(np.maximum(added, -_MOST_PATIENTS), _MOST_PATIENTS)

    def _levels(self, category: Category, rows: Rows, group: _Group) -> Floats:
        """(groups * cells,): unknown levels count as missing; or, where nothing may be missing, not at all."""
        cells = _cells(category)
        level = category.factor.indices(rows)
        level = np.where(level < 0, cells - 1, level) if not category.required else level
        inside = (group >= 0) & (level >= 0)
        return self._tally(group[inside] * cells + level[inside], cells)

    def _tally(self, places: _Group, cells: int) -> Floats:
        return np.bincount(places, minlength=len(self.groups) * cells).astype(np.float64)

    def _add(
        self, parts: dict[str, list[Floats]], quantity: Quantity, tree: Tree | None, rows: Rows, group: _Group
    ) -> None:
        """u and 1 - u^2 are whole numbers of steps for each patient, as in `mean`."""
        u = quantity.scaled(rows)
        known = ~np.isnan(u) & (group >= 0)
        own = group[known]
        steps = np.rint(np.ldexp(u[known], _BITS)).astype(np.int64)
        for name, weights in (("sums", steps), ("spreads", (4**_BITS - steps * steps) >> _BITS)):
            totals = np.zeros(len(self.groups), dtype=np.int64)
            np.add.at(totals, own, weights)
            parts.setdefault(name, []).append(np.ldexp(totals.astype(np.float64), -_BITS))
        if not quantity.required:
            parts.setdefault("values", []).append(self._tally(own, 1))
        if tree:
            cells = quantity.on_grid(rows)[known]
            counted = [tree.counts(cells[own == index]) for index in range(len(self.groups))]
            parts.setdefault("trees", []).append(np.concatenate(counted))

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        deviation = math.ldexp(math.sqrt(sums.noise_variance), -_BITS)
        noisy = Noisy(
            groups=self.groups if self.by else (),
            categories=self.categories,
            quantities=self.quantities,
            trees=self._trees,
            blocks=sums.blocks,
            deviation=deviation,
            quantile=float(ndtri(0.5 + self.confidence / 2)),
            shares=self.quantiles,
        )
        return Done(
            {
                "kind": "summary",
                "title": self.title,
                "by": self.by.column.to_dict() if self.by else None,
                "groups": noisy.sizes,
                "patients": noisy.patients,
                "suppressed": [],
                "without_group": max(0, round(float(sums.blocks["sizes"][0]))) if self.by else 0,
                "quantiles": list[Json](self.quantiles),
                "confidence": self.confidence,
                "tests": "no",
                "min_patients": 0,
                "private": True,
                "noise_in_counts": deviation,
                "variables": noisy.variables(self.variables),
                "bounding": cuts.told(self._kept, sums, self._cut, self.confidence),
                "notes": list[Json](self._notes(deviation)),
            }
        )

    @property
    def _kept(self) -> str:
        return "Each patient counts once, by one row" if self.cuts else "Each patient counts once"

    def _notes(self, deviation: float) -> list[str]:
        return [
            f"Counts had noise of a standard deviation of about {deviation:.3g} patients in each group.",
            "All categories of a group were then made to count the same patients, none below zero.",
            "Intervals contain the privacy noise and the chance of other patients of this kind.",
            "Quantiles are of values rounded to the nearest multiple of each resolution.",
            "There are no tests and no SMD: without the noise's part in them they would be wrong.",
        ]


def _cells(category: Category) -> int:
    """Its levels, and one for missing values where the schema allows them."""
    return len(category.factor.levels) + (not category.required)
