"""Drawing noise: OpenDP's discrete sampler on the operating system's randomness. There is no seed to set."""

from __future__ import annotations

import numpy as np

from synthema_core.privacy.mechanisms import DiscreteGaussian
from synthema_core.secure_sum.layout import Ring


def draw(mechanism: DiscreteGaussian, length: int) -> Ring:
    """`length` independent draws, (length,) in Z_2^64.

    OpenDP takes 0.8 s to load: only a Job's worker calls this.
    """
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    measurement = dp.m.make_gaussian(*space, scale=mechanism.standard_deviation)
    noise = np.array(measurement([0] * length), dtype=np.int64)
    return noise.view(np.uint64)
