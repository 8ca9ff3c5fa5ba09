"""The intervals of private survival curves cover as often as they say, and their tests err as often as they say.

Real Contributions, quantised and summed in the ring, with noise of the declared scale; the truth is the population's.
A nominal 95 % has to be 90 % of the runs at the least, at every time of the grid; a test at 5 % errs in 1 to 10 %.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from numpy.random import Generator

from support.noisy_sums import planned, release
from synthema_core.analyses.base import Rows
from synthema_core.analyses.noisy_functions import Spread
from synthema_core.analyses.survival import noisy_curves
from synthema_core.schemas import Schema

STEP, HORIZON = 0.5, 10.0
GRID = np.arange(1, 21) * STEP
TIMES, UNTIL = (2.25, 5.0), 4.0
SHAPE, SCALE = 0.8, 6.0
SCHEMA = Schema.from_dict(
    {
        "name": "registry",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "years", "type": "number", "minimum": 0, "maximum": 15},
            {"name": "died", "type": "boolean"},
            {"name": "arm", "type": "category", "codes": ["x", "y"]},
        ],
    }
)
OPTIONS = {
    "time": "years",
    "event": "died",
    "group": "arm",
    "step": str(STEP),
    "horizon": str(HORIZON),
    "at": ",".join(map(str, TIMES)),
    "rmst": str(UNTIL),
}


def survival(time: np.ndarray) -> np.ndarray:
    return np.exp(-((np.asarray(time) / SCALE) ** SHAPE))


def drawn(dice: Generator, patients: int) -> Rows:
    """Both arms alike; half of the patients are censored, many of them late."""
    died = dice.weibull(SHAPE, patients) * SCALE
    left = np.minimum(dice.uniform(2, 14, patients), dice.exponential(20, patients))
    arm = np.where(dice.random(patients) < 0.5, "x", "y").astype(object)
    return {"years": np.minimum(died, left), "died": (died <= left).astype(np.float64), "arm": arm}


def covered(patients: int, epsilon: float, said: float = 1.0, runs: int = 200) -> dict[str, float]:
    """Shares of intervals that cover, by their kind; and of tests at 5 % that reject (under `log-rank`)."""
    question, sigma = planned("kaplan-meier-private", OPTIONS, SCHEMA, epsilon)
    dice = np.random.default_rng([patients, round(100 * epsilon)])
    truth = {"mean": float(np.trapezoid(survival(fine := np.linspace(0, UNTIL, 4001)), fine))}
    truth["median"] = SCALE * math.log(2) ** (1 / SHAPE)
    seen: Counter[str] = Counter()

    def judge(kind: str, low: float | None, value: float, high: float | None) -> None:
        seen[f"all {kind}"] += 1
        seen[kind] += (low is None or low - 1e-9 <= value) and (high is None or value <= high + 1e-9)

    for _ in range(runs):
        told = release(question, [drawn(dice, patients // 3) for _ in range(3)], sigma, dice, said)
        for arm, mean in zip(told["arms"], told["restricted_means"]["arms"], strict=True):
            for time, low, high in zip(GRID, arm["lower"][1:], arm["upper"][1:], strict=True):
                judge(f"survival to {time:g}", low, float(survival(time)), high)
            for own in arm["at"]:
                judge(f"landmark {own['time']:g}", own["lower"], float(survival(own["time"])), own["upper"])
            judge("median", arm["median_interval"][0], truth["median"], arm["median_interval"][1])
            if mean:
                judge("restricted mean", mean["lower"], truth["mean"], mean["upper"])
        for own in told["at"]:
            if own:
                judge("difference", own["lower"], 0.0, own["upper"])
        if told["log_rank"]:
            seen["all log-rank"] += 1
            seen["log-rank"] += told["log_rank"]["p"] < 0.05
    return {kind: seen[kind] / seen[f"all {kind}"] for kind in seen if not kind.startswith("all ")}


def assert_nominal(found: dict[str, float]) -> None:
    assert 0.01 <= found.pop("log-rank") <= 0.10, found
    assert min(found.values()) >= 0.90, found
    assert np.mean([share for kind, share in found.items() if kind.startswith("survival")]) <= 0.99, found


@pytest.mark.parametrize(("patients", "epsilon"), [(300, 10.0), (1500, 1.0)])
def test_the_intervals_cover_as_often_as_they_say(patients: int, epsilon: float) -> None:
    assert_nominal(covered(patients, epsilon))


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("patients", [500, 1500, 10_000])
def test_in_many_more_releases(patients: int, epsilon: float) -> None:
    assert_nominal(covered(patients, epsilon, runs=1000))


def test_with_more_noise_than_patients_intervals_are_wide_and_not_wrong() -> None:
    found = covered(90, 0.5, runs=60)
    found.pop("log-rank", None)
    assert min(found.values()) >= 0.90, found


# Planted bugs


@pytest.mark.parametrize("said", [0.01, 0.5])
def test_noise_that_is_not_told_is_noticed(said: float) -> None:
    found = covered(1500, 1.0, said, runs=60)
    assert found["survival to 5"] < 0.9 and found["log-rank"] > 0.1


def test_sampling_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spread, "sampling_variances", property(lambda self: 0 * self.noise_variances))
    found = covered(1500, 10.0, runs=60)
    assert max(found["restricted mean"], found["difference"]) < 0.85


def test_a_wrong_number_at_risk_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        noisy_curves, "life_table", lambda counts: (noisy_curves.split(counts)[0], 1.2 * noisy_curves.at_risk(counts))
    )
    assert covered(1500, 10.0, runs=30)["survival to 5"] < 0.9
