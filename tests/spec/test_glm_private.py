"""Private regressions are the pooled ones where there is no noise, and bound what a patient adds, whatever is asked."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from support.glm_reference import FAMILIES, OUTCOMES, TRIAL, told_matrix, trial
from support.noisy_sums import release
from synthema_core import analyses
from synthema_core.analyses.base import Patients
from synthema_core.analyses.private_regression.glm_private import PrivateGlm
from synthema_core.analyses.private_regression.question import Asked
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused, RoundFailed
from synthema_kernel.figures import glm as figure
from synthema_kernel.tables import glm as tables


def asks(family, right, schema=TRIAL, **more):
    question = PrivateGlm.from_options({"formula": f"{OUTCOMES[family]} ~ {right}", "family": family, **more}, schema)
    question.check_against(schema)
    assert analyses.from_plan("glm-private", question.parameters()) == question
    return question


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_with_next_to_no_noise_it_is_the_pooled_model(fed, family):
    """Up to what it costs that far covariates and residuals count for less: a part of a standard error."""
    table, site = trial(6000, 3)
    more = {"offset": "log_days"} if family == "poisson" else {}
    question = asks(family, "age + arm + male", **more)
    result = release(question, fed.split(table, site), 1.0, np.random.default_rng(1))
    x = sm.add_constant(told_matrix(question, table, fed.rows(table)))
    offset = table["log_days"].to_numpy() if more else None
    pooled = sm.GLM(table[OUTCOMES[family]].to_numpy(), x, family=FAMILIES[family], offset=offset).fit()
    told = [result["intercept"], *result["terms"]]
    assert result["patients"] == 6000
    for own, value, error in zip(told, pooled.params, pooled.bse, strict=True):
        assert abs(own["coefficient"] - value) < 1.2 * error
        assert 0.9 * error < own["standard_error"] < 1.4 * error
        assert own["noise_share"] < 0.01
    ElementTree.fromstring(figure.draw(result))
    assert all(table.rows for table in tables.tables(result))
    assert len(list(tables.records(result))) == len(told)


def steps_of(question, rows, asked, patients=None):
    added = question.contribution(rows, asked, patients or Patients.one_a_row(rows))
    return question.layout.quantise(added).view(np.int64).astype(object)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), family=st.sampled_from(sorted(FAMILIES)), first=st.booleans())
def test_whatever_is_asked_one_patient_changes_the_sum_by_no_more_than_the_sensitivity(data, family, first):
    """Also by a hub that asks about frames, coefficients and bounds that no honest one would."""
    question = asks(family, "age + arm", **({"offset": "log_days"} if family == "poisson" else {}))
    size = len(question.begin().input)
    numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, -1.0, 1e6, -1e6, 1e-300]))
    asked = np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)))
    asked[0], asked[1:3] = float(first), np.maximum(np.abs(asked[1:3]), 1e-300)
    question.check_input(asked)
    ages = data.draw(st.lists(st.floats(-1e9, 1e9) | st.just(np.nan), min_size=3, max_size=3))
    rows = {
        "age": np.array(ages),
        "arm": np.array(data.draw(st.lists(st.sampled_from(["a", "b", "c", "", "q"]), min_size=3, max_size=3)), object),
        "log_days": np.array(data.draw(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))),
        OUTCOMES[family]: np.array(
            data.draw(st.lists(st.sampled_from([0.0, 1.0, 40.0, np.nan]), min_size=3, max_size=3))
        ),
    }
    with np.errstate(all="ignore"):
        whole = steps_of(question, rows, asked)
        fewer = steps_of(question, {name: column[:2] for name, column in rows.items()}, asked)
    change = (whole - fewer).astype(float)
    assert np.sqrt((change**2).sum()) <= question.sensitivity


def test_a_patient_with_many_rows_counts_once_and_as_one_that_is_cut():
    several = replace(TRIAL, rows_per_patient=5)
    question = asks("binomial", "age", several)
    asked = question.begin().input
    rows = {"age": np.array([40.0, 90.0, 18.0, 33.0]), "response": np.array([1.0, 0.0, 1.0, 1.0])}
    whole = steps_of(question, rows, asked, Patients(np.array(["a", "b", "b", "b"], dtype=object), b"key"))
    alone = {name: values[:1] for name, values in rows.items()}
    change = whole - steps_of(question, alone, asked, Patients(np.array(["a"], dtype=object), b"key"))
    assert float(np.sqrt((change.astype(float) ** 2).sum())) <= question.sensitivity
    assert change[-1] == 2**18, "the patient of whom rows were cut"


def test_where_the_noise_hides_the_model_there_is_a_sentence(fed):
    table, site = trial(200, 3)
    with pytest.raises(RoundFailed, match="noise may hide") as failure:
        release(asks("binomial", "age + arm"), fed.split(table, site), 2.0**26, np.random.default_rng(1))
    assert "epsilon" in failure.value.hint


def test_empty_sites_have_no_model_either(fed):
    empty = fed.rows(trial(10, 2)[0].head(0))
    with pytest.raises(RoundFailed):
        release(asks("gaussian", "age + arm"), [empty, empty], 2.0**20, np.random.default_rng(1))


def test_what_cannot_be_computed_with_is_refused():
    question = asks("binomial", "age")
    first = question.begin().input
    question.check_input(first)
    assert Asked.read(first, 1).is_first
    for place, value in ((0, 0.5), (1, 0.0), (2, -1.0), (3, np.nan), (4, np.inf), (5, 2e6)):
        wrong = first.copy()
        wrong[place] = value
        with pytest.raises(Refused):
            question.check_input(wrong)
    with pytest.raises(Refused):
        question.check_input(first[:-1])


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"formula": "hb ~ nobody"}, NotFound),
        ({"formula": "hb ~ age", "weights": "weight"}, InvalidInput),
        ({"formula": "hb ~ age", "l2": "1"}, InvalidInput),
        ({"formula": "hb ~ age + hb"}, InvalidInput),
        ({"formula": "hb ~ age", "family": "binomial"}, InvalidInput),
        ({"formula": "hb ~ poly(age, 8) + poly(year, 8) + poly(weight, 8)"}, InvalidPlan),
    ],
)
def test_what_cannot_be_asked(typed, error):
    with pytest.raises(error) as caught:
        PrivateGlm.from_options(typed, TRIAL)
    assert caught.value.hint
