"""All that a hub can tell the sites of a Round, for few sites: two sets are never certified, and both secrets of a site
never come out. First as combinatorics, then Member is held against the rules that these rest on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import combinations

import pytest

from support.protocol import (
    IDENTITIES,
    NAMES,
    SEEN,
    Remembered,
    Site,
    announced,
    begun,
    dealt_to,
    gathered,
    noisy,
    sites_of,
)
from support.spoils import Heard, Spoils
from support.survivor_model import Course, Sites, courses, stories, subsets
from synthema_core.errors import SynthemaError
from synthema_core.secure_sum import Member, Moment, Session, Survivors, Terms
from synthema_core.secure_sum.roster import Roster

ALL = frozenset(NAMES)


def insiders_of(terms: Terms, count: int) -> Sites:
    return frozenset(terms.sites[:count])


def violations(terms: Terms, count: int) -> set[str]:
    """Which claims do not hold, over all courses with so many insiders."""
    found = set[str]()
    for course in courses(terms, insiders_of(terms, count)):
        if len(course.certified) > 1:
            found.add("two sets are certified")
        if course.seeds & course.keys:
            found.add("both secrets of a site")
        if any(len(sites) < terms.least - terms.most_insiders for sites in course.sums):
            found.add("a sum below the bound")
    return found


@pytest.mark.parametrize(
    ("sites", "insiders"), [(4, 0), (4, 1), (5, 1), (5, 2), (6, 2), (6, 3)], ids=lambda number: str(number)
)
def test_no_course_breaks_a_claim(sites: int, insiders: int) -> None:
    """Every honest site is told any dealers and any survivors; within the bound nothing follows from it."""
    terms = noisy(sites, insiders=insiders)
    assert insiders <= terms.most_insiders
    assert not violations(terms, insiders)


@pytest.mark.parametrize("sites", [4, 5, 6])
def test_with_one_insider_more_every_claim_breaks(sites: int) -> None:
    terms = noisy(sites)
    assert violations(terms, terms.most_insiders + 1) == {
        "two sets are certified",
        "both secrets of a site",
        "a sum below the bound",
    }


def can_both_be_certified(terms: Terms, insiders: Sites, one: Sites, other: Sites) -> bool:
    """Whether honest survivors of each, none of them of both, are enough with the insiders (Hall's condition)."""
    honest_one, honest_other = one - insiders, other - insiders
    needs = [max(0, terms.threshold - len(insiders & chosen)) for chosen in (one, other)]
    fits = needs[0] <= len(honest_one) and needs[1] <= len(honest_other)
    return fits and sum(needs) <= len(honest_one | honest_other)


@pytest.mark.parametrize("sites", range(4, 11))
def test_two_different_sets_are_never_both_certified_up_to_ten_sites(sites: int) -> None:
    terms = noisy(sites)
    sets = list(subsets(frozenset(terms.sites), terms.least))
    most = terms.most_insiders
    for insiders, possible in ((most, False), (2 * terms.threshold - sites, True)):
        pairs = combinations(sets, 2)
        found = any(can_both_be_certified(terms, insiders_of(terms, insiders), *pair) for pair in pairs)
        assert found == possible, insiders


# Member, held against the model's rules


def prepared(terms: Terms) -> tuple[dict[str, Site], dict[str, dict[str, bytes]], Roster]:
    """Joined, each with the shares of all others, but not begun."""
    sites = sites_of(terms)
    announcements = announced(sites)
    sealed = {name: site.join(announcements) for name, site in sites.items()}
    return sites, sealed, gathered(announcements, terms)


def clone(member: Member) -> Member:
    """With a memory of its own."""
    other = copy.copy(member)
    other._memory = Remembered(member._memory)  # type: ignore[call-overload]
    other._shares = dict(member._shares)
    return other


def accepted(member: Member, dealt: dict[str, bytes]) -> bool:
    try:
        member.accept(dealt)
    except SynthemaError:
        return False
    return True


@pytest.mark.parametrize("sites", [4, 5])
def test_a_member_goes_along_with_exactly_the_models_stories(sites: int) -> None:
    terms = noisy(sites)
    members, sealed, _ = prepared(terms)
    alder, here = members["alder"], frozenset(terms.sites)
    found = []
    for dealers in subsets(here - {"alder"}, 0):
        one = clone(alder.member)
        if not accepted(one, dealt_to("alder", sealed, dealers)):
            continue
        one.mask(1, SEEN, alder.contribute("alder", 1, SEEN))
        for survivors in subsets(here, 0):
            if agrees(clone(one), survivors):
                found.append((dealers | {"alder"}, survivors))
    assert set(found) == set(stories(terms, "alder"))
    assert len(set(found)) == len(found)


def agrees(member: Member, survivors: Iterable[str]) -> bool:
    try:
        member.choose(1, sorted(survivors))
    except SynthemaError:
        return False
    return True


def test_a_member_agrees_once_and_reveals_for_enough_survivors_signatures_only() -> None:
    terms = noisy(5)
    members = sites_of(terms)
    session = begun(members)
    alder, here = members["alder"], frozenset(terms.sites)
    alder.mask(1, SEEN)
    for survivors in [chosen for chosen in subsets(here, terms.least) if "alder" in chosen]:
        agreed = clone(alder.member)
        agreed.choose(1, sorted(survivors))
        others = [other for other in subsets(here, terms.least) if "alder" in other and other != survivors]
        assert not any(agrees(agreed, other) for other in others) and agrees(agreed, survivors)
        chosen = Survivors(Moment(session.digest, 1, SEEN), tuple(sorted(survivors)))
        for signers in subsets(here, 0):
            enough = survivors == here or (len(signers) >= terms.threshold and signers <= survivors)
            assert reveals(agreed, chosen, signers, missing=here - survivors) == enough, (survivors, signers)


def reveals(member: Member, chosen: Survivors, signers: Iterable[str], missing: Sites) -> bool:
    try:
        given = member.reveal(1, {name: chosen.signature(IDENTITIES[name]) for name in signers})
    except SynthemaError:
        return False
    assert (given.seeds.keys(), given.keys.keys()) == (set(chosen.sites), missing), "a share of each, never both"
    return True


def test_real_members_of_four_sites_give_what_the_model_says_in_every_course() -> None:
    """Each course of four sites with an insider, played by Members, and everything computed that can be."""
    terms, insider = noisy(4), "alder"
    sites, sealed, roster = prepared(terms)
    sites[insider].begin(announced(sites), dealt_to(insider, sealed, terms.sites))
    base = Spoils.of(sites, [insider])
    begun_as = {
        (name, dealers): story_begun(
            sites[name], dealt_to(name, sealed, dealers), Session(roster, tuple(sorted(dealers)))
        )
        for name in terms.sites[1:]
        for dealers in {dealers for dealers, _ in stories(terms, name)}
    }
    count = 0
    for course in courses(terms, frozenset({insider})):
        spoils = played(course, begun_as, base)
        assert {name for name in course.told if spoils.seed(name, 1)} == course.seeds
        assert {name for name in course.told if spoils.key(name, 1)} == course.keys
        learnt = spoils.learnt(1)
        assert {found.sites for found in learnt if found.is_sum} == course.sums
        count += 1
    assert count == 7**3


def story_begun(site: Site, dealt: dict[str, bytes], session: Session) -> tuple[Member, Heard]:
    member = clone(site.member)
    member.accept(dealt)
    ring = member.mask(1, SEEN, site.contribute(site.name, 1, SEEN))
    return member, Heard(site.name, session, Moment(session.digest, 1, SEEN), ring)


def played(course: Course, begun_as: dict[tuple[str, Sites], tuple[Member, Heard]], base: Spoils) -> Spoils:
    spoils = Spoils(base.terms, base.announcements, insiders=base.insiders)
    for kept, before in ((spoils.seeds, base.seeds), (spoils.keys, base.keys)):
        kept.update({of: dict(shares) for of, shares in before.items()})
    members, signatures = {}, dict[tuple[Sites, Sites], dict[str, str]]()
    for name, (dealers, survivors) in course.told.items():
        member, heard = begun_as[name, dealers]
        members[name] = clone(member)
        spoils.heard.append(heard)
        chosen = members[name].choose(1, sorted(survivors))
        signed = signatures.setdefault((dealers, survivors), {})
        for signer in {name, *(course.insiders & survivors)}:
            signed[signer] = chosen.signature(IDENTITIES[signer])
    for name, told in course.told.items():
        try:
            spoils.see(name, 1, members[name].reveal(1, signatures[told]))
        except SynthemaError:
            assert name not in course.answering
    return spoils
