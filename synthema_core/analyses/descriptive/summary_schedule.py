"""Which number of a Table 1 stands where in which Round.

A layout is the same in every Round, and all its places count against `max_numbers_per_patient`. So places have no
meaning of their own: each Round fills them with what it needs, and with a share of what can come at any time.

Round 1 begins with the patients without a group and of each group; then, of each quantity that may be missing, its
values by group; then, of each quantity, the sums of u and u^2 over all groups. Then come, in each Round, counts at or
below thresholds. What room is left is filled with sums of v and v^2 by quantity and group, from the second Round on,
and with counts of categories. One Round more than necessary is taken where that leaves fewer places in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from synthema_core.analyses.descriptive.bisection import steps_needed
from synthema_core.analyses.descriptive.summary_variables import Category, Quantity, Variable
from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class Share:
    """What one Round asks for: so many places of each kind, in this order; the rest stays empty.

    Parameters
    ----------
    first
        In Round 1: numbers of patients and values, then sums.
    searched
        (quantity, stream) of the quantiles that are searched for.
    below
        Counts at or below thresholds.
    moments, counts
        (start, stop) in the list of all sums of v and v^2, and of all counts of categories.
    """

    first: int
    searched: tuple[tuple[int, int], ...]
    below: int
    moments: tuple[int, int]
    counts: tuple[int, int]

    def read(self, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """`first`, `below`, `moments` and `counts` of a Round's sum."""
        parts, start = [], 0
        for length in (self.first, self.below, *(stop - begin for begin, stop in (self.moments, self.counts))):
            parts.append(values[start : start + length])
            start += length
        return parts[0], parts[1], parts[2], parts[3]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The Rounds of a question, and how many places each has."""

    length: int
    shares: tuple[Share, ...]


@cache
def schedule(variables: tuple[Variable, ...], groups: int, grouped: bool, quantiles: int) -> Schedule:
    """The one with the fewest places.

    Parameters
    ----------
    grouped
        Whether there is a column for all groups together besides theirs.
    """
    quantities = [variable for variable in variables if isinstance(variable, Quantity)]
    first = 1 + groups + sum(2 + groups * (not quantity.required) for quantity in quantities)
    steps = [steps_needed(quantity.cells, quantiles) if quantity.sought else 0 for quantity in quantities]
    moments = 2 * groups * len(quantities)
    counts = sum(variable.asked * groups for variable in variables if isinstance(variable, Category))
    fewest = max(grouped + max(steps), 2) if quantities else 1
    plans = [
        _planned(rounds, first, steps, groups, grouped, quantiles, moments, counts)
        for rounds in range(fewest, fewest + 1 + bool(quantities))
    ]
    return min(plans, key=lambda plan: plan.length * len(plan.shares))


def _planned(
    rounds: int, first: int, steps: list[int], groups: int, grouped: bool, quantiles: int, moments: int, counts: int
) -> Schedule:
    searched = _spread(steps, groups, grouped, [first if turn == 0 else 0 for turn in range(rounds)], quantiles)
    fixed = [len(searches) * quantiles for searches in searched]
    fixed[0] += first
    length = max(*fixed, -(-(sum(fixed) + moments + counts) // rounds)) if rounds > 1 else first + counts
    # Sums of v and v^2 have to wait for the second Round, so that the first may have places to spare.
    while length * rounds - sum(fixed) - max(0, length - fixed[0] - counts) < moments + counts:
        length += 1
    return Schedule(length, _filled(length, first, searched, quantiles, moments, counts))


def _spread(
    steps: list[int], groups: int, grouped: bool, loads: list[int], quantiles: int
) -> list[tuple[tuple[int, int], ...]]:
    """The searches of each Round: each has as many Rounds as it needs, those that ask for the least.

    That over all groups together begins after the first Round, which tells which groups are large enough.
    """
    taken: list[list[tuple[int, int]]] = [[] for _ in loads]
    for index in sorted(range(len(steps)), key=lambda index: -steps[index]):
        for stream in range(groups + grouped):
            allowed = range(1 if grouped and stream == 0 else 0, len(loads))
            for turn in sorted(allowed, key=lambda turn: loads[turn])[: steps[index]]:
                taken[turn].append((index, stream))
                loads[turn] += quantiles
    return [tuple(sorted(own)) for own in taken]


def _filled(
    length: int, first: int, searched: list[tuple[tuple[int, int], ...]], quantiles: int, moments: int, counts: int
) -> tuple[Share, ...]:
    shares, moved, counted = [], 0, 0
    for turn, searches in enumerate(searched):
        below = len(searches) * quantiles
        room = length - below - (first if turn == 0 else 0)
        to_moment = min(moments, moved + room) if turn else 0
        to_count = min(counts, counted + room - (to_moment - moved))
        own = first if turn == 0 else 0
        shares.append(Share(own, searches, below, (moved, to_moment), (counted, to_count)))
        moved, counted = to_moment, to_count
    return tuple(shares)
