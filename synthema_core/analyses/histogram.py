"""How many patients are in each cell: counts with noise from every site, charged to their patients' Budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from synthema_core.analyses.base import Done, Next, Rows, Sums
from synthema_core.analyses.columns import Column, Factor, complete, numeric_field
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan, Refused
from synthema_core.schemas import Kind, Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_USUAL_BINS = 10
_MOST_BINS = 1000
_MOST_PATIENTS = 10_000_000.0
_MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Histogram:
    """A noisy count in each cell; each patient is in at most one.

    Parameters
    ----------
    column
        A Factor (a cell for each level), a Column cut at `edges`, or None for one cell of all patients.
    counted
        For None: the column whose length is counted. No value of it is used.
    edges
        Ascending, from the schema's minimum to its maximum. Cells contain their lower edge, the last one both.
    missing
        Whether there is a last cell for patients without a value: where the schema lets a row leave it out.
    """

    column: Column | Factor | None
    counted: str
    edges: tuple[float, ...]
    missing: bool
    confidence: float

    name: ClassVar[str] = "histogram"
    title: ClassVar[str] = "Patients by group, with noise"
    private: ClassVar[bool] = True
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if isinstance(self.column, Column) != bool(self.edges) or (self.column is None) != bool(self.counted):
            raise InvalidPlan("A histogram has edges for a number, levels for a category, and neither for a count.")
        if self.edges and not 2 <= len(self.edges) <= _MOST_BINS + 1:
            raise InvalidPlan(f"A histogram has between 1 and {_MOST_BINS} cells.")
        if not np.all(np.isfinite(self.edges)) or not np.all(np.diff(self.edges) > 0):
            raise InvalidPlan("The edges of a histogram ascend.", "For example --edges 20,40,60.")
        if self.missing and self.column is None:
            raise InvalidPlan("A count of all patients has no missing values.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        typed = Options(cls.name, options, ("column", "bins", "edges", "confidence"))
        cut = [name for name in ("bins", "edges") if name in typed]
        if "column" not in typed:
            if cut:
                raise InvalidInput(f"--{cut[0]} cuts a column into cells.", "Give --column NAME, too.")
            return cls(None, _any_column(schema), (), False, typed.confidence())
        field = schema.field(typed.required("column"))
        missing = not field.required
        if field.kind in (Kind.NUMBER, Kind.INTEGER):
            _, low, high = numeric_field(schema, field.name)
            return cls(Column.of(field), "", _edges(typed, low, high), missing, typed.confidence())
        factor = Factor.of(field)
        if cut:
            raise InvalidInput(f"'{field.name}' has its own cells: its codes.", f"Leave --{cut[0]} out.")
        return cls(factor, "", (), missing, typed.confidence())

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        column: Column | Factor | None = None
        if data["column"] is not None:
            column = (Factor if "levels" in data["column"] else Column).from_dict(data["column"])
        return cls(
            column=column,
            counted=str(data["counted"]),
            edges=tuple(float(edge) for edge in data["edges"]),
            missing=bool(data["missing"]),
            confidence=float(data["confidence"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "column": self.column.to_dict() if self.column else None,
            "counted": self.counted,
            "edges": list[Json](self.edges),
            "missing": self.missing,
            "confidence": self.confidence,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {"confidence": repr(self.confidence)}
        if self.column:
            typed["column"] = self._source.name
        if self.edges:
            typed["edges"] = ",".join(repr(edge) for edge in self.edges)
        if type(self).from_options(typed, schema) != self:
            raise InvalidPlan("The Plan's column, levels or range are not the schema's.", "Plan again.")

    @property
    def _source(self) -> Column:
        column = self.column.column if isinstance(self.column, Factor) else self.column
        return column or Column(self.counted, self.counted)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self._source.name,)

    @property
    def layout(self) -> Layout:
        return Layout((Block("cells", len(self._cells), _MOST_PATIENTS),))

    @property
    def max_rounds(self) -> int:
        return 1

    @property
    def sensitivity(self) -> float:
        """1: a patient adds one to one cell."""
        return 1.0

    @property
    def _cells(self) -> tuple[tuple[str, float | None, float | None], ...]:
        """(label, low, high) of each cell."""
        cells: list[tuple[str, float | None, float | None]]
        if isinstance(self.column, Factor):
            cells = [(label, None, None) for _, label in self.column.levels]
        elif self.column is None:
            cells = [("all patients", None, None)]
        else:
            pairs = zip(self.edges, self.edges[1:], strict=False)
            cells = [(f"{low:.6g} to {high:.6g}", low, high) for low, high in pairs]
        return (*cells, (_MISSING, None, None)) if self.missing else tuple(cells)

    def cohort_size(self, rows: Rows) -> int:
        return len(rows[self._source.name])

    def begin(self) -> Next:
        return Next(np.zeros(0))

    def check_input(self, values: Floats) -> None:
        if values.shape != (0,):
            raise Refused("This analysis takes no input.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats) -> Floats:  # noqa: ARG002  the counts depend on no iterate
        """Patients in each cell, (cells,). Clipped rather than refused at its bound: a refusal would tell of rows."""
        cell = self._cell_of(rows)
        counts = np.bincount(cell[cell >= 0], minlength=len(self._cells))
        return np.minimum(counts.astype(np.float64), _MOST_PATIENTS)

    def _cell_of(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): the one cell of each patient; -1 for none. A value outside the range counts in the nearest cell."""
        values = rows[self._source.name]
        if self.column is None:
            return np.zeros(len(values), dtype=np.int64)
        if isinstance(self.column, Factor):
            cell = self.column.indices(rows)
        else:
            cell = np.searchsorted(np.asarray(self.edges[1:-1]), values, side="right")
        return np.where(complete(rows, self.columns), cell, len(self._cells) - 1 if self.missing else -1)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        counts = sums.blocks["cells"]
        deviation = math.sqrt(sums.noise_variance)
        reach = float(ndtri(0.5 + self.confidence / 2)) * deviation
        total, total_reach = float(counts.sum()), reach * math.sqrt(len(counts))
        source: dict[str, Json] | None = None
        if self.column:
            source = self._source.to_dict()
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                "column": source,
                "confidence": self.confidence,
                "noise_standard_deviation": deviation,
                "cells": [
                    {
                        "label": label,
                        "low": low,
                        "high": high,
                        "count": count,  # may be negative: clamping it would bias every sum made of it
                        "shown": max(0, round(count)),
                        "lower": count - reach,
                        "upper": count + reach,
                    }
                    for (label, low, high), count in zip(self._cells, counts.tolist(), strict=True)
                ],
                "total": {"count": total, "lower": total - total_reach, "upper": total + total_reach},
            }
        )


def _any_column(schema: Schema) -> str:
    """The first column that is not an identifier: counting rows needs no pseudonyms."""
    for field in schema.fields:
        if field.kind is not Kind.IDENTIFIER:
            return field.name
    raise InvalidInput(f"The schema '{schema.name}' has no column to count by.", "Add a field to it.")


def _edges(typed: Options, low: float, high: float) -> tuple[float, ...]:
    """As typed, completed to the schema's range; or equal bins of it."""
    if "edges" not in typed:
        bins = typed.number("bins", _USUAL_BINS)
        if not (1 <= bins <= _MOST_BINS and bins == int(bins)):
            raise InvalidInput(f"--bins takes a whole number from 1 to {_MOST_BINS}.", "Usual is 10.")
        return tuple(float(edge) for edge in np.linspace(low, high, int(bins) + 1))
    if "bins" in typed:
        raise InvalidInput("--bins and --edges exclude each other.", "Give one of them.")
    edges = typed.numbers("edges")
    if list(edges) != sorted(edges) or edges[0] < low or edges[-1] > high:
        raise InvalidInput(f"--edges ascend between {low:g} and {high:g}, the schema's range.", "Sort or drop some.")
    return tuple(sorted({low, *edges, high}))
