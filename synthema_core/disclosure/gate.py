"""The output gate: what code returned counts only if it is exactly what its Plan declares.

Refused, never repaired: a value cut to its bound would be a number that nobody computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.errors import Refused
from synthema_core.secure_sum.layout import Floats

_RULE = "output"


@dataclass(frozen=True, slots=True)
class Gated:
    """A site's arrays that passed the gate.

    Parameters
    ----------
    values
        (outputs.length,) float64: all of them in the declared order. Within the bounds; counts are whole.
    """

    outputs: Outputs
    values: Floats

    @property
    def arrays(self) -> dict[str, Floats]:
        return self.outputs.unflatten(self.values)


def gate(arrays: Mapping[str, Any], outputs: Outputs) -> Gated:
    """The arrays, if they are what was declared.

    Raises
    ------
    Refused
        With rule ``output``; for the site's steward. The sentence names at most a declared output: names that the
        code made up and its numbers may be about patients.
    """
    declared = {output.name for output in outputs.outputs}
    if not set(arrays) <= declared:
        raise Refused("The code returned an output that its Plan does not declare.", rule=_RULE)
    parts = [_checked(arrays.get(output.name), output) for output in outputs.outputs]
    return Gated(outputs, np.concatenate(parts))


def _checked(array: object, output: Output) -> Floats:
    name = f"The output '{output.name}'"
    if array is None:
        raise Refused(f"{name} is missing from what the code returned.", rule=_RULE)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise Refused(f"{name} is not an array of numbers.", rule=_RULE)
    if array.shape != output.shape:
        raise Refused(f"{name} does not have the declared shape.", rule=_RULE)
    with np.errstate(over="ignore"):
        values = np.asarray(array, dtype=np.float64).reshape(-1) + 0.0  # no negative zero: its sign would be one bit
    if not np.isfinite(values).all():
        raise Refused(
            f"{name} holds a value that is not finite.", "Let the code decide what such a cell is.", rule=_RULE
        )
    if not (np.abs(values) <= output.bound).all():
        raise Refused(f"{name} holds a value outside the declared bound.", "Plan again with another bound.", rule=_RULE)
    if output.content is Content.COUNTS and not ((values >= 0) & (values == np.floor(values))).all():
        raise Refused(f"{name} is declared as counts and holds a value that is none.", rule=_RULE)
    return values
