"""What one patient adds to a Round of a private regression: one vector, whose length is bounded whatever they are like.

A patient's vector has their score and information (see `families`, `hazards`), each a share of what it can be, a 1 that
counts them, and one square. Its parts are weighted so that it is no longer than 1 for every patient whom the bounds
hold of; and **whoever's would be longer, or is no number, is cut**: that, and the rounding of each vector by itself, is
all that the guarantee rests on. Nothing that a hub asks about can change it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthema_core.secure_sum.layout import Floats

BITS = 20
_SCORE, _INFORMATION, _ONE, _SQUARE = 0.75, 0.55, 0.25, 0.25  # the sum of their squares is just below 1
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Parts:
    """Of some patients, or of their sum. With `size` coefficients:

    Parameters
    ----------
    score
        (..., size): at most 1 long.
    information
        (..., size (size + 1) / 2), the upper triangle: at most 1 long.
    square
        (...,): between 0 and 1.
    """

    score: Floats
    information: Floats
    square: Floats


@dataclass(frozen=True, slots=True)
class Totals:
    """A noisy sum of all patients' Parts, and how many patients these are."""

    score: Floats
    information: Floats
    square: float
    patients: float


def products(columns: Floats) -> Floats:
    """(n, m (m + 1) / 2): of every two columns of (n, m), as the upper triangle of a matrix, row by row."""
    first, second = np.triu_indices(columns.shape[1])
    multiplied: Floats = columns[:, first] * columns[:, second]
    return multiplied


def length_of(size: int) -> int:
    return size + size * (size + 1) // 2 + 2


def sensitivity_of(size: int) -> float:
    """L2 norm, in ring steps, of a patient's vector: 1, and what rounding each of its numbers can add."""
    return 2.0**BITS + math.sqrt(length_of(size)) / 2


def summed(parts: Parts) -> Floats:
    """(length,): the sum of all patients' vectors, each cut to a length of 1 and rounded to whole steps."""
    patients = len(parts.square)
    steps = np.zeros(length_of(parts.score.shape[1]), dtype=np.int64)
    for start in range(0, patients, _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        own = np.column_stack(
            [
                _SCORE * parts.score[here],
                _INFORMATION * parts.information[here],
                np.full(len(parts.square[here]), _ONE),
                _SQUARE * parts.square[here],
            ]
        )
        steps += _whole(own).sum(axis=0)
    return np.ldexp(steps.astype(np.float64), -BITS)


def _whole(vectors: Floats) -> NDArray[np.int64]:
    held: Floats = np.clip(vectors, -1.0, 1.0)
    held[~np.isfinite(vectors).all(axis=1)] = 0.0
    lengths: Floats = np.linalg.norm(held, axis=1).reshape(-1, 1)
    return np.rint(np.ldexp(held / np.maximum(1.0, lengths), BITS)).astype(np.int64)


def read(values: Floats, size: int) -> Totals:
    """From the sum over all sites."""
    last = size + size * (size + 1) // 2
    return Totals(
        score=values[:size] / _SCORE,
        information=values[size:last] / _INFORMATION,
        patients=float(values[last]) / _ONE,
        square=float(values[last + 1]) / _SQUARE,
    )


def deviations(deviation: float) -> Totals:
    """Of the noise in each number of Totals, where each value of the sum has noise of that one."""
    return Totals(
        score=np.array(deviation / _SCORE),
        information=np.array(deviation / _INFORMATION),
        patients=deviation / _ONE,
        square=deviation / _SQUARE,
    )
