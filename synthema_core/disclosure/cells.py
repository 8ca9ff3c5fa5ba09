"""From places in the vector of all values to the names of cells, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthema_core.code.outputs import Outputs

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
_NAMED = 4


def places(outputs: Outputs) -> dict[str, Places]:
    """Where the values of each output are in the vector of all of them, in the output's own shape."""
    found, start = {}, 0
    for output in outputs.outputs:
        found[output.name] = np.arange(start, start + output.length, dtype=np.int64).reshape(output.shape)
        start += output.length
    return found


def by_output(chosen: Mask, outputs: Outputs) -> dict[str, tuple[str, ...]]:
    """References of the chosen values, (length,), by the output they belong to; outputs without one are not in it.

    An output of which all are chosen is named as a whole.
    """
    if not chosen.any():
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, where in places(outputs).items():
        part = chosen[where]
        if part.all():
            found[name] = (name,)
        elif part.any():
            found[name] = tuple(f"{name}[{','.join(map(str, cell))}]" for cell in np.argwhere(part).tolist())
    return found


def references(chosen: Mask, outputs: Outputs) -> tuple[str, ...]:
    """The same, of all outputs, in order."""
    return tuple(cell for cells in by_output(chosen, outputs).values() for cell in cells)


def mask(where: Places | Sequence[int], outputs: Outputs) -> Mask:
    """(length,): True at these places."""
    chosen = np.zeros(outputs.length, dtype=np.bool_)
    chosen[np.asarray(where, dtype=np.int64).reshape(-1)] = True
    return chosen


def spell(cells: Sequence[str]) -> str:
    """``a, b and 7 more``."""
    if len(cells) > _NAMED + 1:
        return f"{', '.join(cells[:_NAMED])} and {len(cells) - _NAMED} more"
    return " and ".join([part for part in (", ".join(cells[:-1]), *cells[-1:]) if part])
