"""No small group can be computed from a Table 1, whatever is told beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from support.summary_reference import LABS, asks, assert_quantity, gridded, invented, variable
from synthema_core.disclosure.count_tables import hidden_in
from synthema_core.errors import Refused, RoundFailed


def counts_in(result):
    """Every number of patients that a result tells."""
    found = [result["patients"], result["without_group"], *(group["patients"] for group in result["groups"])]
    for part in result["variables"]:
        for own in (part["overall"], *part["groups"]):
            found += [own["n"], own["missing"], *own.get("counts", [])]
    return [count for count in found if count is not None]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 100_000), patients=st.integers(30, 150), missing=st.sampled_from([0.0, 0.02, 0.2]))
def test_no_small_number_is_told(fed, seed, patients, missing):
    table, site = invented(patients, seed, "aaaaabbbc", missing)
    result = fed.run(asks(LABS, by="arm"), fed.split(table, site), min_patients=5)
    assert not [count for count in counts_in(result) if 0 < count < 5]
    for code, own in ((group["code"], group["patients"]) for group in result["groups"]):
        assert own == (table["arm"] == code).sum() >= 5


def test_a_small_group_is_in_no_number(fed):
    """Whatever its patients are like, the result is the same."""
    table, site = invented(200, 8, "ab")
    results = []
    for age, blasts in ((20.0, 1.0), (90.0, np.nan)):
        few = pd.DataFrame({"age": age, "blasts": blasts, "kind": "d", "fit": 1.0, "arm": ["c"] * 4})
        both = pd.concat([table, few], ignore_index=True)
        results.append(fed.run(asks(LABS, by="arm"), fed.split(both, [*site, 0, 1, 2, 3]), min_patients=5))
    rounded = [_rounded(result) for result in results]
    assert rounded[0] == rounded[1]
    assert results[0]["suppressed"] == ["Level c", "Level d"]
    assert_quantity(variable(results[0], "age")["overall"], table["age"], 0.5)


def _rounded(part):
    """Centre and scale leave their rounding errors."""
    if isinstance(part, float):
        return round(part, 7)
    if isinstance(part, dict):
        return {name: _rounded(value) for name, value in part.items()}
    return [_rounded(value) for value in part] if isinstance(part, list) else part


def test_values_of_few_patients_of_a_group_are_in_no_number(fed):
    """The group is large, and few of it have a value."""
    table, site = invented(200, 9, "ab", missing=0)
    table.loc[table.index[table["arm"] == "a"][3:], "blasts"] = np.nan
    result = fed.run(asks(LABS, columns="blasts", by="arm", by_levels="a,b"), fed.split(table, site), min_patients=5)
    told = variable(result, "blasts")
    assert set(told["groups"][0].values()) == {None}
    assert_quantity(told["overall"], table["blasts"][table["arm"] == "b"], 0.5)
    assert (told["test"], told["smd"], told["notes"]) == (None, None, ["Groups with too few values are left out."])


def test_few_missing_values_are_not_told_nor_what_would_tell_them(fed):
    table, site = invented(120, 10, "ab", missing=0)
    table["age"] = table["age"].round()
    lost = table.index[table["arm"] == "a"][:3]
    table.loc[lost, "blasts"] = np.nan
    table["blasts"] = table["blasts"].round()
    whole = (table["arm"] == "a").sum()
    results = []
    for many in (1, 3):
        again = table.copy()
        again.loc[lost[many:], "blasts"] = round(table["blasts"][table["arm"] == "a"].mean())
        results.append(fed.run(asks(LABS, columns="blasts", by="arm", by_levels="a,b"), fed.split(again, site), 5))
    for result in results:
        told = variable(result, "blasts")
        vague, exact = told["groups"]
        assert (vague["n"], vague["missing"], vague["at_least"]) == (None, None, whole - 4)
        assert (told["overall"]["n"], told["overall"]["at_least"]) == (None, 116)
        assert (exact["n"], exact["missing"]) == (120 - whole, 0)
        assert vague["mean"] * 20 == pytest.approx(round(vague["mean"] * 20)), "no mean to the last digit"
        assert told["test"]["conservative"]
    p, again = (
        stats.ttest_ind_from_stats(
            own[0]["mean"], own[0]["sd"], whole - 4, own[1]["mean"], own[1]["sd"], own[1]["n"], equal_var=False
        ).pvalue
        for own in (variable(result, "blasts")["groups"] for result in results)
    )
    assert variable(results[0], "blasts")["test"]["p"] == pytest.approx(p, rel=1e-6)
    assert variable(results[1], "blasts")["test"]["p"] == pytest.approx(again, rel=1e-6)


def solutions(told, sizes, limit):
    """Smallest and largest value of each hidden cell of a told table that is consistent with all that is told."""
    from scipy.optimize import LinearConstraint, milp

    shape = told.shape
    place = np.arange(told.size).reshape(shape)
    rows, right = [], []

    def equation(cells, signs, value):
        row = np.zeros(told.size)
        row[cells] = signs
        rows.append(row)
        right.append(value)

    for column, size in enumerate(sizes):
        equation(place[:, column], 1.0, size)
    for line in place:
        equation(line, [1.0] * (shape[1] - 1) + [-1.0], 0.0)
    for cell in np.flatnonzero(~np.isnan(told.reshape(-1))):
        equation([cell], 1.0, told.reshape(-1)[cell])
    known = LinearConstraint(np.array(rows), right, right)
    for cell in np.flatnonzero(np.isnan(told.reshape(-1))):
        aim = np.zeros(told.size)
        aim[cell] = 1.0
        low, high = (milp(sign * aim, integrality=np.ones(told.size), constraints=known).fun * sign for sign in (1, -1))
        yield cell, low, high
    assert limit


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(counts=st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=5))
def test_hidden_cells_stay_uncertain(counts):
    """Whoever knows all that is told can narrow no small cell to fewer than min_patients values."""
    cells = np.array(counts, dtype=float)
    found = hidden_in(cells, 5, sizes_told=True)
    hidden = np.column_stack([found.cells, found.rows])
    whole = np.column_stack([cells, cells.sum(1)])
    assert hidden[(whole > 0) & (whole < 5)].all()
    if hidden.all():
        return
    told = np.where(hidden, np.nan, whole)
    small = set(np.flatnonzero(((whole > 0) & (whole < 5)).reshape(-1)).tolist())
    for cell, low, high in solutions(told, whole.sum(0), 5):
        if cell in small:
            assert high - low >= 5 - 1e-6 or np.isnan(told).all()


def test_levels_of_hidden_cells_are_tested_together(fed):
    table, site = invented(300, 11, "ab", missing=0)
    table.loc[table["kind"] == "d", "kind"] = "a"
    table.loc[[*table.index[table["arm"] == "a"][:2], *table.index[table["arm"] == "b"][:9]], "kind"] = "d"
    result = fed.run(asks(LABS, columns="kind", by="arm", by_levels="a,b"), fed.split(table, site), min_patients=5)
    told = variable(result, "kind")
    assert told["groups"][0]["counts"][3] is None
    assert "Level d" in told["taken_together"] and len(told["taken_together"]) == 2
    merged = {label.removeprefix("Level ") for label in told["taken_together"]}
    crossed = pd.crosstab(table["kind"].where(~table["kind"].isin(merged), "other"), table["arm"])
    expected = stats.chi2_contingency(crossed, correction=False)
    assert told["test"]["statistic"] == pytest.approx(expected.statistic, rel=1e-9)


def test_few_patients_without_a_group_are_not_counted_aloud(fed):
    table, site = invented(200, 16, "ab")
    table.loc[:2, "arm"] = ""
    question = asks(LABS, columns="age", by="arm", by_levels="a,b")
    assert fed.run(question, fed.split(table, site), min_patients=5)["without_group"] is None
    assert fed.run(question, fed.split(table, site), min_patients=3)["without_group"] == 3


def test_few_missing_values_of_a_category_hide_shares_and_test(fed):
    table, site = invented(300, 17, "ab", missing=0)
    table.loc[table.index[table["arm"] == "a"][:2], "kind"] = ""
    result = fed.run(asks(LABS, columns="kind", by="arm", by_levels="a,b"), fed.split(table, site), min_patients=5)
    told = variable(result, "kind")
    assert (told["groups"][0]["missing"], told["groups"][0]["n"]) == (None, None)
    assert set(told["groups"][0]["proportions"]) == {None}
    assert (told["test"], told["smd"]) == (None, None)
    assert "With so many hidden numbers there is no test." in told["notes"]


def test_of_small_groups_no_sums_are_asked_for(fed):
    """The hub sees what the Round before made necessary, and no more."""
    table, _ = invented(60, 18, "ab")
    table.loc[:2, "arm"] = "c"
    question = asks(LABS, columns="age", by="arm", by_levels="a,b,c", quantiles="none")
    rows, first = fed.rows(table), question.begin()
    asked = first.memory.after(question.contribution(rows, first.input), 5).asking_next().asked
    added = question.contribution(rows, asked.values())[:6].reshape(2, 3)
    assert (added[:, 2] == 0).all() and (added[1, :2] > 0).all()


def test_quantiles_have_enough_patients_on_both_sides(fed):
    table, site = invented(60, 12, "ab", missing=0)
    few = table[table["arm"] == "a"].head(19)
    result = fed.run(asks(LABS, columns="age"), [fed.rows(few)], min_patients=5)
    first, median, third = variable(result, "age")["overall"]["quantiles"]
    assert (first, third) == (None, None)
    assert median == np.quantile(gridded(few["age"], 0.5), 0.5, method="inverted_cdf")
    assert site is not None


def test_where_all_groups_are_small_there_is_no_table(fed):
    table, site = invented(12, 13, "abcd")
    with pytest.raises(RoundFailed, match="Too few patients"):
        fed.run(asks(LABS, by="arm"), fed.split(table, site), min_patients=10)


def test_empty_groups_levels_and_columns(fed):
    """A group nobody is in, a level nobody has, a column without a value, and a site without patients."""
    table, site = invented(80, 14, "ab", missing=0)
    table["blasts"], table["fit"] = np.nan, np.nan
    table.loc[table["kind"] == "d", "kind"] = "c"
    sites = [*fed.split(table, site), {name: values[:0] for name, values in fed.rows(table).items()}]
    result = fed.run(asks(LABS, by="arm"), sites, min_patients=1)
    assert [group["code"] for group in result["groups"]] == ["a", "b"]
    assert variable(result, "blasts")["overall"]["mean"] is None
    assert variable(result, "fit")["overall"]["proportions"] == [None, None]
    assert variable(result, "fit")["test"] is None
    assert variable(result, "kind")["overall"]["counts"][3] == 0


def test_an_empty_value_that_the_schema_does_not_allow_is_refused(fed):
    table, _ = invented(40, 15)
    table.loc[3, "age"] = np.nan
    with pytest.raises(Refused, match="'age' has empty values"):
        fed.run(asks(LABS, columns="age"), [fed.rows(table)])
