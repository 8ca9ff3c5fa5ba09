"""Private cumulative incidence: bands cover as often as they say, and Gray's test errs as often, noise included."""

from __future__ import annotations

import numpy as np
import pytest

from support.invented_registry import SCHEMA, drawn
from support.noisy_sums import planned, release
from synthema_core.analyses.base import Rows

TIMES = (1.0, 3.0, 5.0)
TYPED = {"time": "years", "event": "relapsed", "competing": "died", "at": "1,3,5", "group": "male"}


def patients(dice: np.random.Generator, number: int) -> Rows:
    """Hazards of 0.1 and 0.05 a year, whatever else is known of a patient."""
    rows = dict(drawn(dice, number))
    ends, leaves = dice.exponential(1 / 0.15, number), np.minimum(dice.uniform(1, 12, number), 10)
    relapsed = dice.random(number) < 2 / 3
    rows["years"] = np.minimum(ends, leaves)
    rows["relapsed"] = ((ends <= leaves) & relapsed).astype(np.float64)
    rows["died"] = ((ends <= leaves) & ~relapsed).astype(np.float64)
    return rows


def releases(number: int, epsilon: float, runs: int, said: float = 1.0) -> tuple[float, float]:
    """The share of p below 0.05 between groups that are alike, and of intervals that cover."""
    question, sigma = planned("cumulative-incidence-private", TYPED, SCHEMA, epsilon)
    truth = {time: 2 / 3 * (1 - np.exp(-0.15 * time)) for time in TIMES}
    wrong, covered = [], []
    for seed in range(runs):
        dice = np.random.default_rng([number, seed])
        rows = patients(dice, number)
        sites = [{name: column[place::3] for name, column in rows.items()} for place in range(3)]
        told = release(question, sites, sigma, dice, said)
        if told["tests"][0]["test"]:
            wrong.append(told["tests"][0]["test"]["p"] < 0.05)
        covered += [
            own["lower"] <= truth[own["time"]] <= own["upper"]
            for arm in told["arms"]
            for own in arm["causes"][0]["at"]
            if own["incidence"] is not None
        ]
    return float(np.mean(wrong)), float(np.mean(covered))


@pytest.mark.parametrize(("number", "epsilon"), [(500, 3.0), (1500, 1.0)])
def test_errs_and_covers_as_it_says(number: int, epsilon: float) -> None:
    wrong, covered = releases(number, epsilon, runs=60)
    assert wrong <= 0.12, wrong
    assert covered >= 0.9, covered


@pytest.mark.slow
@pytest.mark.parametrize(("number", "epsilon"), [(500, 3.0), (500, 10.0), (1500, 1.0), (1500, 3.0), (10_000, 1.0)])
def test_in_many_more_releases(number: int, epsilon: float) -> None:
    wrong, covered = releases(number, epsilon, runs=500)
    assert 0.02 <= wrong <= 0.09, wrong
    assert 0.92 <= covered <= 0.99, covered


def test_noise_that_is_not_told_is_noticed() -> None:
    wrong, covered = releases(500, 1.0, runs=40, said=0.1)
    assert wrong > 0.15 or covered < 0.85
