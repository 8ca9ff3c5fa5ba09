"""Covariates as a Round asks about them: centred and whitened by the hub, and weighed so that none reaches far.

A patient's weight is 1 unless their covariates are further from the centre than is usual: then it is so small that
their score stays within the bound. It depends on covariates alone, so estimates stay unbiased (Mallows' weights; see
Avella-Medina 2021). Whitening makes the noise equal in all directions, measured in standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from synthema_core.secure_sum.layout import Floats


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
