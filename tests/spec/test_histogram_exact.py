"""Exact counts are those of the pooled rows; small ones are left out with what would give them back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthema_core import analyses
from synthema_core.analyses.descriptive.histogram import Histogram
from synthema_core.analyses.descriptive.histogram_exact import ExactHistogram
from synthema_core.errors import InvalidInput, RoundFailed
from synthema_core.planning import form_of
from synthema_core.schemas import Schema


def asked(schema, **typed):
    question = ExactHistogram.from_options(typed, schema)
    question.check_against(schema)
    assert analyses.from_plan("histogram-exact", question.parameters()) == question
    return question


def counts(result):
    return [cell["count"] for cell in result["cells"]]


def test_levels_are_counted_over_all_sites(bmt, schema, fed):
    result = fed.run(asked(schema, column="disease"), fed.split(bmt, bmt["z9"]))
    assert counts(result) == bmt["disease"].value_counts().sort_index().tolist()
    assert (result["total"], result["suppressed"]) == (137, False)
    assert [cell["label"] for cell in result["cells"]] == ["ALL", "AML low", "AML high"]


def test_numbers_are_cut_as_the_private_form_cuts_them(bmt, schema, fed):
    typed = {"column": "z1", "edges": "20,40"}
    result = fed.run(asked(schema, **typed), fed.split(bmt, bmt["z9"]))
    assert counts(result) == np.histogram(bmt["z1"], [0, 20, 40, 80])[0].tolist()
    noisy = fed.run(Histogram.from_options(typed, schema), fed.split(bmt, bmt["z9"]))
    assert counts(result) == [cell["count"] for cell in noisy["cells"]]


def test_all_patients_are_one_cell_and_missing_ones_another(bmt, schema, fed):
    assert counts(fed.run(asked(schema), fed.split(bmt, bmt["z9"]))) == [137]
    rows = bmt.assign(ferritin=np.where(np.arange(137) < 20, np.nan, 900.0))
    result = fed.run(asked(schema, column="ferritin", bins="2"), [fed.rows(rows)])
    assert counts(result) == [117, 0, 20]
    assert result["cells"][2]["label"] == "missing"


def test_a_small_count_takes_another_with_it(bmt, schema, fed):
    rows = pd.concat([bmt[bmt["disease"] != "2"], bmt[bmt["disease"] == "2"].head(3)])
    result = fed.run(asked(schema, column="disease"), [fed.rows(rows)], min_patients=5)
    assert counts(result).count(None) == 2 and result["suppressed"]
    assert result["total"] == len(rows)


def test_who_says_exact_gets_it_and_who_names_a_cost_the_other():
    assert form_of("histogram", exact=True, costs=False) is ExactHistogram
    assert form_of("histogram-exact", exact=False, costs=True) is Histogram


def test_what_cannot_be_asked_is_one_sentence(bmt, schema, fed):
    with pytest.raises(InvalidInput, match="'histogram-exact' has no option --confidence"):
        asked(schema, column="z1", confidence="0.9")
    with pytest.raises(InvalidInput, match="may have 3 rows"):
        asked(Schema("visits", schema.fields, schema.patient_id, rows_per_patient=3), column="z1")
    with pytest.raises(RoundFailed, match="Too few patients"):
        fed.run(asked(schema, column="z1"), [fed.rows(bmt.head(3))], 5)
