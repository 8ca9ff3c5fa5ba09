"""What K-1 colluding sites and the hub learn of the last one carries the declared noise, and costs no more.

The site's part is the real one: a Contributor over rows, in a secure sum with two others who add nothing, so that the
sum is what it let out. Each audit is shown to notice planted bugs. False alarms have a probability below 1e-7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare, norm

from support import audits
from support.audits import ALARM, epsilon_shown
from support.builders import KEYS, NOW, card
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Rows
from synthema_core.analyses.histogram import Histogram
from synthema_core.charging import mechanism_of
from synthema_core.planning import make_plan
from synthema_core.privacy.mechanisms import DiscreteGaussian
from synthema_core.privacy.noise import draw
from synthema_core.schemas import Schema
from synthema_core.secure_sum import Announcement, Member, Roster, add, input_digest
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.worker.contributions import OfEngine
from synthema_datasite.worker.contributor import Contributor

Steps: TypeAlias = NDArray[np.int64]
"""Signed steps of the ring."""
Pipeline: TypeAlias = Callable[[Rows], Steps]
"""From a site's rows to what the others can learn of its Contribution."""

CELLS, RUNS, FEW = 1000, 100, 40
EPSILON, DELTA = 2.0, 1e-3  # a large delta, at which an audit by samples sees most

SCHEMA = Schema.from_dict(
    {
        "name": "audited",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "age", "type": "number", "minimum": 0, "maximum": 100},
            {"name": "ferritin", "type": "number", "minimum": 0, "maximum": 5000, "required": False},
            {"name": "relapse", "type": "boolean", "required": False},
            {"name": "arm", "type": "category", "codes": ["a", "b"]},
        ],
    }
)
PLAN = make_plan(
    "histogram",
    {"column": "age", "bins": str(CELLS)},
    [card(site, schema=SCHEMA) for site in ("alder", "birch", "cedar")],
    requester="rosalind",
    purpose="An audit",
    now=NOW,
    epsilon=EPSILON,
    delta=DELTA,
)
QUESTION = Histogram.from_parameters(PLAN.parameters)


def declared() -> DiscreteGaussian:
    mechanism = mechanism_of(PLAN, QUESTION)
    assert mechanism is not None
    return mechanism


DECLARED = declared()


def patients(in_each_cell: int) -> Rows:
    """So many patients in every cell: a patient more in each is CELLS audits of one patient more."""
    return {"age": np.repeat((np.arange(CELLS) + 0.5) * 100 / CELLS, in_each_cell)}


class InMemory:
    """A RowStore of these rows."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def load(self, columns: Sequence[str]) -> Rows:
        return {column: self._rows[column] for column in columns}


def colluders_view(rows: Rows) -> Steps:
    """The sum of a Job in which all others added nothing: they could subtract what they had added."""
    analysis = from_plan(PLAN.analysis, PLAN.parameters)
    audited = Contributor("j1", "alder", PLAN, analysis, OfEngine(PLAN, analysis, InMemory(rows)))
    colluders = {site: Member(site, X25519PrivateKey.generate()) for site in ("birch", "cedar")}
    keys = {"alder": audited.mask_key, **{site: member.public_key for site, member in colluders.items()}}
    announced = [Announcement(site, "j1", PLAN.digest, key).signed(KEYS[site]) for site, key in keys.items()]
    roster = Roster.gather("j1", PLAN.digest, announced, PLAN.identities)
    nothing = np.zeros(0)
    arrived = {"alder": audited.contribute(1, nothing, roster.to_dict())}
    for site, member in colluders.items():
        member.join(roster)
        arrived[site] = member.mask(1, input_digest(nothing), np.zeros(CELLS, dtype=np.uint64))
    return add(arrived, PLAN.sites, CELLS).view(np.int64)


def exact(rows: Rows) -> Steps:
    return PLAN.layout.quantise(QUESTION.contribution(rows, np.zeros(0))).view(np.int64)


def noise_of(pipeline: Pipeline, rows: Rows, runs: int) -> Steps:
    """(runs, cells): what is added to the true counts."""
    return np.array([pipeline(rows) - exact(rows) for _ in range(runs)])


# The audits: each gives the probability of what it saw, were all as declared.


def variance_audit(noise: Steps) -> float:
    return audits.variance_audit(noise, DECLARED.variance)


def mean_audit(noise: Steps) -> float:
    return audits.mean_audit(noise, DECLARED.variance)


def shape_audit(noise: Steps) -> float:
    """Probabilities proportional to exp(-x^2 / (2 sigma^2)) on the whole numbers; tails in one class each."""
    reach = math.floor(2.5 * DECLARED.standard_deviation)
    support = np.arange(-20 * reach, 20 * reach + 1)
    weights = np.exp(-(support**2) / (2 * DECLARED.variance))
    expected = np.bincount(np.clip(support, -reach, reach) + reach, weights=weights / weights.sum())
    seen = np.bincount(np.clip(noise.ravel(), -reach, reach) + reach, minlength=len(expected))
    return float(chisquare(seen, expected * noise.size).pvalue)


def freshness_audit(noise: Steps) -> float:
    """No draw tells of the next, in another run or another cell."""
    pairs = ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1]))
    return min(2 * float(norm.sf(abs((a * b).sum()) / (DECLARED.variance * math.sqrt(a.size)))) for a, b in pairs)


AUDITS = (variance_audit, mean_audit, shape_audit, freshness_audit)


# The real pipeline


@pytest.fixture(scope="module")
def noise() -> Steps:
    return noise_of(colluders_view, patients(3), RUNS)


@pytest.mark.parametrize("audit", AUDITS, ids=lambda audit: audit.__name__)
def test_the_noise_is_what_was_declared(audit: Callable[[Steps], float], noise: Steps) -> None:
    assert audit(noise) > ALARM


def test_one_patient_more_shows_no_more_than_the_declared_epsilon(noise: Steps) -> None:
    with_one_more = noise_of(colluders_view, patients(4), RUNS).ravel() + 4
    shown = epsilon_shown(noise.ravel() + 3, with_one_more, DELTA)
    assert 0.3 * EPSILON < shown < EPSILON, "an audit that sees nothing would not see a bug"


def test_the_same_question_gets_fresh_noise() -> None:
    rows = patients(3)
    assert not np.array_equal(colluders_view(rows), colluders_view(rows))


# Planted bugs


def drawn(deviations: float = 1.0) -> Steps:
    mechanism = DiscreteGaussian(DECLARED.standard_deviation * deviations, DECLARED.sensitivity)
    return draw(mechanism, CELLS).view(np.int64)


def forgets_one_in_twenty(rows: Rows) -> Steps:
    return exact(rows) + drawn() * (np.random.default_rng().random(CELLS) >= 0.05)


kept = cache(drawn)


def one_draw_for_all_cells(rows: Rows) -> Steps:
    return exact(rows) + drawn()[0]


def uniform_noise(rows: Rows) -> Steps:
    reach = DECLARED.standard_deviation * math.sqrt(3)
    return exact(rows) + np.rint(np.random.default_rng().uniform(-reach, reach, CELLS)).astype(np.int64)


BUGS: dict[str, tuple[Pipeline, Callable[[Steps], float]]] = {
    "30 % too little noise": (lambda rows: exact(rows) + drawn(0.7), variance_audit),
    "10 % too little noise": (lambda rows: exact(rows) + drawn(0.9), variance_audit),
    "10 % too much noise": (lambda rows: exact(rows) + drawn(1.1), variance_audit),
    "no noise": (exact, variance_audit),
    "noise left out one time in twenty": (forgets_one_in_twenty, shape_audit),
    "uniform noise of that variance": (uniform_noise, shape_audit),
    "negative counts cut off": (lambda rows: np.maximum(exact(rows) + drawn(), 0), mean_audit),
    "the same noise in each run": (lambda rows: exact(rows) + kept(), freshness_audit),
    "one draw for all cells": (one_draw_for_all_cells, freshness_audit),
}


@pytest.mark.parametrize(("bug", "audit"), BUGS.values(), ids=BUGS)
def test_an_audit_notices_a_planted_bug(bug: Pipeline, audit: Callable[[Steps], float]) -> None:
    assert audit(noise_of(bug, patients(1), FEW)) < ALARM


def tripled(rows: Rows) -> Rows:
    """A patient with three rows whom nobody counts once."""
    return {"age": np.repeat(rows["age"], 3)}


@pytest.mark.parametrize(
    "bug",
    [
        lambda rows: exact(rows) + drawn(1 / 3),
        lambda rows: exact(tripled(rows)) + drawn(),
        exact,
    ],
    ids=["a third of the noise", "three rows of a patient counted", "no noise"],
)
def test_the_audit_of_epsilon_notices_a_planted_bug(bug: Pipeline) -> None:
    worlds = [np.concatenate([bug(patients(count)) for _ in range(FEW)]) for count in (3, 4)]
    assert epsilon_shown(*worlds, DELTA) > EPSILON


# Sensitivity

NUMBERS = st.one_of(st.floats(), st.floats(-10, 110), st.sampled_from([0.0, 100.0, 5000.0]))
VALUES = {
    "age": NUMBERS,
    "ferritin": NUMBERS,
    "relapse": st.one_of(st.sampled_from([0.0, 1.0, math.nan]), st.floats()),
    "arm": st.sampled_from(["a", "b", "", "c", "A"]),
}


def rows_of(column: str, values: Sequence[float | str]) -> Rows:
    return {column: np.array(values, dtype=object if column == "arm" else np.float64)}


def change(question: Histogram, column: str, values: Sequence[float | str], place: int) -> float:
    """L2 norm, in ring steps, by which the patient at `place` changes the Contribution."""
    others = [*values[:place], *values[place + 1 :]]
    before, after = (
        question.layout.quantise(question.contribution(rows_of(column, patients), np.zeros(0))).view(np.int64)
        for patients in (others, values)
    )
    return float(np.linalg.norm(after - before))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_patient_changes_a_contribution_by_more_than_the_sensitivity(data: st.DataObject) -> None:
    """Whatever the row holds, missing values and values no schema allows included."""
    column = data.draw(st.sampled_from(sorted(VALUES)))
    question = Histogram.from_options({"column": column}, SCHEMA)
    values = data.draw(st.lists(VALUES[column], min_size=1, max_size=20))
    place = data.draw(st.integers(0, len(values) - 1))
    assert change(question, column, values, place) <= question.sensitivity


class CountsNeighboursToo(Histogram):
    """A bug: a patient is in two cells."""

    def contribution(self, rows: Rows, values: Floats) -> Floats:
        counts = super().contribution(rows, values)
        return counts + np.roll(counts, 1)


def test_the_sensitivity_test_notices_a_patient_in_two_cells() -> None:
    question = CountsNeighboursToo.from_options({"column": "arm"}, SCHEMA)
    assert change(question, "arm", ["a", "b"], 0) > question.sensitivity
