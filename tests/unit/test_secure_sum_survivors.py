"""What sites sign and reveal, and what the hub makes of it: the sum, or an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.protocol import IDENTITIES, NAMES, PUBLIC, SEEN, Remembered, Site, begun, noisy, plain_sum, sites_of
from synthema_core.errors import IntegrityFailure, RoundFailed, SynthemaError
from synthema_core.secure_sum import Moment, Reveal, Session, Survivors, add, unmask
from synthema_core.secure_sum.layout import Ring
from synthema_core.secure_sum.summing import check_sealed

FIVE = noisy(5)
MOMENT = Moment("a" * 64, 1, SEEN)
CHOSEN = Survivors(MOMENT, NAMES[:3])


def signatures(chosen: Survivors, signers: Sequence[str]) -> dict[str, str]:
    return {name: chosen.signature(IDENTITIES[name]) for name in signers}


def test_a_statement_comes_back() -> None:
    assert Survivors.from_statement(CHOSEN.statement()) == CHOSEN


@pytest.mark.parametrize("change", [{"round": "x"}, {"survivors": 3}, {"round": None}], ids=str)
def test_a_statement_that_cannot_be_read_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        Survivors.from_statement({**CHOSEN.statement(), **change})
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        Survivors.from_statement({})


def test_a_certificate_is_enough_survivors_signatures_over_exactly_this() -> None:
    CHOSEN.check_certified(signatures(CHOSEN, NAMES[:3]), PUBLIC, 3)
    for signers in (NAMES[:2], (*NAMES[:2], NAMES[3]), NAMES[:4]):
        with pytest.raises(IntegrityFailure, match="signatures of 3 survivors"):
            CHOSEN.check_certified(signatures(CHOSEN, signers), PUBLIC, 3)


@pytest.mark.parametrize(
    "other",
    [
        replace(CHOSEN, sites=NAMES[:4]),
        replace(CHOSEN, sites=("alder", "birch")),
        replace(CHOSEN, moment=replace(MOMENT, session="b" * 64)),
        replace(CHOSEN, moment=replace(MOMENT, round_index=2)),
        replace(CHOSEN, moment=replace(MOMENT, seen="c" * 64)),
    ],
    ids=["more", "fewer", "session", "round", "input"],
)
def test_a_signature_is_over_session_round_input_and_survivors(other: Survivors) -> None:
    mixed = {**signatures(CHOSEN, NAMES[:2]), **signatures(other, ["cedar"])}
    with pytest.raises(IntegrityFailure, match="'survivors' does not hold"):
        CHOSEN.check_certified(mixed, PUBLIC, 3)


def test_a_signature_over_keys_is_none_over_survivors() -> None:
    """Each kind of statement is signed in its own domain."""
    announcement = sites_of(noisy(4))["cedar"].announce()
    with pytest.raises(IntegrityFailure):
        CHOSEN.check_signature(PUBLIC["cedar"], announcement.signature)


# What is revealed

SHARES = st.dictionaries(st.sampled_from(NAMES), st.binary(min_size=32, max_size=32), max_size=5)


@given(SHARES, SHARES)
def test_what_was_revealed_comes_back(seeds: dict[str, bytes], keys: dict[str, bytes]) -> None:
    assert Reveal.from_dict(Reveal(seeds, keys).to_dict()) == Reveal(seeds, keys)


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        3,
        {"seeds": {}},
        {"seeds": [], "keys": {}},
        {"seeds": {"a": 3}, "keys": {}},
        {"seeds": {"a": "zz"}, "keys": {}},
    ],
    ids=str,
)
def test_what_was_not_revealed_like_this_cannot_be_read(data: Any) -> None:
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        Reveal.from_dict(data)


def test_a_reveal_is_of_each_survivors_seed_and_each_missing_sites_key() -> None:
    share = bytes(32)
    Reveal({"alder": share, "birch": share}, {"cedar": share}).check_for(["alder", "birch"], ["cedar"])
    for seeds, keys in (
        ({"alder": share}, {"cedar": share}),
        ({"alder": share, "birch": share}, {}),
        ({"alder": share, "birch": share, "cedar": share}, {}),
        ({"alder": share, "birch": share, "cedar": share}, {"cedar": share}),
        ({"alder": share, "birch": share[:-1]}, {"cedar": share}),
        ({"alder": share, "birch": share}, {"cedar": b""}),
    ):
        with pytest.raises(IntegrityFailure, match="not of the round's sites"):
            Reveal(seeds, keys).check_for(["alder", "birch"], ["cedar"])


# The hub's side


@dataclass
class Ended:
    """A Round of five sites in which elm was missing, up to its unmasking."""

    sites: dict[str, Site]
    session: Session
    chosen: Survivors
    total: Ring
    reveals: dict[str, Reveal]

    def unmasked(self, reveals: dict[str, Reveal] | None = None, **changes: Any) -> Ring:
        parts = {"total": self.total, "session": self.session, "terms": FIVE, "chosen": self.chosen, **changes}
        return unmask(reveals=self.reveals if reveals is None else reveals, **parts)


@pytest.fixture(scope="module")
def ended() -> Ended:
    sites = sites_of(FIVE)
    session = begun(sites)
    survivors = NAMES[:4]
    rings = {name: site.mask(1, SEEN) for name, site in sites.items()}
    signed = {name: str(sites[name].choose(1, survivors)) for name in survivors}
    reveals = {name: sites[name].reveal(1, signed) for name in survivors}
    chosen = Survivors(Moment(session.digest, 1, SEEN), survivors)
    return Ended(sites, session, chosen, add({name: rings[name] for name in survivors}, survivors, 4), reveals)


def test_the_survivors_sum_is_exact(ended: Ended) -> None:
    before = ended.total.copy()
    truth = plain_sum(ended.sites[name].contributed[1, SEEN] for name in NAMES[:4])
    assert ended.unmasked().tolist() == truth
    assert ended.total.tolist() == before.tolist(), "the total stays as it was"


@pytest.mark.parametrize("count", range(4))
def test_too_few_that_reveal_open_nothing(ended: Ended, count: int) -> None:
    few = dict(list(ended.reveals.items())[:count])
    with pytest.raises(RoundFailed, match=f"{count} sites revealed shares and 4 are needed"):
        ended.unmasked(few)


def wrong_seed(reveal: Reveal) -> Reveal:
    return replace(reveal, seeds={**reveal.seeds, "birch": bytes(32)})


def wrong_key(reveal: Reveal) -> Reveal:
    return replace(reveal, keys={"elm": reveal.keys["elm"][::-1]})


@pytest.mark.parametrize(("change", "of"), [(wrong_seed, "birch"), (wrong_key, "elm")], ids=["seed", "key"])
@pytest.mark.parametrize("liar", NAMES[:4])
def test_one_wrong_share_is_noticed(ended: Ended, liar: str, change: Callable[[Reveal], Reveal], of: str) -> None:
    reveals = {**ended.reveals, liar: change(ended.reveals[liar])}
    with pytest.raises(RoundFailed, match=f"shares of '{of}' do not fit"):
        ended.unmasked(reveals)


def test_shares_under_another_name_are_noticed(ended: Ended) -> None:
    """Each site's lie at a point of its own. (At the points 1, 2 and 3 alone an exchange would change nothing.)"""
    swapped = {**ended.reveals, "alder": ended.reveals["douglas"], "douglas": ended.reveals["alder"]}
    with pytest.raises(RoundFailed, match="do not fit"):
        ended.unmasked(swapped)


def test_shares_of_another_round_are_noticed(ended: Ended) -> None:
    sites = {name: replace(site, memory=Remembered(site.memory)) for name, site in ended.sites.items()}
    for name in NAMES[:4]:
        sites[name].mask(2, SEEN)
    signed = {name: str(sites[name].choose(2, NAMES[:4])) for name in NAMES[:4]}
    later = {name: sites[name].reveal(2, signed) for name in NAMES[:4]}
    with pytest.raises(RoundFailed, match="do not fit"):
        ended.unmasked(later)


def test_a_total_of_other_sites_than_were_chosen_gives_noise(ended: Ended) -> None:
    """The hub's own mistake or lie: nothing checks it, nothing comes out."""
    wrong = ended.unmasked(total=ended.total + np.uint64(1))
    assert wrong.tolist() != ended.unmasked().tolist()


@given(data=st.data())
def test_whatever_sites_reveal_the_hub_fails_cleanly(ended: Ended, data: st.DataObject) -> None:
    """What passes its check of form is the sum, or an error of ours."""
    shares = st.binary(min_size=32, max_size=32)
    liar = data.draw(st.sampled_from(NAMES[:4]))
    lie = Reveal({name: data.draw(shares) for name in NAMES[:4]}, {"elm": data.draw(shares)})
    lie.check_for(NAMES[:4], ["elm"])
    with pytest.raises(SynthemaError):
        ended.unmasked({**ended.reveals, liar: lie})


def test_a_site_deals_to_each_of_the_others() -> None:
    check_sealed({"birch": b"", "cedar": b""}, NAMES[:3], "alder")
    for sealed in ({}, {"birch": b""}, {"alder": b"", "birch": b"", "cedar": b""}, {"birch": b"", "elm": b""}):
        with pytest.raises(IntegrityFailure, match="'alder' did not deal"):
            check_sealed(sealed, NAMES[:3], "alder")
