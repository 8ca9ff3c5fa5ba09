"""A patient's vector in a private regression is no longer than 1, whatever it is made of, and rounded by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema_core.analyses.private_regression.beginnings import begin_hazards
from synthema_core.analyses.private_regression.course import Moments
from synthema_core.analyses.private_regression.vectors import BITS, Parts, length_of, sensitivity_of, summed

SIZE = 3
ANY = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, -1.0, 1e300, -1e300, 5e-7])


def parts_of(values: Any) -> Parts:
    table = np.array(values, dtype=np.float64).reshape(-1, length_of(SIZE) - 1)
    return Parts(table[:, :SIZE], table[:, SIZE:-1], table[:, -1])


def steps_of(parts: Parts) -> Any:
    return np.ldexp(summed(parts), BITS)


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, min_size=length_of(SIZE) - 1, max_size=length_of(SIZE) - 1))
def test_one_patient_adds_no_more_than_the_sensitivity_and_whole_steps(values: list[float]) -> None:
    with np.errstate(all="ignore"):
        own = steps_of(parts_of(values))
    assert np.array_equal(own, np.rint(own))
    assert float(np.linalg.norm(own)) <= sensitivity_of(SIZE)


def test_who_is_no_number_adds_nothing() -> None:
    for wrong in (np.nan, np.inf, -np.inf):
        values = np.full(length_of(SIZE) - 1, 0.1)
        values[2] = wrong
        with np.errstate(all="ignore"):
            assert not steps_of(parts_of(values)).any()


def test_the_longest_vector_is_one_and_the_sensitivity_is_that_and_its_rounding() -> None:
    with np.errstate(all="ignore"):
        longest = float(np.linalg.norm(steps_of(parts_of(np.full(length_of(SIZE) - 1, 1e6)))))
    assert 0.999 * 2**BITS < longest <= sensitivity_of(SIZE)
    assert sensitivity_of(SIZE) == 2.0**BITS + math.sqrt(length_of(SIZE)) / 2


def test_patients_are_rounded_one_by_one() -> None:
    """So a sum changes by one patient's own vector, and by nothing that the others make of its rounding."""
    dice = np.random.default_rng(1)
    table = dice.normal(0, 0.2, (5000, length_of(SIZE) - 1))
    alone = sum(steps_of(parts_of(row)) for row in table[:50])
    assert np.array_equal(steps_of(parts_of(table[:50])), alone)
    apart = steps_of(parts_of(table)) - steps_of(parts_of(table[1:]))
    assert np.array_equal(apart, steps_of(parts_of(table[0])))


@pytest.mark.parametrize("noise", [1.0, 40.0])
def test_tied_steps_keep_the_hazards_that_were_seen_as_far_as_noise_lets_them(noise: float) -> None:
    """Events 100, 50 and 25 under equal observation: four times the hazard at first."""
    moments = Moments(
        patients=500.0,
        score=np.array([100.0, 50.0, 25.0]),
        weight=np.full(3, 400.0 / 3),
        mixed=np.zeros(1),
        square=0.0,
        noise=(noise, 1000.0),
    )
    begun = begin_hazards(moments)
    assert begun.tie.tolist() == [[1.0], [1.0], [1.0]], "none of them stands out of the noise"
    ratio = math.exp(begun.base[0] - begun.base[2])
    assert ratio == pytest.approx((100 + 2 * noise) / (25 + 2 * noise))
    assert 1 < ratio < 4.0
