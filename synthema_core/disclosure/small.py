"""Counts that are about few patients: small cells, all but a few, small steps of curves and small remainders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from synthema_core.disclosure.cells import Mask, Places, by_output, mask, references, spell
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.staged import Staged
from synthema_core.disclosure.system import Difference
from synthema_core.disclosure.tables import Table


def small_cells(staged: Staged) -> list[DisclosureFinding]:
    """Counts below min_patients but not 0, and those that leave out so few of all patients."""
    values, limit = staged.values, staged.min_patients
    few = staged.counted & (values > 0) & (values < limit)
    left = staged.patients - values
    all_but = staged.counted & (left > 0) & (left < limit) & ~few
    return [
        *_named(staged, few, Kind.SMALL, f"fewer than {limit} patients of this site"),
        *_named(staged, all_but, Kind.ALL_BUT_FEW, f"all but fewer than {limit} patients of this site"),
    ]


def _named(staged: Staged, chosen: Mask, kind: Kind, what: str) -> list[DisclosureFinding]:
    guessed = staged.like_counts
    return [
        DisclosureFinding(
            kind,
            Severity.LOOK if name in guessed else Severity.SERIOUS,
            name,
            cells,
            f"{spell(cells)}: {what}{', if these numbers are counts' if name in guessed else ''}.",
            hide=True,
        )
        for name, cells in by_output(chosen, staged.outputs).items()
    ]


def small_differences(staged: Staged, differences: Iterable[Difference]) -> list[DisclosureFinding]:
    """Steps and remainders below min_patients but not 0. What is to be left out for them is found with the rest."""
    found = []
    for difference in differences:
        gap = staged.values[difference.larger] - staged.values[difference.smaller]
        close = (gap > 0) & (gap < staged.min_patients)
        if not close.any():
            continue
        places = np.append(difference.larger[close], difference.smaller[close])
        cells = references(mask(places, staged.outputs), staged.outputs)
        many = f"In {int(close.sum())} {'place' if close.sum() == 1 else 'places'}"
        if difference.lines is not None:
            kind, text = Kind.STEP, f"'{difference.name}' changes by fewer than {staged.min_patients} patients from one"
            text = f"{many}, {text} value to the next."
        else:
            kind, text = Kind.REMAINDER, f"'{difference.name}' is '{difference.whole}' but for fewer than"
            text = f"{many}, {text} {staged.min_patients} patients."
        if not difference.sure:
            text = f"{text} It matters if one counts a part of the other."
        severity = Severity.SERIOUS if difference.sure else Severity.NOTE
        found.append(DisclosureFinding(kind, severity, difference.name, cells, text))
    return found


def whole_groups(staged: Staged, tables: Iterable[Table], differences: Sequence[Difference]) -> list[DisclosureFinding]:
    """Groups of which everybody, or nobody, is counted: that tells something of each of them."""
    curves = {difference.name for difference in differences if difference.lines is not None and difference.sure}
    alone = mask([], staged.outputs)
    for table in tables:
        if table.counts and table.whole.ndim and table.name not in curves:
            alone[_alone_in_line(staged, table)] = True
    found = _finding(staged, alone, "everybody in its line is in this one cell")
    for difference in differences:
        if difference.lines is None and difference.sure:
            group, part = staged.values[difference.larger], staged.values[difference.smaller]
            everybody = mask(difference.smaller[(group > 0) & (part == group)], staged.outputs)
            nobody = mask(difference.smaller[(group > 0) & (part == 0)], staged.outputs)
            found += _finding(staged, everybody, f"everybody of '{difference.whole}' is counted")
            found += _finding(staged, nobody, f"nobody of '{difference.whole}' is counted", Severity.NOTE)
    return found


def _finding(staged: Staged, chosen: Mask, what: str, severity: Severity = Severity.LOOK) -> list[DisclosureFinding]:
    return [
        DisclosureFinding(Kind.GROUP, severity, name, cells, f"{spell(cells)}: {what}.")
        for name, cells in by_output(chosen, staged.outputs).items()
    ]


def _alone_in_line(staged: Staged, table: Table) -> Places:
    """Where a cell is alone in a line: of a table of two or more axes, or of one that counts everybody."""
    cells = staged.values[table.core]
    alone = np.zeros(cells.shape, dtype=np.bool_)
    if table.core.ndim > 1 or cells.sum() == staged.patients:
        for axis in range(table.core.ndim):
            if table.core.shape[axis] > 1:
                alone |= (cells > 0) & ((cells > 0).sum(axis, keepdims=True) == 1)
    return table.core[alone]


def plain_notes(staged: Staged, tables: Iterable[Table]) -> list[DisclosureFinding]:
    """What helps to read the numbers: outputs that are the same throughout, and numbers read as counts."""
    found = []
    for table in tables:
        values = staged.values[table.whole]
        if not values.any():
            text = f"Every value of '{table.name}' is 0: nothing was counted or nothing worked."
            found.append(DisclosureFinding(Kind.CONSTANT, Severity.NOTE, table.name, (table.name,), text))
        elif values.size > 1 and (values == values.flat[0]).all():
            text = f"All values of '{table.name}' are the same."
            found.append(DisclosureFinding(Kind.CONSTANT, Severity.NOTE, table.name, (table.name,), text))
    for name in sorted(staged.like_counts):
        text = f"'{name}' is declared as numbers and looks like counts: it is checked as counts."
        found.append(DisclosureFinding(Kind.LIKE_COUNTS, Severity.NOTE, name, (name,), text))
    return found
