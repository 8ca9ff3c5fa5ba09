"""A Mock: rows made from the Schema alone, so that a Plan can be tried where there are no patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.schemas import Field, Kind, Schema

_MISSING = 0.05
_MOST_ROWS = 5


def mock_rows(schema: Schema, patients: int, seed: int) -> Rows:
    """Rows of so many patients: uniform in each range, codes equally often, columns independent of one another.

    One row each, or from one to five where the schema allows several. The same for the same arguments. Knows nothing
    of any patient, so it costs no privacy. The seed is for repeatability; nothing secret comes from it.
    """
    dice = np.random.default_rng([seed, patients])
    owners = np.arange(patients)
    if schema.rows_per_patient > 1:
        owners = owners.repeat(dice.integers(1, min(schema.rows_per_patient, _MOST_ROWS) + 1, size=patients))
    rows = {field.name: _column(field, len(owners), dice) for field in schema.fields}
    return {**rows, schema.patient_id: np.array([f"mock-{owner}" for owner in owners], dtype=object)}


def _column(field: Field, length: int, dice: Generator) -> NDArray[Any]:
    missing = np.zeros(length, dtype=bool) if field.required else dice.random(length) < _MISSING
    if field.kind is Kind.IDENTIFIER:
        return np.array([f"mock-{number}" for number in range(length)], dtype=object)
    if field.kind is Kind.CATEGORY:
        codes = np.array(field.levels, dtype=object)[dice.integers(len(field.levels), size=length)]
        codes[missing] = ""
        return codes
    values = _numbers(field, length, dice)
    values[missing] = np.nan
    return values


def _numbers(field: Field, length: int, dice: Generator) -> NDArray[np.float64]:
    if field.kind is Kind.BOOLEAN:
        return dice.integers(2, size=length).astype(np.float64)
    low, high = float(field.minimum or 0.0), float(field.maximum or 0.0)
    values = dice.uniform(low, high, size=length)
    return np.clip(np.rint(values), low, high) if field.kind is Kind.INTEGER else values
