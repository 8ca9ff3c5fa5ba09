"""A formula's matrix: what formulaic makes of it, within -1 and 1, with a way back to original units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema_core.canonical import canonical
from synthema_core.design import Design
from synthema_core.design.coding import coded_terms
from synthema_core.design.formulae import split_formula
from synthema_core.errors import InvalidInput, NotFound
from synthema_core.schemas import Field, Kind, Schema

SCHEMA = Schema(
    name="trial",
    patient_id="patient",
    fields=(
        Field("patient", Kind.IDENTIFIER),
        Field("age", Kind.INTEGER, "Age", "years", 18, 90),
        Field("year", Kind.INTEGER, "Year", "", 1990, 2025),
        Field("bmi", Kind.NUMBER, "", "kg/m2", 10, 60),
        Field("arm", Kind.CATEGORY, "Arm", codes=(("a", "Standard"), ("b", "New"), ("c", ""))),
        Field("sex", Kind.CATEGORY, "Sex", codes=(("f", "female"), ("m", "male"))),
        Field("fit", Kind.BOOLEAN, "Fit"),
        Field("alone", Kind.CATEGORY, codes=(("x", "x"),)),
    ),
)


def patients(number=200, seed=0):
    dice = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": dice.integers(18, 91, number),
            "year": dice.integers(1990, 2026, number),
            "bmi": dice.uniform(10, 60, number),
            "arm": dice.choice(["a", "b", "c"], number),
            "sex": dice.choice(["f", "m"], number),
            "fit": dice.integers(0, 2, number),
        }
    )


def rows_of(table):
    return {
        name: np.asarray(column, dtype=float if pd.api.types.is_numeric_dtype(column) else object)
        for name, column in table.items()
    }


def told(design, table):
    """[1, columns] in original units."""
    z = np.column_stack([np.ones(len(table)), design.matrix(rows_of(table))])
    return z @ np.linalg.inv(design.to_original(intercept=True))


FORMULAE = [
    ("age + arm", None),
    ("age * arm * fit", None),
    ("age:arm", None),
    ("arm:sex", None),
    ("sex:arm:fit + age", None),
    ("arm + arm:sex", None),
    ("age + age:arm:sex", None),
    ("(age + arm + sex) ** 2", None),
    ("age / arm", None),
    ("age * bmi * year", None),
    ("age + bmi + year + age:bmi:year", None),
    ("C(arm, Treatment('b')) * age", "C(arm, contr.treatment('b')) * age"),
    ("C(arm, Treatment(reference='c')):sex", "C(arm, contr.treatment('c')):sex"),
    ("bs(age, df=4) * arm", "bs(age, knots=[54], lower_bound=18, upper_bound=90) * arm"),
    ("bs(bmi, knots=(20, 30), degree=2)", "bs(bmi, knots=[20, 30], degree=2, lower_bound=10, upper_bound=60)"),
    ("poly(year, 3) * arm", "poly(year, 3, raw=True) * arm"),
    ("poly(age, 2, raw=True):sex", "poly(age, 2, raw=True):sex"),
    ("I(age) + I(bmi):sex", "age + bmi:sex"),
    ("log1p(bmi) * arm", "np.log1p(bmi) * arm"),
    ("I(age >= 60) * bmi + I(age / 10):arm", "{(age >= 60) * 1} * bmi + {age / 10}:arm"),
    ("I(arm == 'b' or fit) + I(age * bmi)", "{((arm == 'b') | (fit == 1)) * 1} + {age * bmi}"),
    ("bs(log(bmi), df=3)", "bs(np.log(bmi), df=3, lower_bound=np.log(10), upper_bound=np.log(60))"),
    ("cut(age, 40, 60)", "{(age >= 40) * (age < 60) * 1} + {(age >= 60) * 1}"),
    ("C(cut(age, 40, 60), Treatment('60 and above'))", "{(age < 40) * 1} + {(age >= 40) * (age < 60) * 1}"),
]


@pytest.mark.parametrize(("formula", "same"), FORMULAE)
def test_the_columns_are_formulaics(formula, same):
    table = patients()
    design = Design.read(formula, SCHEMA)
    as_group = table.assign(fit=table["fit"].astype(str)) if "{" not in (same or "") else table
    reference = np.asarray(model_matrix(same or formula, as_group).astype(float))
    ours = told(design, table)
    assert ours.shape == reference.shape
    found = {int(np.argmin(np.abs(reference - one[:, np.newaxis]).max(axis=0))) for one in ours.T}
    assert found == set(range(ours.shape[1]))
    for one in ours.T:
        assert np.abs(reference - one[:, np.newaxis]).max(axis=0).min() <= 1e-9 * np.abs(one).max()


@pytest.mark.parametrize(("formula", "_"), FORMULAE)
def test_every_column_lies_between_minus_1_and_1_and_none_is_lost(formula, _):
    design = Design.read(formula, SCHEMA)
    corners = pd.concat([patients(500), patients(300).assign(age=18, year=1990, bmi=10.0)], ignore_index=True)
    z = design.matrix(rows_of(corners))
    assert z.shape[1] == len(design.terms) and np.abs(z).max() <= 1
    assert np.linalg.matrix_rank(np.column_stack([np.ones(800), z])) == 1 + z.shape[1]


@pytest.mark.parametrize(("formula", "_"), FORMULAE)
def test_a_plan_carries_it_and_no_parser_is_needed(formula, _, monkeypatch):
    design = Design.read(formula, SCHEMA)
    monkeypatch.setattr("synthema_core.design.design.terms_of", None)
    again = Design.from_dict(design.to_dict())
    assert again == design and canonical(again.to_dict()) == canonical(design.to_dict())
    assert np.array_equal(again.matrix(rows_of(patients())), design.matrix(rows_of(patients())))
    assert design.matches(SCHEMA)


def test_reading_the_canonical_formula_gives_the_same():
    for formula, _ in FORMULAE:
        design = Design.read(formula, SCHEMA)
        assert Design.read(design.formula, SCHEMA) == design


def test_numbers_are_centred_where_the_formula_allows_it():
    """Far from 0, an uncentred column is all but constant: its coefficient would leave the bounds of iterates."""
    z = Design.read("year * arm", SCHEMA).matrix(rows_of(patients()))
    assert z[:, 0].min() < -0.9 and z[:, 0].max() > 0.9
    assert np.linalg.cond(np.column_stack([np.ones(200), z])) < 10
    alone = Design.read("year:arm", SCHEMA).matrix(rows_of(patients()))
    assert set(np.sign(alone).ravel()) == {0.0, 1.0}


def test_natural_splines_are_patsys_without_the_first():
    patsy = pytest.importorskip("patsy")
    table = patients()
    for ours, theirs in (
        ("cr(age, df=3)", "cr(age, knots=(42, 66)"),
        ("ns(bmi, knots=(15, 30, 31))", "cr(bmi, knots=(15, 30, 31)"),
    ):
        low, high = (18, 90) if "age" in ours else (10, 60)
        basis = np.asarray(patsy.dmatrix(f"{theirs}, lower_bound={low}, upper_bound={high}) - 1", table))[:, 1:]
        assert np.allclose(told(Design.read(ours, SCHEMA), table)[:, 1:], basis, atol=1e-10)


@given(knots=st.lists(st.integers(19, 89), unique=True, max_size=6), age=st.floats(18, 90))
@settings(max_examples=60, deadline=None)
def test_splines_stay_within_their_bounds_for_any_knots(knots, age):
    spelled = ", ".join(map(str, sorted(knots)))
    rows = {"age": np.array([age, 18.0, 90.0, *np.linspace(18, 90, 50)])}
    for formula in (f"bs(age, knots=[{spelled}])", f"cr(age, knots=[{spelled}])"):
        z = Design.read(formula, SCHEMA).matrix(rows)
        assert np.abs(z).max() <= 1 and np.isfinite(z).all()


def test_beyond_typed_bounds_a_spline_stays_as_it_is():
    design = Design.read("bs(age, df=4, lower_bound=30, upper_bound=70)", SCHEMA)
    z = design.matrix({"age": np.array([18.0, 30.0, 70.0, 90.0])})
    assert np.array_equal(z[0], z[1]) and np.array_equal(z[2], z[3])
    assert design.formula == "bs(age, df=4, lower_bound=30, upper_bound=70)"


def test_how_terms_are_told():
    design = Design.read("age * arm + fit + poly(age, 2):fit + bs(bmi, df=3)", SCHEMA)
    terms = {term.name: term for term in design.terms}
    assert (terms["age"].label, terms["age"].per, terms["age"].scale) == ("Age", "1 year", 36.0)
    assert (terms["arm=b"].label, terms["arm=b"].per) == ("Arm: New", "New vs Standard")
    assert (terms["fit"].label, terms["fit"].per) == ("Fit", "yes vs no")
    assert (terms["age:arm=c"].label, terms["age:arm=c"].per) == ("Age × Arm: c", "1 year × c vs Standard")
    assert terms["poly(age, 2)[2]:fit=0"].label == "Age, power 2 × Fit: no"
    assert terms["bs(bmi, df=3)[3]"].label == "bmi, spline 3 of 3"
    assert [(block.label, len(block.places), block.smooth) for block in design.blocks] == [
        ("Age", 1, False),
        ("Arm", 2, False),
        ("Fit", 1, False),
        ("bmi", 3, True),
        ("Age × Arm", 2, False),
        ("Age × Fit", 4, True),
    ]


def test_groups_are_counted_where_categories_meet():
    design = Design.read("arm * sex + age:fit", SCHEMA)
    table = patients()
    counted = dict(zip(design.cells.labels, design.cells.counts(rows_of(table)), strict=True))
    assert len(counted) == 3 + 2 + 6 + 2
    assert counted["Arm: New, Sex: male"] == ((table["arm"] == "b") & (table["sex"] == "m")).sum()
    assert counted["Fit: yes"] == table["fit"].sum()


def test_who_is_known():
    design = Design.read("age * arm + bs(bmi, df=3) + fit", SCHEMA)
    table = patients(6).astype({"age": float, "fit": float})
    table.loc[0, "age"], table.loc[1, "arm"], table.loc[2, "arm"] = np.nan, "", "z"
    table.loc[3, "bmi"], table.loc[4, "fit"] = np.nan, np.nan
    assert design.known(rows_of(table)).tolist() == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("formula", "error", "match"),
    [
        ("", InvalidInput, "cannot be read|1 to"),
        ("1", InvalidInput, "1 to 50 terms"),
        ("0 + age", InvalidInput, "intercept"),
        ("age - 1", InvalidInput, "intercept"),
        ("age + + ", InvalidInput, "cannot be read"),
        ("age ~ bmi", InvalidInput, "."),
        ("age | bmi", InvalidInput, "."),
        (".", InvalidInput, "."),
        ("height", NotFound, "no column 'height'"),
        ("patient", InvalidInput, "tells patients apart"),
        ("alone", InvalidInput, "one level"),
        ("arm + C(arm)", InvalidInput, "occurs twice"),
        ("age + I(age)", InvalidInput, "occurs twice"),
        ("C(age)", InvalidInput, "does not sort"),
        ("I(age ** 2)", InvalidInput, r"x \* x"),
        ("log(age - 18)", InvalidInput, "no value"),
        ("I(1 + 1)", InvalidInput, "."),
        ("C(arm, Treatment('z'))", InvalidInput, "no code 'z'"),
        ("C(arm, Sum)", InvalidInput, "cannot be read"),
        ("C()", InvalidInput, "names no column"),
        ("bs(age)", InvalidInput, "needs df or knots"),
        ("bs(age, df=4, knots=(30,))", InvalidInput, "needs df or knots"),
        ("bs(age, df=2)", InvalidInput, "df from 3"),
        ("bs(age, df=4.5)", InvalidInput, "whole number"),
        ("bs(age, df=True)", InvalidInput, "whole number"),
        ("bs(age, df=99)", InvalidInput, "df from 3"),
        ("bs(age, knots=(50, 40))", InvalidInput, "not in order"),
        ("bs(age, knots=(10,))", InvalidInput, "not in order"),
        ("bs(age, knots=('a',))", InvalidInput, "no number"),
        ("bs(age, knots=(float('nan'),))", InvalidInput, "no number"),
        ("bs(age, df=3, lower_bound=0)", InvalidInput, "leave the range"),
        ("bs(age, df=3, degree=9)", InvalidInput, "degree"),
        ("cr(age, df=3, degree=2)", InvalidInput, "needs df or knots"),
        ("bs(arm, df=3)", InvalidInput, "no number"),
        ("poly(age, 9)", InvalidInput, "degree from 1 to 8"),
        ("poly(age, 2, raw=False)", InvalidInput, "orthogonal"),
        ("poly(age)", InvalidInput, "whole number"),
        ("age:bmi:year:arm:sex", InvalidInput, "at most 4"),
        ("poly(age, 8):poly(bmi, 8):arm", InvalidInput, "columns"),
        (" + ".join(f"bs(age, df={k})" for k in range(3, 20)), InvalidInput, "columns"),
        ("__import__('os').system('true')", InvalidInput, "."),
        ("I((lambda: 1)())", InvalidInput, "."),
        ("age" + ":age" * 3000, InvalidInput, "too long"),
    ],
)
def test_what_is_no_formula(formula, error, match):
    with pytest.raises(error, match=match) as caught:
        Design.read(formula, SCHEMA)
    assert caught.value.hint


@given(st.text(alphabet="age+:*()~|bs, df=3.'\"C[]{}^-1/%`\\\n", max_size=25))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_design_or_one_sentence(text):
    try:
        design = Design.read(text, SCHEMA)
    except (InvalidInput, NotFound) as error:
        assert error.message
    else:
        assert Design.from_dict(design.to_dict()) == design


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data | {"terms": [["age"], ["age"]]},
        lambda data: data | {"terms": [["age"], ["arm", "age"], ["age", "arm"]]},
        lambda data: data | {"terms": [["C(arm)"]]},
        lambda data: data | {"terms": [["age", "age"]]},
        lambda data: data | {"terms": [[]]},
        lambda data: data | {"terms": []},
        lambda data: data | {"terms": [["age"]]},
        lambda data: data | {"terms": [["height"]]},
        lambda data: data | {"fields": data["fields"][:1]},
        lambda data: data | {"fields": data["fields"][::-1]},
        lambda data: data | {"terms": [["age"] * 60]},
        lambda data: data | {"terms": [[f"poly(age, {k})", "arm"] for k in range(1, 9)] * 3},
    ],
)
def test_a_design_that_read_would_not_have_written_is_refused(change):
    data = Design.read("age + age:arm", SCHEMA).to_dict()
    with pytest.raises(InvalidInput):
        Design.from_dict(change(data))


def test_another_schemas_constants_do_not_match():
    design = Design.read("age + arm", SCHEMA)
    for name, change in (
        ("age", {"maximum": 91}),
        ("age", {"unit": "months"}),
        ("arm", {"codes": (("b", ""), ("a", ""))}),
    ):
        fields = tuple(replace(field, **change) if field.name == name else field for field in SCHEMA.fields)
        assert not design.matches(replace(SCHEMA, fields=fields))
    assert not design.matches(replace(SCHEMA, fields=SCHEMA.fields[:1]))
    assert design.matches(replace(SCHEMA, fields=tuple(f for f in SCHEMA.fields if f.name != "bmi")))


def test_coding_of_categories():
    assert coded_terms([("a",), ("b",), ("a", "b")], {"a", "b"}) == [
        [frozenset({("a", False)})],
        [frozenset({("b", False)})],
        [frozenset({("a", False), ("b", False)})],
    ]
    assert coded_terms([("x", "a")], {"a"}) == [[frozenset({("x", False), ("a", True)})]]


@pytest.mark.parametrize("formula", ["y", "~ age", "y ~", "a ~ b ~ c", ""])
def test_what_has_no_two_sides(formula):
    with pytest.raises(InvalidInput) as caught:
        split_formula(formula)
    assert caught.value.hint


def test_two_sides():
    assert split_formula("y ~ a + b") == ("y", "a + b")


@given(
    formula=st.sampled_from([formula for formula, _ in FORMULAE]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_no_row_reaches_farther_than_is_told(formula, seed):
    design = Design.read(formula, SCHEMA)
    dice = np.random.default_rng(seed)
    beta = dice.normal(0, 3, len(design.terms))
    reached = np.abs(design.matrix(rows_of(patients(300, seed))) @ beta).max()
    assert reached <= design.reach(beta) * (1 + 1e-12) <= np.abs(beta).sum() * (1 + 1e-9)


def test_levels_and_b_splines_reach_as_far_as_the_largest():
    beta = np.array([3.0, -4.0])
    assert Design.read("arm", SCHEMA).reach(beta) == 4
    assert Design.read("bs(age, df=3)", SCHEMA).reach(np.array([1.0, -2.0, 1.5])) == 2
    assert Design.read("age + bmi", SCHEMA).reach(beta) == 7
    assert Design.read("age:sex", SCHEMA).reach(beta) == 4
    assert Design.read("poly(age, 2):sex", SCHEMA).reach(np.array([1.0, 2.0, 3.0, -4.0])) == 7
