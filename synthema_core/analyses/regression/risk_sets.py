"""Who is at risk at which event times of one stratum, and sums over them without ever subtracting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.secure_sum.layout import Floats

_Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RiskSets:
    """Patients are at risk at the event times after their entry, up to and with their own time.

    Parameters
    ----------
    times
        (k,): the distinct times of events, ascending.
    died
        (k,): events at each.
    start, end
        (n,): a patient is at risk at ``times[start:end]``.
    events
        (n,): whose time ended in the event, then at ``times[end - 1]``.
    """

    times: Floats
    died: _Whole
    start: _Whole
    end: _Whole
    events: NDArray[np.bool_]

    @classmethod
    def of(cls, times: Floats, events: NDArray[np.bool_], entries: Floats | None = None) -> Self:
        """From (n,) times observed until, whether they ended in the event, and times observed from, if any."""
        event_times, died = np.unique(times[events], return_counts=True)
        end = np.searchsorted(event_times, times, side="right")
        start = np.zeros_like(end) if entries is None else np.searchsorted(event_times, entries, side="right")
        return cls(event_times, died, np.minimum(start, end), end, events)

    def sums(self, values: Floats) -> Floats:
        """(n, ...) -> (k, ...): at each event time, the sum over all at risk."""
        if not self.start.any():
            leaving = gathered(self.end, values, len(self.times) + 1)
            return np.cumsum(leaving[::-1], axis=0)[::-1][1:]
        size = self._size
        tree = np.zeros((2 * size, *values.shape[1:]))
        for who, node in self._nodes():
            tree += gathered(node, values[who], len(tree))
        level = 1
        while level < size:
            tree[2 * level : 4 * level] += np.repeat(tree[level : 2 * level], 2, axis=0)
            level *= 2
        return tree[size : size + len(self.times)]

    def spread(self, values: Floats) -> Floats:
        """(k, ...) -> (n, ...): for each patient, the sum over the event times at which they were at risk."""
        if not self.start.any():
            return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])[self.end]
        size = self._size
        tree = np.zeros((2 * size, *values.shape[1:]))
        tree[size : size + len(values)] = values
        level = size // 2
        while level:
            tree[level : 2 * level] = tree[2 * level : 4 * level : 2] + tree[2 * level + 1 : 4 * level : 2]
            level //= 2
        spread = np.zeros((len(self.end), *values.shape[1:]))
        for who, node in self._nodes():
            spread[who] += tree[node]
        return spread

    def dead(self, values: Floats) -> Floats:
        """(n, ...) -> (k, ...): at each event time, the sum over those who had the event."""
        return gathered(self.end[self.events] - 1, values[self.events], len(self.times))

    def own(self, values: Floats) -> Floats:
        """(k, ...) -> (n, ...): the value at each patient's own event; 0 for those who had none."""
        owned = np.zeros((len(self.end), *values.shape[1:]))
        owned[self.events] = values[self.end[self.events] - 1]
        return owned

    @property
    def _size(self) -> int:
        """Leaves of a binary tree over the event times: the least power of two that holds them."""
        return 1 << max(0, len(self.times) - 1).bit_length()

    def _nodes(self) -> Iterator[tuple[_Whole, _Whole]]:
        """Patients and nodes: the nodes of a patient cover ``start:end`` once, and are few (Bentley 1977)."""
        low, high = self.start + self._size, self.end + self._size
        while (open_ := low < high).any():
            for side in (low, high):
                odd = np.flatnonzero(open_ & (side & 1 == 1))
                if side is high:
                    side[odd] -= 1
                yield odd, side[odd].copy()
                if side is low:
                    side[odd] += 1
            low, high = low >> 1, high >> 1


def gathered(places: _Whole, values: NDArray[Any], length: int) -> Floats:
    """(n, ...) -> (length, ...): the sum of the values that belong to each place."""
    if values.ndim == 1:
        return np.bincount(places, weights=values, minlength=length).astype(np.float64)
    columns = [np.bincount(places, weights=column, minlength=length) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((length, 0))
