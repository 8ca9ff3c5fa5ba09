"""Invented laboratory patients, and what numpy and scipy say of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthema_core import analyses
from synthema_core.analyses.descriptive.summary import Summary
from synthema_core.schemas import Field, Kind, Schema

CODES = tuple((code, f"Level {code}") for code in "abcd")
LABS = Schema(
    "labs",
    (
        Field("patient", Kind.IDENTIFIER),
        Field("age", Kind.NUMBER, "Age", "years", 0, 100),
        Field("blasts", Kind.NUMBER, "Blasts", "%", -3, 100, required=False),
        Field("kind", Kind.CATEGORY, "Kind", codes=CODES, required=False),
        Field("fit", Kind.BOOLEAN, "Fit", required=False),
        Field("arm", Kind.CATEGORY, "Arm", codes=CODES, required=False),
    ),
    "patient",
)


def asks(schema, **typed):
    question = Summary.from_options({name.replace("_", "-"): value for name, value in typed.items()}, schema)
    question.check_against(schema)
    assert analyses.from_plan("summary", question.parameters()) == question
    return question


def variable(result, name):
    return next(part for part in result["variables"] if part["column"] == name)


def invented(patients, seed, arms="ab", missing=0.1):
    dice = np.random.default_rng(seed)
    arm = dice.choice(list(arms), patients)
    table = pd.DataFrame(
        {
            "age": np.clip(dice.normal(55, 14, patients), 0, 100),
            "blasts": np.clip(dice.gamma(2, 12, patients) + 5 * (arm == "a"), 0, 100),
            "kind": dice.choice(list("abcd"), patients, p=[0.4, 0.3, 0.2, 0.1]).astype(object),
            "fit": (dice.random(patients) < 0.5).astype(float),
            "arm": arm.astype(object),
        }
    )
    for name, gone in (("blasts", np.nan), ("kind", ""), ("fit", np.nan)):
        table.loc[dice.random(patients) < missing, name] = gone
    return table, dice.integers(0, 4, patients)


def gridded(values, step):
    return np.floor(np.asarray(values) / step + 0.5) * step


def assert_quantity(told, values, step, shares=(0.25, 0.5, 0.75), confidence=0.95):
    values = np.asarray(values, dtype=float)
    known = values[~np.isnan(values)]
    assert (told["n"], told["missing"]) == (len(known), len(values) - len(known))
    assert told["mean"] == pytest.approx(known.mean(), abs=1e-8 * known.std(ddof=1))
    assert told["sd"] == pytest.approx(known.std(ddof=1), rel=1e-6)
    low, high = stats.t.interval(confidence, len(known) - 1, known.mean(), stats.sem(known))
    assert (told["lower"], told["upper"]) == pytest.approx((low, high), rel=1e-6)
    expected = np.quantile(gridded(known, step), shares, method="inverted_cdf")
    assert told["quantiles"] == pytest.approx(expected, abs=1e-9)


def assert_category(told, values, levels, missing):
    values = pd.Series(values)
    present = values[values != missing].dropna() if missing == "" else values.dropna()
    counts = [int((present == level).sum()) for level in levels]
    assert told["counts"] == counts
    assert (told["n"], told["missing"]) == (len(present), len(values) - len(present))
    assert told["proportions"] == pytest.approx([count / len(present) for count in counts])
    for count, low, high in zip(counts, told["lower"], told["upper"], strict=True):
        wilson = stats.binomtest(count, len(present)).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=1e-9)
