"""An analysis for the bench: a given number of floats to every site and back, a given number of times.

Installed for the time of a bench as any other package with an analysis: by its entry point. It depends on the rows, and
each Round on the one before, so that only a federation that computes gives the expected numbers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from synthema_core.analyses.base import Done, Next, Rows, Sums
from synthema_core.analyses.columns import numeric_field
from synthema_core.analyses.options import Options, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan, Refused
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_COLUMN = "age"
_LARGEST = 1_000_000.0
_FRACTIONAL_BITS = 32


@dataclass(frozen=True, slots=True)
class RoundProbe:
    """Every Round adds the sites' mean age to each of the numbers, weighted from 1/floats to 1.

    Parameters
    ----------
    floats
        How many numbers go to each site and come back masked, in every Round.
    rounds
        How many Rounds there are.
    """

    floats: int
    rounds: int

    name: ClassVar[str] = "round-probe"
    title: ClassVar[str] = "Numbers there and back, for the bench"
    private: ClassVar[bool] = False
    sensitivity: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None
    columns: ClassVar[tuple[str, ...]] = (_COLUMN,)

    def __post_init__(self) -> None:
        if self.floats < 1 or self.rounds < 1:
            raise InvalidPlan("A probe takes at least one float and one round.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, ("floats", "rounds"))
        numeric_field(schema, _COLUMN)
        return cls(int(typed.number("floats", 1)), int(typed.number("rounds", 1)))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(lambda given: cls(int(given["floats"]), int(given["rounds"])), parameters)

    def parameters(self) -> dict[str, Json]:
        return {"floats": self.floats, "rounds": self.rounds}

    def check_against(self, schema: Schema) -> None:
        numeric_field(schema, _COLUMN)

    @property
    def layout(self) -> Layout:
        return Layout((Block("numbers", self.floats, _LARGEST, _FRACTIONAL_BITS),))

    @property
    def max_rounds(self) -> int:
        return self.rounds

    def cohort_size(self, rows: Rows) -> int:
        return len(rows[_COLUMN])

    def begin(self) -> Next:
        return Next(np.zeros(self.floats), (time.monotonic(),))

    def check_input(self, values: Floats) -> None:
        if values.shape != (self.floats,) or not np.all(np.abs(values) <= _LARGEST):
            raise Refused("A probe's numbers are not of its size.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats) -> Floats:
        weights = np.arange(1, self.floats + 1) / self.floats
        return values + weights * rows[_COLUMN].mean()

    def advance(self, memory: tuple[float, ...], sums: Sums) -> Next | Done:
        """`memory` holds the moment (monotonic, seconds) at which each Round began, and the last one ended."""
        means = sums.blocks["numbers"] / sums.sites
        moments = (*memory, time.monotonic())
        if len(moments) <= self.rounds:
            return Next(means, moments)
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                "seconds": np.diff(moments).tolist(),
                "first": float(means[0]),
                "last": float(means[-1]),
                "mean": float(means.mean()),
            }
        )
