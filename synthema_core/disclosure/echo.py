"""Numbers that are a patient's value: exact, or after the simplest arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from synthema_core.disclosure.cells import Mask, by_output, spell
from synthema_core.disclosure.columns import Column
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.staged import Staged
from synthema_core.disclosure.tables import Table
from synthema_core.secure_sum.layout import Floats

_Form: TypeAlias = Callable[[Floats], Floats]
_LAST_BITS = 1e-14
_LIKELY = 0.01
_FEWEST_OF_A_COPY = 10
_COPIED = 0.9


def echoes(staged: Staged, columns: Sequence[Column]) -> list[DisclosureFinding]:
    """Numbers that equal a value which fewer than min_patients patients have."""
    found = []
    for column in columns:
        certain, possible = rare_values(staged.values, ~staged.declared_counts, column, staged.patients)
        for chosen, severity in ((certain, Severity.SERIOUS), (possible & ~certain, Severity.LOOK)):
            by_chance = "" if severity is Severity.SERIOUS else "; it may be by chance"
            for name, cells in by_output(chosen, staged.outputs).items():
                what = f"a value of '{column.name}' that fewer than {staged.min_patients} patients have"
                text = f"{spell(cells)}: {what}, or simple arithmetic on one{by_chance}."
                found.append(DisclosureFinding(Kind.ECHO, severity, name, cells, text, hide=True))
    return found


def rare_values(
    values: Floats, asked: Mask, column: Column, patients: int, slack: Floats | float = 0.0
) -> tuple[Mask, Mask]:
    """Which of the values asked about are a rare value of the column, and which are but may be by chance.

    `slack` is the rounding error that the values have.

    By chance: the column is so coarse that a number in its range is often one. A value that simple arithmetic makes of
    a coarse column counts only at the column's ends (the largest, the smallest).
    """
    certain, possible = np.zeros_like(asked), np.zeros_like(asked)
    trivial = np.isin(np.abs(values), (0.0, 1.0))
    rare = column.distinct[column.rare]
    ends = rare[np.isin(rare, column.distinct[[0, -1]])]
    likely = column.chance >= _LIKELY
    for plain, form in _forms(patients):
        known = rare if plain or not likely else ends
        hit = asked & ~trivial & _among(values, form(known), slack)
        if likely:
            possible |= hit
        else:
            certain |= hit
    return certain, possible


def _forms(patients: int) -> Iterator[tuple[bool, _Form]]:
    yield True, lambda x: x
    yield True, lambda x: -x
    for factor in (10.0, 100.0, 1000.0, float(patients)):
        yield False, partial(np.multiply, factor)
        yield False, partial(np.multiply, 1 / factor)
    yield False, np.square
    yield False, lambda x: np.sqrt(np.abs(x))
    yield False, lambda x: np.log(np.maximum(np.abs(x), 1e-300))


def _among(values: Floats, known: Floats, slack: Floats | float) -> Mask:
    """Whether each value is one of the known, to the last bits; or to those of a float32."""
    if not len(known):
        return np.zeros(len(values), dtype=np.bool_)
    narrow = known.astype(np.float32).astype(np.float64)
    ordered = np.unique(np.concatenate([known, narrow[np.isfinite(narrow)]]))
    right = np.clip(np.searchsorted(ordered, values), 0, len(ordered) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.minimum(np.abs(values - ordered[right]), np.abs(values - ordered[left]))
    found: Mask = nearest <= _LAST_BITS * np.abs(values) + slack
    return found


def copies(staged: Staged, tables: Sequence[Table], columns: Sequence[Column]) -> list[DisclosureFinding]:
    """Outputs that consist of a column's values, common ones too, in whatever order."""
    found = []
    numbers = ~staged.declared_counts
    for table in tables:
        values = staged.values[table.whole.reshape(-1)]
        if not numbers[table.whole].all() or len(np.unique(values)) < _FEWEST_OF_A_COPY:
            continue
        for column in columns:
            if len(column.distinct) < _FEWEST_OF_A_COPY or np.isin(values, column.distinct).mean() < _COPIED:
                continue
            text = f"Most values of '{table.name}' are values of '{column.name}': it may be a copy of the column."
            severity = Severity.LOOK if table.counts and column.step == 1 else Severity.SERIOUS
            found.append(DisclosureFinding(Kind.COLUMN, severity, table.name, (table.name,), text, hide=True))
    return found
