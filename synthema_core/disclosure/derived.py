"""Numbers that belong to counts: a rate gives its count back, and a mean over few patients is about those few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from synthema_core.disclosure.cells import Mask, by_output, spell
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.staged import Staged
from synthema_core.disclosure.tables import Table
from synthema_core.secure_sum.layout import Floats

_SCALES = (1.0, 100.0, 1000.0)
_ROUNDED = 6e-4
_MOST = 60


def rates_of_hidden(staged: Staged, tables: Sequence[Table], hidden: Mask) -> list[DisclosureFinding]:
    """Cells of outputs that are a count divided by another (or by its total, or by all patients) that is hidden."""
    counts = [table for table in tables if table.counts][:_MOST]
    chosen = np.zeros_like(hidden)
    for rate in tables:
        if rate.counts:
            continue
        values = staged.values[rate.whole]
        for top in counts:
            if top.whole.shape != rate.whole.shape or not hidden[top.whole].any():
                continue
            for bottom, tied in _bottoms(staged, top, counts, hidden):
                if _is_rate(values, staged.values[top.whole], bottom):
                    chosen[rate.whole] |= tied
    what = "this number times another one gives a count back that is left out"
    return _findings(staged, chosen & ~hidden, Kind.DERIVED, Severity.SERIOUS, what)


def _bottoms(staged: Staged, top: Table, counts: Sequence[Table], hidden: Mask) -> Iterator[tuple[Floats, Mask]]:
    """What a count may be divided by, and the cells that then need hiding."""
    cells, tied = staged.values[top.whole], hidden[top.whole]
    yield np.full(cells.shape, float(staged.patients)), tied
    for axes in {tuple(range(cells.ndim)), *((axis,) for axis in range(cells.ndim))}:
        yield np.broadcast_to(cells.sum(axes, keepdims=True), cells.shape), tied
    for other in counts:
        if other is not top and other.whole.shape == cells.shape:
            yield staged.values[other.whole], tied | hidden[other.whole]


def _is_rate(values: Floats, top: Floats, bottom: Floats) -> bool:
    """Whether the values are top / bottom or its complement, as shares, per cent or per mille; rounded at the third."""
    filled = bottom > 0
    if not filled.any() or not top.any():
        return False
    share = top[filled] / bottom[filled]
    return any(
        bool((np.abs(values[filled] / scale - form) <= _ROUNDED).all())
        for scale in _SCALES
        for form in (share, 1 - share)
    )


def numbers_of_small_groups(staged: Staged, tables: Sequence[Table]) -> list[DisclosureFinding]:
    """Cells of numbers whose group, in the output of counts of the same shape (or leading axes), is small."""
    counts = [table for table in tables if table.counts and table.whole.ndim]
    chosen = np.zeros(staged.outputs.length, dtype=np.bool_)
    for table in tables:
        shape = table.whole.shape
        groups = [count for count in counts if count.whole.shape == shape[: count.whole.ndim]]
        if table.counts or not groups:
            continue
        deepest = max(count.whole.ndim for count in groups)
        sizes = np.max([staged.values[count.whole] for count in groups if count.whole.ndim == deepest], axis=0)
        small = (sizes > 0) & (sizes < staged.min_patients)
        chosen[table.whole[small]] = True
    what = f"a number about fewer than {staged.min_patients} patients, if the counts of that shape are of its groups"
    return _findings(staged, chosen, Kind.THIN, Severity.LOOK, what)


def _findings(staged: Staged, chosen: Mask, kind: Kind, severity: Severity, what: str) -> list[DisclosureFinding]:
    return [
        DisclosureFinding(kind, severity, name, cells, f"{spell(cells)}: {what}.", hide=True)
        for name, cells in by_output(chosen, staged.outputs).items()
    ]
