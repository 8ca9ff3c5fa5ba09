"""The intervals of a private Table 1 cover as often as they say, noise and sampling together, from rows to result.

As in `test_mean_coverage`: real Contributions, quantised and summed in the ring, with noise of the declared scale. The
truth is the population's, of quantiles that of its values on the grid. A nominal 95 % has to be 90 to 99 % of the
runs; of quantiles, which can be no finer than their grid, 90 % or more.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from support.builders import NOW, SITES, card
from synthema_core.analyses.base import Patients, Rows, Sums
from synthema_core.analyses.descriptive.noisy_tables import Consistent
from synthema_core.analyses.descriptive.noisy_tree import Quantiles
from synthema_core.analyses.descriptive.ratio import Ratio
from synthema_core.analyses.descriptive.summary_private import PrivateSummary
from synthema_core.charging import mechanism_of
from synthema_core.planning import make_plan
from synthema_core.schemas import Schema

RUNS = 250
LEVELS = {"a": 0.55, "b": 0.27, "c": 0.15, "d": 0.03}
SCHEMA = Schema.from_dict(
    {
        "name": "labs",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "age", "type": "number", "minimum": 0, "maximum": 100},
            {"name": "blasts", "type": "number", "minimum": 0, "maximum": 100, "required": False},
            {"name": "kind", "type": "category", "codes": list(LEVELS), "required": False},
            {"name": "fit", "type": "boolean"},
            {"name": "arm", "type": "category", "codes": ["x", "y"]},
        ],
    }
)
SHARES = (0.25, 0.5, 0.75)
STEP = 2.0


def drawn(dice: Generator, patients: int) -> Rows:
    return {
        "age": np.clip(dice.normal(58, 15, patients), 0, 100),
        "blasts": np.where(dice.random(patients) < 0.15, np.nan, 100 * dice.beta(1.2, 3, patients)),
        "kind": np.where(dice.random(patients) < 0.1, "", dice.choice(list(LEVELS), patients, p=list(LEVELS.values()))),
        "fit": (dice.random(patients) < 0.35).astype(np.float64),
        "arm": dice.choice(["x", "y"], patients),
    }


@cache
def truth() -> dict[str, Any]:
    rows = drawn(np.random.default_rng(1), 2_000_000)
    found: dict[str, Any] = {}
    for name in ("age", "blasts"):
        known = rows[name][~np.isnan(rows[name])]
        on_grid = np.floor(known / STEP + 0.5) * STEP
        found[name] = known.mean(), np.quantile(on_grid, SHARES, method="inverted_cdf")
    return found


def outcomes(question: PrivateSummary, patients: int, sigma: float, said: float, dice: Generator) -> Counter[str]:
    """How often each kind of interval covers in one Release, and (under `all ...`) how many there are."""
    total = np.zeros(question.layout.length, dtype=np.uint64)
    for share in np.array_split(np.arange(patients), len(SITES)):
        rows = drawn(dice, len(share))
        total += question.layout.quantise(question.contribution(rows, np.zeros(0), Patients.one_a_row(rows)))
    total += np.rint(dice.normal(0, sigma, len(total))).astype(np.int64).view(np.uint64)
    sums = Sums(question.layout.dequantise(total), len(SITES), (said * sigma) ** 2)
    told = question.advance(None, sums).result
    seen: Counter[str] = Counter()

    def judge(kind: str, low: float, value: float, high: float) -> None:
        seen[f"all {kind}"] += 1
        seen[kind] += bool(low - 1e-9 <= value <= high + 1e-9)

    for part in told["variables"]:
        for where, own in zip(("overall", "group", "group"), (part["overall"], *part["groups"]), strict=True):
            if part["kind"] == "number":
                mean, quantiles = truth()[part["column"]]
                judge(f"{part['column']} mean {where}", own["lower"], mean, own["upper"])
                for value, (low, high) in zip(quantiles, own["quantile_intervals"], strict=True):
                    judge(f"quantile {where}", low, float(value), high)
                continue
            shares = [0.65, 0.35] if part["boolean"] else list(LEVELS.values())
            for share, low, high in zip(shares, own["lower"], own["upper"], strict=True):
                judge(f"{part['column']} share {where}", low, share, high)
    return seen


def covered(patients: int, epsilon: float, said: float = 1.0, runs: int = RUNS) -> dict[str, float]:
    """Share of intervals that cover, by their kind.

    Parameters
    ----------
    said
        How much of the noise's deviation the analysis is told of.
    """
    plan = make_plan(
        "summary-private",
        {"by": "arm", "resolution": f"age={STEP},blasts={STEP}"},
        [card(site, schema=SCHEMA) for site in SITES],
        requester="rosalind",
        purpose="An audit",
        now=NOW,
        epsilon=epsilon,
    )
    question = PrivateSummary.from_parameters(plan.parameters)
    mechanism = mechanism_of(plan, question)
    assert mechanism is not None
    sigma = math.sqrt(mechanism.sum_variance(len(SITES)))
    dice = np.random.default_rng([patients, round(100 * epsilon)])
    seen: Counter[str] = Counter()
    for _ in range(runs):
        seen.update(outcomes(question, patients, sigma, said, dice))
    return {kind: seen[kind] / seen[f"all {kind}"] for kind in seen if not kind.startswith("all ")}


def assert_nominal(found: dict[str, float]) -> None:
    for kind, share in found.items():
        assert 0.90 <= share <= (1.0 if kind.startswith("quantile") else 0.99), found


@pytest.mark.parametrize(("patients", "epsilon"), [(300, 10.0), (1500, 1.0)])
def test_the_intervals_cover_as_often_as_they_say(patients: int, epsilon: float) -> None:
    assert_nominal(covered(patients, epsilon))


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("patients", [500, 1500, 10_000])
def test_in_many_more_releases(patients: int, epsilon: float) -> None:
    assert_nominal(covered(patients, epsilon, runs=1000))


def test_with_more_noise_than_patients_intervals_are_wide_and_not_wrong() -> None:
    assert min(covered(100, 0.3, runs=60).values()) > 0.90


# Planted bugs


@pytest.mark.parametrize("said", [0.01, 0.5])
def test_noise_that_is_not_told_is_noticed(said: float) -> None:
    found = covered(1500, 1.0, said, runs=60)
    assert max(found["age mean group"], found["kind share group"], found["quantile group"]) < 0.9


def test_sampling_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ratio, "variance", 0.0)
    monkeypatch.setattr(
        "synthema_core.analyses.descriptive.noisy_tables.wilson", lambda p, _, noise: (p - noise**0.5, p + noise**0.5)
    )
    found = covered(300, 10.0, runs=60)
    assert max(found["age mean group"], found["fit share group"]) < 0.85


def test_the_noise_of_a_tree_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_it(tree: Any, nodes: Any, _: float, quantile: float) -> Quantiles:
        return Quantiles(tree, nodes, 1e-9, quantile)

    monkeypatch.setattr("synthema_core.analyses.descriptive.summary_noise.Quantiles", without_it)
    assert covered(1500, 1.0, runs=60)["quantile group"] < 0.85


def test_the_noise_of_shares_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Consistent.share
    monkeypatch.setattr(
        Consistent,
        "share",
        lambda self, *where, **how: real(Consistent(self.size, self.tables, 0.0, 0.0), *where, **how),
    )
    assert covered(1500, 1.0, runs=60)["kind share group"] < 0.85
