"""How many patients are in each cell: counts with noise from every site, charged to their patients' Budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses import cuts
from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.columns import Column, Factor, complete, numeric_field
from synthema_core.analyses.one_round import OneRound
from synthema_core.analyses.options import Options, check_confidence, read_back
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.privacy.bounding import ONE_ROW, Bounding
from synthema_core.schemas import Kind, Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_USUAL_BINS = 10
_MOST_BINS = 1000
_MOST_PATIENTS = 10_000_000.0
_MISSING = "missing"
_FRACTIONAL_BITS = 16
"""A patient is 2**16 ring steps: noise has no grid to speak of, and a site's part of it is far above 4 steps."""
_ONE_ROW: Mapping[str, Json] = {"rows_per_patient": 1, "cells_per_patient": 1, "cuts_counted": False}
"""What Plans said of patients, without saying it, when tables had one row for each."""


@dataclass(frozen=True, slots=True)
class Histogram(OneRound):
    """A noisy count of the patients in each cell; those with several rows may be in several.

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
    cuts
        Whether the schema allows a patient more than is kept. Then those are counted for whom something was cut.
    """

    column: Column | Factor | None
    counted: str
    edges: tuple[float, ...]
    missing: bool
    confidence: float
    bounding: Bounding = ONE_ROW
    cuts: bool = False

    name: ClassVar[str] = "histogram"
    exact_form: ClassVar[str] = "histogram-exact"
    title: ClassVar[str] = "Patients by group, with noise"
    private: ClassVar[bool] = True
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
        if self.bounding.clips or self.bounding.cells_per_patient > len(self.cells):
            raise InvalidPlan("A histogram clips nothing, and nobody is in more cells than there are.")

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        known = ("column", "bins", "edges", "rows-per-patient", "cells-per-patient", "confidence")
        typed = Options(cls.name, options, known)
        whole = cls(*_cut_into_cells(typed, schema), typed.confidence())
        rows = cuts.rows_kept(typed, schema)
        most = min(rows, len(whole.cells))
        cells = typed.whole("cells-per-patient", most, most)
        return replace(whole, bounding=Bounding(rows, cells), cuts=rows < schema.rows_per_patient or cells < most)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, {**_ONE_ROW, **parameters})

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
            bounding=Bounding(int(data["rows_per_patient"]), int(data["cells_per_patient"])),
            cuts=bool(data["cuts_counted"]),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "column": self.column.to_dict() if self.column else None,
            "counted": self.counted,
            "edges": list[Json](self.edges),
            "missing": self.missing,
            "confidence": self.confidence,
            "rows_per_patient": self.bounding.rows_per_patient,
            "cells_per_patient": self.bounding.cells_per_patient,
            "cuts_counted": self.cuts,
        }

    def check_against(self, schema: Schema) -> None:
        typed = {
            "confidence": repr(self.confidence),
            "rows-per-patient": repr(self.bounding.rows_per_patient),
            "cells-per-patient": repr(self.bounding.cells_per_patient),
        }
        if self.column:
            typed["column"] = self.source.name
        if self.edges:
            typed["edges"] = ",".join(repr(edge) for edge in self.edges)
        if type(self).from_options(typed, schema) != self:
            raise InvalidPlan("The Plan's column, levels or range are not the schema's.", "Plan again.")

    @property
    def source(self) -> Column:
        column = self.column.column if isinstance(self.column, Factor) else self.column
        return column or Column(self.counted, self.counted)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.source.name,)

    @property
    def layout(self) -> Layout:
        cells = Block("cells", len(self.cells), _MOST_PATIENTS, _FRACTIONAL_BITS)
        return Layout((cells, self._cut_block) if self._cut_block else (cells,))

    @property
    def _cut_block(self) -> Block | None:
        if not self.cuts:
            return None
        return cuts.cut_block(_MOST_PATIENTS, _FRACTIONAL_BITS, self.bounding.cells_per_patient)

    @property
    def sensitivity(self) -> float:
        """A patient adds one to each of so many cells, and one to those for whom something was cut."""
        squared = self.bounding.cells_per_patient * 4**_FRACTIONAL_BITS
        return math.sqrt(squared + (4**self._cut_block.fractional_bits if self._cut_block else 0))

    def steps_per_unit(self, sites: int) -> float:  # noqa: ARG002  a count is its sum
        return 2.0**_FRACTIONAL_BITS

    @property
    def cells(self) -> tuple[tuple[str, float | None, float | None], ...]:
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
        return len(rows[self.source.name])

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002  no iterate
        """Patients in each cell, (cells,); and how many were cut, if any can be.

        At its bound it is clipped rather than refused: a refusal would tell of rows. Value by value that brings two
        sums closer together at the most.
        """
        bounded = self.bounding.apply({name: rows[name] for name in self.columns}, patients)
        counts, cut = bounded.in_cells(self.cell_of(bounded.rows), len(self.cells))
        added = np.append(counts, cut) if self.cuts else counts
        return np.minimum(added.astype(np.float64), _MOST_PATIENTS)

    def cell_of(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): the one cell of each row; -1 for none. A value outside the range counts in the nearest cell."""
        values = rows[self.source.name]
        if self.column is None:
            return np.zeros(len(values), dtype=np.int64)
        if isinstance(self.column, Factor):
            cell = self.column.indices(rows)
        else:
            cell = np.searchsorted(np.asarray(self.edges[1:-1]), values, side="right")
        return np.where(complete(rows, self.columns), cell, len(self.cells) - 1 if self.missing else -1)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        counts, deviation = sums.blocks["cells"], sums.deviation(self.layout.blocks[0])
        source: dict[str, Json] | None = self.source.to_dict() if self.column else None
        return Done(
            {
                "kind": self.name,
                "title": self.title,
                "column": source,
                "confidence": self.confidence,
                "noise_standard_deviation": deviation,
                "cells": [
                    {"label": label, "low": low, "high": high, **self._count(count, deviation)}
                    for (label, low, high), count in zip(self.cells, counts.tolist(), strict=True)
                ],
                "total": self._total(counts, deviation),
                "bounding": cuts.told(self._kept, sums, self._cut_block, self.confidence),
            }
        )

    def _count(self, count: float, deviation: float) -> dict[str, Json]:
        told = cuts.estimate(count, deviation, self.confidence)
        return {name: told[name] for name in ("count", "shown", "lower", "upper")}

    def _total(self, counts: Floats, deviation: float) -> dict[str, Json] | None:
        """None where patients may be in several cells: then the sum counts nobody."""
        if self.bounding.cells_per_patient > 1:
            return None
        told = cuts.estimate(float(counts.sum()), deviation * math.sqrt(len(counts)), self.confidence)
        return {name: told[name] for name in ("count", "lower", "upper")}

    @property
    def _kept(self) -> str:
        """What a patient counts for, as the beginning of a sentence."""
        rows, cells = self.bounding.rows_per_patient, self.bounding.cells_per_patient
        if rows == 1 and not self.cuts:
            return "Each patient counts once"
        by = f"by at most {rows} row{'' if rows == 1 else 's'}"
        return f"Each patient counts once, {by}" if cells == 1 else f"Each patient counts in up to {cells} cells, {by}"


def _cut_into_cells(typed: Options, schema: Schema) -> tuple[Column | Factor | None, str, tuple[float, ...], bool]:
    """column, counted, edges and missing of the Histogram that was typed."""
    cut = [name for name in ("bins", "edges") if name in typed]
    if "column" not in typed:
        if cut:
            raise InvalidInput(f"--{cut[0]} cuts a column into cells.", "Give --column NAME, too.")
        return None, _any_column(schema), (), False
    field = schema.field(typed.required("column"))
    missing = not field.required
    if field.kind in (Kind.NUMBER, Kind.INTEGER):
        _, low, high = numeric_field(schema, field.name)
        return Column.of(field), "", _edges(typed, low, high), missing
    factor = Factor.of(field)
    if cut:
        raise InvalidInput(f"'{field.name}' has its own cells: its codes.", f"Leave --{cut[0]} out.")
    return factor, "", (), missing


def _any_column(schema: Schema) -> str:
    """The first column that is not an identifier: counting rows needs no pseudonyms."""
    for field in schema.fields:
        if field.kind is not Kind.IDENTIFIER:
            return field.name
    raise InvalidInput(f"The schema '{schema.name}' has no column to count by.", "Add a field to it.")


def _edges(typed: Options, low: float, high: float) -> tuple[float, ...]:
    """As typed, completed to the schema's range; or equal bins of it."""
    if "edges" not in typed:
        bins = typed.whole("bins", _USUAL_BINS, _MOST_BINS)
        return tuple(float(edge) for edge in np.linspace(low, high, bins + 1))
    if "bins" in typed:
        raise InvalidInput("--bins and --edges exclude each other.", "Give one of them.")
    edges = typed.numbers("edges")
    if list(edges) != sorted(edges) or edges[0] < low or edges[-1] > high:
        raise InvalidInput(f"--edges ascend between {low:g} and {high:g}, the schema's range.", "Sort or drop some.")
    return tuple(sorted({low, *edges, high}))
