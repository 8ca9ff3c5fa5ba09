"""Table 1 over sites equals scipy and statsmodels over the pooled patients, and lets no small group be computed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.oneway import anova_oneway

from support.summary_reference import LABS, asks, assert_category, assert_quantity, invented, variable
from synthema_core.analyses.descriptive.bisection import Search, rank, steps_needed
from synthema_core.analyses.descriptive.group_tests import difference_of_counts
from synthema_core.analyses.descriptive.summary import Summary
from synthema_core.analyses.descriptive.summary_course import FRACTIONAL_BITS
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused, RoundFailed

ALL_BMT = "t2,d3,z1,z2,z3,z8,z10"


def test_the_four_hospitals_equal_the_pooled_table(bmt, schema, fed):
    result = fed.run(asks(schema, columns=ALL_BMT, by="disease"), fed.split(bmt, bmt["z9"]), min_patients=5)
    groups = [part for _, part in bmt.groupby("disease")]
    assert [group["patients"] for group in result["groups"]] == [38, 54, 45]
    assert [group["label"] for group in result["groups"]] == ["ALL", "AML low", "AML high"]
    assert (result["patients"], result["suppressed"], result["without_group"]) == (137, [], 0)
    for name, step in (("t2", 20), ("z1", 1), ("z2", 1)):
        told = variable(result, name)
        assert told["resolution"] == step
        assert_quantity(told["overall"], bmt[name], step)
        for own, group in zip(told["groups"], groups, strict=True):
            assert_quantity(own, group[name], step)
        welch = anova_oneway([group[name] for group in groups], use_var="unequal")
        assert told["test"]["name"] == "Welch's analysis of variance"
        assert told["test"]["statistic"] == pytest.approx(welch.statistic, rel=1e-6)
        assert told["test"]["degrees"] == pytest.approx(welch.df, rel=1e-6)
        assert told["test"]["p"] == pytest.approx(welch.pvalue, abs=1e-6)
    for name in ("d3", "z3", "z8", "z10"):
        told = variable(result, name)
        if not told["notes"]:
            assert_category(told["overall"], bmt[name], (0, 1), np.nan)
            chi = stats.chi2_contingency(pd.crosstab(bmt[name], bmt["disease"]), correction=False)
            assert told["test"]["statistic"] == pytest.approx(chi.statistic, rel=1e-9)
            assert told["test"]["p"] == pytest.approx(chi.pvalue, abs=1e-9)


def test_two_groups_have_t_tests_and_differences_as_scipy(fed):
    table, site = invented(400, 1)
    one, two = (table[table["arm"] == arm] for arm in "ab")
    for tests, equal in (("welch", False), ("classical", True)):
        result = fed.run(asks(LABS, by="arm", by_levels="a,b", tests=tests), fed.split(table, site))
        told = variable(result, "blasts")
        assert_quantity(told["groups"][1], two["blasts"], 0.5)
        expected = stats.ttest_ind(one["blasts"].dropna(), two["blasts"].dropna(), equal_var=equal)
        assert told["test"]["statistic"] == pytest.approx(expected.statistic, rel=1e-6)
        assert told["test"]["degrees"][0] == pytest.approx(expected.df, rel=1e-6)
        assert told["test"]["p"] == pytest.approx(expected.pvalue, abs=1e-6)
    spread = np.sqrt((one["blasts"].var() + two["blasts"].var()) / 2)
    apart = (one["blasts"].mean() - two["blasts"].mean()) / spread
    assert told["smd"]["pairs"] == [{"groups": ["a", "b"], "value": pytest.approx(apart, abs=1e-6)}]
    assert told["smd"]["largest"] == pytest.approx(abs(apart), abs=1e-6)


@pytest.mark.parametrize("arms", ["ab", "abcd"])
def test_categories_have_chi_squared_cramers_v_and_differences(fed, arms):
    table, site = invented(600, 2, arms)
    result = fed.run(asks(LABS, by="arm", by_levels=",".join(arms), columns="kind,fit"), fed.split(table, site))
    for name, levels, gone in (("kind", list("abcd"), ""), ("fit", [0.0, 1.0], np.nan)):
        told = variable(result, name)
        assert_category(told["overall"], table[name], levels, gone)
        known = table[table[name] != ""].dropna(subset=[name])
        crossed = pd.crosstab(known[name], known["arm"])
        chi = stats.chi2_contingency(crossed, correction=False)
        assert told["test"]["statistic"] == pytest.approx(chi.statistic, rel=1e-9)
        v = stats.contingency.association(crossed, method="cramer", correction=False)
        assert told["test"]["cramers_v"] == pytest.approx(v, rel=1e-9)
        shares = crossed / crossed.sum()
        for pair in told["smd"]["pairs"]:
            p, q = (shares[arm].to_numpy() for arm in pair["groups"])
            assert pair["value"] == pytest.approx(yang_and_dalton(p, q), abs=1e-9)
        assert len(told["smd"]["pairs"]) == len(list(combinations(arms, 2)))


def yang_and_dalton(p, q):
    """Written out as in their paper, without the last level."""
    apart = (p - q)[:-1]
    size = len(apart)
    covariance = np.empty((size, size))
    for k in range(size):
        for j in range(size):
            if k == j:
                covariance[k, j] = (p[k] * (1 - p[k]) + q[k] * (1 - q[k])) / 2
            else:
                covariance[k, j] = -(p[k] * p[j] + q[k] * q[j]) / 2
    return float(np.sqrt(apart @ np.linalg.inv(covariance) @ apart))


def test_of_two_levels_the_difference_is_the_familiar_one():
    p, q = 0.3, 0.45
    found = difference_of_counts(np.array([70.0, 30.0]), np.array([55.0, 45.0]))
    assert found == pytest.approx(abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2))


def test_classical_analysis_of_variance_is_scipys(bmt, schema, fed):
    result = fed.run(asks(schema, columns="z1", by="disease", tests="classical"), fed.split(bmt, bmt["z9"]))
    expected = stats.f_oneway(*(part["z1"] for _, part in bmt.groupby("disease")))
    test = variable(result, "z1")["test"]
    assert test["name"] == "analysis of variance"
    assert (test["statistic"], test["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    patients=st.integers(20, 120),
    sites=st.integers(1, 5),
    shares=st.lists(st.sampled_from([0.05, 0.1, 0.25, 1 / 3, 0.5, 0.9]), unique=True, max_size=4).map(sorted),
    step=st.sampled_from([0.1, 0.5, 3.0, 40.0]),
)
def test_any_split_equals_the_pooled_table(fed, seed, patients, sites, shares, step):
    table, _ = invented(patients, seed, "abc")
    site = np.random.default_rng(seed).integers(0, sites, patients)
    typed = {"columns": "blasts,kind", "by": "arm", "resolution": f"blasts={step}"}
    typed["quantiles"] = ",".join(map(repr, shares)) or "none"
    result = fed.run(asks(LABS, **typed), fed.split(table, site))
    told = variable(result, "blasts")
    assert_quantity(told["overall"], table["blasts"], step, shares)
    for code, own in zip([group["code"] for group in result["groups"]], told["groups"], strict=True):
        values = table["blasts"][table["arm"] == code]
        if values.notna().sum() > 2:
            assert_quantity(own, values, step, shares)
    assert_category(variable(result, "kind")["overall"], table["kind"], list("abcd"), "")


def test_a_tiny_spread_is_as_precise_and_none_is_none(fed):
    """Standard deviations of a millionth of the range."""
    dice = np.random.default_rng(4)
    table = pd.DataFrame({"age": 70 + dice.normal(0, 1e-4, 300), "blasts": 33.0, "arm": dice.choice(["a", "b"], 300)})
    sites = fed.split(table, dice.integers(0, 4, 300))
    result = fed.run(asks(LABS, columns="age,blasts", by="arm", by_levels="a,b"), sites)
    assert_quantity(variable(result, "age")["overall"], table["age"], 0.5)
    expected = stats.ttest_ind(*(table["age"][table["arm"] == arm] for arm in "ab"), equal_var=False)
    assert variable(result, "age")["test"]["p"] == pytest.approx(expected.pvalue, abs=1e-6)
    constant = variable(result, "blasts")
    assert (constant["overall"]["sd"], constant["test"]) == (0, None)
    assert constant["smd"]["largest"] == pytest.approx(0, abs=1e-6)


def test_one_outlier_sets_a_scale_that_sums_can_carry(fed):
    table = pd.DataFrame({"age": [*np.full(1999, 1e-3), 100.0]})
    result = fed.run(asks(LABS, columns="age", quantiles="none"), fed.split(table, np.arange(2000) // 1000))
    assert variable(result, "age")["overall"]["sd"] == pytest.approx(table["age"].std(), rel=1e-6)


def test_patients_without_a_group_are_counted_and_left_out(fed):
    table, site = invented(300, 5, "abc")
    table.loc[:19, "arm"] = ""
    question = asks(LABS, columns="age,kind", by="arm", by_levels="a,b")
    result = fed.run(question, fed.split(table, site), min_patients=5)
    kept = table[table["arm"].isin(["a", "b"])]
    assert result["patients"] == question.cohort_size(fed.rows(table)) == len(kept)
    assert result["without_group"] == 300 - len(kept)
    assert_quantity(variable(result, "age")["overall"], kept["age"], 0.5)


# Rounds and numbers


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 5, 81, 256, 257, 1000])
@pytest.mark.parametrize("targets", [1, 2, 3, 5])
def test_every_target_is_found_in_the_declared_steps(cells, targets):
    dice = np.random.default_rng([cells, targets])
    for _ in range(60):
        values = np.sort(
            dice.integers(0, cells, dice.integers(1, 12)) if dice.random() < 0.5 else dice.choice(cells, 3)
        )
        ranks = np.sort(dice.integers(1, len(values) + 1, targets)).tolist()
        search = Search.over(cells, targets)
        for _ in range(steps_needed(cells, targets)):
            assert all(0 <= threshold < cells for threshold in search.thresholds)
            search = search.narrowed([int((values <= threshold).sum()) for threshold in search.thresholds], ranks)
        assert search.found == tuple(values[place - 1] for place in ranks)


def test_three_quartiles_take_a_step_less_than_three_medians():
    assert (steps_needed(256, 1), steps_needed(256, 3)) == (8, 7)


def test_counts_that_contradict_each_other_are_noticed():
    search = Search.over(8, 1).narrowed([5], [3])
    with pytest.raises(RoundFailed, match="contradict"):
        replace(search, intervals=((5, 7),)).narrowed([5], [3]).narrowed([1], [3]).narrowed([9, 0], [3, 3])
    with pytest.raises((RoundFailed, ValueError)):
        Search(((0, 1), (0, 1))).narrowed([0, 3], [3, 3])


def test_ranks_take_shares_as_they_are_written():
    assert (rank(0.07, 100), rank(0.25, 10), rank(0.001, 3), rank(0.5, 4)) == (7, 3, 1, 2)


def test_no_place_is_wasted(schema, fed):
    """All of 20 columns: what leaves a site is what is needed, but for less than one place a Round."""
    question = asks(schema, columns=ALL_BMT, by="disease")
    shape = question._shape
    used = sum(
        share.first + share.below + sum(stop - start for start, stop in (share.moments, share.counts))
        for share in shape.schedule.shares
    )
    released = question.layout.length * question.max_rounds
    assert used <= released < used + 2 * question.max_rounds
    question.layout.check_sum_fits(100)
    assert question.layout.blocks[0].fractional_bits == FRACTIONAL_BITS


@pytest.mark.parametrize(
    ("typed", "rounds"),
    [
        ({"columns": "d3,z3"}, 1),
        ({"columns": "z1,d3", "quantiles": "none"}, 2),
        ({"columns": "z1,z2,z3,d3", "quantiles_of": "z1"}, 7),
        ({"columns": "t2,z1", "by": "disease"}, 9),
    ],
)
def test_rounds_follow_from_the_grids(schema, typed, rounds):
    assert asks(schema, **typed).max_rounds == rounds


def test_the_input_is_bounded(schema, fed, bmt):
    question = asks(schema, columns="z1,d3", by="disease")
    first = question.begin()
    shape = question._shape
    step = first.memory.after(question.contribution(fed.rows(bmt), first.input), 1).asking_next()
    good = step.asked.values()
    question.check_input(good)
    wrong = [np.zeros(0), np.array([2.0]), np.array([0.0]), np.append(good, 0), good[:-1]]
    for place, value in (
        (0, 9.0),
        (0, 1.5),
        (1, 1.5),
        (2, 1e-9),
        (2, 99.0),
        (3, 0.5),
        (-1, -1.0),
        (-1, 81.0),
        (-1, 0.5),
    ):
        bad = good.copy()
        bad[place] = value
        wrong.append(bad)
    for values in [*wrong, np.full(len(good), np.nan)]:
        with pytest.raises(Refused):
            question.check_input(values)
    assert shape.schedule.length == question.layout.length


# What can be asked


def test_all_columns_but_identifiers_and_the_groups_are_described(schema):
    names = [part.column.name for part in asks(schema, by="disease").variables]
    assert names == ["t2", "d3", "z1", "z2", "z3", "z8", "z10", "ferritin"]
    assert [part.column.name for part in asks(schema).variables][2] == "disease"


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"columns": "shoe"}, NotFound),
        ({"columns": "patient"}, InvalidInput),
        ({"columns": "z1,z1"}, InvalidInput),
        ({"columns": "z1,disease", "by": "disease"}, InvalidPlan),
        ({"by": "z1"}, InvalidInput),
        ({"by-levels": "1,2"}, InvalidInput),
        ({"by": "disease", "by-levels": "1,9"}, InvalidInput),
        ({"quantiles": "0,0.5"}, InvalidPlan),
        ({"quantiles": "half"}, InvalidInput),
        ({"quantiles": ",".join(str(part / 30) for part in range(1, 25))}, InvalidPlan),
        ({"columns": "z1", "resolution": "z1=0"}, InvalidInput),
        ({"columns": "z1", "resolution": "z1"}, InvalidInput),
        ({"columns": "z1", "resolution": "z1=1e-9"}, InvalidPlan),
        ({"columns": "z1", "resolution": "z2=1"}, InvalidInput),
        ({"columns": "z3", "resolution": "z3=1"}, InvalidInput),
        ({"columns": "z1", "quantiles-of": "z2"}, InvalidInput),
        ({"tests": "mann-whitney"}, InvalidInput),
        ({"smd": "perhaps"}, InvalidInput),
        ({"confidence": "1"}, InvalidPlan),
        ({"shape": "long"}, InvalidInput),
    ],
)
def test_what_cannot_be_asked(schema, typed, error):
    with pytest.raises(error) as caught:
        Summary.from_options(typed, schema)
    assert caught.value.hint


def test_several_rows_a_patient_are_refused(schema):
    with pytest.raises(InvalidInput, match="row for a patient"):
        Summary.from_options({}, replace(schema, rows_per_patient=3))


def test_nothing_else_is_read_than_was_written(schema):
    parameters = asks(schema, columns="z1,disease,ferritin", by="d3", quantiles="0.5").parameters()
    for part in parameters:
        for wrong in ({**parameters, part: 7.5}, {key: value for key, value in parameters.items() if key != part}):
            with pytest.raises(InvalidPlan):
                Summary.from_parameters(wrong)


def test_what_is_not_the_schemas_is_refused(schema):
    question = asks(schema, columns="z1,ferritin,disease", by="d3")
    age, ferritin, disease = question.variables
    for wrong in (
        (replace(age, high=90.0), ferritin, disease),
        (age, replace(ferritin, required=True), disease),
        (age, ferritin, replace(disease, factor=disease.factor.only(["1", "2"]))),
        (age, ferritin, replace(disease, required=False)),
    ):
        with pytest.raises(InvalidPlan):
            replace(question, variables=wrong).check_against(schema)
