"""How numbers become ring elements and back, and what a Plan's declaration of them refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema_core.errors import InvalidPlan, Refused
from synthema_core.secure_sum.layout import _LARGEST_SUM, Block, Layout

LAYOUT = Layout((Block("counts", 2, 100.0), Block("sums", 3, 8.0, fractional_bits=32)))
inside = st.tuples(
    st.lists(st.integers(-100, 100).map(float), min_size=2, max_size=2),
    st.lists(st.floats(-8, 8), min_size=3, max_size=3),
).map(lambda parts: np.array([*parts[0], *parts[1]]))


@given(st.lists(inside, min_size=1, max_size=7))
def test_what_comes_back_is_the_sum_within_the_declared_error(contributions: list[Any]) -> None:
    total = np.sum([LAYOUT.quantise(values) for values in contributions], axis=0, dtype=np.uint64)
    back = np.concatenate(list(LAYOUT.dequantise(total).values()))
    error = np.abs(back - np.sum(contributions, axis=0))
    assert not error[:2].any(), "counts are exact"
    assert error.max() <= LAYOUT.quantisation_error(len(contributions)) + 1e-13  # of adding the floats


def test_values_are_rounded_not_cut() -> None:
    layout = Layout((Block("a", 4, 1.0, fractional_bits=1),))
    assert layout.quantise(np.array([0.3, 0.2, -0.3, -1.0])).view(np.int64).tolist() == [1, 0, -1, -2]
    assert layout.dequantise(np.array([-3], dtype=np.int64).view(np.uint64))["a"].tolist() == [-1.5]
    assert layout.quantisation_error(4) == 1.0
    assert Layout((Block("counts", 4, 9.0),)).quantisation_error(4) == 0


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ([101, 0, 0, 0, 0], "bound"),
        ([-101, 0, 0, 0, 0], "bound"),
        ([0, 0, 0, 0, np.nextafter(8.0, 9.0)], "bound"),
        ([0, 0, 0, np.nan, 0], "bound"),
        ([np.inf, 0, 0, 0, 0], "bound"),
        ([0, 0, 0, 0], "layout"),
        ([[0, 0, 0, 0, 0]], "layout"),
    ],
)
def test_a_value_outside_its_declaration_is_refused(values: Any, rule: str) -> None:
    with pytest.raises(Refused) as refused:
        LAYOUT.quantise(np.array(values, dtype=np.float64))
    assert refused.value.rule == rule


@pytest.mark.parametrize(("sites", "bound", "bits"), [(7, 2.0**60, 0), (8, 1000.0, 40), (2047, 1.0, 52), (3, 99.5, 40)])
def test_an_overflow_is_refused_at_its_exact_edge(sites: int, bound: float, bits: int) -> None:
    """Sites times (bound and noise) is at most 2**63 - 1, in steps."""
    layout = Layout((Block("small", 1, 1.0), Block("large", 1, bound, bits)))
    noise = (2**63 - 1) // sites - (math.ceil(bound) << bits)
    assert noise > 0
    layout.check_sum_fits(sites, noise)
    for too_many in ((sites, noise + 1), (sites + 1, noise)):
        with pytest.raises(InvalidPlan, match="overflow"):
            layout.check_sum_fits(*too_many)


def test_the_largest_sum_that_fits_comes_back() -> None:
    layout = Layout((Block("a", 2, 2.0**11 - 1, 52),))
    layout.check_sum_fits(1)
    values = np.array([2.0**11 - 1, 1 - 2.0**11])
    assert layout.dequantise(layout.quantise(values))["a"].tolist() == values.tolist()


@pytest.mark.parametrize(
    "block",
    [
        {"length": 0},
        {"length": 10_000_001},
        {"bound": 0},
        {"bound": -1},
        {"bound": float("inf")},
        {"bound": float("nan")},
        {"fractional_bits": -1},
        {"fractional_bits": 53},
    ],
    ids=str,
)
def test_a_block_that_declares_nothing_useful_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlan):
        Block(**{"name": "a", "length": 1, "bound": 1.0, **block})


def test_a_layout_names_its_blocks_once() -> None:
    for blocks in ((), (Block("a", 1, 1.0), Block("a", 2, 1.0))):
        with pytest.raises(InvalidPlan):
            Layout(blocks)


@pytest.mark.parametrize(
    "data",
    [
        7,
        [7],
        [{"name": "a"}],
        [{"name": "a", "length": "x", "bound": 1, "fractional_bits": 0}],
        [{"name": "a", "length": float("inf"), "bound": 1, "fractional_bits": 0}],
        [{"name": "a", "length": 1, "bound": 10**400, "fractional_bits": 0}],
    ],
    ids=str,
)
def test_a_layout_that_cannot_be_read_is_refused(data: Any) -> None:
    assert Layout.from_list(LAYOUT.to_list()) == LAYOUT  # type: ignore[arg-type]
    with pytest.raises(InvalidPlan):
        Layout.from_list(data)


@pytest.mark.parametrize("sites", [3, 4, 10, 100])
def test_the_largest_sum_that_was_declared_does_not_wrap_noise_included(sites: int) -> None:
    """All sites at the bound, all with the widest noise, all of one sign: one step more would be refused."""
    layout = Layout((Block("a", 2, 1000.0, 40),))
    noise = _LARGEST_SUM // sites - (1000 << 40)
    layout.check_sum_fits(sites, noise)
    ring = layout.quantise(np.array([1000.0, -1000.0]))
    ring += np.array([noise, -noise]).view(np.uint64)
    total = np.sum([ring] * sites, axis=0, dtype=np.uint64).view(np.int64)
    assert total.tolist() == [sites * ((1000 << 40) + noise), -sites * ((1000 << 40) + noise)]
    with pytest.raises(InvalidPlan, match="overflow"):
        layout.check_sum_fits(sites, noise + 1)
