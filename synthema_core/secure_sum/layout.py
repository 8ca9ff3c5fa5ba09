"""How numbers become elements of the ring Z_2^64 and back: declared in the Plan, checked before the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.canonical import Json
from synthema_core.errors import InvalidPlan, Refused

Floats: TypeAlias = NDArray[np.float64]
Ring: TypeAlias = NDArray[np.uint64]
"""Elements of Z_2^64. Addition wraps around, which is the ring's own addition."""

_LARGEST_SUM = 2**63 - 1
_LONGEST = 10_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a Contribution with one bound and one step.

    Parameters
    ----------
    length
        Number of values.
    bound
        No site's value exceeds this in absolute size (in the block's own unit); checked at the site.
    fractional_bits
        Values are rounded to multiples of 2**-fractional_bits. 0 for counts.
    """

    name: str
    length: int
    bound: float
    fractional_bits: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.length <= _LONGEST:
            raise InvalidPlan(f"The block '{self.name}' must hold between 1 and {_LONGEST:,} values.")
        if not (0 < self.bound < float("inf")) or not 0 <= self.fractional_bits <= 52:
            raise InvalidPlan(f"The block '{self.name}' needs a positive bound and 0 to 52 fractional bits.")

    @property
    def largest(self) -> int:
        """The largest absolute value one site may add, in steps."""
        return int(np.ceil(self.bound)) << self.fractional_bits

    def to_dict(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "length": self.length,
            "bound": self.bound,
            "fractional_bits": self.fractional_bits,
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of a Contribution, in order."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        names = [block.name for block in self.blocks]
        if not names or len(set(names)) != len(names):
            raise InvalidPlan("A layout needs at least one block, and each name once.")

    @property
    def length(self) -> int:
        return sum(block.length for block in self.blocks)

    def check_sum_fits(self, sites: int, noise: int = 0) -> None:
        """Refuse a Plan whose sum over `sites` could leave the ring, `noise` steps a site included."""
        for block in self.blocks:
            if sites * (block.largest + noise) > _LARGEST_SUM:
                raise InvalidPlan(
                    f"The sum of block '{block.name}' over {sites} sites could overflow the ring.",
                    "Lower its bound or its fractional bits.",
                )

    def quantise(self, values: Floats) -> Ring:
        """Round a Contribution, (length,) float64, to ring elements; refuse what exceeds its declared bound."""
        if values.shape != (self.length,):
            raise Refused("A contribution does not have the declared length.", rule="layout")
        ring = np.empty(self.length, dtype=np.int64)
        for block, part in self._slices():
            chunk = values[part]
            if not np.all(np.abs(chunk) <= block.bound):  # also catches NaN
                raise Refused(
                    f"A value of block '{block.name}' is outside the bound declared in the Plan.",
                    "Plan again with a larger bound.",
                    rule="bound",
                )
            ring[part] = np.rint(np.ldexp(chunk, block.fractional_bits)).astype(np.int64)
        return ring.view(np.uint64)

    def dequantise(self, ring: Ring) -> dict[str, Floats]:
        """The values of a sum, by block name; exact to a float64's last bit as long as `check_sum_fits` held."""
        signed = ring.view(np.int64)
        return {
            block.name: np.ldexp(signed[part].astype(np.float64), -block.fractional_bits)
            for block, part in self._slices()
        }

    def quantisation_error(self, sites: int) -> float:
        """The largest rounding error of any value of a sum over `sites` sites."""
        bits = [block.fractional_bits for block in self.blocks if block.fractional_bits]
        return sites * 2.0 ** -(min(bits) + 1) if bits else 0.0

    def _slices(self) -> list[tuple[Block, slice]]:
        slices, start = [], 0
        for block in self.blocks:
            slices.append((block, slice(start, start + block.length)))
            start += block.length
        return slices

    def to_list(self) -> list[Json]:
        return [block.to_dict() for block in self.blocks]

    @classmethod
    def from_list(cls, data: Sequence[Mapping[str, Any]]) -> Self:
        try:
            return cls(
                tuple(
                    Block(str(b["name"]), int(b["length"]), float(b["bound"]), int(b["fractional_bits"])) for b in data
                )
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise InvalidPlan("The Plan's layout cannot be read.") from None
