"""What one patient does to a number: the code is run again without one, and the numbers are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from synthema_core.disclosure.cells import Mask, by_output, spell
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.staged import Staged
from synthema_core.secure_sum.layout import Floats

LARGEST_SHARE = 0.5
"""One patient may change a number by at most this share of it."""
_STANDS_OUT = 5.0
_SECOND_GUESSES = 0.1
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Influence:
    """Over all patients that were left out, for each value, (length,).

    Parameters
    ----------
    largest, second, together
        The largest change, the second, and the sum of all, in absolute size.
    changed
        How many patients change the value at all.
    runs, failed
        Patients left out, and runs among them that gave nothing that was declared.
    """

    largest: Floats
    second: Floats
    together: Floats
    changed: Floats
    runs: int
    failed: int


def influence_of(staged: Staged) -> Influence | None:
    """None where no patient was left out."""
    if not staged.leave_one_out:
        return None
    base = staged.values
    size = np.maximum(np.abs(base), 1e-12) * _SAME
    largest, second, together, changed = (np.zeros(len(base)) for _ in range(4))
    failed = 0
    for arrays in staged.leave_one_out:
        values = staged.outputs.flatten(arrays)
        if values is None:
            failed += 1
            continue
        change = np.abs(base - values)
        second = np.maximum(second, np.minimum(largest, change))
        largest = np.maximum(largest, change)
        together += change
        changed += change > size
    return Influence(largest, second, together, changed, len(staged.leave_one_out), failed)


def influence_findings(staged: Staged) -> list[DisclosureFinding]:
    found = influence_of(staged)
    if found is None:
        return []
    counted = staged.declared_counts
    few = ~counted & (found.changed > 0) & (found.changed * staged.patients < staged.min_patients * found.runs)
    limit = f"fewer than {staged.min_patients} patients"
    return [
        *_failures(found),
        *_each(staged, counted & (found.largest > 1 + _SAME), Kind.WEIGHS, "one patient counts for more than one"),
        *_each(staged, few, Kind.FEW, f"{limit} change this number at all"),
        *_each(staged, ~counted & ~few & dominated(found, staged), Kind.DOMINATED, "one patient makes up most of it"),
    ]


def dominated(found: Influence, staged: Staged) -> Mask:
    """Which values one patient dominates.

    Either leaving one out changes the value by more than half of it and five times what others do on average (a value
    near 0, such as a coefficient, may change by half of itself with anybody), or, with every patient left out once,
    whoever is second could tell the first one's share to within 10 % (the p% rule; Hundepool et al., Statistical
    Disclosure Control, 2012, chapter 4).
    """
    others = (found.together - found.largest) / np.maximum(found.changed - 1, 1)
    by_share = (found.largest > LARGEST_SHARE * np.abs(staged.values)) & (found.largest > _STANDS_OUT * others)
    rest = found.together - found.largest - found.second
    by_second = (found.changed > 0) & (rest < _SECOND_GUESSES * found.largest)
    complete = found.runs >= staged.patients and not found.failed
    return by_share | by_second if complete else by_share


def _failures(found: Influence) -> Iterable[DisclosureFinding]:
    if found.failed:
        text = f"Without one patient the code fails, in {found.failed} of {found.runs} runs: it may look for that one."
        yield DisclosureFinding(Kind.FAILS, Severity.LOOK, "", (), text)


def _each(staged: Staged, chosen: Mask, kind: Kind, what: str) -> Iterable[DisclosureFinding]:
    for name, cells in by_output(chosen, staged.outputs).items():
        yield DisclosureFinding(kind, Severity.SERIOUS, name, cells, f"{spell(cells)}: {what}.", hide=True)
