"""From what evaluations returned to one bounded Contribution: the arithmetic on which the guarantee of code rests.

Whatever the code did, one evaluation adds a vector of L2 norm at most `clip` in units of the bounds. Vectors are made
integers one by one, before anything is summed: rounding a sum would let one patient change it by more.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Outputs
from synthema_core.secure_sum.layout import Floats

FRACTIONAL_BITS = 20
"""A value of 1 (its bound) is 2**20 ring steps."""


def bounded(values: Floats | None, outputs: Outputs, clip: float) -> NDArray[np.int64]:
    """One evaluation's vector, (length,), in ring steps; of L2 norm at most ``clip * 2**FRACTIONAL_BITS``.

    Parameters
    ----------
    values
        In the outputs' own units; None where the code gave nothing that counts: then the declared defaults.
    clip
        L2 norm, in units of the bounds.
    """
    with np.errstate(over="ignore"):  # infinite is cut to the bound like all that is beyond it
        scaled = np.clip((outputs.defaults if values is None else values) / outputs.bounds, -1.0, 1.0)
    norm = float(np.linalg.norm(scaled))
    if norm > clip:
        scaled = scaled * (clip / norm)
    steps = np.trunc(np.ldexp(scaled, FRACTIONAL_BITS))  # towards 0, so that no norm grows ...
    while float(np.dot(steps, steps)) > (clip * 2.0**FRACTIONAL_BITS) ** 2:  # ... but for a last bit of the division
        steps = np.trunc(steps * (1 - 2.0**-40))
    return steps.astype(np.int64)


def summed(vectors: Iterable[Floats | None], outputs: Outputs, clip: float) -> Floats:
    """The Contribution, (length,), in units of the bounds: exact multiples of 2**-FRACTIONAL_BITS."""
    total = np.zeros(outputs.length, dtype=np.int64)
    for values in vectors:
        total += bounded(values, outputs, clip)
    return np.ldexp(total.astype(np.float64), -FRACTIONAL_BITS)


def by_patient(rows: Rows, patients: NDArray[np.object_]) -> list[Rows]:
    """The rows of each patient, in the order of their first row."""
    places: dict[str, list[int]] = {}
    for place, patient in enumerate(patients):
        places.setdefault(str(patient), []).append(place)
    return [_at(rows, np.array(where)) for where in places.values()]


def by_block(rows: Rows, patients: NDArray[np.object_], blocks: int, key: bytes) -> list[Rows]:
    """The rows of each of `blocks` blocks; a patient's block depends on that patient and the key alone.

    Were it on the other patients (a shuffle, a quota), one patient more would change several blocks.
    """
    block = np.array([block_of(str(patient), blocks, key) for patient in patients], dtype=np.int64)
    return [_at(rows, np.flatnonzero(block == index)) for index in range(blocks)]


def block_of(patient: str, blocks: int, key: bytes) -> int:
    """HMAC-SHA256 of the identifier under a key of the site's, modulo the number of blocks."""
    return int.from_bytes(hmac.digest(key, patient.encode(), hashlib.sha256)) % blocks


def _at(rows: Rows, where: NDArray[np.int64]) -> Rows:
    return {name: values[where] for name, values in rows.items()}
