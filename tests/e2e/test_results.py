"""What real hospitals' processes answer together equals what their pooled rows would have answered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
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
    model = PHReg(rows["t2"], design, status=rows["d3"], strata=rows["site"], ties="efron").fit()
    assert np.allclose([term["coefficient"] for term in result["terms"]], model.params, atol=1e-6)
    assert np.allclose([term["standard_error"] for term in result["terms"]], model.bse, atol=1e-6)


def test_table_1_is_that_of_the_pooled_rows(federation: Running) -> None:
    asked = federation.ask("summary", "bmt", {"columns": "z1,z3,z8", "by": "group", "quantiles": "0.5"}, name="table-1")
    result = federation.released(asked)["result"]
    rows = federation.pooled("bmt")
    age, male, fab = result["variables"]
    for told, (_, own) in zip([*age["groups"], age["overall"]], [*rows.groupby("group"), ("all", rows)], strict=True):
        assert (told["n"], told["missing"]) == (len(own), 0)
        assert told["mean"] == pytest.approx(own["z1"].mean(), rel=1e-7)
        assert told["sd"] == pytest.approx(own["z1"].std(), rel=1e-6)
        assert told["quantiles"] == [np.quantile(own["z1"], 0.5, method="inverted_cdf")]
    for told, name in ((male, "z3"), (fab, "z8")):
        counts = [group["counts"] for group in told["groups"]]
        assert counts == pd.crosstab(rows["group"], rows[name]).to_numpy().tolist()


def test_table_1_with_noise_is_near_the_pooled_one(federation: Running) -> None:
    asked = federation.ask("summary", "myeloid", {"columns": "futime,sex"}, epsilon=0.5, name="table-1-noisy")
    result = federation.released(asked)["result"]
    rows = federation.pooled("myeloid")
    days, sex = (variable["overall"] for variable in result["variables"])
    assert days["mean"] == pytest.approx(rows["futime"].mean(), abs=200)
    women = float((rows["sex"] == "f").mean())
    assert sex["proportions"][0] == pytest.approx(women, abs=0.1)


def test_odds_ratios_are_those_of_the_pooled_model_with_an_intercept_for_each_hospital(federation: Running) -> None:
    options = {"formula": "d3 ~ z1 + group", "family": "binomial"}
    result = federation.released(federation.ask("glm", "bmt", options, name="glm-pooled"))["result"]
    rows = federation.pooled("bmt")
    design = pd.get_dummies(rows["site"], dtype=float).assign(
        z1=rows["z1"], low=rows["group"] == 2, high=rows["group"] == 3
    )
    model = sm.GLM(rows["d3"], design.astype(float), family=sm.families.Binomial()).fit(tol=1e-12)
    told = {term["name"]: term for term in result["terms"]}
    assert list(told) == ["z1", "group=2", "group=3"]
    for term, name in zip(told.values(), ("z1", "low", "high"), strict=True):
        assert term["coefficient"] == pytest.approx(model.params[name], abs=1e-6)
        assert term["standard_error"] == pytest.approx(model.bse[name], abs=1e-6)


def test_a_table_of_two_categories_is_the_pooled_one(federation: Running) -> None:
    asked = federation.ask("crosstab", "bmt", {"rows": "group", "columns": "d3"}, name="by-group")
    result = federation.released(asked)["result"]
    rows = federation.pooled("bmt")
    assert result["counts"] == pd.crosstab(rows["group"], rows["d3"]).to_numpy().tolist()


def test_a_release_says_where_it_comes_from_and_every_site_has_its_digest(federation: Running, km: dict) -> None:  # type: ignore[type-arg]
    release = Release.from_dict(km)
    assert release.guarantee.kind == "exact" and "no formal guarantee" in release.guarantee.statement
    assert sorted(release.sites) == sorted(federation.sites)
    for site in federation.sites:
        release.check_signature(SiteState(federation.state(site)).contact().hub_key)
        ended = federation.record(site, release.request)
        assert ended.request.status is Status.RELEASED
        assert ended.events[-1].detail["release_digest"] == release.digest


def test_a_private_curve_is_near_the_pooled_one(federation: Running) -> None:
    typed = {"time": "futime", "event": "death", "step": "250", "at": "500"}
    release = federation.released(federation.ask("kaplan-meier", "myeloid", typed, epsilon=0.4, name="curve-noisy"))
    assert release["guarantee"]["epsilon"] == 0.4
    rows = federation.pooled("myeloid")
    curve = KaplanMeierFitter().fit(rows["futime"], rows["death"])
    (arm,) = release["result"]["arms"]
    assert arm["at"][0]["survival"] == pytest.approx(float(curve.predict(500)), abs=0.25)
    assert release["result"]["patients"] == pytest.approx(len(rows), abs=450)


def test_a_private_count_is_noisy_near_the_truth_and_charged_at_every_site(federation: Running) -> None:
    release = federation.released(federation.ask("histogram", "myeloid", {"column": "flt3"}, epsilon=0.5))
    true = federation.pooled("myeloid")["flt3"].value_counts().sort_index().to_numpy()
    counts = np.array([cell["count"] for cell in release["result"]["cells"]])
    deviation = release["guarantee"]["noise_standard_deviation"]
    assert np.all(np.abs(counts - true) < 7 * deviation)
    assert release["guarantee"]["epsilon"] == 0.5
    for site in federation.sites:
        assert release["cumulative"][site] > 0.45, "what its patients have borne is told with every answer"
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
