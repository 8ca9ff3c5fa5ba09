"""Measure how much wider the noise makes intervals: `python bench/utility.py [--write]`.

Releases of private analyses about invented patients, as `%fed plan --patients` makes them: real Contributions of three
sites, the noise of the Plan. Of each size and epsilon the median half-width of an interval over 15 Releases, beside
that at epsilon 100, where there is next to no noise.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.figures import Row, as_text, circumstances, replace_figures
from synthema_core.card import Card
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.schemas import Schema
from synthema_kernel.expected import precision
from synthema_kernel.session import Rehearsed

_DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_SITES, _RUNS = ("alder", "birch", "cedar"), 15
_SIZES, _COSTS, _NO_NOISE = (500, 1500, 10_000), (1.0, 3.0, 10.0), 100.0
_SCHEMA = Schema.from_dict(
    {
        "name": "aml",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "age", "type": "number", "unit": "years", "minimum": 18, "maximum": 90},
            {"name": "wbc", "type": "number", "minimum": 0, "maximum": 200},
            {"name": "arm", "type": "category", "codes": ["x", "y", "z"]},
            {"name": "male", "type": "boolean"},
            {"name": "remission", "type": "boolean"},
            {"name": "infections", "type": "integer", "minimum": 0, "maximum": 12},
            {"name": "years", "type": "number", "unit": "years", "minimum": 0, "maximum": 10},
            {"name": "died", "type": "boolean"},
            {"name": "relapsed", "type": "boolean"},
        ],
    }
)
_CURVES = {"time": "years", "event": "died", "group": "male"}
_RIGHT = "age + wbc + arm + male"
_ASKED: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("a mean", "mean", {"column": "age"}),
    (
        "a mean in Table 1, of 6 columns by 2 groups",
        "summary-private",
        {"columns": "age,wbc,arm,remission,infections,died", "by": "male"},
    ),
    ("two by two", "crosstab-private", {"rows": "male", "columns": "remission"}),
    ("Kaplan-Meier, 2 groups, 20 steps", "kaplan-meier-private", _CURVES),
    ("cumulative incidence, 2 groups, 20 steps", "cumulative-incidence-private", {**_CURVES, "competing": "relapsed"}),
    ("linear regression, 5 coefficients", "glm-private", {"formula": "age ~ wbc + arm + male + died"}),
    ("logistic regression, 5 coefficients", "glm-private", {"formula": f"remission ~ {_RIGHT}", "family": "binomial"}),
    ("Poisson regression, 5 coefficients", "glm-private", {"formula": f"infections ~ {_RIGHT}", "family": "poisson"}),
    ("proportional hazards, 5 coefficients", "cox-private", {"time": "years", "event": "died", "formula": _RIGHT}),
)
_HEADINGS: Row = ("analysis", "patients", *(f"epsilon {cost:g}" for cost in _COSTS), "without noise")


def _plan(analysis: str, typed: Mapping[str, str]) -> Plan:
    cards = []
    for place, site in enumerate(_SITES):
        key = Ed25519PrivateKey.from_private_bytes(bytes([place + 1]) * 32)
        policy = {"min_patients": 5, "min_sites": 3, "exact": True}
        cards.append(Card(site, public_key(key), "aml", 1, _SCHEMA, f"{place}" * 64, policy, "e" * 64))
    return make_plan(
        analysis, dict(typed), cards, requester="bench", purpose="Measuring", now=datetime.now(UTC), epsilon=1.0
    )


def _measured(rehearsed: Rehearsed, patients: int, cost: float) -> tuple[float, str, float]:
    """The median width and its spelling, and which share of runs had an estimate."""
    found = [told for told in (precision(rehearsed, patients, cost, run) for run in range(_RUNS)) if told]
    if not found:
        return math.inf, "none", 0.0
    middle = sorted(found, key=lambda told: told.half_width)[len(found) // 2]
    return median(told.half_width for told in found), middle.spelled, len(found) / _RUNS


def _rows(title: str, analysis: str, typed: Mapping[str, str]) -> list[Row]:
    rehearsed = Rehearsed("bench", _plan(analysis, typed), _SCHEMA, 1)
    rows: list[Row] = []
    for patients in _SIZES:
        width, spelled, _ = _measured(rehearsed, patients, _NO_NOISE)
        cells = [_cell(_measured(rehearsed, patients, cost), width) for cost in _COSTS]
        rows.append((title, f"{patients:,}", *cells, spelled))
    return rows


def _cell(measured: tuple[float, str, float], without: float) -> str:
    width, spelled, answered = measured
    if not answered:
        return "no estimate"
    often = "" if answered == 1.0 else f", {answered:.0%} of runs"
    return f"{spelled} ({width / without:.2f} times{often})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    wanted = parser.parse_args()
    load = os.getloadavg()[0]
    table = [_HEADINGS]
    for title, analysis, typed in _ASKED:
        table += _rows(title, analysis, typed)
    print(as_text(table))
    if wanted.write:
        replace_figures(_DOCUMENT, table, circumstances(load), "utility")


if __name__ == "__main__":
    main()
