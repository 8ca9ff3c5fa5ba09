"""A secure sum's sites and its honest hub, in one process: real Members, each with a memory of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy.stats import chisquare

from synthema_core.errors import RoundFailed
from synthema_core.identity import public_key
from synthema_core.secure_sum import (
    Announcement,
    Member,
    Moment,
    Reveal,
    Roster,
    Session,
    Survivors,
    Terms,
    add,
    input_digest,
    unmask,
)
from synthema_core.secure_sum.layout import Ring

JOB, PLAN = "job-1", "d" * 64
NAMES = ("alder", "birch", "cedar", "douglas", "elm", "fir", "ginkgo", "hazel", "ivy", "juniper")
SEEN = input_digest(np.array([0.5]))
ALARM = 1e-9
"""Of tests whose randomness is fixed, so that they never flake; a wrong mask is far below this."""


def secret(*words: str) -> bytes:
    """32 bytes that are the same in every run."""
    return hashlib.sha256("/".join(words).encode()).digest()


IDENTITIES = {site: Ed25519PrivateKey.from_private_bytes(secret("identity", site)) for site in NAMES}
PUBLIC: dict[str, str] = {site: public_key(key) for site, key in IDENTITIES.items()}


def noisy(sites: int, min_sites: int = 3, insiders: int = 0) -> Terms:
    return Terms.for_noisy_sum(NAMES[:sites], min_sites, insiders)


def exact(sites: int) -> Terms:
    return Terms.for_exact_sum(NAMES[:sites])


def how_uniform(ring: Ring) -> float:
    """p-value of its bytes being equally often each of 0 to 255."""
    return float(chisquare(np.bincount(ring.view(np.uint8), minlength=256)).pvalue)


def plain_sum(rings: Iterable[Ring]) -> list[int]:
    """What the ring's own addition makes of them, in Python's integers."""
    return [sum(map(int, column)) % 2**64 for column in zip(*rings, strict=True)]


class Killed(BaseException):
    """The site's process ends here."""


class Remembered(dict[str, bytes]):
    """Implements Memory, without a disk.

    Attributes
    ----------
    lives
        So many writes until the process is killed, in the middle of one; None for a long life.
    """

    lives: int | None = None
    written_last: bool = True

    def keep(self, name: str, content: bytes) -> bytes:
        if self.lives == 0:
            self.lives = None
            if self.written_last:
                self.setdefault(name, content)
            raise Killed
        if self.lives:
            self.lives -= 1
        return self.setdefault(name, content)

    def recall(self, name: str) -> bytes | None:
        return self.get(name)

    def let_go(self, name: str) -> None:
        self[name] = b""


Contribute = Callable[[str, int, str], Ring]
"""(site, round, input's digest) -> what it adds, before masks. Asked again, it may be other numbers: noise is."""


@dataclass
class Site:
    """One site of a Job: does what a datasite's desk and worker do with what the hub sends.

    Attributes
    ----------
    contributed
        What its masked Contributions hide, by round and input.
    """

    name: str
    terms: Terms
    contribute: Contribute
    rounds: int = 2
    job: str = JOB
    kind: type[Member] = Member
    memory: Remembered = field(default_factory=Remembered)
    contributed: dict[tuple[int, str], Ring] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As after kill -9: only the memory is left."""
        identities = {site: PUBLIC[site] for site in self.terms.sites}
        fresh = secret("fresh", self.name, self.job)
        self.member = self.kind(self.name, self.job, PLAN, identities, self.terms, self.rounds, self.memory, fresh)

    def announce(self) -> Announcement:
        return self.member.announcement().signed(IDENTITIES[self.name])

    def join(self, announcements: Sequence[Announcement]) -> dict[str, bytes]:
        return self.member.join(announcements)

    def begin(self, announcements: Sequence[Announcement], dealt: Mapping[str, bytes]) -> None:
        self.member.join(announcements)
        if self.terms.recovers:
            self.member.accept(dealt)

    def mask(self, index: int, seen: str) -> Ring:
        before = self.member.masked_before(index, seen)
        if before is not None:
            return before
        ring = self.contribute(self.name, index, seen)
        if self.member.has_session:
            self.contributed[index, seen] = ring
        return self.member.mask(index, seen, ring)

    def choose(self, index: int, survivors: Sequence[str]) -> str | Reveal:
        """Its signature; or, where nobody is missing, its shares."""
        chosen = self.member.choose(index, survivors)
        return self.member.reveal(index) if self.member.is_whole(chosen) else chosen.signature(IDENTITIES[self.name])

    def reveal(self, index: int, signatures: Mapping[str, str]) -> Reveal:
        return self.member.reveal(index, signatures)


def small(site: str, index: int, seen: str, length: int = 4) -> Ring:
    """A Contribution that says whose it is, in which Round, for which input."""
    return np.frombuffer(hashlib.shake_128(f"{site}/{index}/{seen}".encode()).digest(8 * length), "<u8") >> np.uint64(9)


def sites_of(terms: Terms, contribute: Contribute = small, **each: Any) -> dict[str, Site]:
    return {name: Site(name, terms, contribute, **each) for name in terms.sites}


def announced(sites: Mapping[str, Site]) -> list[Announcement]:
    return [site.announce() for site in sites.values()]


def gathered(announcements: Iterable[Announcement], terms: Terms, rounds: int = 2, job: str = JOB) -> Roster:
    return Roster.gather(job, PLAN, announcements, {site: PUBLIC[site] for site in terms.sites}, terms, rounds)


def dealt_to(site: str, sealed: Mapping[str, Mapping[str, bytes]], dealers: Collection[str]) -> dict[str, bytes]:
    return {sender: sealed[sender][site] for sender in dealers if sender != site}


def begun(sites: Mapping[str, Site], dealers: Collection[str] | None = None) -> Session:
    """Have all of them join one Roster, and those that deal begin with each other's shares."""
    announcements, terms = announced(sites), next(iter(sites.values())).terms
    sealed = {name: site.join(announcements) for name, site in sites.items()}
    names = tuple(sorted(sites if dealers is None else dealers))
    for name in names:
        sites[name].begin(announcements, dealt_to(name, sealed, names) if terms.recovers else {})
    one = sites[names[0]]
    return Session(gathered(announcements, terms, one.rounds, one.job), names)


Ask = Callable[[str, str, tuple[Any, ...]], Any]
"""(site, verb, arguments) -> its answer, or None."""


class HonestHub:
    """Drives a Job as well as it can with the sites that answer. A Round that fails is given up for the next one."""

    def __init__(self, terms: Terms, rounds: int, length: int, ask: Ask) -> None:
        self.terms, self._rounds, self._length, self._ask = terms, rounds, length, ask
        self._sealed: dict[str, dict[str, bytes]] = {}
        self.session: Session | None = None
        self._first: set[str] = set()

    def _all(self, sites: Iterable[str], verb: str, *arguments: Any) -> dict[str, Any]:
        answers = {site: self._ask(site, verb, arguments) for site in sites}
        return {site: answer for site, answer in answers.items() if answer is not None}

    def open(self) -> None:
        announcements = list(self._all(self.terms.sites, "announce").values())
        roster = gathered(announcements, self.terms, self._rounds)
        self._sealed = self._all(roster.sites, "join", announcements)
        if len(self._sealed) < self.terms.least:
            raise RoundFailed("Too few sites dealt shares.")
        self.session = Session(roster, tuple(sorted(self._sealed)))

    def _begun(self) -> Session:
        assert self.session is not None
        return self.session

    def masked(self, index: int, seen: str) -> dict[str, Ring]:
        session = self._begun()
        for name in session.dealers:
            if name not in self._first:
                dealt = dealt_to(name, self._sealed, session.dealers) if self.terms.recovers else {}
                self._ask(name, "begin", (list(session.roster.announcements), dealt))
        masked = self._all(session.dealers, "mask", index, seen)
        self._first |= masked.keys()
        if len(masked) < self.terms.least:
            raise RoundFailed("Too few contributions.")
        return masked

    def agreed(self, index: int, masked: Mapping[str, Ring]) -> dict[str, str] | dict[str, Reveal]:
        """Signatures; or, where nobody is missing, shares already."""
        answers = self._all(sorted(masked), "choose", index, sorted(masked))
        if len(answers) < self.terms.threshold:
            raise RoundFailed("Too few agreed.")
        return answers

    def sum(
        self, index: int, seen: str, masked: Mapping[str, Ring], agreed: Mapping[str, str] | Mapping[str, Reveal]
    ) -> Ring:
        survivors, session = tuple(sorted(masked)), self._begun()
        total = add(masked, survivors, self._length)
        if not self.terms.recovers:
            return total
        whole = survivors == session.dealers
        reveals = agreed if whole else self._all(agreed, "reveal", index, dict(agreed))
        chosen = Survivors(Moment(session.digest, index, seen), survivors)
        return unmask(total, session, self.terms, chosen, reveals)  # type: ignore[arg-type]
