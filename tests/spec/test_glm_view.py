"""A generalised linear model as it is shown: all families have tables and a picture that say how they were made."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from synthema_core.analyses.regression.glm import Glm
from synthema_kernel.figures import glm as figure
from synthema_kernel.tables import glm as tables

FORMS = {
    "odds": (
        {"formula": "d3 ~ disease + z1", "family": "binomial"},
        ["OR (95 % CI)", "83 with the outcome", "log scale"],
    ),
    "rates": (
        {"formula": "t2 ~ disease + z1", "family": "poisson", "offset": "log1p(z2)", "confidence": "0.9"},
        ["RR (90 % CI)", "offset log1p(z2)", "90 % interval"],
    ),
    "differences": (
        {"formula": "t2 ~ disease + z1", "weights": "z2", "site-effects": "no"},
        ["Difference (95 % CI)", "weights z2", "F test", "(days)", "R²"],
    ),
    "robust": ({"formula": "d3 ~ disease + z1", "family": "binomial", "robust": ""}, ["robust (HC0) intervals"]),
    "ridge": ({"formula": "d3 ~ disease + z1", "family": "binomial", "l2": "0.5"}, ["ridge penalty 0.5"]),
    "smooth": (
        {
            "formula": "d3 ~ disease + bs(z1, df=3, lower_bound=5, upper_bound=55)",
            "family": "binomial",
            "site-effects": "no",
        },
        ["smooth: chi-squared", "Patient age"],
    ),
}


@pytest.fixture(scope="module", params=FORMS)
def shown(request, bmt, schema, fed):
    options, told = FORMS[request.param]
    return request.param, fed.run(Glm.from_options(options, schema), fed.split(bmt, bmt["z9"]), 5), told


def test_the_picture_says_how_the_model_was_fitted(shown):
    form, result, told = shown
    root = ElementTree.fromstring(figure.draw(result, ["Small print."]))
    said = [" ".join(part.itertext()) for part in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all(part in " ".join(said) for part in [*told, "Small print.", result["title"]])
    assert "nan" not in " ".join(said).lower().split()
    assert said.count("Patient age") == 1 and ("Patient age, spline 1 of 3" in said) is False
    assert form == "smooth" or "per 1 year" in said


def test_the_tables_have_what_a_paper_has(shown):
    form, result, _ = shown
    first, model, *more = tables.tables(result)
    assert first.caption.endswith(result["formula"]) and model.caption == "The model as a whole"
    assert more[0].caption == "Each term as a whole"
    assert ("Coefficient" in first.columns) == (form != "differences")
    assert ("Robust standard error" in first.columns) == (form == "robust")
    assert (first.rows[0][0] == "Intercept") == (not result["site_effects"])
    assert all(len(row) == len(table.columns) for table in (first, model, *more) for row in table.rows)
    text = "\n".join(table.text() for table in (first, model, *more))
    assert all(note in text for note in result["notes"]) and "None" not in text


def test_the_frame_has_a_row_a_coefficient(shown):
    _, result, _ = shown
    rows = list(tables.records(result))
    names = [term["name"] for term in result["terms"]]
    assert [row["name"] for row in rows] == ([] if result["site_effects"] else ["Intercept"]) + names
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}
    assert list(result["covariance"]["terms"]) == [row["name"] for row in rows]


def test_an_interval_beyond_the_axis_ends_in_an_arrow(shown):
    _, result, _ = shown
    wide = {**result["terms"][0], "effect": 1.0, "lower": 1e-9, "upper": 1e9}
    if result["effect"] == "difference":
        return
    drawn = figure.draw({**result, "terms": [wide, *result["terms"][1:]]})
    paths = [part.get("d") for part in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}path")]
    assert len([path for path in paths if path.count("L") == 2]) == 2
