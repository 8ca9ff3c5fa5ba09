"""Private tables: a test of independence errs as often as it says, and intervals of effects cover, noise included."""

from __future__ import annotations

import numpy as np
import pytest

from support.invented_registry import SCHEMA, drawn
from support.noisy_sums import planned, release

TRUTHS = {"odds_ratio": 1.0, "risk_ratio": 1.0, "risk_difference": 0.0}


def releases(rows: str, patients: int, epsilon: float, runs: int, said: float = 1.0) -> tuple[float, float]:
    """Of two columns that have nothing to do with each other: the share of p below 0.05, and of effects covered."""
    question, sigma = planned("crosstab-private", {"rows": rows, "columns": "remission"}, SCHEMA, epsilon)
    wrong, covered = [], []
    for seed in range(runs):
        dice = np.random.default_rng([patients, seed])
        table = drawn(dice, patients)
        table["arm"] = dice.permutation(table["arm"])
        sites = [{name: column[place::3] for name, column in table.items()} for place in range(3)]
        told = release(question, sites, sigma, dice, said)
        if told["tests"]:
            wrong.append(told["tests"]["chi_square"]["p"] < 0.05)
        if told["effects"]:
            covered += [
                (told["effects"][name]["lower"] or 0.0) <= truth <= (told["effects"][name]["upper"] or np.inf)
                for name, truth in TRUTHS.items()
            ]
    return float(np.mean(wrong)), float(np.mean(covered)) if covered else 1.0


@pytest.mark.parametrize(("patients", "epsilon"), [(300, 1.0), (1500, 1.0)])
@pytest.mark.parametrize("rows", ["arm", "male"])
def test_errs_and_covers_as_it_says(rows: str, patients: int, epsilon: float) -> None:
    wrong, covered = releases(rows, patients, epsilon, runs=100)
    assert wrong <= 0.1, wrong
    assert covered >= 0.9, covered


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("patients", [500, 1500, 10_000])
@pytest.mark.parametrize("rows", ["arm", "male"])
def test_in_many_more_releases(rows: str, patients: int, epsilon: float) -> None:
    wrong, covered = releases(rows, patients, epsilon, runs=600)
    assert 0.02 <= wrong <= 0.08, wrong
    assert covered >= 0.92, covered


def test_noise_that_is_not_told_is_noticed() -> None:
    wrong, covered = releases("male", 300, 0.25, runs=60, said=0.2)
    assert wrong > 0.2
    assert covered < 0.85
