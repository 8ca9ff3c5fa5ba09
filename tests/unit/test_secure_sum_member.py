"""A site's side, step by step: what may come when, how often, and what a restarted process knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.protocol import (
    NAMES,
    SEEN,
    Killed,
    Site,
    announced,
    begun,
    dealt_to,
    exact,
    noisy,
    secret,
    sites_of,
    small,
)
from synthema_core.errors import IntegrityFailure, Refused, SynthemaError
from synthema_core.secure_sum import Reveal, Session, Terms, input_digest

OTHER = input_digest(np.array([0.75]))
FOUR = noisy(4)
THREE_LEFT = NAMES[:3]


def ready(terms: Terms = FOUR, rounds: int = 3) -> tuple[dict[str, Site], Session]:
    sites = sites_of(terms, rounds=rounds)
    return sites, begun(sites)


def test_a_step_that_is_not_due_is_refused() -> None:
    site = Site("alder", FOUR, small)
    for step in (
        lambda: site.member.accept({}),
        lambda: site.member.mask(1, SEEN, small("alder", 1, SEEN)),
        lambda: site.member.choose(1, NAMES[:4]),
        lambda: site.member.reveal(1),
    ):
        with pytest.raises(SynthemaError):
            step()
    assert set(site.memory) == {"seed"}


@pytest.mark.parametrize("index", [0, -1, 4, 2**70])
def test_a_round_that_the_plan_does_not_have_is_refused(index: int) -> None:
    sites, _ = ready()
    with pytest.raises(Refused, match="no such round") as why:
        sites["alder"].mask(index, SEEN)
    assert why.value.rule == "protocol"
    for step in (lambda: sites["alder"].choose(index, NAMES[:4]), lambda: sites["alder"].reveal(index, {})):
        with pytest.raises(Refused):
            step()


def test_rounds_go_forward_and_may_be_left_out() -> None:
    """A site that missed one takes part in the next."""
    sites, _ = ready()
    sites["alder"].mask(2, SEEN)
    with pytest.raises(Refused, match="Round 1 is over"):
        sites["alder"].mask(1, SEEN)
    with pytest.raises(Refused, match="no part"):
        sites["alder"].choose(1, NAMES[:4])
    sites["alder"].mask(3, SEEN)
    with pytest.raises(Refused, match="no part"):
        sites["alder"].choose(2, NAMES[:4])


def test_only_the_last_rounds_bytes_are_kept_and_the_name_stays_taken() -> None:
    sites, _ = ready()
    for index in (1, 2, 3):
        sites["alder"].mask(index, SEEN)
    kept = {name: len(content) for name, content in sites["alder"].memory.items() if name.startswith("masked")}
    assert kept == {"masked-1": 0, "masked-2": 0, "masked-3": 32 + 8 * 4}


@pytest.mark.parametrize(
    "survivors",
    [
        (),
        NAMES[:2],
        NAMES[1:4],
        ("alder", "birch", "elm"),
        ("birch", "alder", "cedar"),
        ("alder", "alder", "birch", "cedar"),
        NAMES[:5],
    ],
    ids=["nobody", "too few", "without this site", "not of the job", "out of order", "one twice", "too many"],
)
def test_survivors_are_enough_of_the_jobs_sites_and_this_one(survivors: tuple[str, ...]) -> None:
    sites, _ = ready()
    sites["alder"].mask(1, SEEN)
    with pytest.raises(Refused) as why:
        sites["alder"].choose(1, survivors)
    assert why.value.rule == "survivors"
    assert "survivors-1" not in sites["alder"].memory
    assert isinstance(sites["alder"].choose(1, THREE_LEFT), str), "and it is still free to agree"


def test_nobody_agrees_before_masking() -> None:
    sites, _ = ready()
    with pytest.raises(Refused, match="no part in that round"):
        sites["alder"].choose(1, NAMES[:4])


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("first", "second"), [(THREE_LEFT, NAMES[:4]), (NAMES[:4], THREE_LEFT)], ids=["not whole", "whole"]
)
def test_one_set_a_round(first: tuple[str, ...], second: tuple[str, ...], restarted: bool) -> None:
    sites, _ = ready()
    alder = sites["alder"]
    alder.mask(1, SEEN)
    answer = alder.choose(1, first)
    if restarted:
        alder.restart()
    with pytest.raises(Refused, match="agreed to another set"):
        alder.choose(1, second)
    assert alder.choose(1, first) == answer
    alder.mask(2, SEEN)
    alder.choose(2, second)


def test_shares_come_for_the_chosen_set_only_and_never_both_of_one_site() -> None:
    sites, _ = ready()
    for site in sites.values():
        site.mask(1, SEEN)
    with pytest.raises(Refused, match="no survivors of that round"):
        sites["alder"].reveal(1, {})
    signatures = {name: str(sites[name].choose(1, THREE_LEFT)) for name in THREE_LEFT}
    given = sites["alder"].reveal(1, signatures)
    assert (set(given.seeds), set(given.keys)) == (set(THREE_LEFT), {"douglas"})
    sites["alder"].mask(2, SEEN)
    assert sites["alder"].reveal(1, signatures) == given, "late, the same shares of the same round"
    whole = sites["douglas"].choose(1, NAMES[:4])
    assert isinstance(whole, Reveal) and not whole.keys


@pytest.mark.parametrize(
    "wrong",
    [
        lambda signed: {},
        lambda signed: dict(list(signed.items())[:2]),
        lambda signed: {**signed, "douglas": signed["alder"]},
        lambda signed: {**dict(list(signed.items())[:2]), "douglas": signed["cedar"]},
        lambda signed: {**signed, "cedar": signed["alder"]},
        lambda signed: {**signed, "cedar": signed["cedar"][:-2]},
        lambda signed: {**signed, "cedar": ""},
        lambda signed: {**signed, "cedar": 7},
        lambda signed: {**signed, "elm": signed["alder"]},
    ],
    ids=[
        "none",
        "too few",
        "one missing signs",
        "missing for a survivor",
        "one for two",
        "cut",
        "empty",
        "none",
        "foreign",
    ],
)
def test_a_certificate_is_of_enough_survivors(wrong: object) -> None:
    sites, _ = ready()
    for site in sites.values():
        site.mask(1, SEEN)
    signatures = {name: str(sites[name].choose(1, THREE_LEFT)) for name in THREE_LEFT}
    with pytest.raises(IntegrityFailure):
        sites["alder"].reveal(1, wrong(signatures))  # type: ignore[operator]
    sites["alder"].reveal(1, signatures)


@pytest.mark.parametrize("terms", [exact(3), exact(4), noisy(3)], ids=["exact 3", "exact 4", "noisy 3"])
def test_where_no_site_may_be_missing_nothing_is_dealt_or_revealed(terms: Terms) -> None:
    sites = sites_of(terms)
    announcements = announced(sites)
    assert all(site.join(announcements) == {} for site in sites.values())
    alder = sites["alder"]
    alder.mask(1, SEEN)
    for step in (lambda: alder.choose(1, terms.sites), lambda: alder.reveal(1, {})):
        with pytest.raises(Refused):
            step()
    assert set(alder.memory) == {"seed", "roster", "masked-1"}


# Again, and after a restart


def whole_job(sites: dict[str, Site]) -> dict[str, list[bytes]]:
    """All answers of one Job of two Rounds, the second without douglas, as bytes by site."""
    announcements = announced(sites)
    sealed = {name: site.join(announcements) for name, site in sites.items()}
    answers = {name: [repr(announcements).encode(), *sealed[name].values()] for name in sites}
    for name, site in sites.items():
        site.begin(announcements, dealt_to(name, sealed, sites))
    for index, survivors in ((1, NAMES[:4]), (2, THREE_LEFT)):
        for name in survivors:
            answers[name].append(sites[name].mask(index, SEEN).tobytes())
        said = {name: sites[name].choose(index, survivors) for name in survivors}
        signatures = {name: str(signature) for name, signature in said.items()}
        for name in survivors:
            revealed = sites[name].reveal(index, signatures) if index == 2 else said[name]
            answers[name] += [repr(said[name]).encode(), repr(revealed).encode()]
    return answers


def random_noise(site: str, index: int, seen: str) -> np.ndarray:
    return np.random.default_rng().integers(0, 2**60, 4, dtype=np.uint64)


class Insisting:
    """Starts its site again whenever it is killed, and asks once more."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __getattr__(self, step: str) -> Any:
        def insisted(*arguments: Any) -> Any:
            try:
                return getattr(self.site, step)(*arguments)
            except Killed:
                self.site.restart()
                return getattr(self.site, step)(*arguments)

        return insisted


@pytest.mark.parametrize("written", [False, True], ids=["before it was written", "after it was written"])
@pytest.mark.parametrize("writes", range(7))
def test_a_site_killed_at_any_write_gives_the_same_bytes_in_the_end(writes: int, written: bool) -> None:
    """Its noise is drawn anew each time, and that does not show."""
    sites = sites_of(FOUR, random_noise)
    alder = sites["alder"]
    alder.memory.lives, alder.memory.written_last = writes, written
    answers = whole_job({**sites, "alder": Insisting(alder)})["alder"]  # type: ignore[dict-item]
    assert alder.memory.lives is None, "it was killed"
    alder.restart()
    assert alder.mask(2, SEEN).tobytes() in answers
    assert repr(alder.choose(2, THREE_LEFT)).encode() in answers
    assert set(alder.join(announced(sites)).values()) <= set(answers)


def test_a_roster_that_comes_again_takes_no_shares_away() -> None:
    """A message may come twice, or late: what was accepted in between stays."""
    sites = sites_of(FOUR)
    announcements = announced(sites)
    begun(sites)
    for site in sites.values():
        site.mask(1, SEEN)
    first = sites["alder"].join(announcements)
    assert first == sites["alder"].join(list(reversed(announcements)))
    assert isinstance(sites["alder"].choose(1, NAMES[:4]), Reveal)


def test_a_job_whose_seed_is_gone_is_not_taken_up() -> None:
    site = Site("alder", FOUR, small)
    site.memory.let_go("seed")
    with pytest.raises(IntegrityFailure, match="lost"):
        site.restart()


def test_another_jobs_memory_is_not_taken_up() -> None:
    sites, _ = ready()
    with pytest.raises(IntegrityFailure):
        replace(sites["alder"], job="job-2")


def test_the_seed_of_a_job_is_the_first_and_stays() -> None:
    site = Site("alder", FOUR, small)
    shown = site.announce()
    site.memory.keep("seed", secret("another"))
    site.restart()
    assert site.announce() == shown
