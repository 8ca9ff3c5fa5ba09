"""What a hub and an insider learn of patients carries the declared noise, and tells no more than the declared epsilon.

Everything is real: rows, analysis, quantising, noise and masks at every site, the hub's exchange, the result. What is
audited is the worst a Plan allows for: no more sites than a sum must have, of which one, an insider, adds no noise.
Bugs are planted in the real parts, one at a time, and each is noticed. False alarms have a probability below 1e-7.

A private count is audited a thousand cells at a time: a patient more in each is as many audits of one patient more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, chisquare, norm

from support import audits
from support.audits import ALARM, epsilon_shown
from support.whole_jobs import WholeJob, plan_for
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Rows
from synthema_core.analyses.descriptive.mean import Mean
from synthema_core.charging import mechanism_of
from synthema_core.plan import Plan
from synthema_core.privacy import bounding, noise
from synthema_core.privacy.bounding import Bounded, Bounding
from synthema_core.privacy.mechanisms import DistributedGaussian
from synthema_core.schemas import Schema
from synthema_datasite.worker import contributor

Steps: TypeAlias = NDArray[np.int64]
Audit: TypeAlias = Callable[[Steps], float]

CELLS, RUNS, FEW = 1000, 40, 20
EPSILON, DELTA = 2.0, 1e-3  # a large delta, at which an audit by samples sees most
A_PATIENT = 2.0**16
ROWS_EACH = 20

ONE_ROW = Schema.from_dict(
    {
        "name": "audited",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "age", "type": "number", "minimum": 0, "maximum": 100},
        ],
    }
)
VISITS = Schema.from_dict({**ONE_ROW.to_dict(), "rows_per_patient": ROWS_EACH})
BINS = {"column": "age", "bins": str(CELLS)}
COUNTS = plan_for(3, ONE_ROW, "histogram", BINS, epsilon=EPSILON, delta=DELTA)
WITHOUT_ONE = plan_for(4, ONE_ROW, "histogram", BINS, epsilon=EPSILON, delta=DELTA)
LOCAL = plan_for(1, ONE_ROW, "histogram", BINS, epsilon=EPSILON, delta=DELTA)
OF_VISITS = plan_for(1, VISITS, "histogram", {**BINS, "rows-per-patient": "1"}, epsilon=EPSILON, delta=DELTA)
MEAN = plan_for(1, ONE_ROW, "mean", {"column": "age"}, epsilon=EPSILON / 2, delta=DELTA)


def counted_on(plan: Plan) -> DistributedGaussian:
    mechanism = mechanism_of(plan, from_plan(plan.analysis, plan.parameters))
    assert mechanism is not None
    return mechanism


VARIANCE = counted_on(COUNTS).standard_deviation ** 2


def patients(ages: Sequence[float] | NDArray[np.float64], who: Sequence[int] | None = None) -> Rows:
    names = range(len(ages)) if who is None else who
    return {
        "id": np.array([f"p{name}" for name in names], dtype=object),
        "age": np.asarray(ages, dtype=np.float64),
    }


def in_each_cell(number: int) -> Rows:
    return patients(np.repeat((np.arange(CELLS) + 0.5) * 100 / CELLS, number))


def worst_case(plan: Plan, rows: Rows) -> WholeJob:
    """The first site has the patients; as many as may are missing, and one that is left is an insider."""
    alone = len(plan.sites) == 1
    remaining = plan.sites[: plan.terms.least]
    insiders = () if alone else remaining[-plan.terms.insiders :]
    return WholeJob(plan, {plan.sites[0]: rows}, insiders, plan.sites[plan.terms.least :])


def noise_of(plan: Plan, number: int = 3, runs: int = FEW) -> Steps:
    """(runs, cells): what is added to the true counts of so many patients in each cell."""
    job = worst_case(plan, in_each_cell(number))
    return np.array([job.hub_view() - int(number * A_PATIENT) for _ in range(runs)])


# The audits: each gives the probability of what it saw, were all as declared.


def variance_audit(noise: Steps) -> float:
    return audits.variance_audit(noise, VARIANCE)


def mean_audit(noise: Steps) -> float:
    return audits.mean_audit(noise, VARIANCE)


def shape_audit(noise: Steps) -> float:
    """On a grid as fine as ours a sum of discrete Gaussians fills the classes of one, 60 that are equally probable."""
    classes = np.floor(norm.cdf(noise / math.sqrt(VARIANCE)) * 60).astype(np.int64)
    return float(chisquare(np.bincount(np.clip(classes.ravel(), 0, 59), minlength=60)).pvalue)


def freshness_audit(noise: Steps) -> float:
    """No draw tells of the next, in another run or another cell."""
    pairs = ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1]))
    return min(2 * float(norm.sf(abs((a * b).sum()) / (VARIANCE * math.sqrt(a.size)))) for a, b in pairs)


def exactness_audit(noise: Steps) -> float:
    """How often there is no noise at all: once in some hundred thousand draws."""
    once = 1 / math.sqrt(2 * math.pi * VARIANCE)
    return float(binom.sf(int((noise == 0).sum()) - 1, noise.size, once))


AUDITS: Sequence[Audit] = (variance_audit, mean_audit, shape_audit, freshness_audit, exactness_audit)
NAMED = {"ids": lambda audit: audit.__name__}


# The real pipeline


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenDP's sampler is as good, but slow."""
    monkeypatch.setattr(noise, "FEW", 0)


@pytest.fixture(scope="module", params=["fast", "opendp", "without-one", "local"])
def seen(request: pytest.FixtureRequest) -> Steps:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "FEW", CELLS if request.param == "opendp" else 0)
        plan = {"without-one": WITHOUT_ONE, "local": LOCAL}.get(request.param, COUNTS)
        return noise_of(plan, runs=FEW if request.param == "opendp" else RUNS)


@pytest.mark.parametrize("audit", AUDITS, **NAMED)
def test_the_noise_is_what_was_declared(audit: Audit, seen: Steps) -> None:
    """With three sites, with one of four missing, and of one alone."""
    assert audit(seen) > ALARM


@pytest.mark.parametrize("plan", [COUNTS, WITHOUT_ONE, LOCAL], ids=["three", "without-one", "local"])
def test_one_patient_more_shows_no_more_than_the_declared_epsilon(plan: Plan) -> None:
    assert 0.2 * EPSILON < shown_of_counts(plan) < EPSILON, "an audit that sees nothing would not see a bug"


def shown_of_counts(plan: Plan, runs: int = RUNS) -> float:
    worlds = [noise_of(plan, number, runs).ravel() + int(number * A_PATIENT) for number in (3, 4)]
    return epsilon_shown(worlds[0], worlds[1], DELTA)


@pytest.mark.parametrize(("plan", "lost"), [(COUNTS, 0), (WITHOUT_ONE, 0), (WITHOUT_ONE, 1), (LOCAL, 0)])
def test_a_release_says_what_noise_it_carries_and_its_intervals_cover_it(plan: Plan, lost: int) -> None:
    """All sites have patients and add noise; some are gone before the Round."""
    gone = plan.sites[len(plan.sites) - lost :]
    job = WholeJob(plan, {site: in_each_cell(2) for site in plan.sites}, lost=gone)
    true, outcomes = 2 * (len(plan.sites) - lost), [job.outcome() for _ in range(8)]
    told = {outcome["noise_standard_deviation"] for outcome in outcomes}
    cells = [cell for outcome in outcomes for cell in outcome["result"]["cells"]]
    errors = np.array([cell["count"] - true for cell in cells])
    assert len(told) == 1
    assert all(set(outcome["missing"]) == set(gone) for outcome in outcomes)
    assert audits.variance_audit(errors, told.pop() ** 2) > ALARM
    covered = sum(cell["lower"] <= true <= cell["upper"] for cell in cells)
    assert binomtest(covered, len(cells), 0.95).pvalue > ALARM


def test_a_patient_with_many_rows_shows_no_more() -> None:
    assert shown_of_visits() < EPSILON


def shown_of_visits() -> float:
    """A patient more for every twenty cells, with a row in each of these; and all the others as before."""
    ages = (np.arange(CELLS) + 0.5) * 100 / CELLS
    more = np.repeat(np.arange(CELLS // ROWS_EACH), ROWS_EACH)
    views = []
    for rows in (patients(ages, range(CELLS)), patients(np.tile(ages, 2), [*range(CELLS), *(CELLS + more)])):
        job = worst_case(OF_VISITS, rows)
        cells = np.array([job.hub_view()[:CELLS] for _ in range(RUNS)])
        views.append(cells.reshape(-1, ROWS_EACH).sum(axis=1))
    return epsilon_shown(views[0], views[1], DELTA)


def test_a_patient_far_off_the_range_shows_no_more_of_a_mean() -> None:
    assert shown_of_mean() < EPSILON / 2


def shown_of_mean(runs: int = 200) -> float:
    """Along the direction in which the patient, of age 5000, changes the sums."""
    nobody, one = worst_case(MEAN, patients([])), worst_case(MEAN, patients([5000.0]))
    views = [np.array([job.hub_view()[:2].sum() for _ in range(runs)]) for job in (nobody, one)]
    return epsilon_shown(views[0], views[1], DELTA)


# Planted bugs


Drawn: TypeAlias = Callable[[float, int], Any]
draw = noise.draw


def a_tenth_small(deviation: float, length: int) -> Any:
    return draw(0.9 * deviation, length)


def a_tenth_large(deviation: float, length: int) -> Any:
    return draw(1.1 * deviation, length)


def one_site_forgets() -> Drawn:
    turns = count()
    return lambda deviation, length: draw(deviation, length) * np.uint64(next(turns) % 2)


def seed_used_again() -> Drawn:
    return lambda deviation, length: (
        np.rint(np.random.default_rng(7).normal(0, deviation, length)).astype(np.int64).view(np.uint64)
    )


def one_draw_for_all(deviation: float, length: int) -> Any:
    return np.repeat(draw(deviation, 1), length)


def exact_once_in_a_thousand() -> Drawn:
    """In the same cells at both sites of a Job."""
    turns, dice, kept = count(), np.random.default_rng(), [np.zeros(0)]

    def drawn(deviation: float, length: int) -> Any:
        if next(turns) % 2 == 0:
            kept[0] = dice.random(length) < 1e-3
        return np.where(kept[0], np.uint64(0), draw(deviation, length))

    return drawn


def never_negative(deviation: float, length: int) -> Any:
    return np.abs(draw(deviation, length).view(np.int64)).view(np.uint64)


def one_of_two_values(deviation: float, length: int) -> Any:
    """The right mean and variance, and that is all."""
    return np.where(np.random.default_rng().random(length) < 0.5, 1, -1).astype(np.int64).view(np.uint64) * np.uint64(
        deviation
    )


BUGS: Sequence[tuple[str, Drawn, Audit]] = (
    ("a tenth small", a_tenth_small, variance_audit),
    ("a tenth large", a_tenth_large, variance_audit),
    ("one site forgets its noise", one_site_forgets(), variance_audit),
    ("a seed used again", seed_used_again(), freshness_audit),
    ("one draw for all cells", one_draw_for_all, freshness_audit),
    ("exact once in a thousand", exact_once_in_a_thousand(), exactness_audit),
    ("never negative", never_negative, mean_audit),
    ("one of two values", one_of_two_values, shape_audit),
)


@pytest.mark.parametrize(("bug", "audit"), [bug[1:] for bug in BUGS], ids=[bug[0] for bug in BUGS])
def test_a_bug_in_the_noise_is_noticed(monkeypatch: pytest.MonkeyPatch, bug: Drawn, audit: Audit) -> None:
    monkeypatch.setattr(contributor, "draw", bug)
    assert audit(noise_of(COUNTS)) < ALARM


def test_parts_divided_by_all_sites_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By K, where only m - c are counted on."""
    part = property(lambda self: self.standard_deviation / math.sqrt(3))
    monkeypatch.setattr(DistributedGaussian, "site_deviation", part)
    assert variance_audit(noise_of(COUNTS)) < ALARM


def test_noise_for_a_third_of_a_patient_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contributor, "draw", lambda deviation, length: draw(deviation / 3, length))
    assert shown_of_counts(COUNTS, FEW) > EPSILON


def test_what_is_exact_once_in_a_thousand_shows_more_than_any_epsilon() -> None:
    """At a delta of one in a million, which a leak of one in a thousand is far above. Of draws alone: it takes many."""
    deviation, many = counted_on(COUNTS).standard_deviation, 1_000_000
    without, with_one_more = (draw(deviation, many).view(np.int64) + int(number * A_PATIENT) for number in (3, 4))
    assert epsilon_shown(without, with_one_more, 1e-6) < EPSILON
    without[np.random.default_rng().random(many) < 1e-3] = int(3 * A_PATIENT)
    assert epsilon_shown(without, with_one_more, 1e-6) > EPSILON


def test_rows_that_nobody_caps_show_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounding, "_lowest", lambda owners, most, hashes: np.ones(len(owners), dtype=np.bool_))
    assert shown_of_visits() > EPSILON


def test_values_that_nobody_clips_show_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both at the column's range and at the grid's."""

    def unclipped(self: Bounded, values: Any, fractional_bits: int) -> Any:
        return np.rint(np.ldexp(values, fractional_bits)).astype(np.int64)

    apply = Bounding.apply
    monkeypatch.setattr(Bounding, "apply", lambda self, *told: apply(replace(self, clips={}), *told))
    monkeypatch.setattr(Bounded, "averages", unclipped)
    assert shown_of_mean() > EPSILON / 2


def test_a_mean_without_noise_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mean, "sensitivity", property(lambda self: 100.0))
    assert shown_of_mean() > EPSILON / 2
