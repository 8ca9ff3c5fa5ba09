"""Masks cancel in the sum over all of a Job's sites, and nowhere else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from synthema_core.errors import IntegrityFailure, InvalidPlan, Refused, RoundFailed
from synthema_core.identity import public_key
from synthema_core.secure_sum import Announcement, Member, Roster, add, input_digest
from synthema_core.secure_sum.layout import Block, Layout, Ring

JOB, PLAN = "job-1", "d" * 64
NAMES = ("alder", "birch", "cedar", "douglas", "elm", "fir", "ginkgo")
SEEN = input_digest(np.array([0.5]))
ALARM = 1e-9
"""Every input of the uniformity tests is fixed, so they never flake; a wrong mask is far below this."""


def secret(*words: str) -> bytes:
    return hashlib.sha256("/".join(words).encode()).digest()


IDENTITIES = {site: Ed25519PrivateKey.from_private_bytes(secret("identity", site)) for site in NAMES}


def member(site: str, job: str = JOB) -> Member:
    return Member(site, X25519PrivateKey.from_private_bytes(secret(site, job)))


def announce(site: str, mask_key: str, job: str = JOB, plan: str = PLAN) -> Announcement:
    return Announcement(site, job, plan, mask_key).signed(IDENTITIES[site])


def announced(sites: Iterable[str], job: str = JOB, plan: str = PLAN) -> dict[str, Announcement]:
    return {site: announce(site, member(site, job).public_key, job, plan) for site in sites}


def gather(announcements: Iterable[Announcement], sites: Iterable[str], job: str = JOB, plan: str = PLAN) -> Roster:
    return Roster.gather(job, plan, announcements, {site: public_key(IDENTITIES[site]) for site in sites})


def joined(sites: Sequence[str], job: str = JOB, plan: str = PLAN) -> dict[str, Member]:
    """The sites' Members, agreed on their Roster."""
    roster = gather(announced(sites, job, plan).values(), sites, job, plan)
    members = {site: member(site, job) for site in sites}
    for one in members.values():
        one.join(roster)
    return members


def masked(members: Mapping[str, Member], rings: Mapping[str, Ring], round_index: int = 1) -> dict[str, Ring]:
    return {site: one.mask(round_index, SEEN, rings[site]) for site, one in members.items()}


def zeros(sites: Iterable[str], length: int) -> dict[str, Ring]:
    return {site: np.zeros(length, dtype=np.uint64) for site in sites}


# The sum


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 7), st.integers(1, 9), st.data())
def test_masks_cancel_exactly_in_the_sum_of_all_sites(sites: int, length: int, data: st.DataObject) -> None:
    """Whatever the contributions, in whichever order they arrive, for every round."""
    names = data.draw(st.permutations(NAMES))[:sites]
    layout = Layout((Block("values", length, 1e6, fractional_bits=20),))
    values = st.lists(st.floats(-1e6, 1e6), min_size=length, max_size=length).map(np.array)
    members = joined(names)
    for round_index in (1, 2, 9):
        rings = {site: layout.quantise(data.draw(values)) for site in names}
        arrived = masked(members, rings, round_index)
        in_any_order = {site: arrived[site] for site in data.draw(st.permutations(names))}
        exact = [sum(int(ring.view(np.int64)[place]) for ring in rings.values()) for place in range(length)]
        assert add(in_any_order, names, length).view(np.int64).tolist() == exact


@pytest.mark.parametrize(
    "change",
    [
        lambda arrived: arrived.pop("birch"),
        lambda arrived: arrived.update(douglas=arrived["birch"]),
        lambda arrived: arrived.update(douglas=arrived.pop("birch")),
        lambda arrived: arrived.update(birch=arrived["birch"][:-1]),
        lambda arrived: arrived.update(birch=arrived["birch"].astype(np.float64)),
        lambda arrived: arrived.clear(),
    ],
    ids=["missing", "too many", "another", "too short", "no ring", "nobody"],
)
def test_a_sum_is_over_exactly_the_plans_sites_or_there_is_none(change: Any) -> None:
    arrived = masked(joined(NAMES[:3]), zeros(NAMES[:3], 4))
    change(arrived)
    with pytest.raises(RoundFailed):
        add(arrived, NAMES[:3], 4)


def test_a_sum_over_one_site_is_refused() -> None:
    with pytest.raises(RoundFailed):
        add(zeros(["alder"], 4), ["alder"], 4)


# What the hub sees


def how_uniform(ring: Ring) -> float:
    """p-value of its bytes being equally often each of 0 to 255."""
    return float(chisquare(np.bincount(ring.view(np.uint8), minlength=256)).pvalue)


@pytest.mark.parametrize("sites", [3, 4, 5])
def test_every_proper_subset_looks_uniform(sites: int) -> None:
    """One masked contribution of nothing but zeros, and the sum of any that are not all of them."""
    names, length = NAMES[:sites], 4096
    arrived = masked(joined(names), zeros(names, length))
    for size in range(1, sites):
        for chosen in combinations(names, size):
            partial = np.sum([arrived[site] for site in chosen], axis=0, dtype=np.uint64)
            assert how_uniform(partial) > ALARM, chosen
    assert not add(arrived, names, length).any()


@pytest.mark.parametrize(
    "weak",
    [
        np.arange(4096, dtype=np.uint64),
        np.random.default_rng(1).integers(2**32, size=4096, dtype=np.uint64),
        np.random.default_rng(1).integers(2**63, size=4096, dtype=np.uint64),
        np.rint(np.random.default_rng(1).normal(0, 2.0**61, 4096)).astype(np.int64).view(np.uint64),
    ],
    ids=["unmasked", "half a mask", "63 bits", "normal"],
)
def test_the_uniformity_test_notices_weak_masks(weak: Ring) -> None:
    assert how_uniform(weak) < ALARM


def mask_of(
    sites: Sequence[str] = NAMES[:3], *, job: str = JOB, plan: str = PLAN, index: int = 1, seen: str = SEEN
) -> Ring:
    """What `alder` adds to zeros."""
    return joined(sites, job, plan)["alder"].mask(index, seen, np.zeros(512, dtype=np.uint64))


@pytest.mark.parametrize(
    "other",
    [
        {"index": 2},
        {"seen": input_digest(np.array([0.5, 0.0]))},
        {"seen": input_digest(np.array([np.nextafter(0.5, 1)]))},
        {"sites": NAMES[:4]},
        {"sites": ("alder", "birch", "douglas")},
        {"plan": "e" * 64},
        {"job": "job-2"},
    ],
    ids=["round", "input's shape", "input's last bit", "more sites", "another site", "plan", "job"],
)
def test_a_mask_is_used_once(other: Any) -> None:
    """The difference of two masks is uniform, too: two contributions under them cannot be compared."""
    assert np.array_equal(mask_of(), mask_of())
    assert how_uniform(mask_of() - mask_of(**other)) > ALARM


def test_masks_depend_on_the_roster_although_the_keys_are_the_same() -> None:
    """Were it otherwise, a hub could run one job under two names and subtract."""
    keys = {site: member(site).public_key for site in NAMES[:3]}
    masks = []
    for job in ("job-1", "job-2"):
        one = member("alder")
        one.join(gather([announce(site, key, job) for site, key in keys.items()], NAMES[:3], job))
        masks.append(one.mask(1, SEEN, np.zeros(512, dtype=np.uint64)))
    assert how_uniform(masks[0] - masks[1]) > ALARM


def test_sites_that_were_told_different_inputs_do_not_cancel() -> None:
    members, ring = joined(NAMES[:4]), np.zeros(4096, dtype=np.uint64)
    inputs = {site: input_digest(np.array([float(site == "birch")])) for site in NAMES[:4]}
    arrived = {site: one.mask(1, inputs[site], ring) for site, one in members.items()}
    assert how_uniform(add(arrived, NAMES[:4], 4096)) > ALARM


@pytest.mark.parametrize("rounds", [(1, 1), (2, 1), (0,), (-1,)])
def test_a_round_is_masked_once_and_in_order(rounds: tuple[int, ...]) -> None:
    one = joined(NAMES[:3])["alder"]
    ring = np.zeros(4, dtype=np.uint64)
    for index in rounds[:-1]:
        one.mask(index, SEEN, ring)
    with pytest.raises(IntegrityFailure, match="masked before"):
        one.mask(rounds[-1], SEEN, ring)


def test_masking_leaves_the_contribution_as_it_was() -> None:
    ring = np.arange(4, dtype=np.uint64)
    joined(NAMES[:3])["alder"].mask(1, SEEN, ring)
    assert ring.tolist() == [0, 1, 2, 3]


def test_the_inputs_digest_is_over_its_values_and_shape() -> None:
    values = np.arange(6.0)
    assert input_digest(values) == input_digest(values.astype(">f8")) == input_digest(np.repeat(values, 2)[::2])
    assert len({input_digest(values), input_digest(values.reshape(2, 3)), input_digest(-values)}) == 3


# The Roster


def other_key() -> str:
    return member("eve").public_key


THREE = announced(NAMES[:3])
BIRCH = THREE["birch"]
REFUSED_ROSTERS: dict[str, tuple[dict[str, Announcement], type[Exception]]] = {
    "substituted key": ({"birch": replace(BIRCH, mask_key=other_key())}, IntegrityFailure),
    "unsigned key": ({"birch": replace(BIRCH, signature="")}, IntegrityFailure),
    "garbled signature": ({"birch": replace(BIRCH, signature="not hexadecimal")}, IntegrityFailure),
    "signed by another site": (
        {"birch": Announcement("birch", JOB, PLAN, other_key()).signed(IDENTITIES["cedar"])},
        IntegrityFailure,
    ),
    "another job": ({"birch": announce("birch", BIRCH.mask_key, job="job-0")}, IntegrityFailure),
    "another job, said to be this": (
        {"birch": replace(announce("birch", BIRCH.mask_key, job="job-0"), job=JOB)},
        IntegrityFailure,
    ),
    "another plan": ({"birch": announce("birch", BIRCH.mask_key, plan="e" * 64)}, IntegrityFailure),
    "another plan, said to be this": (
        {"birch": replace(announce("birch", BIRCH.mask_key, plan="e" * 64), plan_digest=PLAN)},
        IntegrityFailure,
    ),
    "a site twice": ({"again": BIRCH}, IntegrityFailure),
    "a site twice, with two keys": ({"again": announce("birch", other_key())}, IntegrityFailure),
    "one key for two": ({"birch": announce("birch", THREE["cedar"].mask_key)}, IntegrityFailure),
    "one key for two, respelt": ({"birch": announce("birch", THREE["cedar"].mask_key.upper())}, IntegrityFailure),
    "an extra site": ({"douglas": announce("douglas", member("douglas").public_key)}, IntegrityFailure),
    "a key that is none": ({"birch": announce("birch", "key")}, IntegrityFailure),
}


@pytest.mark.parametrize(("changes", "error"), REFUSED_ROSTERS.values(), ids=REFUSED_ROSTERS)
def test_a_roster_is_of_the_plans_sites_own_keys_for_this_job(
    changes: dict[str, Announcement], error: type[Exception]
) -> None:
    gather(THREE.values(), NAMES[:3])
    with pytest.raises(error):
        gather({**THREE, **changes}.values(), NAMES[:3])


@pytest.mark.parametrize("others", [("alder", "cedar"), ("cedar", "douglas", "alder"), ()], ids=len)
def test_a_missing_site_ends_the_job(others: tuple[str, ...]) -> None:
    with pytest.raises(RoundFailed, match=r"No mask key from .*birch"):
        gather(announced(others).values(), NAMES[:3])


def test_two_sites_are_too_few() -> None:
    with pytest.raises(IntegrityFailure, match="not over the Plan's sites"):
        gather(announced(NAMES[:2]).values(), NAMES[:2])


def test_a_roster_is_the_same_in_any_order_and_on_the_wire() -> None:
    roster = gather(THREE.values(), NAMES[:3])
    again = Roster.from_dict(gather(reversed(THREE.values()), NAMES[:3]).to_dict())
    assert (again, again.digest, again.sites) == (roster, roster.digest, NAMES[:3])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"job": JOB, "plan_digest": PLAN, "announcements": 3},
        {"job": JOB, "plan_digest": PLAN, "announcements": [{"site": "alder"}]},
        {"job": JOB, "plan_digest": PLAN, "announcements": [{**BIRCH.to_dict(), "mask_key": 7}]},
        {"job": JOB, "plan_digest": PLAN, "announcements": [{**BIRCH.to_dict(), "more": ""}]},
    ],
)
def test_a_roster_that_cannot_be_read_is_refused(data: Any) -> None:
    with pytest.raises(IntegrityFailure):
        Roster.from_dict(data)


def test_a_site_whose_own_key_was_replaced_refuses() -> None:
    """Even where its identity signed the other key: that one belongs to another process."""
    roster = gather({**THREE, "alder": announce("alder", other_key())}.values(), NAMES[:3])
    one = member("alder")
    with pytest.raises(IntegrityFailure, match="another mask key for this site"):
        one.join(roster)
    with pytest.raises(IntegrityFailure, match="before the roster"):
        one.mask(1, SEEN, np.zeros(4, dtype=np.uint64))


def test_a_job_has_one_roster() -> None:
    one = joined(NAMES[:3])["alder"]
    with pytest.raises(IntegrityFailure, match="already"):
        one.join(gather(announced(NAMES[:4]).values(), NAMES[:4]))


def test_a_key_with_which_every_secret_is_zero_is_refused() -> None:
    """A low-order point: its owner's masks would be known to everybody."""
    roster = gather([*announced(("alder", "cedar")).values(), announce("birch", "00" * 32)], NAMES[:3])
    with pytest.raises(IntegrityFailure, match="that is none"):
        member("alder").join(roster)


# The Layout

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
