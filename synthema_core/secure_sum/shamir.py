"""Shamir's sharing of bytes (1979) over GF(2^8): any `threshold` shares give the secret, fewer give nothing at all.

Each byte of a secret is shared by itself, so one call shares the secrets of all Rounds, as numpy blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from synthema_core.errors import IntegrityFailure

_POLYNOMIAL = 0x11B  # of the field of AES; the powers of 3 are all of it but zero
MOST_POINTS = 255


def _product_table() -> NDArray[np.uint8]:
    """(256, 256): the product of every two elements."""
    powers = [1]
    for _ in range(254):
        value = powers[-1] << 1 ^ powers[-1]  # times 3
        powers.append(value ^ _POLYNOMIAL if value > 255 else value)
    exponents = np.zeros(256, dtype=np.int64)
    exponents[powers] = np.arange(255)
    table = np.array(powers, dtype=np.uint8)[(exponents[:, None] + exponents[None, :]) % 255]
    table[0, :] = table[:, 0] = 0
    return table  # type: ignore[no-any-return]


_PRODUCT: NDArray[np.uint8] = _product_table()


def _inverse(value: int) -> int:
    return int(np.flatnonzero(_PRODUCT[value] == 1)[0])


def split(secret: bytes, threshold: int, points: Sequence[int], randomness: bytes) -> dict[int, bytes]:
    """A share of `secret`, as long as it, for each of `points` (from 1 to 255).

    Parameters
    ----------
    randomness
        Uniform, secret, used for nothing else: ``(threshold - 1) * len(secret)`` bytes.
    """
    _check_points(points)
    if not 1 <= threshold <= len(points) or len(randomness) != (threshold - 1) * len(secret):
        raise ValueError("a sharing needs as many points as its threshold, and a coefficient for each degree")
    coefficients = np.frombuffer(secret + randomness, dtype=np.uint8).reshape(threshold, len(secret))
    return {point: _evaluate(coefficients, point).tobytes() for point in points}


def _evaluate(coefficients: NDArray[np.uint8], point: int) -> NDArray[np.uint8]:
    """The polynomials' values at `point`, by Horner's rule; (threshold, n) to (n,)."""
    times = _PRODUCT[point]
    value: NDArray[np.uint8] = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = times[value] ^ coefficient
    return value


def join(shares: Mapping[int, bytes]) -> bytes:
    """The secret that these shares, by point, lie on. Give exactly `threshold` of them.

    Raises
    ------
    IntegrityFailure
        If they differ in length, or a point is none. Wrong shares of the right form give a wrong secret: compare it
        with something.
    """
    _check_points(list(shares))
    if len({len(share) for share in shares.values()}) != 1:
        raise IntegrityFailure("Shares of one secret differ in length.")
    secret = np.zeros(len(next(iter(shares.values()))), dtype=np.uint8)
    for point, share in shares.items():
        weight = 1
        for other in shares:
            if other != point:  # Lagrange's basis at 0; in this field, minus is exclusive or
                weight = int(_PRODUCT[weight, _PRODUCT[other, _inverse(other ^ point)]])
        secret ^= _PRODUCT[weight][np.frombuffer(share, dtype=np.uint8)]
    return secret.tobytes()


def _check_points(points: Sequence[int]) -> None:
    if not points or len(set(points)) != len(points) or not all(1 <= point <= MOST_POINTS for point in points):
        raise IntegrityFailure("Shares lie at different points from 1 to 255.")
