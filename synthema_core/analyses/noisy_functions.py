"""Functions of noisy counts: how uncertain each is, from the chance of other patients and from the privacy noise.

A count of patients varies from one draw of patients to the next as a Poisson number does, and by the noise that was
added to it. The first-order (delta) variance of a function of many counts follows from its gradient; where there is no
noise this gives Greenwood's formula for a survival curve, Woolf's for an odds ratio, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.secure_sum.layout import Floats

_TINY = 1e-100
_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Spread:
    """Of some numbers: (numbers, numbers) covariances by what they come from."""

    sampling: Floats
    noise: Floats

    @property
    def all(self) -> Floats:
        return self.sampling + self.noise

    @property
    def sampling_variances(self) -> Floats:
        """Noise can make their estimates negative, and they are not."""
        held: Floats = np.maximum(np.diag(self.sampling), 0.0)
        return held

    @property
    def noise_variances(self) -> Floats:
        return np.diag(self.noise).copy()

    @property
    def variances(self) -> Floats:
        return self.sampling_variances + self.noise_variances


def spread(of: Callable[[NDArray[Any]], NDArray[Any]], counts: Floats, noise_variance: float) -> Spread:
    """How uncertain `of(counts)` is, (numbers,).

    Parameters
    ----------
    of
        (..., counts) to (..., numbers): made of arithmetic, exponentials and logarithms, for complex numbers too.
    counts
        Noisy: their sampling variances are estimated by themselves, without a bias.
    noise_variance
        Of the noise in each of them.
    """
    varying = np.arange(len(counts)) if noise_variance else np.flatnonzero(counts)  # no count, no variance
    slopes = gradient(of, counts, varying)
    return Spread((slopes * counts[varying]) @ slopes.T, noise_variance * (slopes @ slopes.T))


def gradient(of: Callable[[NDArray[Any]], NDArray[Any]], at: Floats, places: NDArray[np.int64] | None = None) -> Floats:
    """(numbers, places), all places if none are told: by complex steps (Squire and Trapp 1998), to the last digit."""
    wanted = np.arange(len(at)) if places is None else places
    found = [np.zeros((len(np.atleast_1d(of(at + 0j))), 0))]
    for start in range(0, len(wanted), _AT_ONCE):
        here = wanted[start : start + _AT_ONCE]
        stepped = np.tile(at.astype(np.complex128), (len(here), 1))
        stepped[np.arange(len(here)), here] += 1j * _TINY
        found.append(np.imag(of(stepped)).T / _TINY)
    slopes: Floats = np.concatenate(found, axis=1)
    return slopes
