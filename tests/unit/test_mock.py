"""A Mock knows the Schema and nothing else, and holds what the Schema allows and nothing else."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema_core.mock import mock_rows
from synthema_core.schemas import Field, Kind, Schema

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "id")
ranges = st.tuples(st.integers(-1000, 1000), st.integers(1, 5000)).map(lambda pair: (pair[0], pair[0] + pair[1]))
codes = st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=5, unique=True)


@st.composite
def fields(draw: st.DrawFn) -> Field:
    kind, name, required = draw(st.sampled_from(Kind)), draw(names), draw(st.booleans())
    if kind in (Kind.NUMBER, Kind.INTEGER):
        low, high = draw(ranges)
        return Field(name, kind, minimum=low, maximum=high, required=required)
    if kind is Kind.CATEGORY:
        return Field(name, kind, codes=tuple((code, code) for code in draw(codes)), required=required)
    return Field(name, kind, required=required)


def schema_of(*columns: Field) -> Schema:
    return Schema("mocked", (Field("id", Kind.IDENTIFIER), *columns), "id")


schemas = st.lists(fields(), max_size=6, unique_by=lambda field: field.name).map(lambda columns: schema_of(*columns))
MIXED = schema_of(
    Field("age", Kind.NUMBER, minimum=0, maximum=100),
    Field("ferritin", Kind.NUMBER, minimum=0, maximum=5000, required=False),
    Field("days", Kind.INTEGER, minimum=-3, maximum=3, required=False),
    Field("relapse", Kind.BOOLEAN, required=False),
    Field("arm", Kind.CATEGORY, codes=(("a", "A"), ("b", "B"), ("c", "C")), required=False),
)


def present(field: Field, values: Any) -> Any:
    missing = values == "" if field.kind is Kind.CATEGORY else np.isnan(values)
    assert not (field.required and missing.any()), "missing only where a row may leave it out"
    return values[~missing]


@settings(max_examples=100, deadline=None)
@given(schemas, st.integers(0, 200), st.integers(0, 9))
def test_every_value_is_one_the_schema_allows(schema: Schema, patients: int, seed: int) -> None:
    rows = mock_rows(schema, patients, seed)
    assert list(rows) == [field.name for field in schema.fields]
    for field in schema.fields:
        values = rows[field.name]
        assert values.shape == (patients,)
        if field.kind is Kind.IDENTIFIER:
            assert len(set(values)) == patients
            continue
        values = present(field, values)
        if field.kind is Kind.CATEGORY:
            assert set(values) <= set(field.levels)
        elif field.kind is Kind.BOOLEAN:
            assert set(values) <= {0.0, 1.0}
        else:
            assert ((values >= field.minimum) & (values <= field.maximum)).all()
        if field.kind is Kind.INTEGER:
            assert (values == np.rint(values)).all()


def test_the_schema_is_all_a_mock_is_made_from() -> None:
    """The same rows for the same schema, wherever it is asked for: no site's data can have had a part in it."""
    assert list(inspect.signature(mock_rows).parameters) == ["schema", "patients", "seed"]
    first, again = (mock_rows(schema, 50, 3) for schema in (MIXED, Schema.from_dict(MIXED.to_dict())))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


@pytest.mark.parametrize("other", [(50, 4), (51, 3)])
def test_each_site_gets_a_mock_of_its_own(other: tuple[int, int]) -> None:
    ages, others = mock_rows(MIXED, 50, 3)["age"], mock_rows(MIXED, *other)["age"]
    assert not set(ages) & set(others)


def test_a_mock_fills_its_schema() -> None:
    """All codes, both answers and the whole range occur; some values are missing where they may be."""
    rows = mock_rows(MIXED, 2000, 0)
    assert set(rows["arm"]) == {"", "a", "b", "c"}
    assert set(rows["days"][~np.isnan(rows["days"])]) == set(range(-3, 4))
    assert rows["age"].min() < 1
    assert rows["age"].max() > 99
    for name in ("ferritin", "relapse", "days"):
        assert 0.02 < np.isnan(rows[name]).mean() < 0.1
    assert {0.0, 1.0} <= set(rows["relapse"])


def test_patients_of_a_mock_have_several_rows_where_the_schema_allows_them() -> None:
    for most, expected in ((3, {1, 2, 3}), (40, {1, 2, 3, 4, 5})):
        rows = mock_rows(replace(MIXED, rows_per_patient=most), 200, 0)
        names, each = np.unique(rows["id"].astype(str), return_counts=True)
        assert (len(names), set(each.tolist())) == (200, expected)
        assert {len(values) for values in rows.values()} == {each.sum()}
