"""Rows written into the digits of numbers: what a plain positional code shows, and no more.

Any other code (a cipher, another base, the order of the values) looks like an innocent number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from synthema_core.disclosure.cells import by_output, mask, spell
from synthema_core.disclosure.columns import Column
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.staged import Staged

_BASES = {2: 32, 10: 10, 16: 9, 100: 5, 256: 5, 1000: 4}
"""Base, and how many digits in a row must be consecutive values of a column: about 1e10 to one against chance."""
_FEWEST_DIFFERENT = 3
_LARGEST = 2**53
_SEPARATOR = "\uffff"


def packed(staged: Staged, columns: Sequence[Column]) -> list[DisclosureFinding]:
    """Numbers of which the digits, in a usual base, are values of consecutive rows (or of the sorted column)."""
    texts = {base: _text(columns, base) for base in _BASES}
    asked = np.flatnonzero(~staged.declared_counts & (staged.values != 0))
    hits = [place for place in asked.tolist() if _is_packed(float(staged.values[place]), texts)]
    return [
        DisclosureFinding(
            Kind.PACKED,
            Severity.SERIOUS,
            name,
            cells,
            f"{spell(cells)}: the digits spell values of consecutive rows.",
            hide=True,
        )
        for name, cells in by_output(mask(hits, staged.outputs), staged.outputs).items()
    ]


def _text(columns: Sequence[Column], base: int) -> str:
    """The columns whose values are digits of the base, as characters, in the rows' order, sorted, and backwards."""
    stretches = []
    for column in columns:
        if column.step == 1 and column.distinct[0] >= 0 and column.distinct[-1] < base and len(column.distinct) > 1:
            for order in (column.values, np.sort(column.values)):
                forwards = "".join(map(chr, order.astype(int).tolist()))
                stretches += [forwards, forwards[::-1]]
    return _SEPARATOR.join(stretches)


def _is_packed(value: float, texts: dict[int, str]) -> bool:
    for whole in _wholes(abs(value)):
        for base, fewest in _BASES.items():
            if texts[base] and whole >= base ** (fewest - 1):
                spelt = _digits(whole, base)
                for part in (spelt, spelt[1:], spelt[:-1]):  # the first or last may be a length, or rounded
                    if len(part) >= fewest and len(set(part)) >= min(_FEWEST_DIFFERENT, base) and part in texts[base]:
                        return True
    return False


def _wholes(value: float) -> Iterator[int]:
    """The whole numbers that a number may stand for: itself, its decimals, its bits."""
    if value == int(value) and value < _LARGEST:
        yield int(value)
    else:
        digits = f"{value:.15e}".split("e")[0].replace(".", "")
        for length in (15, 14, 12):
            yield int(digits[:length].rstrip("0") or "0")
    mantissa = int(np.ldexp(np.frexp(value)[0], 53))
    yield mantissa // (mantissa & -mantissa)


def _digits(whole: int, base: int) -> str:
    found = []
    while whole:
        whole, digit = divmod(whole, base)
        found.append(chr(digit))
    return "".join(reversed(found))


def too_large(staged: Staged, columns: Sequence[Column]) -> list[DisclosureFinding]:
    """Whole numbers larger than the sum of any column and of its squares: no plain statistic is so large."""
    if not columns:
        return []
    values = staged.values
    most = max(1e6, *(float(max(np.abs(c.values).sum(), np.square(c.values).sum())) for c in columns))
    large = ~staged.declared_counts & (np.abs(values) > most) & (values == np.floor(values))
    what = "a whole number larger than any column's sum, or sum of squares"
    return [
        DisclosureFinding(Kind.HUGE, Severity.LOOK, name, cells, f"{spell(cells)}: {what}.")
        for name, cells in by_output(large, staged.outputs).items()
    ]
