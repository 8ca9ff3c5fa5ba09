"""Sealed shares are for one receiver, from one sender, under one Roster; everything else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.protocol import announced, gathered, noisy, secret, sites_of
from synthema_core.errors import IntegrityFailure
from synthema_core.secure_sum import Roster
from synthema_core.secure_sum.keys import JobKeys
from synthema_core.secure_sum.sealing import from_wire, seal, to_wire, unseal

SHARES = bytes(range(128))


def prepared(job: str = "job-1") -> tuple[Roster, dict[str, JobKeys]]:
    sites = sites_of(noisy(4), job=job)
    keys = {name: JobKeys(site.memory["seed"]) for name, site in sites.items()}
    return gathered(announced(sites), noisy(4), job=job), keys


ROSTER, KEYS = prepared()
SEALED = seal(SHARES, KEYS["alder"].share_key, ROSTER, "alder", "birch")


def test_only_the_receiver_opens_them() -> None:
    assert unseal(SEALED, KEYS["birch"].share_key, ROSTER, "alder", "birch") == SHARES
    assert SHARES not in SEALED and len(SEALED) == len(SHARES) + 16
    with pytest.raises(IntegrityFailure, match="altered"):
        unseal(SEALED, KEYS["cedar"].share_key, ROSTER, "alder", "cedar")


@pytest.mark.parametrize(
    ("opener", "sender", "receiver"),
    [
        ("birch", "cedar", "birch"),
        ("cedar", "alder", "birch"),
        ("birch", "alder", "cedar"),
        ("alder", "birch", "alder"),
    ],
)
def test_a_sender_or_receiver_cannot_be_exchanged(opener: str, sender: str, receiver: str) -> None:
    with pytest.raises(IntegrityFailure, match=f"shares of '{sender}' were altered"):
        unseal(SEALED, KEYS[opener].share_key, ROSTER, sender, receiver)


def test_shares_are_not_those_sent_the_other_way_although_the_secret_is_the_same() -> None:
    back = seal(SHARES, KEYS["birch"].share_key, ROSTER, "birch", "alder")
    assert back != SEALED
    with pytest.raises(IntegrityFailure, match="altered"):
        unseal(back, KEYS["birch"].share_key, ROSTER, "alder", "birch")


def test_another_roster_opens_nothing() -> None:
    """Of another Job; and of this Job with a site less."""
    other, keys = prepared("job-2")
    with pytest.raises(IntegrityFailure, match="altered"):
        unseal(SEALED, keys["birch"].share_key, other, "alder", "birch")
    fewer = gathered(ROSTER.announcements[:3], noisy(4))
    with pytest.raises(IntegrityFailure, match="altered"):
        unseal(SEALED, KEYS["birch"].share_key, fewer, "alder", "birch")


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_one_changed_bit_is_noticed(place: int, change: int) -> None:
    altered = SEALED[:place] + bytes([SEALED[place] ^ change]) + SEALED[place + 1 :]
    with pytest.raises(IntegrityFailure, match="altered"):
        unseal(altered, KEYS["birch"].share_key, ROSTER, "alder", "birch")


@given(st.binary(max_size=200))
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(IntegrityFailure, match="altered"):
        unseal(content, KEYS["birch"].share_key, ROSTER, "alder", "birch")
    for length in (0, 15, len(SEALED) - 1):
        with pytest.raises(IntegrityFailure, match="altered"):
            unseal(SEALED[:length], KEYS["birch"].share_key, ROSTER, "alder", "birch")


def test_a_restarted_site_seals_the_same_bytes() -> None:
    """One key for each sender, receiver and Roster, and one text under it: a zero nonce is used once."""
    assert seal(SHARES, JobKeys(secret("fresh", "alder", "job-1")).share_key, ROSTER, "alder", "birch") == SEALED


@given(st.dictionaries(st.text(max_size=5), st.binary(max_size=20), max_size=4))
def test_shares_come_back_from_the_wire(sealed: dict[str, bytes]) -> None:
    assert from_wire(to_wire(sealed)) == sealed


@pytest.mark.parametrize("data", [None, 3, [], "ab", {"a": 3}, {"a": "zz"}, {"a": None}, {"a": "abc"}], ids=str)
def test_what_no_site_dealt_cannot_be_read(data: Any) -> None:
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        from_wire(data)
