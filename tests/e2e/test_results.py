"""What real hospitals' processes answer together equals what their pooled rows would have answered."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from statsmodels.duration.hazard_regression import PHReg

from support.running import COX, KAPLAN_MEIER, Running
from synthema_core.release import Release
from synthema_core.request import Status
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.service.records import charges
from synthema_datasite.state import SiteState

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]
STEP = 90


@pytest.fixture(scope="module")
def km(federation: Running) -> dict:  # type: ignore[type-arg]
    return federation.released(federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="km-pooled"))


def test_survival_of_each_group_is_the_pooled_one(federation: Running, km: dict) -> None:  # type: ignore[type-arg]
    rows = federation.pooled("bmt").assign(gridded=lambda table: np.ceil(table["t2"] / STEP) * STEP)
    result = km["result"]
    assert result["patients"] == len(rows) == 137
    assert [arm["code"] for arm in result["arms"]] == ["1", "2", "3"], "a group absent at one hospital is there"
    for arm in result["arms"]:
        own = rows[rows["group"] == int(arm["code"])]
        fitted = KaplanMeierFitter().fit(own["gridded"], own["d3"])
        expected = fitted.survival_function_at_times(result["grid"]).to_numpy()
        assert np.allclose(arm["survival"], expected, atol=1e-9)
    test = multivariate_logrank_test(rows["gridded"], rows["group"], rows["d3"])
    assert result["log_rank"]["statistic"] == pytest.approx(test.test_statistic, abs=1e-6)


def test_hazard_ratios_are_those_of_the_pooled_model_stratified_by_hospital(federation: Running) -> None:
    result = federation.released(federation.ask("cox", "bmt", COX, name="cox-pooled"))["result"]
    rows = federation.pooled("bmt")
    design = np.column_stack([rows["z1"], rows["z2"], rows["group"] == 2, rows["group"] == 3]).astype(float)
    model = PHReg(rows["t2"], design, status=rows["d3"], strata=rows["site"], ties="breslow").fit()
    assert np.allclose([term["coefficient"] for term in result["terms"]], model.params, atol=1e-6)
    assert np.allclose([term["standard_error"] for term in result["terms"]], model.bse, atol=1e-6)


def test_a_release_says_where_it_comes_from_and_every_site_has_its_digest(federation: Running, km: dict) -> None:  # type: ignore[type-arg]
    release = Release.from_dict(km)
    assert release.guarantee.kind == "exact" and "no formal guarantee" in release.guarantee.statement
    assert sorted(release.sites) == sorted(federation.sites)
    for site in federation.sites:
        release.check_signature(SiteState(federation.state(site)).contact().hub_key)
        ended = federation.record(site, release.request)
        assert ended.request.status is Status.RELEASED
        assert ended.events[-1].detail["release_digest"] == release.digest


def test_a_private_count_is_noisy_near_the_truth_and_charged_at_every_site(federation: Running) -> None:
    release = federation.released(federation.ask("histogram", "myeloid", {"column": "flt3"}, epsilon=0.5))
    true = federation.pooled("myeloid")["flt3"].value_counts().sort_index().to_numpy()
    counts = np.array([cell["count"] for cell in release["result"]["cells"]])
    deviation = release["guarantee"]["noise_standard_deviation"]
    assert np.all(np.abs(counts - true) < 7 * deviation)
    assert release["guarantee"]["epsilon"] == 0.5
    for site in federation.sites:
        assert release["cumulative"][site] >= 0.5, "what its patients have borne is told with every answer"
        charged = charges(SqliteJournal(federation.state(site) / "journal.sqlite"), "myeloid")
        assert [charge.request for charge in charged].count(release["request"]) == 1


def test_one_hospital_alone_gives_a_count_with_all_its_noise(federation: Running) -> None:
    alone = federation.sites[0]
    release = federation.released(
        federation.ask("histogram", "myeloid", {"column": "trt"}, sites=(alone,), epsilon=0.5), [alone]
    )
    table = federation.pooled("myeloid")
    true = table[table["site"] == alone]["trt"].value_counts().sort_index().to_numpy()
    counts = np.array([cell["count"] for cell in release["result"]["cells"]])[: len(true)]
    deviation = release["guarantee"]["noise_standard_deviation"]
    assert np.all(np.abs(counts - true) < 7 * deviation)
    assert (release["sites"], release["guarantee"]["insiders"]) == ([alone], 0)
