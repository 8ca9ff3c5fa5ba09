"""The mean of a number over all patients: noisy sums from every site, charged to their patients' Budget.

A patient's value is the mean of their rows, each clipped, and scaled to u between -1 and 1. A site adds three sums over
its patients: of 1, of u, and of 1 - u^2, which gives the standard deviation, and with it the sampling error.

*What they cost.* In units of u, a patient's vector is (1/2, u, 1 - u^2). The squares of its last two parts add up to
t + (1 - t)^2 for t = u^2, which is convex in t, so at most 1, as at its ends 0 and 1: the third sum costs nothing. The
first has half the weight: the mean's variance through it is u^2 times that through the second, and half is the best
weight for a mean of |u| = 1/4 (and within 12 % of the best up to 1/2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import ndtri

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import Column, complete, numeric_field
from synthema_core.analyses.descriptive.ratio import Ratio
from synthema_core.analyses.one_round import OneRound
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.privacy.bounding import Bounding
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_PATIENTS = 10_000_000.0
_BITS = 20
"""u = 1 is 2**20 ring steps."""


@dataclass(frozen=True, slots=True)
class Mean(OneRound):
    """The mean of a column over patients.

    Parameters
    ----------
    low, high
        Values beyond are moved to the nearer end. The closer they are, the less noise.
    rows_per_patient
        So many rows of a patient are used.
    cuts
        Whether the schema allows more than is kept. Then those are counted for whom something was cut.
    """

    column: Column
    low: float
    high: float
    rows_per_patient: int
    cuts: bool
    confidence: float

    name: ClassVar[str] = "mean"
    title: ClassVar[str] = "Mean of a number, with noise"
    private: ClassVar[bool] = True
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        _ = self._bounding  # refuses what is no bound

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, ("column", "clip", "rows-per-patient", "confidence"))
        field, minimum, maximum = numeric_field(schema, typed.required("column"))
        low, high = _clip(typed, minimum, maximum)
        rows = cuts.rows_kept(typed, schema)
        cut = (low, high) != (minimum, maximum) or rows < schema.rows_per_patient
        return cls(Column.of(field), low, high, rows, cut, typed.confidence())

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        low, high = data["clip"]
        return cls(
            column=Column.from_dict(data["column"]),
            low=float(low),
            high=float(high),
            rows_per_patient=int(data["rows_per_patient"]),
            cuts=bool(data["cuts_counted"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "column": self.column.to_dict(),
            "clip": [self.low, self.high],
            "rows_per_patient": self.rows_per_patient,
            "cuts_counted": self.cuts,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {
            "column": self.column.name,
            "clip": f"{self.low!r},{self.high!r}",
            "rows-per-patient": repr(self.rows_per_patient),
            "confidence": repr(self.confidence),
        }
        if type(self).from_options(typed, schema) != self:
            raise InvalidPlan("The Plan's column or clip is not the schema's.", "Plan again.")

    @property
    def _bounding(self) -> Bounding:
        return Bounding(self.rows_per_patient, clips={self.column.name: (self.low, self.high)})

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column.name,)

    @property
    def layout(self) -> Layout:
        """A patient's weight in each block is a power of two: how many ring steps its unit has."""
        return Layout((self._count, *self._of_values, *([self._cut] if self._cut else [])))

    @property
    def _count(self) -> Block:
        return Block("count", 1, _MOST_PATIENTS, _BITS - 1)

    @property
    def _of_values(self) -> tuple[Block, Block]:
        return Block("sum", 1, _MOST_PATIENTS, _BITS), Block("spread", 1, _MOST_PATIENTS, _BITS)

    @property
    def _cut(self) -> Block | None:
        return cuts.cut_block(_MOST_PATIENTS, _BITS) if self.cuts else None

    @property
    def sensitivity(self) -> float:
        """Of a patient with u = 0 or |u| = 1, for whom something was cut."""
        largest = (self._count.fractional_bits, _BITS, *([self._cut.fractional_bits] if self._cut else []))
        return math.sqrt(sum(4**bits for bits in largest))

    def steps_per_unit(self, sites: int) -> None:
        """A quotient of two noisy sums: its noise depends on how many patients there are."""

    @property
    def _centre(self) -> float:
        return (self.low + self.high) / 2

    @property
    def _half(self) -> float:
        return (self.high - self.low) / 2

    def cohort_size(self, rows: Rows) -> int:
        return int(complete(rows, self.columns).sum())

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002  no iterate
        """(3,) or (4,): patients with a value, sum of u, sum of 1 - u^2, patients for whom something was cut.

        u and 1 - u^2 are whole numbers s and q of steps, of which 2**20 = M are 1; q = (M^2 - s^2) / M, rounded down,
        so that s^2 + q^2 <= M^2 holds in whole numbers for each patient.
        """
        present = complete(rows, self.columns)
        known = {self.column.name: rows[self.column.name][present]}
        bounded = self._bounding.apply(known, Patients(patients.ids[present], patients.key))
        steps = bounded.averages((bounded.rows[self.column.name] - self._centre) / self._half, _BITS)
        spread = (4**_BITS - steps * steps) >> _BITS
        of_values = np.ldexp([float(steps.sum()), float(spread.sum())], -_BITS)
        added = np.array([len(steps), *of_values, *([bounded.cut.sum()] if self.cuts else [])], dtype=np.float64)
        return np.clip(added, -_MOST_PATIENTS, _MOST_PATIENTS).astype(np.float64)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        count, total, spread = (float(sums.blocks[block.name][0]) for block in (self._count, *self._of_values))
        deviations = sums.deviation(self._count), sums.deviation(self._of_values[0])
        ratio = Ratio(count, total, spread, *deviations, float(ndtri(0.5 + self.confidence / 2)))
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                "column": self.column.to_dict(),
                "clip": [self.low, self.high],
                "confidence": self.confidence,
                "mean": self._mean(ratio),
                "spread": self._spread(ratio),
                "patients": cuts.estimate(count, deviations[0], self.confidence),
                "bounding": cuts.told(self._kept, sums, self._cut, self.confidence),
            }
        )

    def _mean(self, ratio: Ratio) -> dict[str, Json]:
        """In the column's unit. `noise` and `sampling` are the two parts of the standard error."""
        lower, upper = ratio.interval
        value = ratio.value
        return {
            "value": None if value is None else self._centre + self._half * value,
            "lower": self._centre + self._half * lower,
            "upper": self._centre + self._half * upper,
            "noise": None if value is None else self._half * ratio.noise_error,
            "sampling": None if value is None else self._half * ratio.sampling_error,
        }

    def _spread(self, ratio: Ratio) -> dict[str, Json]:
        """The standard deviation of patients' values; its interval is of the noise alone."""
        value, lower, upper = (None if part is None else self._half * part for part in ratio.spread)
        return {"value": value, "lower": lower, "upper": upper}

    @property
    def _kept(self) -> str:
        """What a patient counts for, as the beginning of a sentence."""
        several = f", by the mean of at most {self.rows_per_patient} rows" if self.rows_per_patient > 1 else ""
        unit = f" {self.column.unit}".rstrip()
        return f"Each patient counts once{several}, with values from {self.low:g} to {self.high:g}{unit}"


def _clip(typed: Options, minimum: float, maximum: float) -> tuple[float, float]:
    if "clip" not in typed:
        return minimum, maximum
    clip = typed.numbers("clip")
    if len(clip) != 2 or not minimum <= clip[0] < clip[1] <= maximum:
        raise InvalidInput(
            f"--clip takes two numbers between {minimum:g} and {maximum:g}, the smaller first.",
            f"For example --clip {minimum:g},{maximum:g}.",
        )
    return clip[0], clip[1]
