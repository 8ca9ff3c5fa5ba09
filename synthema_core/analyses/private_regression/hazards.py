"""Bounded scores of a proportional hazards model whose baseline hazard is constant within steps (Friedman 1982).

Patient i is expected to have L_ij = exp(a_j + z_i b) T_ij events in step j, T_ij the share of the step in which they
were observed. **They are followed until one event is expected of them in all**, and no further: which is known at every
time before it happens, so estimates stay unbiased, and their part in each score is between -1 and 1.

The score is w (d_ij - L_ij) for each step, and w (d_i - L_i) z; the information w L_ij, w L_ij z and w L_i z z'. With
w of `Frame` the first is at most |(1, z)| long, the second its square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthema_core.analyses.private_regression.covariates import Frame
from synthema_core.analyses.private_regression.vectors import Parts, products
from synthema_core.secure_sum.layout import Floats

_FARTHEST = 20.0


@dataclass(frozen=True, slots=True)
class Observed:
    """A site's patients.

    Parameters
    ----------
    exposure
        (n, steps): the share of each step in which a patient was under observation.
    events
        (n, steps): 1 where it ended with the event.
    x
        (n, p), between -1 and 1.
    """

    exposure: Floats
    events: Floats
    x: Floats

    @classmethod
    def until(cls, times: Floats, died: Floats, x: Floats, ends: Floats) -> Observed:
        """Of times on from 0, and 1 where they ended with the event; `ends`: (steps,), of the steps."""
        begins = np.append(0.0, ends[:-1])
        after = np.maximum(times, 0.0)[:, np.newaxis]
        exposure = np.clip((after - begins) / (ends - begins), 0.0, 1.0)
        ended = (begins < after) & (after <= ends)
        ended[:, 0] |= times <= 0
        return cls(exposure, ended * died[:, np.newaxis], x)

    @property
    def _steps(self) -> int:
        return int(self.exposure.shape[1])

    def moments(self, frame: Frame) -> Parts:
        """As the information would be if one event were expected of all who are followed to the end."""
        z = frame.of(self.x)
        return self._parts(frame, z, self.events, self.exposure / self._steps)

    def scores(self, frame: Frame, theta: Floats) -> Parts:
        """At baselines (steps,) and coefficients (p,), one after another."""
        z = frame.of(self.x)
        log_hazard = theta[: self._steps] + (z @ theta[self._steps :])[:, np.newaxis]
        expected = self.exposure * np.exp(np.clip(log_hazard, -_FARTHEST, _FARTHEST))
        before = np.cumsum(expected, axis=1) - expected
        followed = np.clip(1.0 - before, 0.0, expected)
        in_time = expected <= followed
        return self._parts(frame, z, np.where(in_time, self.events, 0.0) - followed, followed)

    def _parts(self, frame: Frame, z: Floats, residual: Floats, expected: Floats) -> Parts:
        """Shares of the bounds."""
        steps, size = self._steps, self._steps + z.shape[1]
        weights = frame.weights(z)[:, np.newaxis]
        residual, expected = weights * residual, weights * expected
        score = np.column_stack([residual, residual.sum(axis=1, keepdims=True) * z])
        first, second = np.triu_indices(size)
        information = np.zeros((len(z), len(first)))
        information[:, (first == second) & (first < steps)] = expected
        mixed = expected[:, :, np.newaxis] * z[:, np.newaxis]
        information[:, (first < steps) & (second >= steps)] = mixed.reshape(len(z), steps * z.shape[1])
        information[:, first >= steps] = expected.sum(axis=1, keepdims=True) * products(z)
        return Parts(score / np.sqrt(frame.bound), information / frame.bound, np.zeros(len(z)))
