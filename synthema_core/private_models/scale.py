"""From the scale on which models are fitted to the columns' own units, and from a covariance to its components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class Scale:
    """value = centre + half * (value on the scale), for each feature and for a target that is a number.

    Parameters
    ----------
    centres, halves
        (d,).
    target_centre, target_half
        0 and 1 for a target that is a group.
    """

    centres: Floats
    halves: Floats
    target_centre: float = 0.0
    target_half: float = 1.0

    def in_units(self, arrays: Mapping[str, Floats]) -> dict[str, Floats]:
        """The same arrays in the columns' units; NaN where something that they are made of is NaN."""
        own = dict(arrays)
        if "means" in own:
            own["means"] = self.centres + self.halves * own["means"]
        if "variances" in own:
            own["variances"] = self.halves**2 * own["variances"]
        if "covariance" in own:
            own["covariance"] = np.outer(self.halves, self.halves) * own["covariance"]
        if "coefficients" in own:
            slopes = self.target_half * own["coefficients"] / self.halves
            intercept = "intercepts" if "intercepts" in own else "intercept"
            own["coefficients"] = slopes
            own[intercept] = self.target_centre + self.target_half * own[intercept] - slopes @ self.centres
        return own


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components, the largest first.

    Parameters
    ----------
    directions
        (d, d): one a row, of length 1; its largest part is positive.
    variances
        (d,): what each explains. Noise can make the last ones negative.
    """

    directions: Floats
    variances: Floats


def components_of(covariance: Floats) -> Components:
    """Those of a covariance, (d, d), which noise and rounding may have made a little asymmetric."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    directions = vectors.T[::-1]
    largest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)]
    return Components(directions * np.sign(largest)[:, np.newaxis], values[::-1])
