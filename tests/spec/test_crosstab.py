"""A table of counts over any split is that of the pooled rows, with the tests and effects of scipy and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import Table, Table2x2
from statsmodels.stats.proportion import confint_proportions_2indep

from synthema_core import analyses
from synthema_core.analyses.descriptive.contingency import TwoByTwo, associations
from synthema_core.analyses.descriptive.crosstab import Crosstab
from synthema_core.disclosure.count_tables import hidden_in
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, RoundFailed


def asked(schema: Any, **typed: str) -> Crosstab:
    question = Crosstab.from_options(typed, schema)
    question.check_against(schema)
    assert analyses.from_plan("crosstab", question.parameters()) == question
    return question


@given(seed=st.integers(0, 2**16), sites=st.integers(1, 6))
@settings(max_examples=25)
def test_any_split_gives_the_pooled_table(bmt, schema, fed, seed, sites):
    dice = np.random.default_rng(seed)
    result = fed.run(asked(schema, rows="disease", columns="d3"), fed.split(bmt, dice.integers(0, sites, len(bmt))))
    expected = pd.crosstab(bmt["disease"], bmt["d3"])
    assert result["counts"] == expected.to_numpy().tolist()
    assert [level["patients"] for level in result["rows"]["levels"]] == expected.sum(axis=1).tolist()
    assert (result["total"], result["left_out"], result["suppressed"]) == (137, 0, False)


def test_two_by_two_has_every_test_and_effect(bmt, schema, fed):
    result = fed.run(asked(schema, rows="z3", columns="d3", confidence="0.9"), fed.split(bmt, bmt["z9"]))
    table = pd.crosstab(bmt["z3"], bmt["d3"]).to_numpy()
    told, effects = result["tests"], result["effects"]
    plain, corrected = (stats.chi2_contingency(table, correction=yes) for yes in (False, True))
    assert told["chi_square"]["p"] == pytest.approx(plain.pvalue, rel=1e-9)
    assert (told["corrected"]["statistic"], told["corrected"]["p"]) == pytest.approx(
        (corrected.statistic, corrected.pvalue), rel=1e-9
    )
    assert told["fisher"] == {"p": pytest.approx(stats.fisher_exact(table)[1], rel=1e-9), "draws": None, "error": None}
    known = Table2x2(table)
    for name, value, interval in (
        ("odds_ratio", known.oddsratio, known.oddsratio_confint(0.1)),
        ("risk_ratio", known.riskratio, known.riskratio_confint(0.1)),
    ):
        if name == "risk_ratio":  # statsmodels' is of the first column, of the first row to the second
            other = Table2x2(table[::-1, ::-1])
            value, interval = other.riskratio, other.riskratio_confint(0.1)
        assert list(effects[name].values()) == pytest.approx([value, *interval], rel=1e-9)
    (a, b), (c, d) = table
    low, high = confint_proportions_2indep(d, c + d, b, a + b, method="newcomb", alpha=0.1)
    assert list(effects["risk_difference"].values()) == pytest.approx([d / (c + d) - b / (a + b), low, high], rel=1e-6)


def test_a_cell_is_not_corrected_beyond_what_is_expected():
    table = np.array([[10.0, 11], [10, 10]])
    told = associations(table)["corrected"]
    assert told["statistic"] == pytest.approx(stats.chi2_contingency(table, correction=True).statistic, abs=1e-12)  # type: ignore[index,call-overload]


def test_larger_tables_have_fishers_test_by_chance_that_can_be_repeated():
    table = np.array([[3.0, 1, 2], [2, 5, 4], [0, 6, 3]])
    first, second = associations(table)["fisher"], associations(table)["fisher"]
    assert first == second
    exact = _exact_p(table.astype(int))
    assert first["p"] == pytest.approx(exact, abs=4 * first["error"])  # type: ignore[index,call-overload]


def _exact_p(table: Any) -> float:
    """By all tables with these margins."""
    rows, columns = table.sum(1), table.sum(0)
    margins = stats.random_table(rows, columns)
    limit, total = margins.pmf(table) * (1 + 1e-7), 0.0
    for a in range(rows[0] + 1):
        for b in range(rows[0] - a + 1):
            for c in range(rows[1] + 1):
                for d in range(rows[1] - c + 1):
                    top, middle = [a, b, rows[0] - a - b], [c, d, rows[1] - c - d]
                    last = columns - np.array(top) - np.array(middle)
                    if np.all(last >= 0):
                        p = margins.pmf(np.array([top, middle, last]))
                        total += p if p <= limit else 0.0
    return float(total)


def test_a_trend_over_ordered_levels():
    table = np.array([[20.0, 10], [15, 15], [8, 22]])
    expected = Table(table).test_ordinal_association(col_scores=np.array([0, 1]))
    told: Any = associations(table)["trend"]
    assert (told["z"] ** 2, told["p"]) == pytest.approx((_cochran_armitage(table), told["p"]))
    assert abs(told["z"]) == pytest.approx(abs(expected.zscore), rel=0.02), "which divides by n - 1"
    assert associations(table.T)["trend"]["z"] == pytest.approx(told["z"])  # type: ignore[index,call-overload]
    assert associations(table[:2])["trend"] is None


def _cochran_armitage(table: Any) -> float:
    """As the square of a correlation: n times it."""
    scores = np.repeat(np.arange(3), table.sum(1).astype(int))
    events = np.concatenate([np.repeat([0, 1], line.astype(int)) for line in table])
    return float(len(scores) * np.corrcoef(scores, events)[0, 1] ** 2)


@pytest.mark.parametrize("table", [[[10.0, 0], [8, 7]], [[0.0, 10], [7, 8]], [[10.0, 0], [8, 0]], [[5.0, 0], [0, 5]]])
def test_empty_cells_give_what_there_is_and_no_infinity(table):
    effects: Any = TwoByTwo(np.array(table), 0.95).effects()
    for name in ("odds_ratio", "risk_ratio", "risk_difference"):
        assert all(value is None or np.isfinite(value) for value in effects[name].values())
    tested = associations(np.array(table))
    assert (tested["chi_square"] is None) == (np.array(table).sum(0).min() == 0)


def test_an_empty_row_has_no_effect():
    assert TwoByTwo(np.array([[0.0, 0.0], [5.0, 5.0]]), 0.95).effects() is None


# Missing values


def test_missing_values_are_left_out_or_a_level_of_their_own(bmt, schema, fed):
    rows = bmt.assign(disease=np.where(np.arange(len(bmt)) % 5 == 0, "", bmt["disease"]))
    without = fed.run(asked(schema, rows="disease", columns="z3"), fed.split(rows, rows["z9"]))
    assert (without["total"], without["left_out"]) == (137 - 28, 28)
    with_them = fed.run(asked(schema, rows="disease", columns="z3", missing="yes"), fed.split(rows, rows["z9"]), 5)
    assert [level["label"] for level in with_them["rows"]["levels"]] == ["ALL", "AML low", "AML high", "missing"]
    assert with_them["left_out"] == 0
    assert with_them["total"] == 137
    assert with_them["tests"] == without["tests"]


# Small cells


def of_counts(schema: Any, fed: Any, table: Any, least: int = 5) -> dict[str, Any]:
    rows = [
        {"disease": str(row + 1), "z3": float(column)}
        for row, line in enumerate(table)
        for column, count in enumerate(line)
        for _ in range(count)
    ]
    frame = pd.DataFrame(rows)
    return fed.run(asked(schema, rows="disease", columns="z3"), fed.split(frame, np.arange(len(frame)) % 3), least)


def test_a_small_cell_is_left_out_with_what_gives_it_back_and_nothing_is_tested(schema, fed):
    result = of_counts(schema, fed, [[20, 3], [15, 30], [8, 9]])
    assert result["counts"] == [[None, None], [15, 30], [None, None]]
    assert result["suppressed"] is True
    assert (result["tests"], result["effects"]) == (None, None)


def attacked(result: dict[str, Any]) -> list[list[int]]:
    """Every table of three by two that fits with all that the result says: what an outsider is left with."""
    rows = [level["patients"] for level in result["rows"]["levels"]]
    columns = [level["patients"] for level in result["columns"]["levels"]]
    found = []
    for a in range(rows[0] + 1):
        for b in range(rows[1] + 1):
            c = columns[0] - a - b
            table = [[a, rows[0] - a], [b, rows[1] - b], [c, rows[2] - c]]
            fits = all(value >= 0 for line in table for value in line) and all(
                shown is None or shown == value
                for told, line in zip(result["counts"], table, strict=True)
                for shown, value in zip(told, line, strict=True)
            )
            if fits:
                found.append([value for line in table for value in line])
    return found


def test_with_the_small_cell_alone_left_out_the_outsider_knows_it() -> None:
    shown = {
        "rows": {"levels": [{"patients": count} for count in (23, 45, 17)]},
        "columns": {"levels": [{"patients": count} for count in (43, 42)]},
        "counts": [[20, None], [15, 30], [8, 9]],
    }
    assert attacked(shown) == [[20, 3, 15, 30, 8, 9]]


@given(cells=st.lists(st.integers(0, 25), min_size=6, max_size=6), least=st.integers(2, 6))
@settings(max_examples=60)
def test_nobody_can_compute_a_small_cell_from_all_that_is_shown(schema, cells, least):
    table = np.array(cells, dtype=float).reshape(3, 2)
    margins = np.concatenate([table.sum(1), table.sum(0)])
    if table.sum() < least or np.any((margins > 0) & (margins < least)):
        return  # a margin is left out, too, and the outsider of this test knows all margins
    hidden = hidden_in(table, least)
    result = {
        "rows": {"levels": [{"patients": int(count)} for count in table.sum(1)]},
        "columns": {"levels": [{"patients": int(count)} for count in table.sum(0)]},
        "counts": [
            [None if gone else int(count) for count, gone in zip(*line, strict=True)]
            for line in zip(table, hidden.cells, strict=True)
        ],
    }
    if hidden.rows.any() or hidden.columns.any() or hidden.total:
        return
    possible = np.array(attacked(result))
    for place, count in enumerate(cells):
        if 0 < count < least:
            assert possible[:, place].max() - possible[:, place].min() >= least


# What is asked for


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"rows": "disease"}, "needs --columns"),
        ({"rows": "disease", "columns": "disease"}, "one column in its rows and another"),
        ({"rows": "z1", "columns": "disease"}, "does not sort patients"),
        ({"rows": "disease", "columns": "z3", "confidence": "1.5"}, "confidence"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(schema, typed, says):
    with pytest.raises((InvalidInput, InvalidPlan), match=says):
        asked(schema, **typed)


def test_too_few_patients_are_one_sentence(bmt, schema, fed):
    with pytest.raises(RoundFailed, match="Too few patients"):
        fed.run(asked(schema, rows="disease", columns="z3"), [fed.rows(bmt.head(3))], 5)


def test_a_site_answers_no_other_questions(schema):
    with pytest.raises(Refused):
        asked(schema, rows="disease", columns="z3").check_input(np.zeros(1))
