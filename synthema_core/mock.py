"""A Mock: rows made from the Schema alone, so that a Plan can be tried where there are no patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.schemas import Field, Kind, Schema

_MISSING = 0.05


def mock_rows(schema: Schema, patients: int, seed: int) -> Rows:
    """`patients` rows: uniform in each range, codes equally often, columns independent of one another.

    The same for the same arguments. Knows nothing of any patient, so it costs no privacy. The seed is for
    repeatability; nothing secret comes from it.
    """
    dice = np.random.default_rng([seed, patients])
    return {field.name: _column(field, patients, dice) for field in schema.fields}


def _column(field: Field, patients: int, dice: Generator) -> NDArray[Any]:
    missing = np.zeros(patients, dtype=bool) if field.required else dice.random(patients) < _MISSING
    if field.kind is Kind.IDENTIFIER:
        return np.array([f"mock-{number}" for number in range(patients)], dtype=object)
    if field.kind is Kind.CATEGORY:
        codes = np.array(field.levels, dtype=object)[dice.integers(len(field.levels), size=patients)]
        codes[missing] = ""
        return codes
    values = _numbers(field, patients, dice)
    values[missing] = np.nan
    return values


def _numbers(field: Field, patients: int, dice: Generator) -> NDArray[np.float64]:
    if field.kind is Kind.BOOLEAN:
        return dice.integers(2, size=patients).astype(np.float64)
    low, high = float(field.minimum or 0.0), float(field.maximum or 0.0)
    values = dice.uniform(low, high, size=patients)
    return np.clip(np.rint(values), low, high) if field.kind is Kind.INTEGER else values
