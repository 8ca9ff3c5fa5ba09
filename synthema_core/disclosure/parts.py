"""Counts that are in no output and that anybody computes from two: steps of a curve, and the rest of a group.

A curve of patients still at risk shows how many left at each step; the dead of a group and the group show who lives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from itertools import combinations

import numpy as np

from synthema_core.disclosure.cells import Mask, Places
from synthema_core.disclosure.margins import MOST_ALIKE
from synthema_core.disclosure.system import Difference, Relation
from synthema_core.disclosure.tables import Table, same
from synthema_core.secure_sum.layout import Floats

_SHORTEST = 3
_SHORTEST_BY_LOOKS = 4
_SHORTEST_BY_ORDER = 5
_FEWEST_BY_LOOKS = 4


def curves(tables: Sequence[Table], values: Floats, patients: int, changes: Floats | None) -> list[Difference]:
    """The steps of every output that only falls or only rises along an axis.

    It is one for certain if its values are too many for groups without a common patient, or if the code, without one
    patient, gives one less up to (or from) some point.
    """
    found = []
    for table in tables:
        views = table.views if table.counts else ()
        seen = [_curve(table, view, values, patients, changes) for view in views]
        known = sorted((curve for curve in seen if curve is not None), key=lambda curve: not curve.sure)
        found += known[:1]
    return found


def _curve(table: Table, view: Places, values: Floats, patients: int, changes: Floats | None) -> Difference | None:
    axis = _axis_of_curve(values[view])
    if axis is None:
        return None
    lines = np.moveaxis(view, axis, -1)
    lines = lines.reshape(-1, lines.shape[-1])
    before, after = lines[:, :-1].reshape(-1), lines[:, 1:].reshape(-1)
    falls = bool((values[before] >= values[after]).all())
    has_total = view is table.whole and len(table.views) > 1  # groups and their total hold more than all patients too
    sure = (not has_total and _overlap(values[lines], patients)) or _steps_by_patient(lines, changes, falls)
    if not sure and lines.shape[-1] < _SHORTEST_BY_ORDER:
        return None
    larger, smaller = (before, after) if falls else (after, before)
    return Difference(table.name, table.name, larger, smaller, sure, lines)


def _axis_of_curve(values: Floats) -> int | None:
    for axis in reversed(range(values.ndim)):
        steps = np.diff(values, axis=axis)
        if values.shape[axis] >= _SHORTEST and steps.any() and ((steps >= 0).all() or (steps <= 0).all()):
            return axis
    return None


def _overlap(lines: Floats, patients: int) -> bool:
    """Groups without a common patient cannot hold more than all patients."""
    return lines.shape[-1] >= _SHORTEST_BY_LOOKS and bool((lines.sum(-1) > patients).any())


def _steps_by_patient(lines: Places, changes: Floats | None, falls: bool) -> bool:
    if changes is None:
        return False
    own = changes[:, lines]
    steps = np.diff(own, axis=-1)
    one_way = (steps <= 0).all() if falls else (steps >= 0).all()
    return bool(np.isin(own, (0, 1)).all() and one_way and (own.sum(-1) >= 2).any())


def steps_in_outputs(found: Sequence[Difference], tables: Sequence[Table], values: Floats) -> list[Relation]:
    """That the steps of a curve are in an output, or in two together: the dead and the censored of at-risk counts."""
    relations = []
    for curve in found:
        steps = values[curve.larger] - values[curve.smaller]
        if curve.lines is None or not steps.any():
            continue
        others = [table for table in tables if table.name != curve.name]
        for choice in _choices(_sliced(others, curve.lines), values, steps):
            terms = np.column_stack([curve.larger, curve.smaller, *choice])
            signs = np.array([1.0, -1.0] + [-1.0] * len(choice))
            relations.append(Relation("steps of a curve", terms, signs, apart=(2, 3) if len(choice) == 2 else ()))
        relations += _shared_ends(others, curve.lines, values)
    return relations


def _choices(near: Sequence[Places], values: Floats, steps: Floats) -> list[tuple[Places, ...]]:
    """The one or two of these that add up to the steps."""
    sums, wanted = [float(values[view].sum()) for view in near], float(steps.sum())
    alone = [(place,) for place in range(len(near))]
    choices = [*alone, *combinations(range(min(len(near), MOST_ALIKE)), 2)]
    fitting = [choice for choice in choices if abs(sum(sums[place] for place in choice) - wanted) < 1e-6 * wanted]
    found = [tuple(near[place] for place in choice) for choice in fitting]
    return [views for views in found if same(sum((values[view] for view in views), np.zeros(len(steps))), steps, 1.0)]


def _sliced(tables: Sequence[Table], lines: Places) -> list[Places]:
    """Views of outputs with as many values as the curves have steps: as they are, or without the first or the last."""
    found = []
    for view in (view for table in tables for view in table.views):
        for axis in range(view.ndim):
            other = np.moveaxis(view, axis, -1).reshape(-1, view.shape[axis])
            if other.shape == (len(lines), lines.shape[1] - 1):
                found.append(other.reshape(-1))
            if other.shape == lines.shape:
                found += [other[:, :-1].reshape(-1), other[:, 1:].reshape(-1)]
    return found


def _shared_ends(tables: Sequence[Table], lines: Places, values: Floats) -> list[Relation]:
    """A running sum begins (or ends) with a value of what it sums."""
    found = []
    for view in (view for table in tables for view in table.views):
        for axis in range(view.ndim):
            other = np.moveaxis(view, axis, -1).reshape(-1, view.shape[axis])
            for end in (0, -1):
                if other.shape == lines.shape and same(values[other[:, end]], values[lines[:, end]]):
                    pair = np.column_stack([other[:, end], lines[:, end]])
                    found.append(Relation("a running sum", pair, np.array([1.0, -1.0])))
    return found


def remainders(
    tables: Sequence[Table], values: Floats, changes: Floats | None, relations: Sequence[Relation]
) -> list[Difference]:
    """For each output of counts, the smallest of the same shape that it could be a part of.

    Two that make up a third (the dead and the censored) are apart, and it is not taken for sure that one is in the
    other.
    """
    apart = _apart(tables, relations)
    alike: dict[tuple[int, ...], list[Table]] = defaultdict(list)
    for table in tables:
        if table.counts and values[table.whole].any():
            alike[table.whole.shape].append(table)
    found = []
    for group in alike.values():
        if len(group) > MOST_ALIKE:
            continue
        for part in group:
            whole = _whole_of(part, group, values, apart)
            if whole is not None:
                larger, smaller = whole.whole.reshape(-1), part.whole.reshape(-1)
                sure = len(larger) >= _FEWEST_BY_LOOKS or _together(larger, smaller, changes)
                sure &= frozenset((part.name, whole.name)) not in apart
                found.append(Difference(part.name, whole.name, larger, smaller, sure))
    return found


def _apart(tables: Sequence[Table], relations: Sequence[Relation]) -> set[frozenset[str]]:
    """Pairs of outputs that are added to each other, cell by cell."""
    names = {place: table.name for table in tables for place in table.whole.reshape(-1).tolist()}
    return {
        frozenset(names.get(place, "") for place in relation.places[0, list(relation.apart)].tolist())
        for relation in relations
        if relation.apart and len(relation.places)
    }


def _whole_of(part: Table, group: Sequence[Table], values: Floats, apart: Container[frozenset[str]]) -> Table | None:
    own = values[part.whole]
    around = [other for other in group if (values[other.whole] >= own).all() and (values[other.whole] > own).any()]
    return min(
        around, key=lambda other: (frozenset((part.name, other.name)) in apart, values[other.whole].sum()), default=None
    )


def _together(larger: Places, smaller: Places, changes: Floats | None) -> bool:
    """Whether every patient who is missing in the part is missing in the whole."""
    if changes is None:
        return False
    leaves: Mask = changes[:, smaller] == 1
    return bool(leaves.any() and (changes[:, larger][leaves] == 1).all())
