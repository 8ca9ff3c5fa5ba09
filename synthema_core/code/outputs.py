"""What a Plan's code declares that it returns: names, shapes and bounds. Whatever else it returns does not count."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan
from synthema_core.secure_sum.layout import Floats

Arrays = Mapping[str, NDArray[Any]]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_MOST_VALUES = 100_000
_MOST_DIMENSIONS = 3


class Content(StrEnum):
    """What an output's numbers are: COUNTS of patients, which a reviewer's checks understand, or other NUMBERS."""

    NUMBERS = "numbers"
    COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class Output:
    """One array that the code returns under `name`.

    Parameters
    ----------
    shape
        () for a single number.
    bound
        No value counts for more than this in absolute size: what is larger is cut to it.
    default
        What counts, for every value of it, where the code gives none: it failed, took too long, returned NaN or
        another shape.
    """

    name: str
    shape: tuple[int, ...]
    bound: float
    content: Content = Content.NUMBERS
    default: float = 0.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidPlan(f"'{self.name}' cannot name an output.", "Use letters, digits and underscores.")
        if len(self.shape) > _MOST_DIMENSIONS or not all(type(n) is int and n > 0 for n in self.shape):
            raise InvalidPlan(f"The output '{self.name}' needs a shape of at most {_MOST_DIMENSIONS} positive sizes.")
        if not 0 < self.bound <= 1e12:
            raise InvalidPlan(f"The output '{self.name}' needs a bound above 0 and at most 1e12.")
        if not abs(self.default) <= self.bound:
            raise InvalidPlan(f"The default of the output '{self.name}' is outside its bound.")

    @property
    def length(self) -> int:
        return math.prod(self.shape)

    def to_dict(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "bound": self.bound,
            "content": self.content.value,
            "default": self.default,
        }

    def spell(self) -> str:
        """As it is typed: ``deaths[4]=1000``."""
        return f"{self.name}{list(self.shape) if self.shape else ''}={self.bound:g}".replace(" ", "")


@dataclass(frozen=True, slots=True)
class Outputs:
    """All that the code returns, in order: one vector of `length` values."""

    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        names = [output.name for output in self.outputs]
        if not names or len(set(names)) != len(names):
            raise InvalidPlan("Code declares at least one output, and each name once.")
        if self.length > _MOST_VALUES:
            raise InvalidPlan(f"The outputs hold more than {_MOST_VALUES:,} values.")

    @property
    def length(self) -> int:
        return sum(output.length for output in self.outputs)

    @property
    def bounds(self) -> Floats:
        """(length,): the bound of each value."""
        return np.concatenate([np.full(output.length, output.bound) for output in self.outputs])

    @property
    def defaults(self) -> Floats:
        """(length,): what counts where the code gives nothing."""
        return np.concatenate([np.full(output.length, output.default) for output in self.outputs])

    def flatten(self, arrays: Arrays | None) -> Floats | None:
        """The values in order, (length,); None unless exactly these names and shapes came, every value finite.

        Never raises: what came was made by code that nobody trusts.
        """
        if arrays is None or set(arrays) != {output.name for output in self.outputs}:
            return None
        parts = []
        for output in self.outputs:
            array = arrays[output.name]
            if array.dtype.kind not in "biuf" or array.shape != output.shape:
                return None
            with np.errstate(over="ignore"):  # beyond float64 is infinite, and that is none
                parts.append(np.asarray(array, dtype=np.float64).reshape(-1))
        values = np.concatenate(parts)
        return values if bool(np.all(np.isfinite(values))) else None

    def unflatten(self, values: Floats) -> dict[str, Floats]:
        """The arrays that these values, (length,), spell."""
        arrays, start = {}, 0
        for output in self.outputs:
            arrays[output.name] = values[start : start + output.length].reshape(output.shape)
            start += output.length
        return arrays

    def to_list(self) -> list[Json]:
        return [output.to_dict() for output in self.outputs]

    @classmethod
    def from_list(cls, data: Sequence[Mapping[str, Any]]) -> Self:
        try:
            return cls(
                tuple(
                    Output(
                        str(item["name"]),
                        tuple(item["shape"]),
                        float(item["bound"]),
                        Content(item["content"]),
                        float(item["default"]),
                    )
                    for item in data
                )
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise InvalidPlan("The Plan's declared outputs cannot be read.") from None
