"""Models of diffprivlib: bounds from the Schema, no seeds, no warnings passed over, shapes that no row decides."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import diffprivlib
import numpy as np
import pytest
from diffprivlib.mechanisms.base import DPMechanism

from support.builders import SCHEMA
from support.models import TYPED, model, patients, typed
from synthema_core.analyses.base import Rows
from synthema_core.analyses.diffprivlib_model import DiffprivlibModel
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused, RoundFailed
from synthema_core.private_models import fitting
from synthema_core.private_models.kinds import KINDS
from synthema_core.private_models.scale import components_of

MODELS = tuple(TYPED)
CLASSES = {
    "naive-bayes": "GaussianNB",
    "logistic-regression": "LogisticRegression",
    "linear-regression": "LinearRegression",
    "standard-scaler": "StandardScaler",
    "pca": "PCA",
}
PLANTED = "Leningrad-4711"
WILD: dict[str, Rows] = {
    "usual": patients(),
    "lowest": patients(days=np.zeros(60), age=np.zeros(60), arm=np.array(["a"] * 60, dtype=object)),
    "highest": patients(days=np.full(60, 1000.0), age=np.full(60, 100.0), died=np.ones(60)),
    "beyond": patients(days=np.full(60, 1e9), age=np.linspace(-1e9, 1e9, 60)),
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each estimator is told besides its accountant."""
    told: list[dict[str, Any]] = []
    usual = fitting._made

    def spy(kind: Any, task: fitting.Task, **bounds: Any) -> Any:
        estimator = usual(kind, task, **bounds)
        told.append({"kind": kind.__name__, "seed": estimator.random_state, "epsilon": estimator.epsilon, **bounds})
        return estimator

    monkeypatch.setattr(fitting, "_made", spy)
    return told


@pytest.fixture
def mechanisms(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every mechanism that draws noise."""
    drawn: list[Any] = []
    usual = DPMechanism.__init__

    def spy(self: Any, **given: Any) -> None:
        usual(self, **given)
        drawn.append(self)

    monkeypatch.setattr(DPMechanism, "__init__", spy)
    yield drawn
    assert drawn, "no noise at all"


def flat(question: DiffprivlibModel, rows: Rows) -> np.ndarray:
    return np.concatenate([array.reshape(-1) for array in question.fitted(rows).values()])


def test_every_model_is_tried_here() -> None:
    assert set(MODELS) == set(CLASSES) == set(KINDS)


# Bounds


@pytest.mark.parametrize("name", MODELS)
def test_bounds_do_not_depend_on_rows(name: str, made: list[dict[str, Any]]) -> None:
    for rows in WILD.values():
        model(name).fitted(rows)
    first, *others = (repr(told) for told in made)
    assert others == [first] * (len(WILD) - 1)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_fitted_lies_within_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = getattr(diffprivlib.models, CLASSES[name])
    method = "partial_fit" if name == "naive-bayes" else "fit"
    usual, seen = getattr(kind, method), []

    def spy(self: Any, features: Any, *others: Any, **more: Any) -> Any:
        seen.append((np.array(features), *map(np.array, others)))
        return usual(self, features, *others, **more)

    monkeypatch.setattr(kind, method, spy)
    for rows in WILD.values():
        model(name).fitted(rows)
    for features, *targets in seen:
        assert np.abs(features).max() <= 1
        assert name != "logistic-regression" or np.linalg.norm(features, axis=1).max() <= 1 + 1e-12
        assert not targets or np.abs(targets[0]).max() <= 1


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("naive-bayes", "bounds"),
        ("logistic-regression", "data_norm"),
        ("linear-regression", "bounds_X"),
        ("linear-regression", "bounds_y"),
        ("standard-scaler", "bounds"),
        ("pca", "bounds"),
        ("pca", "data_norm"),
    ],
)
def test_a_bound_that_diffprivlib_would_take_from_rows_ends_the_fit(
    name: str, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = fitting._made

    def careless(kind: Any, task: fitting.Task, **bounds: Any) -> Any:
        return usual(kind, task, **{key: value for key, value in bounds.items() if key != left_out})

    monkeypatch.setattr(fitting, "_made", careless)
    with pytest.raises(Refused) as refused:
        model(name).fitted(patients())
    assert refused.value.rule == "bounds"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("standard-scaler", {"columns": "id"}),
        ("naive-bayes", {"target": "id"}),
        ("linear-regression", {"target": "arm"}),
        ("linear-regression", {"target": "died"}),
        ("logistic-regression", {"target": "age", "columns": "days"}),
    ],
)
def test_a_column_without_the_bounds_it_needs_is_refused(name: str, changes: dict[str, str]) -> None:
    with pytest.raises((InvalidInput, InvalidPlan)):
        model(name, **changes)


def test_squares_of_dummies_get_as_much_noise_as_they_can_change(mechanisms: list[Any]) -> None:
    """diffprivlib takes it from the lower bound alone, which is 0 for a dummy."""
    model("linear-regression").fitted(patients())
    assert min(mechanism.sensitivity for mechanism in mechanisms) >= 1


def test_the_intercept_has_its_part_in_norm_penalty_and_noise(mechanisms: list[Any]) -> None:
    """By default it has none in the penalty, and makes rows longer than 1."""
    model("logistic-regression").fitted(patients())
    (vector,) = mechanisms
    assert (vector.data_sensitivity, vector.dimension) == (1.0, 3)


# Randomness


@pytest.mark.parametrize("name", MODELS)
def test_no_seed_is_taken_and_numpys_is_no_help(name: str, made: list[dict[str, Any]], mechanisms: list[Any]) -> None:
    rows, found = patients(), []
    for _ in range(3):
        np.random.seed(4711)  # what an attacker would do
        found.append(flat(model(name), rows))
    assert all(told["seed"] is None for told in made)
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
    for mechanism in mechanisms:
        bingham = type(mechanism).__name__ == "Bingham"
        assert isinstance(mechanism._rng, np.random.Generator if bingham else secrets.SystemRandom)
        assert not isinstance(mechanism.random_state, int)


@pytest.mark.parametrize("name", MODELS)
def test_a_seeded_estimator_gives_no_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = fitting._made

    def seeded(kind: Any, task: fitting.Task, **bounds: Any) -> Any:
        estimator = usual(kind, task, **bounds)
        estimator.random_state = 4711
        return estimator

    monkeypatch.setattr(fitting, "_made", seeded)
    with pytest.raises(RoundFailed):
        model(name).fitted(patients())


@pytest.mark.parametrize(
    "option",
    ["random-state", "random_state", "seed", "bounds", "data-norm", "accountant", "fit-intercept", "sensitivity"],
)
def test_nothing_that_bounds_or_seeds_can_be_typed(option: str) -> None:
    with pytest.raises(InvalidInput, match="has no option"):
        DiffprivlibModel.from_options({**typed("logistic-regression"), option: "1"}, SCHEMA)


# Its accountant


@pytest.mark.parametrize("name", MODELS)
def test_each_fit_is_counted_once_by_an_accountant_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    diffprivlib.BudgetAccountant.pop_default()
    strict = diffprivlib.BudgetAccountant(epsilon=1e-6, delta=0.0).set_default()
    for _ in range(2):
        model(name).fitted(patients())
    assert strict.spent_budget == []
    assert diffprivlib.BudgetAccountant.pop_default() is strict
    monkeypatch.setattr(diffprivlib.BudgetAccountant, "spend", lambda self, *_: self)
    with pytest.raises(RoundFailed, match="another cost"):
        model(name).fitted(patients())


# Shapes


@pytest.mark.parametrize("rows", WILD)
@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_bounds_are_as_declared_whatever_the_rows_are(name: str, rows: str) -> None:
    question = model(name)
    arrays = question.fitted(WILD[rows])
    assert {name: array.shape for name, array in arrays.items()} == {
        output.name: output.shape for output in question.outputs.outputs
    }
    for output in question.outputs.outputs:
        assert np.isfinite(arrays[output.name]).all()
        assert np.abs(arrays[output.name]).max() <= output.bound
        assert question.places(output.name) == () or tuple(map(len, question.places(output.name))) == output.shape
    question.layout.quantise(question.contribution(WILD[rows], np.zeros(0), None))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["naive-bayes", "logistic-regression"])
def test_a_class_that_nobody_is_of_has_its_place(name: str, mechanisms: list[Any]) -> None:
    """diffprivlib itself takes the classes from the rows, and adds noise to those alone."""
    (few, many) = (patients(died=np.zeros(60)), patients())
    shapes = [[array.shape for array in model(name).fitted(rows).values()] for rows in (few, many)]
    assert shapes[0] == shapes[1]
    if name == "naive-bayes":
        half = len(mechanisms) // 2
        assert [type(one) for one in mechanisms[:half]] == [type(one) for one in mechanisms[half:]]


def test_classes_are_compared_one_by_one_where_there_are_more_than_two() -> None:
    schema = type(SCHEMA).from_dict(
        {**SCHEMA.to_dict(), "fields": [*(f.to_dict() for f in SCHEMA.fields), _stage()]}  # type: ignore[dict-item]
    )
    stages = np.array(["i", "ii", "iii"] * 20, dtype=object)
    question = DiffprivlibModel.from_options(typed("logistic-regression", target="stage"), schema)
    arrays = question.fitted(patients(stage=stages))
    assert arrays["coefficients"].shape == (3, 2)
    assert question.places("intercepts") == (("I", "II", "III"),)


def _stage() -> dict[str, Any]:
    return {"name": "stage", "type": "category", "codes": {"i": "I", "ii": "II", "iii": "III"}}


def test_only_complete_cases_count(made: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setitem(fitting._FITS, "standard-scaler", lambda _, task: seen.append(len(task.features)) or _nothing())
    rows = patients(60)
    rows["age"][:7] = np.nan
    rows["arm"][3:10] = ""
    assert model("standard-scaler").cohort_size(rows) == 50
    model("standard-scaler").fitted(rows)
    assert seen == [50]


def _nothing() -> dict[str, Any]:
    return {"means": np.zeros(3), "variances": np.zeros(3)}


def test_numbers_that_are_none_are_cut_and_another_shape_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {"means": np.array([np.nan, np.inf, -np.inf]), "variances": np.array([1e300, -5.0, 0.5])}
    monkeypatch.setitem(fitting._FITS, "standard-scaler", lambda *_: odd)
    arrays = model("standard-scaler").fitted(patients())
    assert (arrays["means"].tolist(), arrays["variances"].tolist()) == ([0.0, 1.0, -1.0], [1.0, -1.0, 0.5])
    monkeypatch.setitem(fitting._FITS, "standard-scaler", lambda *_: {**odd, "means": np.zeros(2)})
    with pytest.raises(RoundFailed):
        model("standard-scaler").fitted(patients())


@pytest.mark.parametrize("name", MODELS)
def test_what_diffprivlib_says_of_rows_is_not_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def quotes(*_: Any, **__: Any) -> None:
        raise ValueError(f"could not convert {PLANTED}")

    kind = getattr(diffprivlib.models, CLASSES[name])
    monkeypatch.setattr(kind, "partial_fit" if name == "naive-bayes" else "fit", quotes)
    with pytest.raises(RoundFailed) as failed:
        model(name).fitted(patients())
    assert PLANTED not in repr(failed.value) and failed.value.__cause__ is None
    assert "ValueError" in failed.value.message


def test_principal_components_of_too_few_patients_are_refused() -> None:
    with pytest.raises(Refused) as refused:
        model("pca").fitted(patients(3))
    assert refused.value.rule == "min_patients"


# What is fitted is what it says


MANY = patients(40_000, seed=5)


@pytest.fixture(scope="module")
def known() -> Rows:
    """Rows that depend on age in known ways."""
    dice = np.random.default_rng(7)
    age, arm = MANY["age"], (MANY["arm"] == "b") * 1.0
    died = dice.random(len(age)) < 1 / (1 + np.exp(-(0.04 * age - 2.0)))
    return {**MANY, "days": 200 + 5 * age + 100 * arm + dice.normal(0, 20, len(age)), "died": died.astype(np.float64)}


def fitted_in_units(name: str, rows: Rows, **changes: str) -> dict[str, np.ndarray]:
    question = model(name, epsilon="100", **changes)
    return dict(question.scale.in_units(question.fitted(rows)))


def test_a_logistic_regression_finds_the_odds(known: Rows) -> None:
    found = fitted_in_units("logistic-regression", known, c="1000")
    of_age, of_arm = found["coefficients"][0]
    assert (of_age, of_arm) == (pytest.approx(0.04, abs=0.005), pytest.approx(0.0, abs=0.2))
    assert found["intercepts"] == pytest.approx([-2.0], abs=0.5)


def test_a_linear_regression_finds_the_line(known: Rows) -> None:
    found = fitted_in_units("linear-regression", known)
    assert found["coefficients"] == pytest.approx([5.0, 100.0], rel=0.1)
    assert found["intercept"] == pytest.approx(200.0, rel=0.1)


def test_means_and_variances_are_in_the_columns_units(known: Rows) -> None:
    found = fitted_in_units("standard-scaler", known)
    columns = [known["days"], known["age"], (known["arm"] == "b") * 1.0]
    assert found["means"] == pytest.approx([column.mean() for column in columns], rel=0.02)
    assert found["variances"] == pytest.approx([column.var() for column in columns], rel=0.05)


def test_naive_bayes_has_them_by_class(known: Rows) -> None:
    found = fitted_in_units("naive-bayes", known)
    for place, dead in enumerate((0.0, 1.0)):
        ages = known["age"][known["died"] == dead]
        assert found["means"][place, 0] == pytest.approx(ages.mean(), rel=0.02)
        assert found["variances"][place, 0] == pytest.approx(ages.var(), rel=0.05)
        assert found["class_shares"][place] == pytest.approx((known["died"] == dead).mean(), abs=0.01)


def test_a_covariance_comes_back_from_its_components(known: Rows) -> None:
    question = model("pca", epsilon="100")
    arrays = question.fitted(known)
    scaled = np.column_stack([known["days"] / 500 - 1, known["age"] / 50 - 1, known["died"]])
    assert arrays["covariance"] == pytest.approx(np.cov(scaled.T), abs=0.05)
    found = components_of(arrays["covariance"])
    assert list(found.variances) == sorted(found.variances, reverse=True)
    assert np.linalg.norm(found.directions, axis=1) == pytest.approx(np.ones(3))


# What is asked


@pytest.mark.parametrize("name", MODELS)
def test_a_question_is_read_as_it_was_written(name: str) -> None:
    question = model(name)
    assert DiffprivlibModel.from_parameters(question.parameters()) == question
    question.check_against(SCHEMA)


BAD: dict[str, tuple[dict[str, str], str]] = {
    "no model": ({"columns": "age"}, "needs --model"),
    "another model": ({"model": "k-means", "columns": "age"}, "no model 'k-means'"),
    "no columns": ({"model": "pca"}, "needs --columns"),
    "unknown column": ({"model": "pca", "columns": "height"}, "no column"),
    "twice": ({"model": "pca", "columns": "age,age"}, "different names"),
    "no target": ({"model": "naive-bayes", "columns": "age"}, "needs --target"),
    "a target too many": ({"model": "pca", "columns": "age", "target": "died"}, "explains nothing"),
    "explains itself": ({"model": "naive-bayes", "columns": "age,died", "target": "died"}, "each once"),
    "another's setting": ({"model": "pca", "columns": "age", "c": "1"}, "no setting --c"),
    "a setting too large": (
        {"model": "logistic-regression", "columns": "age", "target": "died", "c": "1e9"},
        "between",
    ),
    "no epsilon": ({"model": "pca", "columns": "age", "epsilon": "0"}, "epsilon above 0"),
    "infinite": ({"model": "pca", "columns": "age", "epsilon": "inf"}, "takes a number"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_asked(what: str) -> None:
    options, said = BAD[what]
    with pytest.raises((InvalidInput, NotFound), match=said):
        DiffprivlibModel.from_options(options, SCHEMA)


SPOILT: dict[str, Any] = {
    "seed": lambda it: {**it, "random_state": 1},
    "setting": lambda it: {**it, "settings": {"c": 1.0, "random_state": 1.0}},
    "without": lambda it: {**it, "settings": {}},
    "epsilon": lambda it: {**it, "epsilon": -1.0},
    "integer": lambda it: {**it, "epsilon": "1"},
    "range": lambda it: {**it, "columns": [{**it["columns"][0], "half_range": -1.0}, it["columns"][1]]},
    "target": lambda it: {**it, "target": None},
    "model": lambda it: {**it, "model": "GaussianNB"},
    "columns": lambda it: {**it, "columns": []},
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_plan_that_says_anything_else_is_not_read(what: str) -> None:
    with pytest.raises(InvalidPlan):
        DiffprivlibModel.from_parameters(SPOILT[what](model("logistic-regression").parameters()))


def test_a_range_of_the_researchers_own_is_refused_at_a_site() -> None:
    """It would bound nothing: rows are within the schema's."""
    parameters = model("standard-scaler").parameters()
    narrow = {**parameters, "columns": [{**parameters["columns"][0], "half_range": 1.0}, *parameters["columns"][1:]]}
    with pytest.raises(InvalidPlan, match="not the schema's"):
        DiffprivlibModel.from_parameters(narrow).check_against(SCHEMA)


def test_patients_with_several_rows_are_refused() -> None:
    schema = type(SCHEMA).from_dict({**SCHEMA.to_dict(), "rows_per_patient": 4})
    with pytest.raises(InvalidInput, match="a row for a patient"):
        DiffprivlibModel.from_options(typed("pca"), schema)
