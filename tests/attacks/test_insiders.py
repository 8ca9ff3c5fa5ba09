"""A hub and c sites that hand everything over: the least that they learn is a sum over m - c honest sites; so much they
do learn. And a hub that tells every site something else, at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
import pytest

from support.protocol import (
    IDENTITIES,
    SEEN,
    Site,
    announced,
    begun,
    dealt_to,
    exact,
    gathered,
    noisy,
    plain_sum,
    sites_of,
)
from support.spoils import Learnt, Spoils
from synthema_core.errors import SynthemaError
from synthema_core.secure_sum import Moment, Reveal, Session, Survivors, Terms, input_digest
from synthema_core.secure_sum.keys import JobKeys

OTHER = input_digest(np.array([0.75]))


def is_true(learnt: Learnt, sites: Mapping[str, Site], seen: str = SEEN) -> bool:
    return learnt.is_sum and learnt.value.tolist() == plain_sum(
        sites[name].contributed[1, seen] for name in learnt.sites
    )


def colluding(terms: Terms, insiders: Sequence[str], survivors: Sequence[str]) -> tuple[dict[str, Site], Spoils]:
    """A Round over these survivors, as it should be; what hub and insiders make of it."""
    sites = sites_of(terms)
    session = begun(sites)
    spoils = Spoils.of(sites, insiders, self_masked=terms.recovers)
    for site in sites.values():
        spoils.hear(site, 1, SEEN, session)
    if terms.recovers:
        answers = {name: sites[name].choose(1, survivors) for name in survivors}
        for name, answer in answers.items():
            signatures = {name: str(signature) for name, signature in answers.items()}
            spoils.see(name, 1, answer if isinstance(answer, Reveal) else sites[name].reveal(1, signatures))
    return sites, spoils


@pytest.mark.parametrize(
    ("count", "bound", "honest"),
    [(3, 1, 2), (4, 1, 2), (5, 2, 2), (6, 3, 2), (7, 2, 3), (10, 3, 4)],
    ids=lambda number: str(number),
)
def test_the_bounds_insiders_and_the_hub_learn_a_sum_over_m_less_c_honest_sites(
    count: int, bound: int, honest: int
) -> None:
    """The worst case: as many sites as may be are missing, and all insiders are in the sum."""
    terms = noisy(count, insiders=bound)
    assert (terms.most_insiders, terms.contributors) == (bound, honest)
    survivors = terms.sites[: terms.least]
    sites, spoils = colluding(terms, survivors[-bound:], survivors)
    (learnt,) = spoils.learnt(1)
    assert learnt.sites == set(survivors[:honest]) and is_true(learnt, sites)


@pytest.mark.parametrize("count", [3, 4, 5, 10])
def test_without_a_round_insiders_learn_nothing_and_neither_does_a_hub_alone(count: int) -> None:
    terms = noisy(count)
    sites = sites_of(terms)
    session = begun(sites)
    spoils = Spoils.of(sites, terms.sites[: terms.most_insiders], self_masked=terms.recovers)
    for site in list(sites.values())[:-1]:
        spoils.hear(site, 1, SEEN, session)
    assert not spoils.learnt(1)


@pytest.mark.parametrize("terms", [exact(3), exact(5), noisy(3)], ids=["exact 3", "exact 5", "noisy 3"])
def test_all_sites_but_one_know_the_last_ones_numbers(terms: Terms) -> None:
    """No protocol can help that: it is the sum less their own. Noise does."""
    last = terms.sites[-1]
    sites, spoils = colluding(terms, terms.sites[:-1], terms.sites)
    (learnt,) = spoils.learnt(1)
    assert learnt.sites == {last} and is_true(learnt, sites)


@pytest.mark.parametrize("count", [4, 7, 10])
def test_what_is_dealt_to_the_insiders_is_no_secret_and_not_enough_for_one(count: int) -> None:
    terms = noisy(count)
    sites = sites_of(terms)
    begun(sites)
    spoils = Spoils.of(sites, terms.sites[: terms.threshold - 1])
    last = sites[terms.sites[-1]]
    for held, secret in ((spoils.seeds, 0), (spoils.keys, 32)):
        shares = list(held[last.name, 1].values())
        assert len(set(shares)) == terms.threshold - 1
        assert JobKeys(last.memory["seed"]).round_secrets(1)[secret:][:32] not in shares
    assert spoils.seed(last.name, 1) is None and spoils.key(last.name, 1) is None


def split(count: int, insiders: int) -> Spoils:
    """Insiders beyond the bound: they sign two sets. Honest sites half and half, each half told that the other is
    missing, as far as m allows.
    """
    terms = noisy(count)
    sites = sites_of(terms)
    session = begun(sites)
    traitors = terms.sites[:insiders]
    spoils = Spoils.of(sites, traitors)
    for site in sites.values():
        spoils.hear(site, 1, SEEN, session)
    honest = terms.sites[insiders:]
    needed = terms.threshold - insiders
    for group in (honest[:needed], honest[needed : 2 * needed]):
        others = [name for name in honest if name not in group]
        survivors = tuple(sorted({*traitors, *group, *others[: max(0, terms.least - insiders - len(group))]}))
        chosen = Survivors(Moment(session.digest, 1, SEEN), survivors)
        signatures = {name: chosen.signature(IDENTITIES[name]) for name in (*traitors, *group)}
        for name in group:
            sites[name].member.choose(1, survivors)
            try:
                spoils.see(name, 1, sites[name].member.reveal(1, signatures))
            except SynthemaError:
                continue
    return spoils


@pytest.mark.parametrize("count", [4, 7, 10])
def test_one_insider_more_than_the_bound_splits_the_sum(count: int) -> None:
    """So the bound is sharp: two sets are certified, and both secrets of a site come out."""
    terms = noisy(count)
    too_many = 2 * terms.threshold - count
    assert too_many == terms.most_insiders + 1
    spoils = split(count, too_many)
    honest = terms.sites[too_many:]
    assert any(spoils.seed(name, 1) and spoils.key(name, 1) for name in honest)
    assert spoils.fewest() < terms.least - terms.most_insiders
    spoils = split(count, terms.most_insiders)
    assert spoils.fewest() >= terms.least - terms.most_insiders


class LyingHub:
    """Tells each honest site dealers, an input and survivors of its own, and collects whatever it gets for it."""

    def __init__(self, terms: Terms, random: Random) -> None:
        self.terms, self.random = terms, random
        self.traitors = terms.sites[: terms.most_insiders]
        self.sites = sites_of(terms)
        self.spoils = Spoils.of(self.sites, ())
        self.told: dict[str, tuple[Session, str, tuple[str, ...]]] = {}

    def _some(self, of: Sequence[str], with_: str) -> tuple[str, ...]:
        others = [name for name in of if name != with_]
        size = self.random.randint(min(self.terms.least, len(of)), len(of))
        return tuple(sorted([with_, *self.random.sample(others, size - 1)]))

    def run(self, stories: int) -> None:
        announcements = announced(self.sites)
        roster = gathered(announcements, self.terms)
        sealed = {name: site.join(announcements) for name, site in self.sites.items()}
        honest = [name for name in self.terms.sites if name not in self.traitors]
        dealers = [self._some(self.terms.sites, self.random.choice(honest)) for _ in range(stories)]
        for name, site in self.sites.items():
            mine = self.random.choice([told for told in dealers if name in told] or [self.terms.sites])
            site.begin(announcements, dealt_to(name, sealed, mine))
            seen = self.random.choice([SEEN, SEEN, OTHER])
            self.told[name] = Session(roster, mine), seen, ()
        for name in self.traitors:
            self._hand_over(name, sealed)
        for name in honest:
            session, seen, _ = self.told[name]
            self.spoils.hear(self.sites[name], 1, seen, session)
        self._ask_for_shares(honest, stories)

    def _hand_over(self, name: str, sealed: Mapping[str, Mapping[str, bytes]]) -> None:
        site = self.sites[name]
        if set(self.told[name][0].dealers) != set(self.terms.sites):  # an insider takes all that was dealt to it
            site = Site(name, self.terms, site.contribute, job=site.job)
            site.begin(announced(self.sites), dealt_to(name, sealed, self.terms.sites))
        self.spoils.hand_over(site)

    def _ask_for_shares(self, honest: Sequence[str], stories: int) -> None:
        sets = [self._some(self.terms.sites, self.random.choice(honest)) for _ in range(stories)]
        for name in honest:
            session, _, _ = self.told[name]
            fitting = [told for told in sets if name in told and set(told) <= set(session.dealers)]
            survivors = self.random.choice([*fitting, session.dealers])
            try:
                chosen = self.sites[name].member.choose(1, survivors)
            except SynthemaError:
                continue
            self.told[name] = *self.told[name][:2], chosen.sites
        for name in honest:
            session, seen, survivors = self.told[name]
            chosen = Survivors(Moment(session.digest, 1, seen), survivors)
            signers = [*(set(self.traitors) & set(survivors)), *(o for o in honest if self._agrees(o, name))]
            try:
                signatures = {signer: chosen.signature(IDENTITIES[signer]) for signer in signers}
                self.spoils.see(name, 1, self.sites[name].reveal(1, signatures))
            except SynthemaError:
                continue

    def _agrees(self, one: str, other: str) -> bool:
        (session, *story), (session_too, *story_too) = self.told[one], self.told[other]
        return (session.digest, story) == (session_too.digest, story_too)


@pytest.mark.parametrize("count", [4, 5, 7, 8, 10])
def test_whatever_each_site_is_told_nothing_below_the_bound_is_learnt(count: int) -> None:
    """Different dealers, different inputs, different survivors; certificates wherever enough sites agree."""
    random, learnt_something = Random(count), 0
    for attempt in range({4: 40, 5: 30, 7: 12, 8: 8, 10: 3}[count]):
        hub = LyingHub(noisy(count), random)
        hub.run(1 + attempt % 3)
        for learnt in hub.spoils.learnt(1):
            learnt_something += 1
            seen = {hub.told[name][1] for name in learnt.sites}
            assert len(seen) == 1, "nobody's masks cancel with one that saw another input"
            assert is_true(learnt, hub.sites, seen.pop())
            assert len(learnt.sites) >= hub.terms.least - hub.terms.most_insiders
    assert learnt_something, "else this shows nothing"
