"""A hub that may do anything, against a Job's keys, shares, inputs and Rounds: each attack is carried through where one
defence is removed, and gives nothing against the real Member.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from support.protocol import (
    ALARM,
    IDENTITIES,
    NAMES,
    SEEN,
    Contribute,
    Remembered,
    Site,
    announced,
    begun,
    dealt_to,
    exact,
    gathered,
    how_uniform,
    noisy,
    plain_sum,
    sites_of,
    small,
)
from support.spoils import Spoils
from synthema_core.errors import IntegrityFailure, Refused, SynthemaError
from synthema_core.secure_sum import Announcement, Member, Moment, Reveal, Roster, Survivors, Terms, input_digest
from synthema_core.secure_sum.keys import JobKeys, agree
from synthema_core.secure_sum.layout import Ring
from synthema_core.secure_sum.masking import add_signed, pairwise_mask, self_mask
from synthema_core.secure_sum.sealing import unseal
from synthema_core.secure_sum.session import Session
from synthema_core.secure_sum.shamir import join

ALDER, BIRCH, CEDAR, DOUGLAS = NAMES[:4]
OTHER = input_digest(np.array([0.75]))


def fresh_each_time(site: str, index: int, seen: str) -> Ring:
    """A Contribution with noise: other numbers whenever it is made."""
    return np.frombuffer(secrets.token_bytes(32), dtype="<u8").copy()


def whole(sites: Mapping[str, Site], spoils: Spoils, index: int = 1, names: Sequence[str] = ()) -> None:
    """All of these reveal at once."""
    for name in names or sites:
        answer = sites[name].choose(index, sorted(sites))
        assert isinstance(answer, Reveal)
        spoils.see(name, index, answer)


def certified(sites: Mapping[str, Site], spoils: Spoils, survivors: Sequence[str], index: int = 1) -> None:
    """All survivors sign, and reveal."""
    signatures = {name: str(sites[name].choose(index, survivors)) for name in survivors}
    for name in survivors:
        spoils.see(name, index, sites[name].reveal(index, signatures))


# Keys in other sites' names


class HubKeys:
    """One set of keys, shown in the names of all sites but the victim's."""

    def __init__(self, sites: Mapping[str, Site], victim: str) -> None:
        self.victim, self.terms = victim, sites[victim].terms
        self.keys = {name: JobKeys(secrets.token_bytes(32)) for name in sites if name != victim}
        own = sites[victim].announce()
        shown = [
            Announcement.of(name, own.job, own.plan_digest, keys, 2, recovers=self.terms.recovers)
            for name, keys in self.keys.items()
        ]
        self.announcements = [own, *(one.signed(IDENTITIES["juniper"]) for one in shown)]

    def roster(self) -> Roster:
        return gathered(self.announcements, self.terms)

    def dealt(self, roster: Roster) -> dict[str, bytes]:
        """As if these sites dealt to the victim."""
        dealt = {}
        for name in self.keys:
            hub = Member(
                name, "job-1", roster.plan_digest, {}, self.terms, 2, Remembered(seed=self.keys[name].seed), b""
            )
            dealt[name] = hub._deal(roster)[self.victim]
        return dealt

    def unmask(self, ring: Ring, session: Session, sealed: Mapping[str, bytes]) -> Ring:
        """The victim's Contribution, from its masked one and the shares it dealt to these sites."""
        moment, found = Moment(session.digest, 1, SEEN), ring.copy()
        for name, keys in self.keys.items():
            secret = agree(keys.mask_key(1), session.roster.mask_key(self.victim, 1))
            sign, stream = pairwise_mask(secret, self.victim, name, moment, len(ring))
            add_signed(found, (-sign, stream))
        if self.terms.recovers:
            opened = {
                self.terms.point(name): unseal(sealed[name], keys.share_key, session.roster, self.victim, name)[:32]
                for name, keys in self.keys.items()
            }
            add_signed(found, (-1, self_mask(join(opened), len(ring))))
        return found


@pytest.mark.parametrize("terms", [exact(3), noisy(3), noisy(4), noisy(7)], ids=["exact", "3", "4", "7"])
def test_keys_in_other_sites_names_open_a_contribution_where_signatures_are_not_checked(
    terms: Terms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Announcement, "check_signature", lambda *_: None)
    sites = sites_of(terms)
    hub, victim = HubKeys(sites, BIRCH), sites[BIRCH]
    roster = hub.roster()
    sealed = victim.join(hub.announcements)
    victim.begin(hub.announcements, hub.dealt(roster) if terms.recovers else {})
    found = hub.unmask(victim.mask(1, SEEN), Session(roster, terms.sites), sealed)
    assert found.tolist() == victim.contributed[1, SEEN].tolist()


@pytest.mark.parametrize("terms", [exact(3), noisy(3), noisy(4)], ids=["exact", "3", "4"])
def test_a_key_that_its_site_did_not_sign_is_refused(terms: Terms) -> None:
    sites = sites_of(terms)
    hub = HubKeys(sites, BIRCH)
    with pytest.raises(IntegrityFailure, match="signature"):
        sites[BIRCH].join(hub.announcements)
    one = next(shown for shown in hub.announcements if shown.site == CEDAR)
    with pytest.raises(IntegrityFailure, match="signature"):
        sites[BIRCH].join([one if shown.site == CEDAR else shown for shown in announced(sites)])


# One Round twice


class TwiceMasked(Member):
    """Does not remember that it has masked a Round."""

    def masked_before(self, round_index: int, seen: str) -> Ring | None:
        self._memory.pop(f"masked-{round_index}", None)  # type: ignore[attr-defined]
        self._last = 0
        return None


def test_two_masked_inputs_of_one_round_give_their_difference() -> None:
    """The same question with new noise: what the noise was drawn for cancels, or the noise does."""
    sites = sites_of(noisy(4), fresh_each_time, kind=TwiceMasked)
    session = begun(sites)
    spoils = Spoils.of(sites)
    spoils.hear(sites[ALDER], 1, SEEN, session)
    first = sites[ALDER].contributed[1, SEEN]
    spoils.hear(sites[ALDER], 1, SEEN, session)
    (learnt,) = spoils.learnt(1)
    assert learnt.terms == ((ALDER, 1), (ALDER, -1))
    assert learnt.value.tolist() == (first - sites[ALDER].contributed[1, SEEN]).tolist()


def test_a_round_has_one_masked_input_whoever_asks_again_and_after_every_restart() -> None:
    sites = sites_of(noisy(4), fresh_each_time)
    begun(sites)
    first = sites[ALDER].mask(1, SEEN)
    for _ in range(3):
        sites[ALDER].restart()
        assert sites[ALDER].mask(1, SEEN).tobytes() == first.tobytes()
    with pytest.raises(Refused, match="another input before"):
        sites[ALDER].mask(1, OTHER)
    sites[ALDER].mask(2, OTHER)
    with pytest.raises(Refused, match="is over"):
        sites[ALDER].mask(1, SEEN)


def test_two_processes_of_one_site_do_not_both_mask_a_round() -> None:
    """As when a datasite is started twice: each asked its memory before the other had written."""
    sites = sites_of(noisy(4), fresh_each_time)
    begun(sites)
    twin = replace(sites[ALDER])  # the same memory, another Member
    alder = sites[ALDER].member
    assert alder.masked_before(1, SEEN) is None and twin.member.masked_before(1, SEEN) is None
    alder.masked_before = lambda *_: None  # type: ignore[method-assign]
    twin.mask(1, SEEN)
    with pytest.raises(IntegrityFailure, match="Another process"):
        alder.mask(1, SEEN, fresh_each_time(ALDER, 1, SEEN))


def test_a_round_run_twice_with_other_inputs_gives_two_sums_for_one_charge() -> None:
    sites = sites_of(noisy(4), kind=TwiceMasked)
    session = begun(sites)
    spoils = Spoils.of(sites)
    for seen in (SEEN, OTHER):
        for site in sites.values():
            spoils.hear(site, 1, seen, session)
    whole(sites, spoils)
    sums = [learnt for learnt in spoils.learnt(1) if learnt.is_sum and len(learnt.terms) == 4]
    found = sorted(learnt.value.tolist() for learnt in sums)
    assert found == sorted(plain_sum(site.contributed[1, seen] for site in sites.values()) for seen in (SEEN, OTHER))


# Different inputs in one Round


def nothing_there(site: str, index: int, seen: str) -> Ring:
    """A Contribution that is zero at the hub's second model, at which nobody's patients change anything."""
    return small(site, index, seen) if seen == SEEN else np.zeros(4, dtype=np.uint64)


def different_models(monkeypatch: pytest.MonkeyPatch, *, bound: bool) -> tuple[dict[str, Site], Spoils]:
    """The true model for alder alone."""
    if not bound:

        def unbound(secret: bytes, site: str, other: str, moment: Moment, length: int) -> tuple[int, Ring]:
            return pairwise_mask(secret, site, other, replace(moment, seen=""), length)

        monkeypatch.setattr("synthema_core.secure_sum.member.pairwise_mask", unbound)
    sites = sites_of(noisy(4), nothing_there)
    session = begun(sites)
    spoils = Spoils.of(sites, bound=bound)
    for site in sites.values():
        spoils.hear(site, 1, SEEN if site.name == ALDER else OTHER, session)
    whole(sites, spoils)
    return sites, spoils


def test_different_models_in_one_round_give_one_sites_answer_where_masks_do_not_know_the_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sites, spoils = different_models(monkeypatch, bound=False)
    assert spoils.sums()[frozenset(NAMES[:4])].tolist() == sites[ALDER].contributed[1, SEEN].tolist()


def test_sites_that_were_told_different_models_do_not_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    _, spoils = different_models(monkeypatch, bound=True)
    assert all(spoils.seed(name, 1) for name in NAMES[:4]), "they all answered; still:"
    assert not spoils.learnt(1)


# Several Rounds, several Jobs


def two_rounds(monkeypatch: pytest.MonkeyPatch, *, own_secrets: bool) -> tuple[dict[str, Site], Spoils]:
    """In the first Round all are there and give their self-mask seeds away; in the second one is said to be missing."""
    if not own_secrets:
        monkeypatch.setattr(JobKeys, "self_seed", lambda keys, _: keys._part("self-mask", 0))
    sites = sites_of(noisy(4))
    session = begun(sites)
    spoils = Spoils.of(sites)
    for index in (1, 2):
        for site in sites.values():
            spoils.hear(site, index, SEEN, session)
        if index == 1:
            whole(sites, spoils)
        else:
            certified(sites, spoils, NAMES[:3], 2)
    return sites, spoils


def test_a_seed_that_served_two_rounds_opens_a_site_in_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    sites, spoils = two_rounds(monkeypatch, own_secrets=False)
    spoils.seeds[DOUGLAS, 2] |= spoils.seeds[DOUGLAS, 1]
    assert spoils.sums(2)[frozenset({DOUGLAS})].tolist() == sites[DOUGLAS].contributed[2, SEEN].tolist()


def test_shares_of_one_round_say_nothing_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    _, spoils = two_rounds(monkeypatch, own_secrets=True)
    assert list(spoils.sums(1)) == [frozenset(NAMES[:4])]
    assert list(spoils.sums(2)) == [frozenset(NAMES[:3])]
    spoils.seeds[DOUGLAS, 2] |= spoils.seeds[DOUGLAS, 1]
    with pytest.raises(AssertionError, match="do not fit"):
        spoils.seed(DOUGLAS, 2)


def masked_in(job: str, contribute: Contribute) -> tuple[Site, Ring]:
    """What alder sends in a Job over three sites, all of whose seeds are the same in every Job."""
    sites = {name: Site(name, noisy(3), contribute, job=job) for name in NAMES[:3]}
    for site in sites.values():
        site.memory["seed"] = (site.name * 32).encode()[:32]
        site.restart()
    begun(sites)
    return sites[ALDER], sites[ALDER].mask(1, SEEN)


def test_one_set_of_keys_in_two_jobs_gives_the_difference_where_masks_do_not_know_the_roster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys are made for one Job each; were they not, masks would still differ with the Roster."""

    def long(site: str, index: int, seen: str) -> Ring:
        return np.frombuffer(secrets.token_bytes(8 * 512), dtype="<u8").copy()

    (_, first), (_, second) = masked_in("job-1", long), masked_in("job-2", long)
    assert how_uniform(first - second) > ALARM

    def unbound(secret: bytes, site: str, other: str, moment: Moment, length: int) -> tuple[int, Ring]:
        return pairwise_mask(secret, site, other, replace(moment, session=""), length)

    monkeypatch.setattr("synthema_core.secure_sum.member.pairwise_mask", unbound)
    (one, first), (two, second) = masked_in("job-1", long), masked_in("job-2", long)
    assert (first - second).tolist() == (one.contributed[1, SEEN] - two.contributed[1, SEEN]).tolist()


def shares_replayed(monkeypatch: pytest.MonkeyPatch, *, bound: bool) -> tuple[dict[str, Site], Spoils, dict[str, str]]:
    """Share keys of the sites' own, as in many designs, and what was dealt in job 1 dealt again in job 2.

    In job 1 nobody is missing; in job 2 douglas is said to be, so that its mask key of job 1 is given away.
    """
    monkeypatch.setattr(JobKeys, "share_key", property(lambda keys: LONG_TERM[keys.seed]))
    if not bound:
        context = {"protocol": "synthema/shares/1"}
        monkeypatch.setattr(
            "synthema_core.secure_sum.sealing._context",
            lambda _, sender, receiver: {**context, "sender": sender, "receiver": receiver},
        )
    first, second = sites_of(noisy(4)), sites_of(noisy(4), job="job-2")
    for name in NAMES[:4]:
        key = X25519PrivateKey.from_private_bytes((name * 32).encode()[:32])
        LONG_TERM.update({site[name].memory["seed"]: key for site in (first, second)})
    sealed = {name: site.join(announced(first)) for name, site in first.items()}
    session = begun(first)
    spoils = Spoils.of(first)
    for site in first.values():
        spoils.hear(site, 1, SEEN, session)
    whole(first, spoils)
    announcements, refused = announced(second), {}
    for name, site in second.items():
        try:
            site.begin(announcements, dealt_to(name, sealed, NAMES[:4]))
            site.mask(1, SEEN)
        except SynthemaError as error:
            refused[name] = error.message
    if not refused:
        later = Spoils.of(second)
        certified(second, later, NAMES[:3])
        spoils.keys[DOUGLAS, 1] = later.keys[DOUGLAS, 1]
    return first, spoils, refused


LONG_TERM: dict[bytes, X25519PrivateKey] = {}


def test_shares_of_another_job_give_both_secrets_away_where_they_do_not_name_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, spoils, refused = shares_replayed(monkeypatch, bound=False)
    assert not refused
    assert spoils.sums()[frozenset({DOUGLAS})].tolist() == first[DOUGLAS].contributed[1, SEEN].tolist()


def test_shares_of_another_job_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, spoils, refused = shares_replayed(monkeypatch, bound=True)
    assert set(refused) == set(NAMES[:4]) and all("altered on their way" in why for why in refused.values())
    assert list(spoils.sums()) == [frozenset(NAMES[:4])]


def test_a_signature_over_another_round_input_job_or_set_certifies_nothing() -> None:
    sites = sites_of(noisy(4))
    session = begun(sites)
    for site in sites.values():
        site.mask(1, SEEN)
    survivors = NAMES[:3]
    right = Survivors(Moment(session.digest, 1, SEEN), survivors)
    sites[ALDER].choose(1, survivors)
    others = [
        replace(right, moment=replace(right.moment, round_index=2)),
        replace(right, moment=replace(right.moment, seen=OTHER)),
        replace(right, moment=replace(right.moment, session="f" * 64)),
        replace(right, sites=(ALDER, BIRCH, DOUGLAS)),
    ]
    for wrong in others:
        signatures = {name: right.signature(IDENTITIES[name]) for name in survivors}
        signatures[CEDAR] = wrong.signature(IDENTITIES[CEDAR])
        with pytest.raises(IntegrityFailure, match="signature"):
            sites[ALDER].reveal(1, signatures)
    sites[ALDER].reveal(1, {name: right.signature(IDENTITIES[name]) for name in survivors})
