"""What is said of survival curves beside them is what lifelines says of the same rows on the same grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lifelines import KaplanMeierFitter, NelsonAalenFitter
from lifelines.statistics import pairwise_logrank_test, survival_difference_at_fixed_point_in_time_test
from lifelines.utils import median_survival_times, restricted_mean_survival_time
from scipy.stats import chi2

from synthema_core.analyses.survival.kaplan_meier import KaplanMeier
from synthema_core.analyses.survival.survival_summaries import holm
from synthema_core.errors import InvalidInput, InvalidPlan

STEP = 30


def asked(schema, **typed):
    options = {"time": "t2", "event": "d3", "step": str(STEP), **typed}
    question = KaplanMeier.from_options(options, schema)
    question.check_against(schema)
    return question


def gridded(rows):
    return np.ceil(rows["t2"] / STEP) * STEP


def fitted(rows):
    return KaplanMeierFitter().fit(gridded(rows), rows["d3"])


@pytest.fixture
def arms(bmt):
    return [own for _, own in bmt.groupby("disease")]


@pytest.fixture
def result(bmt, schema, fed):
    question = asked(schema, group="disease", at="365,730", rmst="1000")
    return fed.run(question, fed.split(bmt, bmt["z9"]))


def test_the_median_has_an_interval(result, arms):
    for told, own in zip(result["arms"], arms, strict=True):
        expected = median_survival_times(fitted(own).confidence_interval_).to_numpy().ravel()
        assert told["median"] == fitted(own).median_survival_time_
        assert told["median_interval"] == [None if math.isinf(end) else end for end in expected]


def test_the_cumulative_hazard_is_nelsons_and_aalens(result, arms):
    for told, own in zip(result["arms"], arms, strict=True):
        known = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(gridded(own), own["d3"])
        expected = known.cumulative_hazard_at_times(result["grid"]).to_numpy()
        assert told["hazard"] == pytest.approx(expected, abs=1e-9)
        table = known.event_table
        variance = (table["observed"] / table["at_risk"] ** 2).cumsum().reindex(result["grid"], method="ffill")
        assert told["hazard_error"] == pytest.approx(np.sqrt(variance.fillna(0)), abs=1e-9)


def test_survival_is_told_at_times_between_the_grids_too(result, arms):
    for told, own in zip(result["arms"], arms, strict=True):
        for landmark in told["at"]:
            assert landmark["survival"] == pytest.approx(fitted(own).predict(landmark["time"]), abs=1e-9)
            assert landmark["at_risk"] == (gridded(own) >= landmark["time"] // STEP * STEP).sum()
            assert landmark["lower"] < landmark["survival"] < landmark["upper"]


def test_the_restricted_mean_is_the_area_under_the_curve(result, arms):
    for told, own in zip(result["restricted_means"]["arms"], arms, strict=True):
        assert told["value"] == pytest.approx(restricted_mean_survival_time(fitted(own), t=1000), rel=1e-9)
        assert told["standard_error"] == pytest.approx(_error_by_the_book(own, 1000), rel=1e-9)
    assert result["restricted_means"]["difference"] is None, "of three"


def _error_by_the_book(rows, until):
    """Klein and Moeschberger, 4.5.2: one term a time of death."""
    table, total = fitted(rows).event_table, 0.0
    for time, line in table.iterrows():
        if 0 < time <= until and line["observed"] and line["at_risk"] > line["observed"]:
            area = restricted_mean_survival_time(fitted(rows), t=until) - restricted_mean_survival_time(
                fitted(rows), t=time
            )
            total += area**2 * line["observed"] / (line["at_risk"] * (line["at_risk"] - line["observed"]))
    return math.sqrt(total)


def test_every_two_arms_are_compared_with_holms_correction(result, bmt):
    expected = pairwise_logrank_test(gridded(bmt), bmt["disease"], bmt["d3"]).summary
    assert [pair["test"]["statistic"] for pair in result["pairs"]] == pytest.approx(expected["test_statistic"].tolist())
    p = [pair["test"]["p"] for pair in result["pairs"]]
    assert p == pytest.approx(expected["p"].tolist())
    ordered = sorted(range(3), key=lambda place: p[place])
    holm = np.maximum.accumulate([p[place] * (3 - rank) for rank, place in enumerate(ordered)]).clip(max=1)
    assert [result["pairs"][place]["p_holm"] for place in ordered] == pytest.approx(holm.tolist())


def test_a_corrected_p_is_never_below_that_of_a_smaller_one():
    assert holm([0.05, 0.04, 0.041]) == pytest.approx([0.12, 0.12, 0.12])
    assert holm([0.01, 0.6, 0.5]) == pytest.approx([0.03, 1.0, 1.0])


def test_two_arms_are_compared_at_times_and_by_their_restricted_means(bmt, schema, fed):
    result = fed.run(asked(schema, group="z3", at="360", rmst="720"), fed.split(bmt, bmt["z9"]))
    one, other = (own for _, own in bmt.groupby("z3"))
    (told,) = result["at"]
    assert (told["statistic"], told["p"]) == pytest.approx(
        _by_klein_and_others(fitted(one), fitted(other), 360), rel=1e-9
    )
    roughly = survival_difference_at_fixed_point_in_time_test(360, fitted(one), fitted(other))
    assert told["statistic"] == pytest.approx(roughly.test_statistic, rel=0.1), "which interpolates the variance"
    difference, (first, second) = result["restricted_means"]["difference"], result["restricted_means"]["arms"]
    assert difference["value"] == pytest.approx(second["value"] - first["value"])
    assert difference["standard_error"] == pytest.approx(math.hypot(first["standard_error"], second["standard_error"]))
    assert result["pairs"] == []


def _by_klein_and_others(one, other, time):
    """Formula 3 of their paper, with Greenwood's sum up to the time."""
    logs = [math.log(fitter.predict(time)) for fitter in (one, other)]
    spread = [
        sum(
            line["observed"] / (line["at_risk"] * (line["at_risk"] - line["observed"]))
            for at, line in fitter.event_table.iterrows()
            if at <= time and line["observed"]
        )
        for fitter in (one, other)
    ]
    above = (math.log(-logs[0]) - math.log(-logs[1])) ** 2
    statistic = above / sum(v / log**2 for v, log in zip(spread, logs, strict=True))
    return statistic, chi2.sf(statistic, 1)


def test_where_nobody_is_followed_so_long_there_is_no_number(bmt, schema, fed):
    rows = bmt.assign(t2=bmt["t2"].clip(upper=600), d3=np.where(bmt["t2"] > 600, 0.0, bmt["d3"]))
    result = fed.run(asked(schema, group="z3", at="300,900", rmst="900"), fed.split(rows, rows["z9"]))
    assert result["restricted_means"] == {"until": 900.0, "arms": [None, None], "difference": None}
    assert [arm["at"][1]["survival"] for arm in result["arms"]] == [None, None]
    assert result["at"][1] is None


def test_an_arm_in_which_nobody_dies_is_certain(bmt, schema, fed):
    rows = bmt.assign(d3=np.where(bmt["z3"] == 1, 0.0, bmt["d3"]))
    result = fed.run(asked(schema, group="z3", at="300", rmst="300"), fed.split(rows, rows["z9"]))
    assert result["restricted_means"]["arms"][1]["standard_error"] == 0
    assert result["at"] == [None]
    assert result["arms"][1]["median_interval"] == [None, None]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"at": "0"}, "times after 0"),
        ({"at": "9999"}, "up to 2700"),
        ({"rmst": "9999"}, "up to 2700"),
        ({"rmst": "long"}, "takes a number"),
        ({"at": "365,365"}, "different names"),
    ],
)
def test_times_beyond_the_grid_are_refused(schema, typed, says):
    with pytest.raises((InvalidInput, InvalidPlan), match=says):
        asked(schema, **typed)
