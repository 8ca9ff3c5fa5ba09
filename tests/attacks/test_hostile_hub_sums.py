"""A hub that may do anything, against a Round's survivors: each attack is carried through where one defence is removed,
and against the real Member it gives nothing below the bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pytest

from support.protocol import IDENTITIES, NAMES, SEEN, Site, begun, noisy, plain_sum, sites_of
from support.spoils import Spoils
from synthema_core.errors import IntegrityFailure, Refused, SynthemaError
from synthema_core.secure_sum import Member, Reveal, Survivors, Terms
from synthema_core.secure_sum.layout import Ring
from synthema_core.secure_sum.masking import self_mask
from synthema_core.secure_sum.session import Moment, Session


class Forgetful(Member):
    """Does not remember which survivors it agreed to."""

    def choose(self, round_index: int, survivors: Sequence[str]) -> Survivors:
        self._memory.pop(f"survivors-{round_index}", None)  # type: ignore[attr-defined]
        return super().choose(round_index, survivors)


class Complaisant(Member):
    """Reveals for the survivors it agreed to first, and signs all that it is asked to."""

    def choose(self, round_index: int, survivors: Sequence[str]) -> Survivors:
        super().choose(round_index, self._first.setdefault(round_index, survivors))
        return Survivors(self._moment(round_index), tuple(survivors))

    @property
    def _first(self) -> dict[int, Sequence[str]]:
        return self.__dict__.setdefault("first", {})


class Credulous(Member):
    """Asks for nobody's signature."""

    def reveal(self, round_index: int, signatures: Mapping[str, str] | None = None) -> Reveal:
        chosen, dealers = self._chosen(round_index), self._ready().dealers
        shares = {site: self._shares[site][64 * (round_index - 1) :][:64] for site in dealers}
        return Reveal(
            {site: shares[site][:32] for site in chosen.sites},
            {site: shares[site][32:] for site in dealers if site not in chosen.sites},
        )


class Lightly(Member):
    """Answers at once where nobody is missing, and takes that for no agreement."""

    def reveal(self, round_index: int, signatures: Mapping[str, str] | None = None) -> Reveal:
        revealed = super().reveal(round_index, signatures)
        if not revealed.keys:
            del self._memory[f"survivors-{round_index}"]  # type: ignore[attr-defined]
        return revealed


class Naked(Member):
    """Has pairs' masks and none of its own."""

    def _masked(self, session: Session, moment: Moment, ring: Ring) -> Ring:
        return super()._masked(session, moment, np.zeros_like(ring)) + ring - self._own(moment, len(ring))

    def _own(self, moment: Moment, length: int) -> Ring:
        return self_mask(self._keys.self_seed(moment.round_index), length)


class Undemanding(Member):
    """Agrees to however few survivors."""

    def choose(self, round_index: int, survivors: Sequence[str]) -> Survivors:
        few = Terms(self._terms.sites, self._terms.threshold, 1)
        self._terms, usual = few, self._terms
        try:
            return super().choose(round_index, survivors)
        finally:
            self._terms = usual


class Attack:
    """The hub's side: one Round of a Job in which every site has masked, unless it is late."""

    def __init__(self, kind: type[Member], terms: Terms, insiders: Iterable[str] = (), late: str = "") -> None:
        self.insiders = set(insiders)
        self.sites: dict[str, Site] = sites_of(terms, kind=kind)
        self.session = begun(self.sites)
        self.spoils = Spoils.of(self.sites, insiders, self_masked=kind is not Naked)
        for site in self.sites.values():
            if site.name != late:
                self.spoils.hear(site, 1, SEEN, self.session)

    def tell(self, stories: Mapping[str, Sequence[str]], *, forged: bool = False) -> list[str]:
        """Tell each honest site its survivors; ask for signatures under everybody's; collect what comes for them.

        Parameters
        ----------
        forged
            Sign in every survivor's name, with a key of the hub's own.

        Returns
        -------
        The sites that refused their story or its certificate.
        """
        refused = {name for name, story in stories.items() if not self.signs(name, story)}
        certificates = {
            story: self.forged(story) if forged else self.certificate(story, stories)
            for story in set(map(tuple, stories.values()))
        }
        for name, story in stories.items():
            try:
                self.sites[name].member.choose(1, story)
                self.spoils.see(name, 1, self.sites[name].member.reveal(1, certificates[tuple(story)]))
            except SynthemaError:
                refused.add(name)
        return sorted(refused)

    def signs(self, name: str, survivors: Sequence[str]) -> str:
        if name in self.insiders:
            return Survivors(Moment(self.session.digest, 1, SEEN), tuple(survivors)).signature(IDENTITIES[name])
        try:
            return self.sites[name].member.choose(1, survivors).signature(IDENTITIES[name])
        except SynthemaError:
            return ""

    def certificate(self, survivors: Sequence[str], asked: Iterable[str]) -> dict[str, str]:
        signers = set(survivors) & {*asked, *self.insiders}
        signatures = {name: self.signs(name, survivors) for name in sorted(signers)}
        return {name: signature for name, signature in signatures.items() if signature}

    def forged(self, survivors: Sequence[str]) -> dict[str, str]:
        said = Survivors(Moment(self.session.digest, 1, SEEN), tuple(survivors))
        return dict.fromkeys(survivors, said.signature(IDENTITIES["juniper"]))

    def learns(self, *names: str) -> bool:
        """Whether it has the plain sum of exactly these sites' Contributions, to the last bit."""
        value = self.spoils.sums().get(frozenset(names))
        return value is not None and value.tolist() == self.truth(names)

    def truth(self, names: Iterable[str]) -> list[int]:
        return plain_sum(self.sites[name].contributed[1, SEEN] for name in names)


def without(terms: Terms, *names: str) -> tuple[str, ...]:
    return tuple(site for site in terms.sites if site not in names)


ALDER, BIRCH, CEDAR, DOUGLAS = NAMES[:4]


def four_stories(kind: type[Member]) -> tuple[Attack, set[str]]:
    """Each of four sites is, in one story, the one that is missing."""
    attack, refused = Attack(kind, noisy(4)), set[str]()
    for missing in (DOUGLAS, CEDAR, BIRCH, ALDER):
        survivors = without(noisy(4), missing)
        refused |= set(attack.tell(dict.fromkeys(survivors, survivors)))
    return attack, refused


def test_four_stories_split_the_sum_where_a_site_forgets_what_it_agreed_to() -> None:
    attack, refused = four_stories(Forgetful)
    assert not refused
    assert attack.learns(ALDER, BIRCH) and attack.learns(CEDAR, DOUGLAS)
    assert attack.learns(ALDER), "and even each by itself"


def test_four_stories_give_one_sum_over_three_sites_and_no_other() -> None:
    """The first story is as good as any: a site was missing."""
    attack, refused = four_stories(Member)
    assert refused == set(NAMES[:4])
    assert list(attack.spoils.sums()) == [frozenset(NAMES[:3])] and attack.learns(*NAMES[:3])


def four_stories_at_once(kind: type[Member]) -> Attack:
    attack = Attack(kind, noisy(4))
    attack.tell({site: without(noisy(4), NAMES[(place + 1) % 4]) for place, site in enumerate(NAMES[:4])})
    return attack


def test_of_four_stories_at_once_none_is_certified() -> None:
    assert not four_stories_at_once(Member).spoils.learnt(1)


def stories_that_leave_two(kind: type[Member], *, forged: bool = False) -> Attack:
    """Seven sites, t = m = 5, of which two are insiders. Five honest ones each leave two others out, so that of three
    sites enough shares of the mask key are given away, and of two of the seed.
    """
    terms, insiders = noisy(7, insiders=2), NAMES[:2]
    alone = NAMES[2:4]
    third, fourth, fifth = NAMES[4:7]
    stories = {
        alone[0]: without(terms, third, fourth),
        alone[1]: without(terms, third, fifth),
        third: without(terms, fourth, fifth),
        fourth: without(terms, third, fifth),
        fifth: without(terms, third, fourth),
    }
    attack = Attack(kind, terms, insiders)
    attack.tell(stories, forged=forged)
    return attack


def test_where_no_certificate_is_asked_for_stories_leave_two_honest_sites_alone() -> None:
    attack = stories_that_leave_two(Credulous)
    assert attack.spoils.terms.contributors == 3
    assert attack.learns(*NAMES[2:4]), "below m - c"


def test_where_sites_sign_more_than_one_set_stories_leave_two_honest_sites_alone() -> None:
    """Although each reveals for one only."""
    assert stories_that_leave_two(Complaisant).learns(*NAMES[2:4])


def test_unsigned_stories_give_nothing() -> None:
    assert not stories_that_leave_two(Member).spoils.learnt(1)


def whole_and_then_not(kind: type[Member]) -> Attack:
    """First nobody is missing, then one site after the other."""
    attack = Attack(kind, noisy(4))
    attack.tell(dict.fromkeys(NAMES[:4], NAMES[:4]))
    for missing in NAMES[:4]:
        survivors = without(noisy(4), missing)
        attack.tell(dict.fromkeys(survivors, survivors))
    return attack


def test_an_answer_at_once_counts_as_a_signature() -> None:
    weak, real = whole_and_then_not(Lightly), whole_and_then_not(Member)
    assert weak.learns(ALDER), "a survivor of the one story, missing in the other"
    assert list(real.spoils.sums()) == [frozenset(NAMES[:4])]


def mixed_answers(kind: type[Member], at_once: int) -> Attack:
    """Some of ten sites, three of them insiders, are told that nobody is missing, the others that juniper is."""
    terms = noisy(10, insiders=3)
    attack = Attack(kind, terms, NAMES[:3])
    left = without(terms, "juniper")
    honest = [name for name in terms.sites if name not in NAMES[:3] and name != "juniper"]
    attack.tell({**dict.fromkeys(honest, left), **dict.fromkeys(["juniper", *honest[:at_once]], terms.sites)})
    return attack


@pytest.mark.parametrize("at_once", range(7))
def test_some_that_answer_at_once_and_some_that_sign_never_give_both_secrets_of_a_site(at_once: int) -> None:
    attack = mixed_answers(Member, at_once)
    spoils = attack.spoils
    assert spoils.fewest() >= 7 - 3
    assert spoils.seed("juniper", 1) is None or spoils.key("juniper", 1) is None


def live_site_said_to_have_dropped(kind: type[Member]) -> Attack:
    """Its Contribution is late, or held back by the hub, until the others have given its mask key away."""
    attack = Attack(kind, noisy(4), late=DOUGLAS)
    survivors = without(noisy(4), DOUGLAS)
    assert attack.tell(dict.fromkeys(survivors, survivors)) == []
    attack.spoils.hear(attack.sites[DOUGLAS], 1, SEEN, attack.session)
    assert attack.spoils.key(DOUGLAS, 1) is not None
    return attack


def test_without_a_mask_of_its_own_a_live_site_is_unmasked_by_calling_it_missing() -> None:
    assert live_site_said_to_have_dropped(Naked).learns(DOUGLAS)


@pytest.mark.parametrize("told_to_the_late_site", [NAMES[:4], *combinations(NAMES[:4], 3)], ids=" ".join)
def test_a_live_site_called_missing_keeps_its_own_mask(told_to_the_late_site: tuple[str, ...]) -> None:
    """Whatever survivors it is told of when it does come."""
    attack = live_site_said_to_have_dropped(Member)
    attack.tell({DOUGLAS: told_to_the_late_site})
    assert attack.tell(dict.fromkeys(NAMES[:3], NAMES[:4])) == list(NAMES[:3])
    assert list(attack.spoils.sums()) == [frozenset(NAMES[:3])]


def more_left_out_than_allowed(kind: type[Member]) -> tuple[Attack, list[str]]:
    """Ten sites, of which a sum must be over nine; seven are enough to sign and to give every secret."""
    terms = noisy(10, min_sites=9, insiders=1)
    assert (terms.threshold, terms.least) == (7, 9)
    attack = Attack(kind, terms)
    few = terms.sites[:7]
    return attack, attack.tell(dict.fromkeys(few, few))


def test_a_sum_over_fewer_sites_than_the_plan_says_needs_sites_that_do_not_count() -> None:
    attack, refused = more_left_out_than_allowed(Undemanding)
    assert not refused and attack.learns(*NAMES[:7])


def test_no_site_agrees_to_fewer_survivors_than_the_plan_says() -> None:
    attack, refused = more_left_out_than_allowed(Member)
    assert refused == list(NAMES[:7])
    assert not attack.spoils.learnt(1)
    with pytest.raises(Refused, match="at least 9") as why:
        attack.sites[ALDER].member.choose(1, NAMES[:8])
    assert why.value.rule == "survivors"


def test_fewer_dealers_than_the_plan_says_are_refused_too() -> None:
    """Else "nobody is missing" could be said of three sites of ten."""
    sites = sites_of(noisy(10, min_sites=9))
    announcements = [site.announce() for site in sites.values()]
    sealed = {name: site.join(announcements) for name, site in sites.items()}
    few = {sender: sealed[sender][ALDER] for sender in NAMES[1:8]}
    with pytest.raises(IntegrityFailure, match="shares of 9 sites"):
        sites[ALDER].member.accept(few)


def test_a_certificate_is_worth_its_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub signs in the names of sites that never said so."""
    assert not stories_that_leave_two(Member, forged=True).spoils.learnt(1)
    monkeypatch.setattr("synthema_core.secure_sum.survivors.verify", lambda *_: None)
    assert stories_that_leave_two(Member, forged=True).learns(*NAMES[2:4])
