"""The intervals of private regressions cover as often as they say, from rows to result.

Real Contributions, quantised and summed in the ring, with noise of the declared scale in each Round; the truth is the
population's. A nominal 95 % has to be 90 % of the intervals of each family, at the least, where a model has an answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.invented_registry import QUESTIONS, SCHEMA, TRUTH, drawn
from support.noisy_sums import planned, release
from synthema_core.analyses.private_regression.course import Fit
from synthema_core.errors import RoundFailed


def covered(family: str, patients: int, epsilon: float, runs: int, said: float = 1.0) -> tuple[float, float]:
    """The share of intervals that cover, and that of the models that have an answer."""
    question, sigma = planned(*QUESTIONS[family], SCHEMA, epsilon)
    truth = TRUTH * (0.5 if family == "poisson" else 1.0)
    dice = np.random.default_rng([patients, round(100 * epsilon), len(family)])
    hits: list[Any] = []
    for _ in range(runs):
        try:
            told = release(question, [drawn(dice, patients // 3) for _ in range(3)], sigma, dice, said)
        except RoundFailed:
            continue
        found = np.array([term["coefficient"] for term in told["terms"]])
        errors = np.array([term["standard_error"] for term in told["terms"]])
        hits.append(np.abs(found - truth) < 1.96 * errors)
    return float(np.mean(hits)) if hits else 1.0, len(hits) / runs


@pytest.mark.parametrize(("patients", "epsilon"), [(1500, 3.0), (9000, 1.0)])
@pytest.mark.parametrize("family", sorted(QUESTIONS))
def test_the_intervals_cover_as_often_as_they_say(family: str, patients: int, epsilon: float) -> None:
    share, answered = covered(family, patients, epsilon, runs=40)
    assert 0.90 <= share <= 0.995 and answered > 0.9, (share, answered)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patients", "epsilon"), [(500, 10.0), (1500, 3.0), (1500, 10.0), (10_000, 1.0), (10_000, 3.0)]
)
@pytest.mark.parametrize("family", sorted(QUESTIONS))
def test_in_many_more_releases(family: str, patients: int, epsilon: float) -> None:
    share, answered = covered(family, patients, epsilon, runs=300)
    assert 0.92 <= share <= 0.99 and answered > 0.9, (share, answered)


def test_where_all_is_noise_there_is_no_model() -> None:
    assert covered("binomial", 90, 0.5, runs=10) == (1.0, 0.0)


# Planted bugs


def test_noise_that_is_not_told_is_noticed() -> None:
    assert covered("binomial", 9000, 1.0, runs=30, said=0.2)[0] < 0.9


def test_sampling_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fit, "sampling", lambda self, _: 0 * self.information)
    assert covered("gaussian", 1500, 10.0, runs=30)[0] < 0.85
