"""Quantiles from counts alone: how many values lie at or below a threshold, asked until one is left.

Several targets of one distribution are searched for together. While they share an interval, their thresholds cut it
into equal parts, so that three targets begin with quarters instead of asking three times for the middle; and each count
serves all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import groupby
from typing import Self

from synthema_core.errors import RoundFailed


@dataclass(frozen=True, slots=True)
class Search:
    """Of each target, the places at which the count may first reach it: (lowest, highest)."""

    intervals: tuple[tuple[int, int], ...]

    @classmethod
    def over(cls, cells: int, targets: int) -> Self:
        return cls(((0, cells - 1),) * targets)

    @property
    def thresholds(self) -> tuple[int, ...]:
        """(targets,): the places to count up to next. Known ones are asked again, which tells nothing new."""
        chosen: list[int] = []
        for (low, high), alike in groupby(self.intervals):
            many = len(list(alike))
            cuts = ((high - low + 1) * part // (many + 1) for part in range(1, many + 1))
            chosen += [max(low, low + cut - 1) for cut in cuts]
        return tuple(chosen)

    def narrowed(self, counts: Sequence[int], targets: Sequence[int]) -> Self:
        """After the answers to `thresholds`. Raises RoundFailed where they contradict earlier ones."""
        intervals = []
        for (low, high), target in zip(self.intervals, targets, strict=True):
            for threshold, count in zip(self.thresholds, counts, strict=True):
                if count >= target:
                    high = min(high, threshold)
                else:
                    low = max(low, threshold + 1)
            if low > high:
                raise RoundFailed(
                    "The counts of two Rounds contradict each other.", "Was a dataset replaced? Run again."
                )
            intervals.append((low, high))
        return type(self)(tuple(intervals))

    @property
    def found(self) -> tuple[int, ...]:
        assert all(low == high for low, high in self.intervals), "all declared steps were taken"
        return tuple(low for low, _ in self.intervals)


@cache
def steps_needed(cells: int, targets: int) -> int:
    """After so many Rounds every target is found, whatever the counts are."""
    if cells <= 1 or not targets:
        return 0
    part = -(-cells // (targets + 1))
    return 1 + max(steps_needed(part, together) for together in range(1, targets + 1))


def rank(share: float, number: int) -> int:
    """The smallest count that is at least that share of `number`; the share is taken as it is written."""
    return max(1, -(-Fraction(repr(share)) * number // 1))


def patients_beyond(share: float, number: int) -> int:
    """How many values lie on the emptier side of that quantile, at least."""
    return int(min(Fraction(repr(share)), 1 - Fraction(repr(share))) * number)
