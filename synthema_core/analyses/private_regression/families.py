"""Bounded scores of generalised linear models: each patient's part in an estimating equation that has no bias.

The score is w psi(y, eta) (1, z), with w of `Frame` and psi bounded:

- binomial: y - mu;
- gaussian: the residual in units of a scale that the hub asks about, cut at ±1 (Huber 1964): unbiased where residuals
  are symmetric about 0;
- poisson: y - mu cut at ±c, less its expectation at mu, so that it has no bias (Cantoni and Ronchetti 2001); a patient
  whose information would be above a cap is weighed down to it.

The information is w D (1, z)(1, z)', D the derivative of psi's expectation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, pdtr

from synthema_core.analyses.private_regression.covariates import Frame
from synthema_core.analyses.private_regression.vectors import Parts, products
from synthema_core.analyses.regression.glm_response import Family
from synthema_core.secure_sum.layout import Floats

_LOWEST, _HIGHEST = -15.0, 8.0
_BEYOND_CUT = 1.3
"""A cut residual less its expectation is at most about so many times the cut."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a Round's scores are bounded by.

    Parameters
    ----------
    cut
        gaussian: where residuals are cut, in units of the scaled outcome; poisson: c, in counts.
    cap
        poisson: the largest information of a patient.
    """

    cut: float = 1.0
    cap: float = 1.0

    def largest(self, family: Family) -> tuple[float, float]:
        """Of |psi| and of D."""
        if family is Family.BINOMIAL:
            return 1.0, 0.25
        return (1.0, 1.0) if family is Family.GAUSSIAN else (_BEYOND_CUT * self.cut, self.cap)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A site's patients.

    Parameters
    ----------
    values
        (n,): 0 or 1; between -1 and 1 (gaussian); counts (poisson).
    offsets
        (n,).
    unit, offset_reach
        The largest value and offset that the schema allows.
    """

    family: Family
    values: Floats
    offsets: Floats
    x: Floats
    unit: float
    offset_reach: float

    def moments(self, frame: Frame) -> Parts:
        """Of what the hub begins with: the covariates' first and second moments, also with the outcome.

        The square is the outcome's own. Of counts it is their roots, since few are large; and the square is the root
        of what their means are raised by the offset.
        """
        z = frame.of(self.x)
        weights, values = frame.weights(z), self.values / self.unit
        square = values * values
        if self.family is Family.POISSON:
            values, square = np.sqrt(values), np.exp((self.offsets - self.offset_reach) / 2)
        return self._parts(frame, z, weights * values, weights, weights * square)

    def scores(self, frame: Frame, theta: Floats, bounds: Bounds) -> Parts:
        z = frame.of(self.x)
        weights = frame.weights(z)
        eta = self.offsets + theta[0] + z @ theta[1:]
        psi, slope, share = self._residuals(eta, bounds)
        most, steepest = bounds.largest(self.family)
        weights = weights * share
        return self._parts(frame, z, weights * psi / most, weights * slope / steepest, weights * (psi / most) ** 2)

    def _residuals(self, eta: Floats, bounds: Bounds) -> tuple[Floats, Floats, Floats]:
        """psi, D and the share of a weight, (n,) each."""
        full = np.ones(len(eta))
        if self.family is Family.BINOMIAL:
            mean = expit(eta)
            return self.values - mean, mean * (1 - mean), full
        if self.family is Family.GAUSSIAN:
            residual = self.values / bounds.cut - eta
            return np.clip(residual, -1.0, 1.0), (np.abs(residual) < 1).astype(np.float64), full
        mean = np.exp(np.clip(eta, _LOWEST, _HIGHEST))
        expected, slope = _cut_poisson(mean, bounds.cut)
        return (
            np.clip(self.values - mean, -bounds.cut, bounds.cut) - expected,
            slope,
            np.minimum(1.0, bounds.cap / np.maximum(slope, 1e-12)),
        )

    @staticmethod
    def _parts(frame: Frame, z: Floats, score: Floats, information: Floats, square: Floats) -> Parts:
        """Shares of the bounds: of |(1, z)| for the score, of its square for the information."""
        with_one = np.column_stack([np.ones(len(z)), z])
        return Parts(
            score[:, np.newaxis] * with_one / np.sqrt(frame.bound),
            information[:, np.newaxis] * products(with_one) / frame.bound,
            square,
        )


def _cut_poisson(mean: Floats, cut: float) -> tuple[Floats, Floats]:
    """E psi and E psi (Y - mean) of psi = Y - mean cut at ±cut, Y Poisson: from sums of its probabilities."""
    least, most = np.ceil(mean - cut), np.floor(mean + cut)  # of the counts that are not cut

    def up_to(count: Floats) -> Floats:
        return np.where(count >= 0, pdtr(np.maximum(count, 0), mean), 0.0)

    def at(count: Floats) -> Floats:
        return up_to(count) - up_to(count - 1)

    below, above = at(least - 1), at(most)
    expected = cut * (1 - up_to(most)) - cut * up_to(least - 1) + mean * (below - above)
    inside = (
        mean**2 * (up_to(most - 2) - up_to(least - 3))
        + mean * (1 - 2 * mean) * (up_to(most - 1) - up_to(least - 2))
        + mean**2 * (up_to(most) - up_to(least - 1))
    )
    return expected, np.maximum(0.0, inside + cut * mean * (above + below))
