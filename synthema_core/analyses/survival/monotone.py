"""Curves that never rise, from estimates that may."""

from __future__ import annotations

import numpy as np

from synthema_core.secure_sum.layout import Floats


def falling(values: Floats, weights: Floats) -> list[float]:
    """The nearest values that never rise, between 0 and 1."""
    from scipy.optimize import isotonic_regression  # large, and an idle site needs none of it

    found = isotonic_regression(np.clip(values, 0.0, 1.0), weights=weights, increasing=False).x
    held: list[float] = np.clip(found, 0.0, 1.0).tolist()
    return held
