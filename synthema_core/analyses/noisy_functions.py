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
    slopes = gradient(of, counts)
    return Spread((slopes * counts) @ slopes.T, noise_variance * (slopes @ slopes.T))


def gradient(of: Callable[[NDArray[Any]], NDArray[Any]], at: Floats) -> Floats:
    """(numbers, places): by complex steps (Squire and Trapp 1998), exact to the last digits."""
    stepped = at + 1j * _TINY * np.eye(len(at))
    slopes: Floats = np.imag(of(stepped)).T / _TINY
    return slopes
