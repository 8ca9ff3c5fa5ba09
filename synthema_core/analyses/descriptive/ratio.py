"""A mean as the ratio of two noisy sums, with an interval for noise and sampling together."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """The mean of values between -1 and 1, from their noisy number, sum, and sum of 1 - value^2.

    Parameters
    ----------
    count_deviation, deviation
        Standard deviations of the noise in the count; and in each of the other sums. They are independent.
    quantile
        Of the standard normal, for the interval's two sides: 1.96 for 95 %.
    """

    count: float
    total: float
    complement: float
    count_deviation: float
    deviation: float
    quantile: float

    @property
    def value(self) -> float | None:
        """None where the patients may all be noise: then anything can be the mean."""
        hidden = self.count <= max(0.0, self.quantile * self.count_deviation)
        return None if hidden else max(-1.0, min(1.0, self.total / self.count))

    @property
    def variance(self) -> float:
        """Of the values; not below its own noise, under which nobody can tell a smaller one."""
        if self.value is None:
            return 1.0
        return min(1.0, max(self._variance, self.deviation / self.count))

    @property
    def _variance(self) -> float:
        """Unbiased but for the division; may be negative."""
        return 1 - self.complement / self.count - (self.value or 0.0) ** 2

    @property
    def noise_error(self) -> float:
        """The part of the standard error that is noise, by the delta method."""
        return math.hypot(self.deviation, (self.value or 0.0) * self.count_deviation) / self.count

    @property
    def sampling_error(self) -> float:
        """The part of the standard error that other patients of the same kind would make."""
        return math.sqrt(self.variance / self.count)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the mean of all patients of this kind, from whom those of the sites are taken to be drawn.

        Fieller's (1954): the means m for which total - m * count is not too far from 0, so that it holds also where the
        noise in the count is no small part of it. Sampling makes that vary by count * (variance + (value - m)^2): the
        values' spread about m itself, which is as much wider for few patients as Student's t. Where anything may be
        true, it is [-1, 1].
        """
        squared = self.quantile**2
        share = 0.0 if self.value is None else max(0.0, 1 - squared / self.count)
        a = share * self.count**2 - squared * self.count_deviation**2
        if a <= 0:
            return -1.0, 1.0
        varies = self.count * self.variance + self.deviation**2
        b = share * self.count * self.total
        root = self.quantile * math.sqrt(a * varies + share * (self.count_deviation * self.total) ** 2)
        return max(-1.0, (b - root) / a), min(1.0, (b + root) / a)

    @property
    def spread(self) -> tuple[float | None, float | None, float | None]:
        """The values' standard deviation, and an interval that contains the noise of these sums and nothing else."""
        if self.value is None:
            return None, None, None
        of_total = 2 * self.value * self.deviation
        of_count = (self.complement / self.count + 2 * self.value**2) * self.count_deviation
        reach = self.quantile * math.hypot(self.deviation, of_total, of_count) / self.count
        value, lower, upper = (math.sqrt(min(1.0, max(0.0, self._variance + r))) for r in (0.0, -reach, reach))
        return value, lower, upper
