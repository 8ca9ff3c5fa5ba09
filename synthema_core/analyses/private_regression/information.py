"""Information matrices with noise: what can still be inverted, and what tells nothing.

Rows and columns are of intercepts, which have no information in common, and then of white covariates.
"""

from __future__ import annotations

import numpy as np

from synthema_core.secure_sum.layout import Floats

_CLEAR = 3.0
_SMALLEST = 0.02


def held(information: Floats, deviation: float, terms: int) -> Floats:
    """What is nearest to the information, with every direction above the noise.

    Of white covariates it is nearly the same in all directions. So it is moved towards that by as much of its variation
    as noise of this size makes (as Ledoit and Wolf 2004 do for sampled covariances), and what is still less than the
    noise is raised to it.
    """
    usual = _usual(information, terms)
    away = (information - usual)[np.triu_indices(len(information))]
    by_noise = (terms * (terms + 1) // 2 + (len(information) - terms) * terms) * deviation**2
    share = max(0.0, 1 - by_noise / max(float(away @ away), 1e-9))
    sizes, directions = np.linalg.eigh(usual + share * (information - usual))
    floor = max(deviation, _SMALLEST * float(sizes[-1]), 1e-9)
    found: Floats = directions @ np.diag(np.maximum(sizes, floor)) @ directions.T
    return found


def _usual(information: Floats, terms: int) -> Floats:
    """Nothing in common, and as much of each covariate as of all; of one intercept as of a covariate."""
    first = len(information) - terms
    usual: Floats = np.diag(np.diag(information))
    alike = slice(0 if first == 1 else first, None)
    usual[alike, alike] = np.eye(len(usual[alike])) * float(np.diag(information)[alike].mean())
    return usual


def is_clear(information: Floats, deviation: float, terms: int) -> bool:
    """Whether what covariates tell, given an intercept, stands clear of the noise in every direction."""
    whole, mixed, last = with_one_intercept(information, terms)
    if not whole > _CLEAR * deviation:
        return False
    return bool(np.linalg.eigvalsh(last - np.outer(mixed, mixed) / whole)[0] > _CLEAR * deviation)


def with_one_intercept(information: Floats, terms: int) -> tuple[float, Floats, Floats]:
    """The information of an intercept that all have in common; with covariates, (terms,); and of them."""
    first = len(information) - terms
    whole = float(np.trace(information[:first, :first]))
    return whole, information[:first, first:].sum(axis=0), information[first:, first:]


def inverse_of(matrix: Floats) -> Floats:
    inverse: Floats = np.linalg.inv(matrix).astype(np.float64)
    return inverse


def solved(matrix: Floats, values: Floats) -> Floats:
    """x of matrix @ x = values."""
    found: Floats = np.linalg.solve(matrix, values).astype(np.float64)
    return found
