"""Covariates as a Round asks about them: centred and whitened by the hub, and weighed so that none reaches far.

A patient's weight is 1 unless their covariates are further from the centre than is usual: then it is so small that
their score stays within the bound. It depends on covariates alone, so estimates stay unbiased (Mallows' weights; see
Avella-Medina 2021). Whitening makes the noise equal in all directions, measured in standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from synthema_core.secure_sum.layout import Floats

_AT_ONCE = 10.0
"""A frame's variances change by no more from one Round to the next."""


@dataclass(frozen=True, slots=True)
class Frame:
    """z = W (x - centre), of p covariates between -1 and 1.

    Parameters
    ----------
    centre, whitening
        (p,) and (p, p).
    """

    centre: Floats
    whitening: Floats

    @classmethod
    def plain(cls, terms: int) -> Self:
        return cls(np.zeros(terms), np.eye(terms))

    @classmethod
    def whitening_of(cls, centre: Floats, spread: Floats, smallest: float) -> Self:
        """`spread`: the covariates' covariance, which is at least `smallest` in every direction."""
        return cls(centre, _root(spread, smallest, np.inf))

    def whiter(self, whole: float, mixed: Floats, last: Floats) -> Self:
        """As white as the information says, of an intercept, with covariates of this frame, and of them."""
        away = mixed / whole
        spread = last / whole - np.outer(away, away)
        centre = self.centre + np.linalg.solve(self.whitening, away)
        return replace(
            self,
            centre=np.clip(centre, -1.0, 1.0),
            whitening=_root(spread, 1 / _AT_ONCE, _AT_ONCE) @ self.whitening,
        )

    def out_of_white(self, intercepts: int) -> Floats:
        """What coefficients of z, after so many intercepts, are to be multiplied with to be those of x."""
        terms = len(self.centre)
        way = np.eye(intercepts + terms)
        way[:intercepts, intercepts:] = -(self.whitening @ self.centre)
        way[intercepts:, intercepts:] = self.whitening.T
        return way

    @property
    def bound(self) -> float:
        """The squared length that (1, z) is held to: what it is on average where z is white."""
        return 1.0 + len(self.centre)

    def of(self, x: Floats) -> Floats:
        """(n, p)."""
        moved: Floats = (x - self.centre) @ self.whitening.T
        return moved

    def weights(self, z: Floats) -> Floats:
        """(n,): at most 1, and so that a weight times 1 + |z|^2 is at most the bound."""
        weights: Floats = np.minimum(1.0, self.bound / (1.0 + (z * z).sum(axis=1)))
        return weights

    def values(self) -> Floats:
        return np.concatenate([self.centre, self.whitening.reshape(-1)])

    @classmethod
    def read(cls, values: Floats, terms: int) -> Self:
        return cls(values[:terms], values[terms:].reshape(terms, terms))


def _root(spread: Floats, smallest: float, largest: float) -> Floats:
    """The inverse of its square root, with variances held between the two."""
    sizes, directions = np.linalg.eigh(spread)
    root: Floats = directions @ np.diag(np.clip(sizes, smallest, largest) ** -0.5) @ directions.T
    return root
