"""The discrete Gaussian, exactly and a million at a time: Canonne, Kamath, Steinke 2020, Algorithm 3, on numpy arrays.

Why it is exact although it computes with floats: randomness enters only as uniform integers and as comparisons of a
uniform real X with a number exp(-q), q rational. A word of 64 random bits says where X lies to within 2^-64; a float
says where exp(-q) lies to within far less than `MARGIN`. Where the two are further apart than that, the comparison is
decided, as exact arithmetic would decide it. Where they are not (once in 2^38 draws), X is given more bits and exp(-q)
more digits, by `decimal`, until it is. Nothing is ever rounded into the outcome. All bits are the operating system's;
there is no seed.

Errors of the floats, for deviations from 1 to 2^40: integers stay below 2^46 and are exact; q has an error that,
weighed with exp(-q), stays below 2^-46; numpy's exp adds some units of 2^-53 (a test holds it against `decimal`).
MARGIN is 2^-40.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from synthema_core.errors import InvalidPlan

MARGIN = 2.0**-40
_SMALLEST, _LARGEST = 1.0, 2.0**40
_BATCH = 1 << 18
_WORD_BITS = 64
_DIGITS_BEYOND = 12

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]
RandomBytes = Callable[[int], bytes]


def sample(
    standard_deviation: float, length: int, margin: float = MARGIN, random_bytes: RandomBytes = os.urandom
) -> Integers:
    """`length` independent draws x, (length,), with probability proportional to exp(-x^2 / (2 sigma^2)).

    Parameters
    ----------
    standard_deviation
        sigma, from 1 to 2^40.
    margin, random_bytes
        For tests: a wide margin has everything decided exactly, which is slow.

    Raises
    ------
    InvalidPlan
        If the deviation is out of that range.
    """
    if not _SMALLEST <= standard_deviation <= _LARGEST:
        raise InvalidPlan("The fast sampler draws noise of deviations from 1 to 2^40 steps.")
    sampler = _Sampler(standard_deviation, margin, random_bytes)
    drawn: list[Integers] = []
    missing = length
    while missing > 0:
        drawn.append(sampler.accepted(min(_BATCH, 3 * missing + 16))[:missing])
        missing -= len(drawn[-1])
    return np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)


class _Sampler:
    """Proposes discrete Laplace draws of scale t = floor(sigma) + 1 and accepts them by the Gaussian."""

    def __init__(self, deviation: float, margin: float, random_bytes: RandomBytes) -> None:
        self._deviation, self._scale = deviation, int(deviation) + 1
        self._margin, self._random_bytes = margin, random_bytes
        self._powers = np.exp(-np.arange(40.0, 0.0, -1.0))  # exp(-40) to exp(-1), ascending

    def accepted(self, candidates: int) -> Integers:
        """The accepted ones of so many candidates, in their order."""
        offset = self._below_scale(candidates)
        laplace, steps, gauss = (_Uniform(self._words(candidates)) for _ in range(3))
        negative = self._bits(candidates)
        keep_offset, sure = laplace.below(np.exp(-offset / self._scale), self._margin)
        whole, sure_steps = steps.powers_above(self._powers, self._margin)
        size = offset + self._scale * whole
        keep, sure_gauss = gauss.below(np.exp(-self._exponent(size)), self._margin)
        taken = keep_offset & keep & ~(negative & (size == 0))
        for place in np.flatnonzero(~(sure & sure_steps & sure_gauss)):
            words = (int(laplace.words[place]), int(steps.words[place]), int(gauss.words[place]))
            found = self._exactly(int(offset[place]), words)
            taken[place] = found is not None and not (negative[place] and found == 0)
            size[place] = 0 if found is None else found
        drawn: Integers = np.where(negative, -size, size)[taken]
        return drawn

    def _exponent(self, size: Integers) -> NDArray[np.float64]:
        """q of the Gaussian's acceptance: (|y| - sigma^2 / t)^2 / (2 sigma^2)."""
        variance = self._deviation**2
        beyond = size.astype(np.float64) - variance / self._scale
        return beyond**2 / (2 * variance)

    def _exactly(self, offset: int, words: tuple[int, int, int]) -> int | None:
        """The size of a candidate, or None if it is rejected: the same as above, in rational numbers."""
        laplace, steps, gauss = (_LazyUniform(word, self._random_bytes) for word in words)
        if not laplace.is_below_exp(Fraction(offset, self._scale)):
            return None
        whole = 0
        while steps.is_below_exp(Fraction(whole + 1)):
            whole += 1
        size, variance = offset + self._scale * whole, Fraction(self._deviation) ** 2
        return size if gauss.is_below_exp((size - variance / self._scale) ** 2 / (2 * variance)) else None

    def _below_scale(self, count: int) -> Integers:
        """Uniform integers below t: words beyond the last whole multiple of t are drawn again."""
        limit = (1 << _WORD_BITS) // self._scale * self._scale
        words = self._words(count)
        if limit < 1 << _WORD_BITS:
            while len(beyond := np.flatnonzero(words >= np.uint64(limit))):
                words[beyond] = self._words(len(beyond))
        return (words % np.uint64(self._scale)).astype(np.int64)

    def _words(self, count: int) -> Words:
        return np.frombuffer(self._random_bytes(8 * count), dtype=np.uint64).copy()

    def _bits(self, count: int) -> NDArray[np.bool_]:
        packed = np.frombuffer(self._random_bytes((count + 7) // 8), dtype=np.uint8)
        return np.unpackbits(packed)[:count].astype(np.bool_)


@dataclass(frozen=True, slots=True)
class _Uniform:
    """Uniform reals in [0, 1), of each the first 64 bits."""

    words: Words

    @property
    def _values(self) -> NDArray[np.float64]:
        return self.words.astype(np.float64) * 2.0**-_WORD_BITS

    def below(self, limits: NDArray[np.float64], margin: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(whether each is below its limit, whether that is sure)."""
        values = self._values
        return values < limits, np.abs(values - limits) > margin

    def powers_above(self, powers: NDArray[np.float64], margin: float) -> tuple[Integers, NDArray[np.bool_]]:
        """(how many of exp(-1), exp(-2), ... each is below, whether that is sure)."""
        values = self._values
        place = np.searchsorted(powers, values, side="right")
        padded = np.concatenate([[0.0], powers, [2.0]])  # below exp(-40) nothing is sure: 0 is too near
        nearest = np.minimum(np.abs(values - padded[place]), np.abs(padded[place + 1] - values))
        return len(powers) - place, nearest > margin


class _LazyUniform:
    """One uniform real in [0, 1), with as many bits as it takes."""

    def __init__(self, word: int, random_bytes: RandomBytes) -> None:
        self._bits, self._count, self._random_bytes = word, _WORD_BITS, random_bytes

    def is_below_exp(self, exponent: Fraction) -> bool:
        """Whether it is below exp(-exponent). Ends with probability 1."""
        if exponent == 0:
            return True
        while True:
            low, high = Fraction(self._bits, 1 << self._count), Fraction(self._bits + 1, 1 << self._count)
            least, most = _exp_between(exponent, self._count // 3 + _DIGITS_BEYOND)
            if high <= least:
                return True
            if low >= most:
                return False
            self._bits = self._bits << _WORD_BITS | int.from_bytes(self._random_bytes(_WORD_BITS // 8))
            self._count += _WORD_BITS


def _exp_between(exponent: Fraction, digits: int) -> tuple[Fraction, Fraction]:
    """Two numbers between which exp(-exponent) lies, apart by a few units of its last digit.

    `decimal` rounds a quotient and an exponential correctly to its precision; exp turns the quotient's absolute error,
    at most exponent * 10^-precision, into a relative one.
    """
    precision = digits + max(0, len(str(int(exponent)))) + 3
    context = Context(prec=precision, Emin=-999_999_999, Emax=999_999_999)
    quotient = context.divide(Decimal(exponent.numerator), Decimal(exponent.denominator))
    value = Fraction(context.exp(-quotient))
    error = value * (exponent + 2) * Fraction(2, 10 ** (precision - 1))
    return value - error, value + error
