"""Patient-level bounding: what one patient can add to a sum at most, whatever their rows hold.

A sum is made of one vector of whole numbers for each patient. Each is bounded apart, before anything is added:

1. Of the patient's rows, at most ``rows_per_patient`` are kept, by a keyed hash of what they hold.
2. Each value is clipped to the range of its column.
3. Of the cells in which these rows lie, at most ``cells_per_patient`` are kept, by a keyed hash; or the rows' values,
   each rounded to a whole number of ring steps, are averaged to a whole number (`Bounded.averages`).

**One patient more or less changes a sum by at most that patient's own vector.** Every step reads the rows of one
patient and the key, and nothing else: not how many rows there are in all, not where a row stands, not who the others
are. So without patient p, all vectors but p's are the same, and the sum differs by v_p exactly. Its L2 norm is at most
``sqrt(cells_per_patient)`` counts (that many ones, on different cells), or what the average of values between -M and M
can be: M, for the mean of whole numbers within whole bounds, rounded, stays within them. The number of patients for
whom something was cut is one more component, 0 or 1, of the same vector.

Four ways to lose this, each of which a test knows: rows kept by their place in the table (a patient more moves
others' places), rounding or clipping the sum instead of the vectors, and bounding stretches of the table one by one
(a patient whose rows lie in two of them is bounded twice).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Patients, Rows
from synthema_core.errors import InvalidPlan
from synthema_core.secure_sum.layout import Floats

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bounding:
    """What is kept of each patient.

    Parameters
    ----------
    clips
        (low, high) by column: values beyond are moved to the nearer end.
    """

    rows_per_patient: int = 1
    cells_per_patient: int = 1
    clips: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not 1 <= self.cells_per_patient <= self.rows_per_patient:
            raise InvalidPlan(
                "A patient counts in at least one cell, and in no more than rows are kept.",
                "Use --cells-per-patient up to --rows-per-patient.",
            )
        if not all(0 < high - low < np.inf for low, high in self.clips.values()):
            raise InvalidPlan("Values are clipped between two numbers, the smaller first.", "For example --clip 0,100.")

    def apply(self, rows: Rows, patients: Patients) -> Bounded:
        """The rows that are kept, their values clipped."""
        names, owners = _owners(patients.ids)
        cut = np.zeros(len(names), dtype=np.bool_)

        def hashes(places: Places) -> Iterable[bytes]:
            whose = [names[owner] for owner in owners[places].tolist()]
            return _hashes(patients.key, b"row", whose, _held(rows, places))

        kept = _lowest(owners, self.rows_per_patient, hashes)
        cut[owners[~kept]] = True
        left = {name: values[kept] for name, values in rows.items()}
        for name, (low, high) in self.clips.items():
            clipped = np.clip(left[name], low, high)
            cut[owners[kept][(clipped != left[name]) & ~np.isnan(clipped)]] = True
            left[name] = clipped
        return Bounded(self, left, names, owners[kept], cut, patients.key)


ONE_ROW = Bounding()
"""For tables with one row a patient."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """Rows of which each patient has no more than were allowed.

    Parameters
    ----------
    rows
        Columns by name, each (n,).
    names
        The patients.
    owners
        (n,): whose each row is, as a place among `names`.
    cut
        (patients,): for whom something was left out or moved.
    """

    bounding: Bounding
    rows: Rows
    names: Sequence[str]
    owners: Places
    cut: NDArray[np.bool_]
    key: bytes

    def in_cells(self, cell: Places, cells: int) -> tuple[NDArray[np.int64], int]:
        """Patients in each of the cells, (cells,); and for how many of all patients something was cut.

        Parameters
        ----------
        cell
            (n,): the cell of each row; -1 for none. Rows of one patient in one cell count once.
        """
        inside = cell >= 0
        owners, where = np.divmod(np.unique(self.owners[inside] * cells + cell[inside]), cells)

        def hashes(places: Places) -> Iterable[bytes]:
            whose = [self.names[owner] for owner in owners[places].tolist()]
            return _hashes(self.key, b"cell", whose, _told(where[places]))

        kept = _lowest(owners, self.bounding.cells_per_patient, hashes)
        cut = self.cut.copy()
        cut[owners[~kept]] = True
        return np.bincount(where[kept], minlength=cells).astype(np.int64), int(cut.sum())

    def averages(self, values: Floats, fractional_bits: int) -> NDArray[np.int64]:
        """(patients,): the mean of each patient's rows, in ring steps between -2**bits and 2**bits.

        Whole numbers from the first rounding on: sums of floats would depend on the order of a patient's rows.

        Parameters
        ----------
        values
            (n,) of each row, between -1 and 1.
        """
        largest = 1 << fractional_bits
        steps = np.clip(np.rint(np.ldexp(values, fractional_bits)), -largest, largest).astype(np.int64)
        totals = np.zeros(len(self.names), dtype=np.int64)
        np.add.at(totals, self.owners, steps)
        rows = np.bincount(self.owners, minlength=len(self.names)).astype(np.int64)
        return (2 * totals + rows) // (2 * rows)  # rounded to the nearest


def _owners(ids: NDArray[np.object_]) -> tuple[list[str], Places]:
    """The different patients, and whose each row is. By equality of text: arrays of text drop what ends in NUL."""
    places: dict[str, int] = {}
    owners = np.fromiter((places.setdefault(str(name), len(places)) for name in ids), np.int64, len(ids))
    return list(places), owners


def _lowest(owners: Places, most: int, hashes: Callable[[Places], Iterable[bytes]]) -> NDArray[np.bool_]:
    """(n,): of each owner's items, the `most` with the lowest hashes. Items that hash alike are alike."""
    if not len(owners):
        return np.ones(0, dtype=np.bool_)
    kept = np.bincount(owners)[owners] <= most
    crowded = np.flatnonzero(~kept)  # only these are hashed
    if len(crowded):
        drawn = np.frombuffer(b"".join(hashes(crowded)), dtype=">u8").reshape(len(crowded), -1)
        order = np.lexsort((drawn[:, 1], drawn[:, 0], owners[crowded]))
        sorted_owners = owners[crowded][order]
        rank = np.arange(len(order)) - np.searchsorted(sorted_owners, sorted_owners)
        kept[crowded[order[rank < most]]] = True
    return kept


def _hashes(key: bytes, what: bytes, patients: Iterable[str], held: Iterable[bytes]) -> Iterable[bytes]:
    """HMAC-SHA256 of each patient with what one of their items holds; said so that no two can be taken for one."""
    for patient, item in zip(patients, held, strict=True):
        name = patient.encode("utf-8", "surrogatepass")
        yield hmac.digest(key, what + len(name).to_bytes(8, "big") + name + item, hashlib.sha256)


def _held(rows: Rows, places: Places) -> Iterable[bytes]:
    """What each of these rows holds, column by column."""
    return map(b"".join, zip(*(_told(rows[name][places]) for name in sorted(rows)), strict=True))


def _told(values: NDArray[Any]) -> Iterable[bytes]:
    """Each value in bytes of known length."""
    if values.dtype.kind not in "fi":
        texts = (str(value).encode("utf-8", "surrogatepass") for value in values.tolist())
        return (len(text).to_bytes(8, "big") + text for text in texts)
    numbers = values.astype(np.float64) + 0.0  # -0.0 is 0.0
    numbers[np.isnan(numbers)] = np.nan  # and there is one way of being missing
    whole = numbers.tobytes()
    return (whole[start : start + 8] for start in range(0, len(whole), 8))
