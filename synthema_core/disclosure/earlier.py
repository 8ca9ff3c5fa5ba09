"""What the output shows next to what this site contributed before about the same Dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from synthema_core.code.outputs import Output
from synthema_core.disclosure.cells import Mask, by_output, mask, places, references, spell
from synthema_core.disclosure.columns import Column
from synthema_core.disclosure.echo import rare_values
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.staged import Earlier, Staged
from synthema_core.secure_sum.layout import Floats

_ALIKE = 0.5
_SUMMED = 1e-13


def _pairs(staged: Staged) -> Iterator[tuple[Earlier, Output, Output, Floats, Floats]]:
    """Every output next to each earlier one of its shape and content: the earlier values, and now minus then."""
    where = places(staged.outputs)
    for earlier in staged.earlier:
        for then in earlier.outputs.outputs:
            if then.name not in earlier.arrays:
                continue
            old = np.asarray(earlier.arrays[then.name], dtype=np.float64)
            for now in staged.outputs.outputs:
                if now.shape == then.shape == old.shape and now.content is then.content:
                    yield earlier, now, then, old, staged.values[where[now.name]] - old


def differences(staged: Staged, columns: Sequence[Column]) -> list[DisclosureFinding]:
    """Cells that differ from an earlier release by few patients, or by a patient's value; and what is the same."""
    where = places(staged.outputs)
    found = []
    for earlier, now, then, old, change in _pairs(staged):
        if np.array_equal(change, np.zeros_like(change)) and old.any():
            found += _same(now, earlier)
            continue
        close = _close(staged, now, change)
        if now.name != then.name and (change.size < 2 or np.mean(np.abs(change) < staged.min_patients) < _ALIKE):
            continue
        if close.any():
            severity = Severity.SERIOUS if now.name == then.name else Severity.LOOK
            cells = references(mask(where[now.name][close], staged.outputs), staged.outputs)
            text = f"{spell(cells)}: differs from '{then.name}' of {earlier.label} by fewer than {staged.min_patients}"
            text = f"{text} patients, so the two together tell of those few."
            found.append(DisclosureFinding(Kind.DIFFERENCE, severity, now.name, cells, text, hide=True))
        elif now.name not in staged.counts:
            found += _values_between(staged, now, earlier, change, columns)
    return found


def _close(staged: Staged, now: Output, change: Floats) -> Mask:
    if now.name not in staged.counts:
        return np.zeros(change.shape, dtype=np.bool_)
    return (np.abs(change) > 0) & (np.abs(change) < staged.min_patients)


def _same(now: Output, earlier: Earlier) -> list[DisclosureFinding]:
    text = f"'{now.name}' holds the numbers of {earlier.label}: if the sites are others, the difference of the two sums"
    text = f"{text} is the numbers of one or a few sites."
    return [DisclosureFinding(Kind.REPEATED, Severity.LOOK, now.name, (now.name,), text)]


def _values_between(
    staged: Staged, now: Output, earlier: Earlier, change: Floats, columns: Sequence[Column]
) -> list[DisclosureFinding]:
    """The difference of two sums that is one patient's value."""
    where = places(staged.outputs)[now.name]
    moved = np.zeros(staged.outputs.length)
    moved[where] = np.nan_to_num(change)
    slack = _SUMMED * np.abs(staged.values)
    hit = np.zeros(staged.outputs.length, dtype=np.bool_)
    for column in columns:
        certain, possible = rare_values(moved, np.abs(moved) > slack, column, staged.patients, slack)
        hit |= certain | possible
    return [
        DisclosureFinding(
            Kind.DIFFERENCE,
            Severity.LOOK,
            name,
            cells,
            f"{spell(cells)}: differs from {earlier.label} by a value that few patients have.",
            hide=True,
        )
        for name, cells in by_output(hit, staged.outputs).items()
    ]


def known_before(staged: Staged, hidden: Mask) -> list[DisclosureFinding]:
    """Hidden values that an earlier release shows, exactly or to within few patients."""
    where = places(staged.outputs)
    found = []
    for earlier, now, then, _, change in _pairs(staged):
        limit = staged.min_patients if now.name in staged.counts else 1e-9
        shown = hidden[where[now.name]] & (np.abs(change) < limit)
        if now.name == then.name and shown.any():
            cells = references(mask(where[now.name][shown], staged.outputs), staged.outputs)
            text = f"{spell(cells)}: left out now, but {earlier.label} showed about the same."
            found.append(DisclosureFinding(Kind.KNOWN_BEFORE, Severity.SERIOUS, now.name, cells, text))
    return found
