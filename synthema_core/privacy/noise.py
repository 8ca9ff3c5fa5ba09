"""Drawing noise, by one of two exact samplers on the operating system's randomness. There is no seed to set."""

from __future__ import annotations

import numpy as np

from synthema_core.privacy.sampler import Integers, sample
from synthema_core.secure_sum.layout import Ring

FEW = 1_000
"""Up to so many values OpenDP draws, whose sampler most people have read; a million take it ten seconds and more."""


def draw(standard_deviation: float, length: int) -> Ring:
    """`length` independent draws of the discrete Gaussian, (length,) in Z_2^64.

    Parameters
    ----------
    standard_deviation
        sigma, in ring steps.
    """
    few = length <= FEW or standard_deviation < 1
    noise = _by_opendp(standard_deviation, length) if few else sample(standard_deviation, length)
    return noise.view(np.uint64)


def _by_opendp(standard_deviation: float, length: int) -> Integers:
    """OpenDP takes 0.8 s to load: only a Job's worker comes here."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    measurement = dp.m.make_gaussian(*space, scale=standard_deviation)
    return np.array(measurement([0] * length), dtype=np.int64)
