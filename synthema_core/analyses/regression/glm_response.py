"""The outcome of a generalised linear model, its offset and its weights, scaled by the schema's ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from synthema_core.analyses.base import Rows
from synthema_core.analyses.options import Options
from synthema_core.canonical import Json
from synthema_core.design import Quantity
from synthema_core.design.formulae import split_formula
from synthema_core.errors import InvalidInput
from synthema_core.schemas import Kind, Schema
from synthema_core.secure_sum.layout import Floats

_LARGEST_OFFSET = 20.0
_LEAST_WEIGHT = 1e-6


class Family(StrEnum):
    """How the outcome is distributed about its mean, with the canonical link."""

    GAUSSIAN = "gaussian"
    BINOMIAL = "binomial"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True)
class Response:
    """What a model is fitted to.

    The outcome is computed as v = (y - centre) / unit, which lies between -1 and 1 (gaussian) or 0 and 1; weights as
    shares of the heaviest. So bounds of all sums are those of so many patients.

    Parameters
    ----------
    offset
        Added to the linear predictor; None for 0.
    weights
        Prior weights; None for 1.
    """

    family: Family
    outcome: Quantity
    offset: Quantity | None = None
    weights: Quantity | None = None

    def __post_init__(self) -> None:
        self._check_outcome()
        if self.offset is not None:
            _ = self.offset.range  # refuses what is no number
        if self.offset_reach > _LARGEST_OFFSET:
            raise InvalidInput(
                f"The offset '{self.offset_text}' differs by more than {2 * _LARGEST_OFFSET:g} between patients.",
                "It is added to the linear predictor: of an exposure, take the logarithm.",
            )
        if self.weights is not None and not 0 <= self.weights.range[0] <= self.weights.range[1] < math.inf:
            raise InvalidInput(f"The weight '{self.weights.text}' may be negative.", "Use a column from 0 on.")

    @classmethod
    def typed(cls, typed: Options, schema: Schema) -> tuple[Self, str]:
        """Of --formula, --family, --offset and --weights; and the right-hand side of the formula."""
        outcome, right = split_formula(typed.required("formula"))
        more = [
            Quantity.read(typed.required(name), schema) if name in typed else None for name in ("offset", "weights")
        ]
        family = Family(typed.choice("family", tuple(Family), Family.GAUSSIAN))
        return cls(family, Quantity.read(outcome, schema), *more), right

    def _check_outcome(self) -> None:
        outcome, kind = self.outcome, self.outcome.values.kind
        if self.family is Family.BINOMIAL and kind is not Kind.BOOLEAN:
            raise InvalidInput(
                f"The outcome '{outcome.text}' is not yes or no.",
                "Use a boolean column, or a comparison such as response == 'CR'.",
            )
        if self.family is Family.BINOMIAL:
            return
        if not outcome.is_number:
            raise InvalidInput(f"The outcome '{outcome.text}' is no number.", "Yes or no is --family binomial.")
        if self.family is Family.POISSON and (outcome.range[0] < 0 or outcome.range[1] <= 0):
            raise InvalidInput(
                f"The outcome '{outcome.text}' may be negative: it is no count.", "Use --family gaussian."
            )

    @property
    def offset_text(self) -> str:
        return self.offset.text if self.offset else ""

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (self.outcome, *(part for part in (self.offset, self.weights) if part is not None))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.quantities for name in part.columns))

    @property
    def _range(self) -> tuple[float, float]:
        """Of the outcome; for a gaussian one, less the offset."""
        low, high = self.outcome.range
        if self.family is Family.GAUSSIAN and self.offset is not None:
            least, largest = self.offset.range
            return low - largest, high - least
        return low, high

    @property
    def centre(self) -> float:
        return sum(self._range) / 2 if self.family is Family.GAUSSIAN else 0.0

    @property
    def unit(self) -> float:
        if self.family is Family.BINOMIAL:
            return 1.0
        low, high = self._range
        return (high - low) / 2 if self.family is Family.GAUSSIAN else high

    @property
    def heaviest(self) -> float:
        return self.weights.range[1] if self.weights else 1.0

    @property
    def likelihood_unit(self) -> float:
        """What a log-likelihood of scaled outcomes and weights is multiplied with."""
        return self.heaviest * (self.unit if self.family is Family.POISSON else 1.0)

    @property
    def offset_centre(self) -> float:
        return sum(self.offset.range) / 2 if self.offset and self.family is not Family.GAUSSIAN else 0.0

    @property
    def offset_reach(self) -> float:
        """Of the offset about its centre."""
        if self.offset is None or self.family is Family.GAUSSIAN:
            return 0.0
        return self.offset.range[1] - self.offset_centre

    def known(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,): who has an outcome and an offset, and a weight above a millionth of the heaviest."""
        mask: NDArray[np.bool_] = ~np.isnan(self.outcome.evaluate(rows))
        if self.offset is not None:
            mask &= np.isfinite(self.offset.evaluate(rows))
        if self.weights is not None:
            mask &= self.weights.evaluate(rows) >= _LEAST_WEIGHT * self.heaviest
        return mask

    def values(self, rows: Rows) -> Floats:
        """(n,): v."""
        outcome: Floats = self.outcome.evaluate(rows).astype(np.float64)
        if self.family is Family.GAUSSIAN and self.offset is not None:
            outcome = outcome - self.offset.evaluate(rows)
        return np.clip((outcome - self.centre) / self.unit, -1.0 if self.family is Family.GAUSSIAN else 0.0, 1.0)

    def offsets(self, rows: Rows) -> Floats:
        """(n,), about 0."""
        if self.offset is None or self.family is Family.GAUSSIAN:
            return np.zeros(len(rows[self.columns[0]]))
        return np.clip(self.offset.evaluate(rows) - self.offset_centre, -self.offset_reach, self.offset_reach)

    def shares(self, rows: Rows) -> Floats:
        """(n,): weights as shares of the heaviest."""
        if self.weights is None:
            return np.ones(len(rows[self.columns[0]]))
        return np.clip(self.weights.evaluate(rows) / self.heaviest, 0.0, 1.0)

    def constant(self, values: Floats, shares: Floats) -> float:
        """What the log-likelihood has besides half the deviance: a Poisson's at means that equal the counts.

        For a gaussian outcome the sum of the logarithms of the shares, of which its constant is made.
        """
        if self.family is Family.GAUSSIAN:
            return float(np.log(shares).sum())
        if self.family is Family.BINOMIAL:
            return 0.0
        counts = values * self.unit
        return float(shares @ (xlogy(counts, counts) - counts - gammaln(counts + 1)))

    def to_dict(self) -> dict[str, Json]:
        return {
            "family": str(self.family),
            "outcome": self.outcome.to_dict(),
            "offset": self.offset.to_dict() if self.offset else None,
            "weights": self.weights.to_dict() if self.weights else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        more = [None if data[name] is None else Quantity.from_dict(data[name]) for name in ("offset", "weights")]
        return cls(Family(data["family"]), Quantity.from_dict(data["outcome"]), *more)

    def matches(self, schema: Schema) -> bool:
        return all(part.matches(schema) for part in self.quantities)
