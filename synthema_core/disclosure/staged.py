"""What the checks are given: one site's gated arrays and what that site knows around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Arrays, Content, Outputs
from synthema_core.disclosure.cells import Mask, places
from synthema_core.disclosure.gate import Gated
from synthema_core.errors import InvalidInput
from synthema_core.secure_sum.layout import Floats

_LOOKED_AT = 64


@dataclass(frozen=True, slots=True)
class Earlier:
    """Arrays about the same Dataset that this site contributed before.

    Parameters
    ----------
    label
        What the steward knows it by.
    arrays
        NaN where this site left a value out.
    """

    label: str
    arrays: Arrays
    outputs: Outputs


@dataclass(frozen=True, slots=True)
class Staged:
    """One site's staged output.

    Parameters
    ----------
    patients
        How many patients the code was given, at this site. Taken as known to everybody.
    min_patients
        Groups of fewer are small.
    rows
        What the code was given; empty: no value is compared with rows.
    holders
        (n,): who each row is about; None: every row is another patient.
    leave_one_out
        What the same code made of the rows without one patient, for each patient or for a sample of them; None in the
        place of a run that failed. Made by code that nobody trusts: it can add findings and takes none away.
    """

    gated: Gated
    patients: int
    min_patients: int
    max_numbers_per_patient: float = 12.0
    rows: Rows = field(default_factory=dict)
    holders: NDArray[Any] | None = None
    leave_one_out: Sequence[Mapping[str, NDArray[Any]] | None] | None = None
    earlier: tuple[Earlier, ...] = ()

    def __post_init__(self) -> None:
        if self.patients < 1 or self.min_patients < 2:
            raise InvalidInput("Checks need at least one patient and a min_patients of at least 2.")
        if self.holders is not None and any(len(column) != len(self.holders) for column in self.rows.values()):
            raise InvalidInput("Every row is about one patient: there must be as many holders as rows.")

    @property
    def outputs(self) -> Outputs:
        return self.gated.outputs

    @property
    def values(self) -> Floats:
        return self.gated.values

    @property
    def like_counts(self) -> frozenset[str]:
        """Outputs declared as numbers of which all are whole and from 0 to the number of patients."""
        whole = (self.values >= 0) & (self.values <= self.patients) & (self.values == np.floor(self.values))
        where = places(self.outputs)
        return frozenset(
            output.name
            for output in self.outputs.outputs
            if output.content is not Content.COUNTS
            and whole[where[output.name]].all()
            and self.values[where[output.name]].any()
        )

    @property
    def counts(self) -> frozenset[str]:
        """Outputs that are read as counts: declared so, or looking like it.

        Otherwise a word in the Plan would switch the checks of counts off.
        """
        declared = {output.name for output in self.outputs.outputs if output.content is Content.COUNTS}
        return self.like_counts | declared

    @property
    def counted(self) -> Mask:
        """(length,): which values are read as counts."""
        counts = self.counts
        return np.concatenate([np.full(output.length, output.name in counts) for output in self.outputs.outputs])

    @property
    def declared_counts(self) -> Mask:
        """(length,): which values are declared as counts."""
        parts = [np.full(output.length, output.content is Content.COUNTS) for output in self.outputs.outputs]
        return np.concatenate(parts)

    @property
    def changes(self) -> Floats | None:
        """(at most 64, length): by how much the values are smaller without one patient; None where nobody knows."""
        if not self.leave_one_out:
            return None
        runs = len(self.leave_one_out)
        looked_at = [i * runs // _LOOKED_AT for i in range(_LOOKED_AT)] if runs > _LOOKED_AT else range(runs)
        found = [self.outputs.flatten(self.leave_one_out[place]) for place in looked_at]
        kept = [values for values in found if values is not None]
        return self.values - np.array(kept) if kept else None
