"""The noise that is counted on is there, for 3 to 20 sites, whoever is missing and whoever's noise is known.

The sums are those of real Jobs over the real protocol. Bugs are noticed at every number of sites.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.audits import ALARM, mean_audit, variance_audit
from support.whole_jobs import WholeJob, plan_for
from synthema_core.analyses import from_plan
from synthema_core.charging import mechanism_of
from synthema_core.plan import Plan
from synthema_core.privacy import noise
from synthema_core.privacy.mechanisms import DistributedGaussian
from synthema_core.schemas import Schema
from synthema_datasite.worker import contributor

SCHEMA = Schema.from_dict(
    {
        "name": "audited",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "age", "type": "number", "minimum": 0, "maximum": 100},
        ],
    }
)
CELLS = 1000
SITES = range(3, 21)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "FEW", 0)


def plan_of(sites: int, insiders: int) -> Plan:
    return plan_for(sites, SCHEMA, "histogram", {"column": "age", "bins": str(CELLS)}, insiders=insiders)


def mechanism(plan: Plan) -> DistributedGaussian:
    found = mechanism_of(plan, from_plan(plan.analysis, plan.parameters))
    assert found is not None
    return found


def fewest(plan: Plan) -> NDArray[np.float64]:
    """Noise of a sum without those who may be missing, and without the insiders' parts; in deviations counted on."""
    remaining = plan.sites[: plan.terms.least]
    job = WholeJob(plan, {}, remaining[len(remaining) - plan.terms.insiders :], plan.sites[plan.terms.least :])
    return job.hub_view() / mechanism(plan).standard_deviation


def most_insiders(sites: int) -> int:
    return plan_of(sites, 0).terms.most_insiders


@pytest.mark.parametrize("sites", SITES)
def test_the_fewest_honest_sites_add_exactly_what_is_counted_on(sites: int) -> None:
    noise = fewest(plan_of(sites, most_insiders(sites)))
    assert variance_audit(noise, 1.0) > ALARM
    assert mean_audit(noise, 1.0) > ALARM


@pytest.mark.parametrize(("sites", "insiders"), [(3, 0), (3, 1), (4, 0), (7, 1), (12, 3), (20, 1)])
def test_all_sites_together_add_more_as_is_said(sites: int, insiders: int) -> None:
    plan = plan_of(sites, insiders)
    told = mechanism(plan).sum_variance(sites)
    assert told == pytest.approx(mechanism(plan).standard_deviation ** 2 * sites / (plan.terms.least - insiders))
    assert variance_audit(WholeJob(plan, {}).hub_view(), told) > ALARM


# Planted bugs


def divided_by_all(self: DistributedGaussian, plan: Plan) -> float:
    return self.standard_deviation / math.sqrt(len(plan.sites))


def divided_by_the_fewest(self: DistributedGaussian, plan: Plan) -> float:
    """The insiders forgotten."""
    return self.standard_deviation / math.sqrt(plan.terms.least)


@pytest.mark.parametrize("bug", [divided_by_all, divided_by_the_fewest], ids=lambda bug: bug.__name__)
@pytest.mark.parametrize("sites", [3, 4, 8])
def test_parts_that_are_too_small_are_noticed(
    monkeypatch: pytest.MonkeyPatch, sites: int, bug: Callable[[DistributedGaussian, Plan], float]
) -> None:
    plan = plan_of(sites, most_insiders(sites))
    monkeypatch.setattr(DistributedGaussian, "site_deviation", property(lambda self: bug(self, plan)))
    assert variance_audit(fewest(plan), 1.0) < ALARM


@pytest.mark.parametrize("off", [0.9, 1.1])
def test_parts_that_are_a_tenth_off_are_noticed_over_a_few_jobs(monkeypatch: pytest.MonkeyPatch, off: float) -> None:
    draw: Callable[[float, int], Any] = noise.draw
    monkeypatch.setattr(contributor, "draw", lambda deviation, length: draw(off * deviation, length))
    plan = plan_of(4, 1)
    assert variance_audit(np.concatenate([fewest(plan) for _ in range(10)]), 1.0) < ALARM
