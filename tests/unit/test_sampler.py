"""The fast sampler of the discrete Gaussian: every one of its decisions is the exact one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from synthema_core.errors import InvalidPlan
from synthema_core.privacy import sampler
from synthema_core.privacy.noise import FEW, draw
from synthema_core.privacy.sampler import MARGIN, sample

ALARM = 1e-9
EVERYTHING = 2.0
"""A margin with which every comparison is decided by rational numbers."""


def fixed(seed: int) -> Callable[[int], bytes]:
    """The same bytes again, for comparing two ways."""
    return np.random.default_rng(seed).bytes


def fit(drawn: np.ndarray, deviation: float) -> float:
    """Probability of a fit no better than this, were the draws of the discrete Gaussian."""
    reach = math.ceil(12 * deviation) + 12
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-(values**2) / (2 * deviation**2))
    expected = len(drawn) * weights / weights.sum()
    seen = np.bincount(drawn + reach, minlength=len(values))
    often = expected > 20
    rest = [seen[~often].sum()], [expected[~often].sum()]
    if rest[1][0] > 5:
        return float(chisquare(np.append(seen[often], rest[0]), np.append(expected[often], rest[1])).pvalue)
    scale = seen[often].sum() / expected[often].sum()
    return float(chisquare(seen[often], expected[often] * scale).pvalue)


@pytest.mark.parametrize("deviation", [1.0, 1.5, 2.0, 4.54, 12.3, 100.0])
def test_draws_are_of_the_discrete_gaussian(deviation: float) -> None:
    assert fit(sample(deviation, 300_000), deviation) > ALARM


@pytest.mark.parametrize("deviation", [1.0, 1.5, 4.54, 2.0**16 * 4.54, 2.0**40])
def test_each_decision_by_floats_is_the_one_by_rational_numbers(deviation: float) -> None:
    """From the same random bits, draw by draw."""
    fast = sample(deviation, 1500, random_bytes=fixed(1))
    exact = sample(deviation, 1500, margin=EVERYTHING, random_bytes=fixed(1))
    assert fast.tolist() == exact.tolist()


@pytest.mark.parametrize("deviation", [2.0**20, 2.0**33 / 3, 2.0**40])
def test_wide_noise_has_its_variance_and_no_grid(deviation: float) -> None:
    drawn = sample(deviation, 200_000)
    assert drawn.var() / deviation**2 == pytest.approx(1, abs=0.03)
    assert abs(drawn.mean()) < 6 * deviation / math.sqrt(len(drawn))
    for divisor in (2, 3, 7, 64):
        assert chisquare(np.bincount(drawn % divisor, minlength=divisor)).pvalue > ALARM


def test_the_tails_are_there() -> None:
    """Beyond four deviations: 63 in a million."""
    drawn = np.abs(sample(50.0, 1_000_000))
    values = np.arange(-2000, 2001)
    weights = np.exp(-(values**2) / (2 * 50.0**2))
    expected = weights[np.abs(values) > 200].sum() / weights.sum()
    assert binomtest(int((drawn > 200).sum()), len(drawn), expected).pvalue > ALARM


def test_numpys_exponential_is_far_nearer_than_the_margin() -> None:
    context = Context(prec=40)
    exponents = np.random.default_rng(2).uniform(0, 60, 4000)
    found = np.exp(-exponents)
    for exponent, value in zip(exponents, found, strict=True):
        assert abs(Decimal(float(value)) - context.exp(-Decimal(float(exponent)))) < Decimal(MARGIN) / 64


@pytest.mark.parametrize("exponent", [Fraction(1, 3), Fraction(5), Fraction(1234, 7), Fraction(10**9 + 7, 10**9)])
def test_exp_lies_where_it_is_said_to_lie(exponent: Fraction) -> None:
    low, high = sampler._exp_between(exponent, 30)
    finer_low, finer_high = sampler._exp_between(exponent, 90)
    assert low < finer_low < finer_high < high
    assert high - low < finer_low * Fraction(1, 10**25)


def test_a_comparison_that_64_bits_leave_open_is_given_more() -> None:
    """The word in which exp(-1) itself lies: below it in as many of the cases as lie below it there."""
    exact = sampler._exp_between(Fraction(1), 60)[0] * 2**64
    word, share = int(exact), float(exact - int(exact))
    dice = np.random.default_rng(3)
    below = [sampler._LazyUniform(word, dice.bytes).is_below_exp(Fraction(1)) for _ in range(4000)]
    assert binomtest(sum(below), len(below), share).pvalue > ALARM
    assert sampler._LazyUniform(word - 1, _no_more).is_below_exp(Fraction(1))
    assert not sampler._LazyUniform(word + 1, _no_more).is_below_exp(Fraction(1))


def _no_more(count: int) -> bytes:
    raise AssertionError("these bits sufficed")


def test_what_lies_within_the_margin_is_decided_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,500 draws with a margin of a tenth some hundreds are; they come out as they would have."""
    decided = itertools.count()
    exactly = sampler._Sampler._exactly

    def counted(self: Any, offset: int, words: tuple[int, int, int]) -> int | None:
        next(decided)
        return exactly(self, offset, words)

    monkeypatch.setattr(sampler._Sampler, "_exactly", counted)
    wide = sample(4.54, 1500, margin=0.1, random_bytes=fixed(4))
    assert 200 < next(decided) < 3000
    assert wide.tolist() == sample(4.54, 1500, random_bytes=fixed(4)).tolist()


@pytest.mark.parametrize("deviation", [0.99, 0.0, -1.0, math.nan, math.inf, 2.0**41])
def test_deviations_for_which_nothing_is_proven_are_refused(deviation: float) -> None:
    with pytest.raises(InvalidPlan):
        sample(deviation, 10)


@pytest.mark.parametrize("length", [0, 1, 2, 1000, 300_001])
def test_as_many_are_drawn_as_were_asked_for_and_no_two_runs_are_alike(length: int) -> None:
    one, other = sample(1000.0, length), sample(1000.0, length)
    assert len(one) == len(other) == length
    assert length < 3 or not np.array_equal(one, other)


@pytest.mark.parametrize("length", [FEW, FEW + 1])
def test_noise_is_of_one_kind_whichever_sampler_draws_it(length: int) -> None:
    drawn = np.concatenate([draw(4.54, length).view(np.int64) for _ in range(40)])
    assert fit(drawn, 4.54) > ALARM


# Bugs are noticed


def biased_sign(self: Any, count: int) -> Any:
    return np.random.default_rng().random(count) < 0.48


def one_step_less(self: Any, powers: Any, margin: float) -> Any:
    place = np.searchsorted(powers, self._values, side="right")
    return np.maximum(len(powers) - place - 1, 0), np.ones(len(place), dtype=bool)


def wrong_centre(self: Any, size: Any) -> Any:
    return (size - self._deviation) ** 2 / (2 * self._deviation**2)


BUGS = {
    "a sign that prefers one side": (sampler._Sampler, "_bits", biased_sign),
    "one step of the proposal forgotten": (sampler._Uniform, "powers_above", one_step_less),
    "the acceptance centred elsewhere": (sampler._Sampler, "_exponent", wrong_centre),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_noticed(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    where, name, wrong = BUGS[bug]
    monkeypatch.setattr(where, name, wrong)
    assert fit(sample(4.54, 300_000, margin=0.0), 4.54) < ALARM


def test_a_deviation_that_is_a_hundredth_off_is_noticed() -> None:
    assert fit(sample(4.54 * 1.01, 1_000_000), 4.54) < ALARM


def test_zero_counted_from_both_sides_is_noticed() -> None:
    drawn = sample(4.54, 300_000)
    doubled = np.concatenate([drawn, np.zeros((drawn == 0).sum(), dtype=np.int64)])
    assert fit(doubled, 4.54) < ALARM
