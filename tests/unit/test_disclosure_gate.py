"""The gate lets through what was declared, to the last bit, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.disclosure import gate
from synthema_core.errors import Refused

OUTPUTS = Outputs((Output("deaths", (3,), 100, Content.COUNTS), Output("mean", (), 90), Output("table", (2, 2), 1e12)))
GOOD = {"deaths": np.array([10, 0, 100]), "mean": np.array(61.25), "table": np.array([[1.5, -2.0], [0.0, 1e12]])}


def changed(**parts: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **parts}.items() if value is not None}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an output too many": (changed(patient_31337=np.zeros(1)), "does not declare"),
    "a missing one": (changed(mean=None), "'mean' is missing"),
    "no array": (changed(mean=61.25), "not an array"),
    "a list": (changed(deaths=[1, 2, 3]), "not an array"),
    "objects": (changed(deaths=np.array([1, 2, 3], dtype=object)), "not an array"),
    "texts": (changed(deaths=np.array(["1", "2", "3"])), "not an array"),
    "complex numbers": (changed(mean=np.array(31337 + 0j)), "not an array"),
    "times": (changed(mean=np.array("2020-01-01", dtype="datetime64[D]")), "not an array"),
    "another shape": (changed(deaths=np.zeros((3, 1))), "shape"),
    "another length": (changed(deaths=np.zeros(4)), "shape"),
    "NaN": (changed(mean=np.array(np.nan)), "finite"),
    "infinity": (changed(table=np.full((2, 2), -np.inf)), "finite"),
    "above its bound": (changed(mean=np.array(90.000001)), "bound"),
    "below its bound": (changed(mean=np.array(-91)), "bound"),
    "a long double": (changed(mean=np.array(np.longdouble("1e400"))), "finite"),
    "a large whole number": (changed(table=np.full((2, 2), 2**63 - 1)), "bound"),
    "half a patient": (changed(deaths=np.array([10, 0.5, 1])), "declared as counts"),
    "fewer than none": (changed(deaths=np.array([10, -1, 1])), "declared as counts"),
}


@pytest.mark.parametrize(("arrays", "reason"), BAD.values(), ids=BAD)
def test_what_is_not_declared_is_refused(arrays: dict[str, Any], reason: str) -> None:
    """With a sentence that holds nothing the code made: no value, no name of its own."""
    with pytest.raises(Refused, match=reason) as refused:
        gate(arrays, OUTPUTS)
    assert refused.value.rule == "output"
    assert not re.search(r"\d", str(refused.value))
    assert "patient_" not in str(refused.value)


def test_what_is_declared_passes_unchanged_and_in_order() -> None:
    gated = gate(dict(reversed(GOOD.items())), OUTPUTS)
    assert gated.values.tolist() == [10, 0, 100, 61.25, 1.5, -2.0, 0.0, 1e12]
    assert {name: array.shape for name, array in gated.arrays.items()} == {"deaths": (3,), "mean": (), "table": (2, 2)}


def test_what_lies_on_a_bound_passes() -> None:
    gate(changed(mean=np.array(-90.0), deaths=np.array([100, 100, 0])), OUTPUTS)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", ">f8"])
def test_every_dtype_of_numbers_passes(dtype: str) -> None:
    assert gate(changed(deaths=np.array([1, 0, 1]).astype(dtype)), OUTPUTS).values[:3].tolist() == [1, 0, 1]


def test_the_sign_of_zero_does_not_leave() -> None:
    assert not np.signbit(gate(changed(mean=np.array(-0.0)), OUTPUTS).values).any(
        where=[True] * 4 + [True, False, 1, 1]
    )


ANYTHING = hnp.arrays(
    dtype=st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.boolean_dtypes(), hnp.complex_number_dtypes()),
    shape=hnp.array_shapes(min_dims=0, max_dims=2, max_side=3),
)


@given(st.dictionaries(st.sampled_from(["deaths", "mean", "table", "more"]), ANYTHING))
def test_whatever_comes_is_refused_by_name_or_within_what_was_declared(arrays: dict[str, Any]) -> None:
    try:
        gated = gate(arrays, OUTPUTS)
    except Refused as refused:
        assert refused.rule == "output"
        return
    assert set(arrays) == {"deaths", "mean", "table"}
    assert (np.abs(gated.values) <= OUTPUTS.bounds).all()
    assert all(float(value).is_integer() and value >= 0 for value in gated.values[:3])
