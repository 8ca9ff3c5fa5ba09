"""The groups into which a design sorts patients: each needs enough of them, or its coefficients are about a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.design.factors import Groups
from synthema_core.errors import InvalidInput
from synthema_core.secure_sum.layout import Floats

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Cells:
    """For each set of categories that occur together in a term, all combinations of their levels."""

    sets: tuple[tuple[Groups, ...], ...]

    @classmethod
    def of(cls, terms: Sequence[Sequence[Groups]]) -> Cells:
        sets = dict.fromkeys(tuple(sorted(term, key=lambda part: part.text)) for term in terms if term)
        made = cls(tuple(sets))
        if len(made) > _MOST:
            raise InvalidInput(f"The formula sorts patients into more than {_MOST} groups.", "Use fewer interactions.")
        return made

    def __len__(self) -> int:
        return sum(_size(together) for together in self.sets)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(
            ", ".join(f"{part.quantity.label}: {label}" for part, (_, label) in zip(together, levels, strict=True))
            for together in self.sets
            for levels in product(*(part.factor.levels for part in together))
        )

    def counts(self, rows: Rows) -> Floats:
        """(cells,): the patients in each, of rows that are known to the design."""
        found = [np.zeros(0)]
        for together in self.sets:
            shape = tuple(len(part.factor.levels) for part in together)
            places = np.ravel_multi_index([part.levels(rows) for part in together], shape)
            found.append(np.bincount(places, minlength=_size(together)).astype(np.float64))
        return np.concatenate(found)


def _size(together: Sequence[Groups]) -> int:
    return int(np.prod([len(part.factor.levels) for part in together]))
