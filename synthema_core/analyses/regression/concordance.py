"""Harrell's concordance of one stratum: how often, of two patients, the one at higher risk is first.

Two patients can be compared where one has the event while the other is at risk and stays so, be it by being censored at
that very time. Pairs with the same predictor count half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.secure_sum.layout import Floats

_DECIMALS = 9  # of predictors: those of patients with the same covariates differ by rounding at the most


def concordant_pairs(
    times: Floats, events: NDArray[np.bool_], predictors: Floats, entries: Floats | None = None
) -> tuple[int, int]:
    """Twice the concordant pairs, one with the same predictor counted half; and all pairs that can be compared."""
    _, ranks = np.unique(np.round(predictors, _DECIMALS), return_inverse=True)
    _, moments = np.unique(times, return_inverse=True)
    stays = 2 * moments + ~events  # who is censored at a time stays longer than who has the event then
    twice, comparable = _below(stays, 2 * moments[events] + 1, ranks, ranks[events])
    if entries is None:
        return twice, comparable
    later_twice, later = _below(entries, times[events], ranks, ranks[events])  # not at risk yet
    return twice - later_twice, comparable - later


def _below(
    values: NDArray[Any], least: NDArray[Any], ranks: NDArray[np.int64], own: NDArray[np.int64]
) -> tuple[int, int]:
    """Over queries (least, own): patients whose value is at least `least`; with ranks below `own` counted twice, and
    with the same rank once; and counted once whatever their rank.

    Notes
    -----
    Sorted by value, those of a query are the first so many. These are cut into blocks by the binary digits of their
    number; within the blocks of one size, sorted by rank, one binary search counts for all queries.
    """
    order = np.argsort(-values, kind="stable")
    ranks = ranks[order]
    many = np.searchsorted(-values[order], -least, side="right")
    width, twice = int(max(ranks.max(initial=0), own.max(initial=0))) + 1, 0
    for bit in range(len(ranks).bit_length()):
        asked = (many >> bit) & 1 == 1
        block = (many[asked] >> bit) - 1
        sorted_ranks = np.sort((np.arange(len(ranks)) >> bit) * width + ranks)
        wanted = block * width + own[asked]
        for side in ("left", "right"):
            twice += int((np.searchsorted(sorted_ranks, wanted, side=side) - (block << bit)).sum())
    return twice, int(many.sum())
