"""Bases of smooth functions on a declared range, with knots that no data have moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.polynomial import legendre, polynomial
from scipy.interpolate import BSpline, CubicSpline

from synthema_core.secure_sum.layout import Floats


def even_knots(count: int, low: float, high: float) -> tuple[float, ...]:
    """So many inner knots, evenly spread."""
    inner: Floats = np.linspace(low, high, count + 2)[1:-1]
    return tuple(inner.tolist())


def b_splines(values: Floats, inner: Sequence[float], degree: int, low: float, high: float) -> Floats:
    """(n, inner + degree) B-splines on [low, high], the first left out, as in R and patsy; each within [0, 1]."""
    knots = np.concatenate([np.full(degree + 1, low), inner, np.full(degree + 1, high)])
    size = len(inner) + degree + 1
    basis = BSpline(knots, np.eye(size), degree, extrapolate=False)
    each: Floats = np.clip(basis(np.clip(values, low, high)), 0.0, 1.0)
    return each[:, 1:]


def natural_splines(values: Floats, inner: Sequence[float], low: float, high: float) -> Floats:
    """(n, inner + 1) natural cubic splines: 1 at one knot and 0 at the others, without that of the first knot.

    Wood (2006), section 4.1.2: together with an intercept they are all natural cubic splines with these knots.
    """
    each: Floats = _cardinal(inner, low, high)(np.clip(values, low, high))
    return each[:, 1:]


def largest_natural(inner: Sequence[float], low: float, high: float) -> Floats:
    """(inner + 1,): the largest absolute value of each, at knots or where its slope is 0 between them."""
    basis = _cardinal(inner, low, high)
    found = [1.0] * (len(inner) + 1)
    for place in range(len(found)):
        one = CubicSpline(basis.x, np.eye(len(basis.x))[place + 1], bc_type="natural")
        turns = one.derivative().roots(extrapolate=False)
        turns = turns[np.isfinite(turns)]
        found[place] = float(np.abs(np.append(one(turns), 1.0)).max()) * (1 + 1e-12)
    return np.array(found)


def _cardinal(inner: Sequence[float], low: float, high: float) -> CubicSpline:
    knots = np.array([low, *inner, high])
    return CubicSpline(knots, np.eye(len(knots)), bc_type="natural")


def legendre_polynomials(scaled: Floats, degree: int) -> Floats:
    """(n, degree): P_1 to P_degree at values between -1 and 1, between which they stay."""
    values: Floats = np.clip(legendre.legvander(scaled, degree), -1.0, 1.0)
    return values[:, 1:]


def powers_of_legendre(centre: float, half_range: float, degree: int) -> tuple[Floats, Floats]:
    """The powers of x = centre + half_range * u by P_1(u), P_2(u), ...: (degree, degree) parts, (degree,) constants.

    Column k - 1 has the parts of x^k.
    """
    parts, constants = np.zeros((degree, degree)), np.zeros(degree)
    for power in range(1, degree + 1):
        series = legendre.poly2leg(polynomial.polypow([centre, half_range], power))
        constants[power - 1] = series[0]
        parts[:power, power - 1] = series[1:]
    return parts, constants
