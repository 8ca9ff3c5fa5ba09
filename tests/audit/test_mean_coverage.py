"""The interval of a private mean covers as often as it says, noise and sampling together, from rows to result.

Sites' rows are drawn from populations whose mean is known; each site's numbers are the real Contribution, quantised and
summed in the ring; noise of the declared scale is added by NumPy, because OpenDP's takes as long as all the rest. A
nominal 95 % has to be 90 to 99 % of the runs in every population: it is approximate where patients are few.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.random import Generator

from support.builders import NOW, SITES, card
from synthema_core.analyses.base import Patients, Sums
from synthema_core.analyses.descriptive.mean import Mean
from synthema_core.analyses.descriptive.ratio import Ratio
from synthema_core.charging import mechanism_of
from synthema_core.planning import make_plan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

RUNS = 400
SCHEMA = Schema.from_dict(
    {
        "name": "visits",
        "patient_id": "id",
        "rows_per_patient": 3,
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "value", "type": "number", "minimum": 0, "maximum": 100},
        ],
    }
)


@dataclass(frozen=True)
class Population:
    """Patients' values, before their visits differ a little."""

    draw: Callable[[Generator, int], Floats]
    mean: float


POPULATIONS = {
    "middling": Population(lambda dice, n: dice.normal(45, 12, n), 45.0),
    "spread evenly": Population(lambda dice, n: dice.uniform(10, 90, n), 50.0),
    "skewed": Population(lambda dice, n: 4 + 80 * dice.beta(1.5, 8, n), 4 + 80 * 1.5 / 9.5),
    "at one end": Population(lambda dice, n: dice.uniform(86, 96, n), 91.0),
}


def covers(question: Mean, population: Population, patients: int, sigma: float, said: float, dice: Generator) -> bool:
    """Whether the interval of one Release covers the population's mean."""
    total = np.zeros(question.layout.length, dtype=np.uint64)
    for share in np.array_split(np.arange(patients), len(SITES)):
        visits = dice.integers(1, 4, len(share))
        values = population.draw(dice, len(share)).repeat(visits)
        rows = {"value": values + dice.uniform(-3, 3, len(values))}
        who = Patients(np.array([str(number) for number in share.repeat(visits)], dtype=object), b"a key")
        total += question.layout.quantise(question.contribution(rows, np.zeros(0), who))
    total += np.rint(dice.normal(0, sigma, len(total))).astype(np.int64).view(np.uint64)
    sums = Sums(question.layout.dequantise(total), len(SITES), (said * sigma) ** 2)
    told = question.advance(None, sums).result["mean"]
    return bool(told["lower"] <= population.mean <= told["upper"])


def covered(population: Population, patients: int, epsilon: float, said: float = 1.0) -> float:
    """Share of Releases whose interval covers.

    Parameters
    ----------
    said
        How much of the noise's deviation the analysis is told of.
    """
    plan = make_plan(
        "mean",
        {"column": "value"},
        [card(site, schema=SCHEMA) for site in SITES],
        requester="rosalind",
        purpose="An audit",
        now=NOW,
        epsilon=epsilon,
    )
    question = Mean.from_parameters(plan.parameters)
    mechanism = mechanism_of(plan, question)
    assert mechanism is not None
    sigma = math.sqrt(mechanism.sum_variance(len(SITES)))
    dice = np.random.default_rng([patients, round(100 * epsilon)])
    return float(np.mean([covers(question, population, patients, sigma, said, dice) for _ in range(RUNS)]))


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
@pytest.mark.parametrize("patients", [30, 300])
@pytest.mark.parametrize("population", POPULATIONS.values(), ids=POPULATIONS)
def test_the_interval_covers_as_often_as_it_says(population: Population, patients: int, epsilon: float) -> None:
    assert 0.90 <= covered(population, patients, epsilon) <= 0.99


def test_with_more_noise_than_patients_the_interval_is_wide_and_not_wrong() -> None:
    assert covered(POPULATIONS["at one end"], 30, 0.1) > 0.97


# Planted bugs


@pytest.mark.parametrize("said", [0.0, 0.5])
def test_noise_that_is_not_told_is_noticed(said: float) -> None:
    assert covered(POPULATIONS["middling"], 300, 1.0, said) < 0.85


def test_sampling_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ratio, "variance", 0.0)
    assert covered(POPULATIONS["spread evenly"], 300, 10.0) < 0.85


def test_the_noise_of_the_count_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_it(count: float, total: float, complement: float, _: float, *rest: float) -> Ratio:
        return Ratio(count, total, complement, 1e-9, *rest)

    monkeypatch.setattr("synthema_core.analyses.descriptive.mean.Ratio", without_it)
    assert covered(POPULATIONS["at one end"], 300, 1.0) < 0.85
