"""Masks cancel in the sum over a Round's sites, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.protocol import (
    ALARM,
    NAMES,
    SEEN,
    Site,
    begun,
    exact,
    how_uniform,
    noisy,
    plain_sum,
    sites_of,
    small,
)
from synthema_core.errors import RoundFailed
from synthema_core.secure_sum import Moment, Reveal, Survivors, Terms, add, input_digest, unmask
from synthema_core.secure_sum.layout import Block, Layout, Ring

LONG = 4096


def zeros(site: str, index: int, seen: str) -> Ring:
    return np.zeros(LONG, dtype=np.uint64)


def short(site: str, index: int, seen: str) -> Ring:
    return np.zeros(4, dtype=np.uint64)


def masked(sites: Mapping[str, Site], index: int = 1) -> dict[str, Ring]:
    return {name: site.mask(index, SEEN) for name, site in sites.items()}


# The sum


@settings(max_examples=25)
@given(st.integers(3, 7), st.integers(1, 9), st.data())
def test_masks_cancel_exactly_in_the_sum_of_all_sites(count: int, length: int, data: st.DataObject) -> None:
    """Whatever the contributions, in whichever order they arrive, for every round."""
    layout = Layout((Block("values", length, 1e6, fractional_bits=20),))
    values = st.lists(st.floats(-1e6, 1e6), min_size=length, max_size=length).map(np.array)
    sites = sites_of(exact(count), lambda *_: layout.quantise(data.draw(values)), rounds=3)
    begun(sites)
    for index in (1, 2, 3):
        arrived = masked(sites, index)
        in_any_order = {name: arrived[name] for name in data.draw(st.permutations(sorted(sites)))}
        total = add(in_any_order, list(sites), length)
        assert total.tolist() == plain_sum(site.contributed[index, SEEN] for site in sites.values())


@pytest.mark.parametrize("count", range(4, 9))
def test_with_as_many_sites_missing_as_may_be_the_survivors_sum_is_exact(count: int) -> None:
    """Whoever they are; each Round anew."""
    terms = noisy(count)
    ways = [*list(combinations(terms.sites, terms.least))[:12], terms.sites]
    sites = sites_of(terms, rounds=len(ways))
    session = begun(sites)
    for index, survivors in enumerate(ways, start=1):
        rings = {name: sites[name].mask(index, SEEN) for name in survivors}
        said = {name: sites[name].choose(index, survivors) for name in survivors}
        signatures = {name: str(signature) for name, signature in said.items()}
        reveals = {
            name: answer if isinstance(answer, Reveal) else sites[name].reveal(index, signatures)
            for name, answer in said.items()
        }
        chosen = Survivors(Moment(session.digest, index, SEEN), tuple(survivors))
        total = unmask(add(rings, survivors, 4), session, terms, chosen, reveals)
        assert total.tolist() == plain_sum(sites[name].contributed[index, SEEN] for name in survivors)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrived: arrived.pop("birch"),
        lambda arrived: arrived.update(douglas=arrived["birch"]),
        lambda arrived: arrived.update(douglas=arrived.pop("birch")),
        lambda arrived: arrived.update(birch=arrived["birch"][:-1]),
        lambda arrived: arrived.update(birch=arrived["birch"].reshape(2, 2)),
        lambda arrived: arrived.update(birch=arrived["birch"].astype(np.float64)),
        lambda arrived: arrived.clear(),
    ],
    ids=["missing", "too many", "another", "too short", "of another shape", "no ring", "nobody"],
)
def test_a_sum_is_over_exactly_its_sites_or_there_is_none(change: Callable[[dict[str, Ring]], Any]) -> None:
    sites = sites_of(exact(3), short)
    begun(sites)
    arrived = masked(sites)
    change(arrived)
    with pytest.raises(RoundFailed):
        add(arrived, NAMES[:3], 4)


def test_a_sum_over_nobody_is_refused() -> None:
    with pytest.raises(RoundFailed):
        add({}, [], 4)


# What the hub sees


@pytest.mark.parametrize("terms", [exact(3), exact(4), exact(5), noisy(3)], ids=["3", "4", "5", "noisy 3"])
def test_every_proper_subset_looks_uniform(terms: Terms) -> None:
    """One masked contribution of nothing but zeros, and the sum of any that are not all of them."""
    sites = sites_of(terms, zeros)
    begun(sites)
    arrived = masked(sites)
    for size in range(1, len(sites)):
        for chosen in combinations(sites, size):
            partial = np.sum([arrived[site] for site in chosen], axis=0, dtype=np.uint64)
            assert how_uniform(partial) > ALARM, chosen
    assert not add(arrived, list(sites), LONG).any()


@pytest.mark.parametrize("count", [4, 5])
def test_where_sites_may_be_missing_even_the_sum_of_all_looks_uniform(count: int) -> None:
    """Until they have revealed whose own masks come off."""
    sites = sites_of(noisy(count), zeros)
    begun(sites)
    arrived = masked(sites)
    for size in range(1, count + 1):
        for chosen in combinations(sites, size):
            partial = np.sum([arrived[site] for site in chosen], axis=0, dtype=np.uint64)
            assert how_uniform(partial) > ALARM, chosen


@pytest.mark.parametrize(
    "weak",
    [
        np.arange(LONG, dtype=np.uint64),
        np.random.default_rng(1).integers(2**32, size=LONG, dtype=np.uint64),
        np.random.default_rng(1).integers(2**63, size=LONG, dtype=np.uint64),
        np.rint(np.random.default_rng(1).normal(0, 2.0**61, LONG)).astype(np.int64).view(np.uint64),
    ],
    ids=["unmasked", "half a mask", "63 bits", "normal"],
)
def test_the_uniformity_test_notices_weak_masks(weak: Ring) -> None:
    assert how_uniform(weak) < ALARM


def mask_of(terms: Terms, index: int = 1, seen: str = SEEN, dealers: int = 0, job: str = "job-1") -> Ring:
    """What alder adds to zeros."""
    sites = sites_of(terms, lambda *_: np.zeros(512, dtype=np.uint64), job=job)
    for site in sites.values():
        site.memory["seed"] = (site.name * 32).encode()[:32]  # the same in every job
        site.restart()
    begun(sites, terms.sites[: dealers or len(terms.sites)])
    return sites["alder"].mask(index, seen)


@pytest.mark.parametrize("terms", [exact(3), noisy(5)], ids=["exact", "noisy"])
@pytest.mark.parametrize(
    "other",
    [
        {"index": 2},
        {"seen": input_digest(np.array([0.5, 0.0]))},
        {"seen": input_digest(np.array([np.nextafter(0.5, 1)]))},
        {"job": "job-2"},
    ],
    ids=["round", "input's shape", "input's last bit", "job"],
)
def test_a_mask_is_used_once(terms: Terms, other: Any) -> None:
    """The difference of two masks is uniform, too: two contributions under them cannot be compared."""
    assert np.array_equal(mask_of(terms), mask_of(terms))
    assert how_uniform(mask_of(terms) - mask_of(terms, **other)) > ALARM


def test_masks_differ_with_the_roster_and_the_dealers_although_the_keys_are_the_same() -> None:
    masks = [mask_of(noisy(5)), mask_of(noisy(5), dealers=4), mask_of(exact(4)), mask_of(exact(3))]
    for one, other in combinations(masks, 2):
        assert how_uniform(one - other) > ALARM


@pytest.mark.parametrize("terms", [exact(4), noisy(3)], ids=["exact", "noisy"])
def test_sites_that_were_told_different_inputs_do_not_cancel(terms: Terms) -> None:
    sites = sites_of(terms, zeros)
    begun(sites)
    inputs = {name: input_digest(np.array([float(name == "birch")])) for name in sites}
    arrived = {name: site.mask(1, inputs[name]) for name, site in sites.items()}
    assert how_uniform(add(arrived, list(sites), LONG)) > ALARM


def test_masking_leaves_the_contribution_as_it_was() -> None:
    sites = sites_of(noisy(4))
    begun(sites)
    before = small("alder", 1, SEEN)
    sites["alder"].mask(1, SEEN)
    assert sites["alder"].contributed[1, SEEN].tolist() == before.tolist()
