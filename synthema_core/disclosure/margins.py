"""The sums that hold between outputs: margins, copies, parts that make up a whole, and the number of patients.

They are read off the numbers, so one may hold by chance. That costs at most a cell too many left out; to ask the code
whether it holds in general would be to trust it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from synthema_core.disclosure.cells import Places
from synthema_core.disclosure.system import Relation
from synthema_core.disclosure.tables import Table, axes_of, same, sums_over
from synthema_core.secure_sum.layout import Floats

MOST_ALIKE = 60
"""Among more outputs of one shape, no two are tried as parts of a third: too many would fit by chance."""
MOST_SINGLE = 8
_CANDIDATES = 20

_Key = tuple[tuple[int, ...], str]


def margins(tables: Sequence[Table], values: Floats, patients: int) -> list[Relation]:
    """Every sum found within and between the tables."""
    return [
        *(relation for table in tables for relation in table.totals),
        *_partitions(tables, values, patients),
        *_sums_of_others(tables, values),
        *_slices(tables, values),
        *_parts_of_a_whole(tables, values, patients),
    ]


def _partitions(tables: Iterable[Table], values: Floats, patients: int) -> list[Relation]:
    """Tables, or lines of tables, that count every patient once."""
    found = []
    for table in tables:
        if not table.counts or table.core.size < 2:
            continue
        found += [
            sums_over(table.core, axes, None, f"{table.name} counts every patient once")
            for axes in axes_of(table.core)
            if (values[table.core].sum(axes) == patients).all()
        ]
    return found


def _squeezed(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size > 1)


def _key(values: Floats) -> _Key:
    return _squeezed(values.shape), f"{values.sum():.8e}"


def _sums_of_others(tables: Sequence[Table], values: Floats) -> list[Relation]:
    """Outputs that are another one summed over axes, or a copy of it."""
    index: dict[_Key, list[tuple[int, Places]]] = defaultdict(list)
    for place, table in enumerate(tables):
        for view in table.views:
            if values[view].any():
                index[_key(values[view])].append((place, view))
    found = []
    for place, table in enumerate(tables):
        for view in table.views:
            for axes in [(), *axes_of(view)]:
                total = values[view].sum(axes)
                for other, there in index.get(_key(total), [])[:_CANDIDATES]:
                    if other == place or (not axes and other < place):
                        continue
                    if same(values[there].reshape(-1), total.reshape(-1), float(np.abs(values[view]).max())):
                        sentence = f"{tables[other].name} is {table.name} summed up" if axes else "two are the same"
                        found.append(sums_over(view, axes, there.reshape(-1), sentence))
    return found


def _slices(tables: Sequence[Table], values: Floats) -> list[Relation]:
    """Outputs that are one line, layer or cell of another."""
    index: dict[_Key, list[Table]] = defaultdict(list)
    for table in tables:
        if values[table.whole].any():
            index[_key(values[table.whole])].append(table)
    shapes = {shape for shape, _ in index}
    found = []
    for table in tables:
        for part in _layers(table.whole, shapes):
            for other in index.get(_key(values[part]), [])[:_CANDIDATES]:
                if other is not table and same(values[other.whole].reshape(-1), values[part].reshape(-1)):
                    sentence = f"{other.name} is a part of {table.name}"
                    found.append(sums_over(part, (), other.whole.reshape(-1), sentence))
    return found


def _layers(view: Places, shapes: set[tuple[int, ...]]) -> Iterator[Places]:
    """The slices of these shapes that one index makes, and the single cells."""
    for axis in range(view.ndim):
        if view.ndim > 1 and _squeezed(np.delete(view.shape, axis)) in shapes:
            yield from np.moveaxis(view, axis, 0)
    if () in shapes and view.size > 1:
        yield from view.reshape(-1, 1)


def _parts_of_a_whole(tables: Sequence[Table], values: Floats, patients: int) -> list[Relation]:
    """Outputs of one shape of which two, or all others, make up a third or everybody."""
    alike: dict[tuple[int, ...], list[Table]] = defaultdict(list)
    for table in tables:
        if values[table.whole].any():
            alike[_squeezed(table.whole.shape)].append(table)
    found: list[Relation] = []
    for shape, group in alike.items():
        whole = np.array([table.whole.reshape(-1) for table in group])
        counts = np.array([table.counts for table in group])
        if len(group) <= (MOST_ALIKE if int(np.prod(shape)) > 2 else MOST_SINGLE):
            found += _pairs(whole, values, counts, patients)
        found += _all_others(whole, values, counts, patients)
    return found


def _spelt(values: Floats) -> bytes:
    return (np.round(values, 6) + 0.0).tobytes()


def _pairs(whole: Places, values: Floats, counts: Places, patients: int) -> list[Relation]:
    known = {_spelt(values[row]): row for row in whole}
    everybody = _spelt(np.full(whole.shape[1], float(patients)))
    found = []
    for first, second in combinations(range(len(whole)), 2):
        total = _spelt(values[whole[first]] + values[whole[second]])
        pair = np.array([whole[first], whole[second]])
        if total in known:
            made = sums_over(pair, (0,), known[total], "two outputs make up a third")
            found.append(replace(made, apart=(0, 1)))
        if total == everybody and counts[first] and counts[second]:
            made = sums_over(pair, (0,), None, "two outputs make up all patients")
            found.append(replace(made, apart=(0, 1)))
    return found


def _all_others(whole: Places, values: Floats, counts: Places, patients: int) -> list[Relation]:
    found: list[Relation] = []
    if len(whole) < 4:  # of three, two make up the third
        return found
    together = values[whole].sum(0)
    scale = np.abs(values[whole]).sum(0)
    for place in range(len(whole)):
        if same(2 * values[whole[place]], together, scale):
            others = np.delete(whole, place, 0)
            found.append(sums_over(others, (0,), whole[place], "all others make up one output"))
    if counts.all() and (together == patients).all():
        found.append(sums_over(whole, (0,), None, "all outputs make up all patients"))
    return found
