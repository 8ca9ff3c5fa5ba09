"""A Cox model as it is shown: every form has its tables and its picture, and they say how it was fitted."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from synthema_core.analyses.regression.cox import Cox
from synthema_kernel.figures import forest
from synthema_kernel.tables import cox

TYPED = {"time": "t2", "event": "d3", "covariates": "disease,z1,z8"}
FORMS = {
    "plain": ({}, ["stratified by site, Efron ties", "Concordance within strata 0.", "Proportional hazards, against"]),
    "robust": ({"robust": "", "ties": "breslow"}, ["Breslow ties, robust (Lin and Wei) intervals"]),
    "ridge": ({"l2": "0.1"}, ["ridge penalty 0.1"]),
    "strata": ({"strata": "z3"}, ["stratified by site and Male patient"]),
    "no check": ({"ph": "none"}, ["Likelihood ratio test"]),
    "baseline": ({"baseline-step": "90"}, ["137 patients, 83 events"]),
    "grid": ({"stratify": "none"}, ["not stratified, times counted as the end of steps of 30 days"]),
}


@pytest.fixture(scope="module", params=FORMS)
def shown(request, bmt, schema, fed):
    more, told = FORMS[request.param]
    return request.param, fed.run(Cox.from_options(TYPED | more, schema), fed.split(bmt, bmt["z9"]), 5), told


def test_the_picture_says_how_the_model_was_fitted(shown):
    _, result, told = shown
    root = ElementTree.fromstring(forest.draw(result))
    said = " ".join("".join(part.itertext()) for part in root.iter("{http://www.w3.org/2000/svg}text"))
    assert all(part in said for part in told)
    assert "nan" not in said.lower().split()


def test_the_tables_have_what_a_paper_has(shown):
    form, result, _ = shown
    found = cox.tables(result)
    captions = [table.caption for table in found]
    assert captions[:3] == ["Hazard ratios", "The model as a whole", "Each covariate as a whole"]
    assert any("Proportional hazards" in caption for caption in captions) == (form != "no check")
    assert any("Baseline" in caption for caption in captions) == (form == "baseline")
    assert ("Robust standard error" in found[0].columns) == (form == "robust")
    assert [row[0] for row in found[0].rows] == ["Disease: AML low", "Disease: AML high", "Patient age", "FAB 4 or 5"]
    text = "\n".join(table.text() for table in found)
    assert all(note in text for note in result["notes"])
    assert all(len(row) == len(table.columns) for table in found for row in table.rows)


def test_the_frame_has_a_row_a_term(shown):
    _, result, _ = shown
    rows = list(cox.records(result))
    assert [row["name"] for row in rows] == ["disease=2", "disease=3", "z1", "z8"]
    assert np.allclose([row["hazard_ratio"] for row in rows], np.exp([row["coefficient"] for row in rows]))


def test_a_check_that_says_nothing_is_shown_as_such(bmt, schema, fed):
    once = bmt.assign(t2=np.where(bmt["d3"] == 1, 300, 900))
    result = fed.run(Cox.from_options(TYPED, schema), fed.split(once, bmt["z9"]))
    assert "Proportional hazards could not be" in forest.draw(result)
    (checked,) = [table for table in cox.tables(result) if "Proportional" in table.caption]
    assert all(row[1:] == ("–", "–", "–") for row in checked.rows)
