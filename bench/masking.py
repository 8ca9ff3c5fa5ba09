"""The secure sum in one process: what each of its steps takes a site and the hub, and how many bytes it moves.

Nothing but `synthema_core.secure_sum` runs here, on one core, with a site's memory in RAM; every sum is compared with
the plain one. Seconds are the processor's, which others' work on the machine hardly changes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.figures import Figure, Row
from synthema_core.canonical import Json
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
from synthema_core.secure_sum.keys import SECRET_BYTES, keystream
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.secure_sum.masking import add_signed, pairwise_mask
from synthema_core.secure_sum.sealing import to_wire
from synthema_core.wire import JobMessage, Kind, to_fields

SIZES = (3, 10, 30, 100)
FLOATS = 1_000_000
_INSIDERS, _JOB, _PLAN = 1, "j" * 32, "0" * 64
_TIMES = 9
_STREAM_TARGET, _UNMASK_TARGET, _UNMASK_SITES = 500.0, 3.0, 20
_MB, _KB = 1e6, 1e3
_HEADINGS: Row = (
    "sites (t, m)",
    "opening: a site",
    "masked input: a site",
    "adding: hub",
    "unmasking: a site; hub",
    "one missing, unmasking: a site; hub",
)


class _InRam:
    """Implements `secure_sum.Memory`."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}

    def keep(self, name: str, content: bytes) -> bytes:
        return self._items.setdefault(name, content)

    def recall(self, name: str) -> bytes | None:
        return self._items.get(name)

    def let_go(self, name: str) -> None:
        self._items[name] = b""

    def forget_choice(self) -> None:
        """As no site's memory ever does: so that one masking serves two sets of survivors."""
        self._items.pop("survivors-1", None)


@dataclass(slots=True)
class _Step:
    """What one step took, at one site or at the hub."""

    seconds: list[float] = field(default_factory=list)
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)

    @contextmanager
    def timed(self) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds.append(time.process_time() - began)

    def moved(self, up: Sequence[JobMessage], down: Sequence[JobMessage]) -> None:
        """One site's messages, each as its carrier is given it."""
        self.up.append(sum(map(_bytes, up)))
        self.down.append(sum(map(_bytes, down)))

    @property
    def told(self) -> str:
        return f"{_short(median(self.seconds))}, {_size(median(self.down))} down, {_size(median(self.up))} up"


def _bytes(message: JobMessage) -> int:
    return sum(len(part) for part in to_fields(message).values())


def _short(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"


def _size(count: float) -> str:
    return f"{count / _MB:.2f} MB" if count >= _MB / 10 else f"{count / _KB:.1f} kB"


class Sums:
    """All sites of one Job and its hub, one step after the other."""

    def __init__(self, sites: int, floats: int, rounds: int = 1) -> None:
        names = tuple(f"site-{number:03d}" for number in range(sites))
        self.terms = Terms.for_noisy_sum(names, 3, _INSIDERS)
        self._floats, self._rounds = floats, rounds
        self._values: Floats = np.zeros(floats)
        self._keys = {name: Ed25519PrivateKey.generate() for name in names}
        self._identities = {name: str(public_key(key)) for name, key in self._keys.items()}
        self.opening, self.masking, self.adding = _Step(), _Step(), _Step()
        self._plain: dict[str, Ring] = {}
        self._masked: dict[str, Ring] = {}
        self._memories = {name: _InRam() for name in names}
        self._members = {name: self._new_member(name) for name in names}
        self._open()

    def _new_member(self, name: str) -> Member:
        fresh, memory = secrets.token_bytes(SECRET_BYTES), self._memories[name]
        return Member(name, _JOB, _PLAN, self._identities, self.terms, self._rounds, memory, fresh)

    def _open(self) -> None:
        """A site's keys, the check of everybody's, and the shares that it deals and accepts."""
        announced = [member.announcement().signed(self._keys[name]) for name, member in self._members.items()]
        roster = Roster.gather(_JOB, _PLAN, announced, self._identities, self.terms, self._rounds)
        self._session, self._shown = Session(roster, roster.sites), roster.to_dict()
        dealt, seconds = {}, {}
        for name, member in self._members.items():
            began = time.process_time()
            member.announcement().signed(self._keys[name])
            dealt[name] = member.join(Roster.announced(self._shown))
            seconds[name] = time.process_time() - began
        for name, member in self._members.items():
            began = time.process_time()
            to_me = {sender: sealed[name] for sender, sealed in dealt.items() if name in sealed}
            if self.terms.recovers:
                member.accept(to_me)
            self.opening.seconds.append(seconds[name] + time.process_time() - began)
            self._count_opening(roster.of(name), dealt[name], to_me)

    def _count_opening(self, own: Announcement, dealt: Mapping[str, bytes], to_me: Mapping[str, bytes]) -> None:
        """The Roster comes before shares are dealt, and again with the first Round."""
        up = [JobMessage(Kind.ANNOUNCED, {"announcement": own.to_dict()})]
        down = [JobMessage(Kind.ROUND, {"roster": self._shown, "dealt": to_wire(to_me)})]
        if self.terms.recovers:
            up.append(JobMessage(Kind.DEALT, {"sealed": to_wire(dealt)}))
            down.append(JobMessage(Kind.ROSTER, {"roster": self._shown}))
        self.opening.moved(up, down)

    def mask(self) -> None:
        """Every site's numbers, and what it sends."""
        told = JobMessage(Kind.ROUND, {"job": _JOB, "round": 1}, self._values)
        for name, member in self._members.items():
            ring = np.frombuffer(secrets.token_bytes(8 * self._floats), dtype="<u8").astype(np.uint64)
            with self.masking.timed():
                masked = member.mask(1, input_digest(self._values), ring)
            self._plain[name], self._masked[name] = ring, masked
            self.masking.moved([JobMessage(Kind.MASKED, {"job": _JOB, "round": 1}, masked)], [told])

    def sum(self, missing: int) -> tuple[_Step | None, float]:
        """Over all but so many sites, and right; what unmasking took a site, and the hub in seconds."""
        sites, step, seconds = sorted(self._members)[missing:], None, 0.0
        total = self._total(sites)
        if self.terms.recovers:
            total, step, seconds = self._unmasked(total, sites)
        if not np.array_equal(total, sum(self._plain[site] for site in sites)):
            raise RoundFailed(f"The secure sum of {len(sites)} sites is not the plain one.")
        return step, seconds

    def _total(self, sites: Sequence[str]) -> Ring:
        with self.adding.timed():
            return add({site: self._masked[site] for site in sites}, sites, self._floats)

    def _unmasked(self, total: Ring, sites: Sequence[str]) -> tuple[Ring, _Step, float]:
        """The sum over these sites; what it took a site, and the hub in seconds."""
        step, signatures, reveals, seconds = _Step(), {}, {}, {}
        chosen = Survivors(Moment(self._session.digest, 1, input_digest(self._values)), tuple(sites))
        for site in sites:
            self._memories[site].forget_choice()
            began = time.process_time()
            signatures[site] = self._members[site].choose(1, sites).signature(self._keys[site])
            seconds[site] = time.process_time() - began
        for site in sites:
            began = time.process_time()
            reveals[site] = self._members[site].reveal(1, signatures)
            step.seconds.append(seconds[site] + time.process_time() - began)
            self._count_unmasking(step, sites, reveals[site], signatures, site)
        began = time.process_time()
        found = unmask(total, self._session, self.terms, chosen, reveals)
        return found, step, time.process_time() - began

    def _count_unmasking(
        self, step: _Step, sites: Sequence[str], reveal: Reveal, signatures: Mapping[str, str], site: str
    ) -> None:
        """Signatures go to and fro where a site is missing."""
        about: dict[str, Json] = {"job": _JOB, "round": 1}
        up = [JobMessage(Kind.REVEALED, {**about, "shares": reveal.to_dict()})]
        down = [JobMessage(Kind.UNMASK, {**about, "survivors": list(sites)})]
        if len(sites) < len(self._members):
            up.append(JobMessage(Kind.SIGNED, {**about, "signature": signatures[site]}))
            down.append(JobMessage(Kind.CERTIFIED, {**about, "signatures": dict(signatures)}))
        step.moved(up, down)


def growth(floats: int = FLOATS) -> list[Row]:
    """A line for each number of sites."""
    return [_HEADINGS, *(_growth_row(sites, floats) for sites in SIZES)]


def _growth_row(sites: int, floats: int) -> Row:
    sums = Sums(sites, floats)
    sums.mask()
    step, seconds = sums.sum(missing=0)
    about = f"{sites} ({sums.terms.threshold}, {sums.terms.least})"
    first = (about, sums.opening.told, sums.masking.told, _short(median(sums.adding.seconds)))
    if step is None:
        return (*first, "none: no site may be missing", "ends the Job")
    less, longer = sums.sum(missing=1)
    assert less is not None, "where a site may be missing, one is"
    return (*first, f"{step.told}; {_short(seconds)}", f"{less.told}; {_short(longer)}")


def steps() -> list[Figure]:
    """Those that have a target: rates in MB/s, the higher the better, and seconds."""
    return [_stream(), _mask_of_a_pair(), _unmask_one_of_twenty()]


def _stream() -> Figure:
    seed = secrets.token_bytes(SECRET_BYTES)
    rate = _rate(lambda: keystream(seed, 8 * FLOATS))
    return Figure("mask stream, one core", rate, "MB/s", _STREAM_TARGET, f"ChaCha20, 8 MB, median of {_TIMES}")


def _mask_of_a_pair() -> Figure:
    secret, ring = secrets.token_bytes(SECRET_BYTES), np.zeros(FLOATS, dtype=np.uint64)
    moment = Moment("0" * 64, 1, "0" * 64)
    rate = _rate(lambda: add_signed(ring, pairwise_mask(secret, "a", "b", moment, FLOATS)))
    return Figure("mask of one pair made and added", rate, "MB/s", _STREAM_TARGET, "with the derivation of its key")


def _rate(work: Any) -> float:
    seconds = []
    for _ in range(_TIMES):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return 8 * FLOATS / _MB / median(seconds)


def _unmask_one_of_twenty() -> Figure:
    sums = Sums(_UNMASK_SITES, FLOATS)
    sums.mask()
    _, seconds = sums.sum(missing=1)
    name = f"unmasking {FLOATS:,} floats at the hub, one of {_UNMASK_SITES} sites missing"
    return Figure(name, seconds, "s", _UNMASK_TARGET)
