"""Analyses for the bench: a given number of floats to every site and back, a given number of times.

Installed for the time of a bench as any other package with an analysis: by its entry point. They depend on the rows,
and each Round on the one before, so that only a federation that computes gives the expected numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from synthema_bench_clock import Moment, now
from synthema_bench_plain import LEFT_OUT, arrange

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import numeric_field
from synthema_core.analyses.options import Options, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan, Refused
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_COLUMN = "age"
_LARGEST = 1_000_000.0
_FRACTIONAL_BITS = 32
_MOST_FLOATS, _MOST_ROUNDS, _MOST_TRIES = 10_000_000, 1000, 1000


@dataclass(frozen=True, slots=True)
class RoundProbe:
    """Every Round adds the sites' mean age to each of the numbers, weighted from 1/floats to 1.

    Parameters
    ----------
    floats
        How many numbers go to each site and come back masked, in every Round.
    rounds
        How many Rounds there are.
    without
        What the Rounds are without, in turn; see `synthema_bench_plain`.
    attempt
        Makes the same question another one.
    """

    floats: int
    rounds: int
    without: tuple[str, ...] = ("nothing",)
    attempt: int = 1

    name: ClassVar[str] = "round-probe"
    title: ClassVar[str] = "Numbers there and back, for the bench"
    private: ClassVar[bool] = False
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None
    answer_seconds: ClassVar[float] = 0.0
    columns: ClassVar[tuple[str, ...]] = (_COLUMN,)
    sensitivity: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.floats < 1 or self.rounds < 1 or not set(self.without) <= set(LEFT_OUT):
            raise InvalidPlan("A probe takes at least one float and one round, and leaves out what there is.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, ("floats", "rounds", "without", "attempt"))
        numeric_field(schema, _COLUMN)
        floats, rounds = typed.whole("floats", 1, _MOST_FLOATS), typed.whole("rounds", 1, _MOST_ROUNDS)
        return cls(floats, rounds, typed.words("without"), typed.whole("attempt", 1, _MOST_TRIES))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        probe = read_back(cls._read, parameters)
        arrange(probe.without)
        return probe

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(int(data["floats"]), int(data["rounds"]), tuple(data["without"]), int(data["attempt"]))

    def parameters(self) -> dict[str, Json]:
        without: list[Json] = list(self.without)
        return {"floats": self.floats, "rounds": self.rounds, "without": without, "attempt": self.attempt}

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
        return Next(np.zeros(self.floats), (now(),))

    def check_input(self, values: Floats) -> None:
        if values.shape != (self.floats,) or not np.all(np.abs(values) <= _LARGEST):
            raise Refused("A probe's numbers are not of its size.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002
        weights = np.arange(1, self.floats + 1) / self.floats
        return values + weights * rows[_COLUMN].mean()

    def advance(self, memory: tuple[Moment, ...], sums: Sums) -> Next | Done:
        """`memory` holds the moment at which each Round began, and the last one ended."""
        means = sums.blocks["numbers"] / sums.sites
        moments = (*memory, now())
        if len(moments) <= self.rounds:
            return Next(means, moments)
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                "seconds": np.diff([moment.clock for moment in moments]).tolist(),
                "processor_seconds": np.diff([moment.processors for moment in moments]).tolist(),
                "first": float(means[0]),
                "last": float(means[-1]),
                "mean": float(means.mean()),
                "noise_standard_deviation": sums.deviation(self.layout.blocks[0]) if self.private else None,
            }
        )


@dataclass(frozen=True, slots=True)
class NoisyRoundProbe(RoundProbe):
    """The same in a sum that carries noise, and so may go without some sites.

    The noise protects nobody: it is far smaller than what a patient adds, so that the numbers can be compared. In ring
    steps, which its drawing depends on, it is as wide as that of a count.
    """

    name: ClassVar[str] = "noisy-round-probe"
    private: ClassVar[bool] = True
    sensitivity: ClassVar[float] = 2.0**16
