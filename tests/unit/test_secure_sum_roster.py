"""A Roster is of the Plan's sites' own keys, for this Job and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.protocol import (
    IDENTITIES,
    JOB,
    NAMES,
    PLAN,
    SEEN,
    Site,
    announced,
    begun,
    exact,
    gathered,
    noisy,
    secret,
    sites_of,
    small,
)
from synthema_core.errors import IntegrityFailure, RoundFailed
from synthema_core.secure_sum import Announcement, Roster, Session, Terms
from synthema_core.secure_sum.keys import JobKeys

ROUNDS = 2
FOUR = noisy(4)
SHOWN = {one.site: one for one in announced(sites_of(FOUR))}
PLAIN = {one.site: one for one in announced(sites_of(exact(4)))}
BIRCH, CEDAR = SHOWN["birch"], SHOWN["cedar"]


def signed(one: Announcement, by: str = "birch", **changes: Any) -> Announcement:
    return replace(one, **changes).signed(IDENTITIES[by])


def other_keys() -> Announcement:
    return Announcement.of("birch", JOB, PLAN, JobKeys(secret("eve")), ROUNDS, recovers=True)


def same_point(key: str) -> str:
    """Another spelling of an X25519 key: its top bit is not read."""
    raw = bytes.fromhex(key)
    return (raw[:-1] + bytes([raw[-1] | 0x80])).hex()


REFUSED: dict[str, Announcement] = {
    "substituted mask key": replace(BIRCH, mask_keys=other_keys().mask_keys),
    "one substituted mask key": replace(BIRCH, mask_keys=(BIRCH.mask_keys[0], other_keys().mask_keys[1])),
    "mask keys exchanged": replace(BIRCH, mask_keys=BIRCH.mask_keys[::-1]),
    "substituted share key": replace(BIRCH, share_key=other_keys().share_key),
    "substituted commitment": replace(BIRCH, self_masks=other_keys().self_masks),
    "unsigned": replace(BIRCH, signature=""),
    "garbled signature": replace(BIRCH, signature="not hexadecimal"),
    "signed by another site": other_keys().signed(IDENTITIES["cedar"]),
    "another site's, said to be this one's": replace(CEDAR, site="birch"),
    "another job": signed(BIRCH, job="job-0"),
    "another job, said to be this": replace(signed(BIRCH, job="job-0"), job=JOB),
    "another plan": signed(BIRCH, plan_digest="e" * 64),
    "another plan, said to be this": replace(signed(BIRCH, plan_digest="e" * 64), plan_digest=PLAN),
    "one key for two": signed(BIRCH, mask_keys=CEDAR.mask_keys),
    "one share key for two": signed(BIRCH, share_key=CEDAR.share_key),
    "a mask key that is a share key": signed(BIRCH, share_key=CEDAR.mask_keys[0]),
    "one key for two rounds": signed(BIRCH, mask_keys=BIRCH.mask_keys[:1] * 2),
    "one key for two, in capitals": signed(BIRCH, mask_keys=tuple(key.upper() for key in CEDAR.mask_keys)),
    "one key for two, spelt otherwise": signed(BIRCH, mask_keys=tuple(map(same_point, CEDAR.mask_keys))),
    "one share key for two, spelt otherwise": signed(BIRCH, share_key=same_point(CEDAR.share_key)),
    "a key too few": signed(BIRCH, mask_keys=BIRCH.mask_keys[:1]),
    "a key too many": signed(BIRCH, mask_keys=(*BIRCH.mask_keys, *other_keys().mask_keys[:1])),
    "a commitment too few": signed(BIRCH, self_masks=BIRCH.self_masks[:1]),
    "no share key": signed(BIRCH, share_key=""),
    "a key that is none": signed(BIRCH, mask_keys=("key", "yek")),
    "a key with white space": signed(BIRCH, mask_keys=(f"{BIRCH.mask_keys[0]}\n", BIRCH.mask_keys[1])),
    "a commitment that is none": signed(BIRCH, self_masks=("a" * 63, "b" * 64)),
    "no keys for shares, as for an exact sum": PLAIN["birch"],
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED)
def test_a_roster_is_of_the_plans_sites_own_keys_for_this_job(wrong: Announcement) -> None:
    gathered(SHOWN.values(), FOUR)
    with pytest.raises(IntegrityFailure):
        gathered({**SHOWN, "birch": wrong}.values(), FOUR)


@pytest.mark.parametrize(
    "extra",
    [BIRCH, other_keys().signed(IDENTITIES["birch"]), announced(sites_of(noisy(5)))[4]],
    ids=["a site twice", "a site twice, with two sets of keys", "a site that the plan does not name"],
)
def test_each_of_the_plans_sites_is_there_once_and_no_other(extra: Announcement) -> None:
    with pytest.raises(IntegrityFailure, match="not over the Plan's sites"):
        gathered([*SHOWN.values(), extra], FOUR)


def test_keys_for_shares_in_a_sum_that_recovers_nothing_are_refused() -> None:
    gathered(PLAIN.values(), exact(4))
    with pytest.raises(IntegrityFailure, match="one key for each round"):
        gathered({**PLAIN, "birch": BIRCH}.values(), exact(4))


@pytest.mark.parametrize(
    ("terms", "least"),
    [(exact(3), 3), (exact(5), 5), (noisy(3), 3), (noisy(4), 3), (noisy(10, min_sites=9), 9)],
    ids=str,
)
def test_too_few_sites_end_the_job_and_enough_begin_it(terms: Terms, least: int) -> None:
    shown = announced(sites_of(terms))
    assert gathered(shown[:least], terms).sites == terms.sites[:least]
    for count in range(least):
        with pytest.raises(RoundFailed, match=f"No keys from .*{terms.sites[-1]}"):
            gathered(shown[:count], terms)


def test_a_roster_is_the_same_in_any_order_and_on_the_wire() -> None:
    roster = gathered(SHOWN.values(), FOUR)
    again = gathered(Roster.announced(gathered(reversed(SHOWN.values()), FOUR).to_dict()), FOUR)
    assert (again, again.digest, again.sites) == (roster, roster.digest, NAMES[:4])


def test_every_key_the_job_the_plan_and_the_sites_are_under_the_digest() -> None:
    roster = gathered(SHOWN.values(), FOUR)
    changes: list[Callable[[], Roster]] = [
        lambda: replace(roster, job="job-2"),
        lambda: replace(roster, plan_digest="e" * 64),
        lambda: replace(roster, announcements=roster.announcements[:3]),
        lambda: replace(
            roster, announcements=(*roster.announcements[:3], replace(roster.announcements[3], share_key="a"))
        ),
        lambda: replace(
            roster, announcements=(*roster.announcements[:3], replace(roster.announcements[3], mask_keys=("a", "b")))
        ),
        lambda: replace(
            roster, announcements=(*roster.announcements[:3], replace(roster.announcements[3], self_masks=("a", "b")))
        ),
    ]
    assert len({roster.digest, *(change().digest for change in changes)}) == len(changes) + 1


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        [],
        {"announcements": 3},
        {"announcements": "ab"},
        {"announcements": [3]},
        {"announcements": [{"site": "alder"}]},
        {"announcements": [{**BIRCH.to_dict(), "mask_keys": 7}]},
        {"announcements": [{**BIRCH.to_dict(), "mask_keys": "ab"}]},
        {"announcements": [{**BIRCH.to_dict(), "mask_keys": [7, 8]}]},
        {"announcements": [{**BIRCH.to_dict(), "self_masks": None}]},
        {"announcements": [{**BIRCH.to_dict(), "self_masks": [[], []]}]},
        {"announcements": [{**BIRCH.to_dict(), "share_key": 7}]},
        {"announcements": [{**BIRCH.to_dict(), "signature": None}]},
        {"announcements": [{**BIRCH.to_dict(), "more": ""}]},
    ],
    ids=lambda data: str(data)[:40],
)
def test_a_roster_that_cannot_be_read_is_refused(data: Any) -> None:
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        Roster.announced(data)


def test_who_is_not_in_it_is_not_found() -> None:
    with pytest.raises(IntegrityFailure, match="does not show 'elm'"):
        gathered(SHOWN.values(), FOUR).mask_key("elm", 1)


# A site and its Roster


def test_a_site_whose_own_keys_were_replaced_refuses() -> None:
    """Even where its identity signed the others: those belong to another process."""
    site = Site("birch", FOUR, small)
    shown = {**SHOWN, "birch": other_keys().signed(IDENTITIES["birch"])}
    with pytest.raises(IntegrityFailure, match="other keys for this site"):
        site.join(list(shown.values()))
    with pytest.raises(IntegrityFailure, match="before the roster"):
        site.mask(1, SEEN)
    assert "roster" not in site.memory


def test_a_site_that_is_not_in_the_roster_does_not_join() -> None:
    site = Site("birch", FOUR, small)
    with pytest.raises(IntegrityFailure, match="does not show 'birch'"):
        site.join([one for one in SHOWN.values() if one.site != "birch"])


@pytest.mark.parametrize("restarted", [False, True])
def test_a_job_has_one_roster(restarted: bool) -> None:
    site = Site("alder", FOUR, small)
    sealed = site.join(list(SHOWN.values()))
    if restarted:
        site.restart()
    with pytest.raises(IntegrityFailure, match="a roster already"):
        site.join(list(SHOWN.values())[:3])
    assert site.join(list(SHOWN.values())) == sealed, "asked again, the same bytes"


def test_sites_that_were_told_two_rosters_deal_and_mask_for_different_sums() -> None:
    """Birch and cedar are in both; one's shares do not open under the other's Roster."""
    sites = sites_of(FOUR)
    everyone, three = list(SHOWN.values()), list(SHOWN.values())[:3]
    sealed = {name: sites[name].join(three if name == "birch" else everyone) for name in NAMES[:3]}
    with pytest.raises(IntegrityFailure, match="altered on their way"):
        sites["cedar"].begin(everyone, {"alder": sealed["alder"]["cedar"], "birch": sealed["birch"]["cedar"]})


def test_a_low_order_mask_key_is_refused_before_anything_is_masked() -> None:
    """Its owner's masks would be known to everybody."""
    sites = sites_of(exact(3))
    shown = {one.site: one for one in announced(sites)}
    shown["birch"] = signed(shown["birch"], mask_keys=("00" * 32, "01" + "00" * 31))
    sites["alder"].join(list(shown.values()))
    with pytest.raises(IntegrityFailure, match="key that is none"):
        sites["alder"].mask(1, SEEN)
    assert "masked-1" not in sites["alder"].memory


def test_a_low_order_share_key_is_refused_before_anything_is_dealt() -> None:
    site = Site("alder", FOUR, small)
    with pytest.raises(IntegrityFailure, match="key that is none"):
        site.join([signed(BIRCH, share_key="00" * 32) if one.site == "birch" else one for one in SHOWN.values()])


# Dealers


def test_a_session_is_of_the_rosters_sites_in_order() -> None:
    roster = gathered(SHOWN.values(), FOUR)
    for dealers in (("birch", "alder"), ("alder", "alder"), ("alder", "elm")):
        with pytest.raises(IntegrityFailure, match="not in the roster"):
            Session(roster, dealers)
    sessions = [Session(roster, dealers) for dealers in (NAMES[:4], NAMES[:3], NAMES[1:4])]
    assert len({session.digest for session in sessions}) == 3


@pytest.mark.parametrize("restarted", [False, True])
def test_a_job_has_one_set_of_dealers(restarted: bool) -> None:
    sites = sites_of(FOUR)
    announcements = announced(sites)
    sealed = {name: site.join(announcements) for name, site in sites.items()}
    alder = sites["alder"]
    dealt = {name: sealed[name]["alder"] for name in ("birch", "cedar", "douglas")}
    alder.member.accept(dealt)
    if restarted:
        alder.restart()
    with pytest.raises(IntegrityFailure, match="dealt already"):
        alder.member.accept({name: dealt[name] for name in ("birch", "cedar")})
    alder.member.accept(dealt)
    assert set(alder.member._shares) == set(NAMES[:4])


def test_what_is_dealt_is_of_others_in_the_roster_and_of_the_right_length() -> None:
    sites = sites_of(FOUR)
    announcements = announced(sites)
    with pytest.raises(IntegrityFailure, match="no roster"):
        sites["alder"].member.accept({})
    sealed = {name: site.join(announcements) for name, site in sites.items()}
    alder = sites["alder"].member
    dealt = {name: sealed[name]["alder"] for name in ("birch", "cedar", "douglas")}
    fewer = Site("birch", FOUR, small, rounds=1)
    short = fewer.kind._deal(fewer.member, gathered(announcements, FOUR))["alder"]
    wrong: list[dict[str, bytes]] = [
        {},
        {**dealt, "alder": dealt["birch"]},
        {**dealt, "elm": dealt["birch"]},
        {**dealt, "birch": dealt["cedar"]},
        {**dealt, "birch": b""},
        {**dealt, "birch": dealt["birch"][:-1]},
        {**dealt, "birch": short},
    ]
    for case in wrong:
        with pytest.raises(IntegrityFailure):
            alder.accept(case)
        assert not alder.has_session
    alder.accept(dealt)


def test_a_session_of_fewer_dealers_sums_over_them() -> None:
    """A site that announced its keys and then was gone is not waited for."""
    sites = sites_of(FOUR)
    session = begun(sites, NAMES[:3])
    assert session.dealers == NAMES[:3]
    assert not np.array_equal(sites["alder"].mask(1, SEEN), small("alder", 1, SEEN))
