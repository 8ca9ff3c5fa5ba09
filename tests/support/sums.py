"""A Job's sites inside the test: real Members with memories of their own, behind the coordinator's real exchange."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support.builders import KEYS
from support.protocol import Remembered
from synthema_core.analyses import from_plan
from synthema_core.errors import Refused, SynthemaError, to_wire
from synthema_core.plan import Plan
from synthema_core.secure_sum import Member, Roster, input_digest
from synthema_core.secure_sum.layout import Ring
from synthema_core.secure_sum.sealing import from_wire
from synthema_core.secure_sum.sealing import to_wire as sealed_to_wire
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.worker.contributor import Contributor
from synthema_hub.federated.exchange import SiteExchange
from synthema_hub.federated.flower_messages import Parcel, pack, unpack
from synthema_hub.federated.secure_rounds import SecureRounds

JOB = "j1"


@dataclass
class SumSite:
    """One site of a Job: adds `ring` in every Round. What it answers is what a datasite's desk answers."""

    plan: Plan
    site: str
    identity: Ed25519PrivateKey
    ring: Ring
    job: str = JOB
    spent: float | None = None
    rounds: int = 0
    memory: Remembered = field(default_factory=Remembered)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As after kill -9: only the memory is left."""
        rounds = self.rounds or from_plan(self.plan.analysis, self.plan.parameters).max_rounds
        fresh = hashlib.sha256(f"{self.site}/{self.job}".encode()).digest()
        digest, identities, terms = self.plan.digest, self.plan.identities, self.plan.terms
        self.member = Member(self.site, self.job, digest, identities, terms, rounds, self.memory, fresh)

    def answer(self, message: JobMessage) -> JobMessage:
        try:
            return self._answer(message)
        except SynthemaError as error:
            refusal = error if isinstance(error, Refused) else Refused(error.message, error.hint, rule="integrity")
            return JobMessage(Kind.REFUSED, {"error": to_wire(refusal)})

    def _answer(self, message: JobMessage) -> JobMessage:
        if message.kind is Kind.OPEN:
            announcement = self.member.announcement().signed(self.identity)
            return JobMessage(Kind.ANNOUNCED, {"announcement": announcement.to_dict(), "spent": self.spent})
        if message.kind is Kind.ROSTER:
            sealed = self.member.join(Roster.announced(message.mapping("roster")))
            return JobMessage(Kind.DEALT, {"sealed": sealed_to_wire(sealed)})
        if message.kind is Kind.ROUND:
            return JobMessage(Kind.MASKED, {}, self._masked(message))
        if message.kind is Kind.UNMASK:
            chosen = self.member.choose(message.count("round"), message.texts("survivors"))
            if not self.member.is_whole(chosen):
                return JobMessage(Kind.SIGNED, {"signature": chosen.signature(self.identity)})
        signatures = message.body.get("signatures")
        return JobMessage(Kind.REVEALED, {"shares": self.member.reveal(message.count("round"), signatures).to_dict()})

    def _masked(self, message: JobMessage) -> Ring:
        if not self.member.has_session:
            if self.plan.terms.recovers:
                self.member.accept(from_wire(message.body["dealt"]))
            else:
                self.member.join(Roster.announced(message.mapping("roster")))
        return self.member.mask(message.count("round"), input_digest(message.values()), self.ring)


Away = Callable[[str, JobMessage], str]
"""(site, message) -> "" for one that answers, "silent", or "unreached"."""


def nobody(site: str, message: JobMessage) -> str:
    return ""


class InProcessLine:
    """Implements GridLine: the sites answer while their answers are pulled. Time passes only in `sleep`."""

    def __init__(self, sites: Iterable[SumSite | ContributorSite], away: Away = nobody) -> None:
        self.sites = dict(enumerate(sites, start=1))
        self.away = away
        self.now = 0.0
        self.sent: list[tuple[str, JobMessage]] = []
        self._waiting: dict[str, tuple[int, JobMessage]] = {}

    @property
    def nodes(self) -> dict[str, int]:
        return {site.site: number for number, site in self.sites.items()}

    def exchange(self) -> SiteExchange:
        return SiteExchange(self, self.nodes, lambda: self.now, self.sleep)  # type: ignore[arg-type]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def push(self, parcel: Parcel, node: int) -> str:
        message = unpack(parcel)
        name = f"message-{len(self.sent)}"
        self.sent.append((self.sites[node].site, message))
        self._waiting[name] = node, message
        return name

    def pull(self, names: Iterable[str]) -> list[tuple[str, Parcel | None]]:
        replies: list[tuple[str, Parcel | None]] = []
        for name in names:
            node, message = self._waiting[name]
            how = "" if message.kind is Kind.CLOSE else self.away(self.sites[node].site, message)
            if how == "unreached":
                replies.append((name, None))
            elif not how:
                reply = JobMessage(Kind.CLOSED) if message.kind is Kind.CLOSE else self.sites[node].answer(message)
                replies.append((name, pack(reply)))
        return replies

    def kinds(self, site: str) -> list[Kind]:
        """What one site was sent."""
        return [message.kind for name, message in self.sent if name == site]


@dataclass
class ContributorSite:
    """A site of a Job that really contributes: what its worker would answer."""

    contributor: Contributor
    site: str
    identity: Ed25519PrivateKey

    def answer(self, message: JobMessage) -> JobMessage:
        one, told = self.contributor, message.body
        if message.kind is Kind.OPEN:
            announcement = one.announcement.signed(self.identity)
            return JobMessage(Kind.ANNOUNCED, {"announcement": announcement.to_dict()})
        if message.kind is Kind.ROSTER:
            return JobMessage(Kind.DEALT, {"sealed": one.deal(told["roster"])})
        if message.kind is Kind.ROUND:
            masked = one.contribute(told["round"], message.values(), told.get("roster"), told.get("dealt"))
            return JobMessage(Kind.MASKED, {}, masked)
        if message.kind is Kind.UNMASK:
            chosen, whole = one.choose(told["round"], told["survivors"])
            if not whole:
                return JobMessage(Kind.SIGNED, {"signature": chosen.signature(self.identity)})
        return JobMessage(Kind.REVEALED, {"shares": one.reveal(told["round"], told.get("signatures") or {})})


def summed_with(audited: Contributor, plan: Plan, others: Mapping[str, Ring], job: str = JOB) -> Ring:
    """The sum of a Job of the first of the Plan's sites, in which the others add no patients.

    Parameters
    ----------
    others
        What each of them adds instead; nothing for those that are not named.
    """
    first, *rest = plan.sites
    analysis = from_plan(plan.analysis, plan.parameters)
    nothing = np.zeros(plan.layout.length, dtype=np.uint64)
    sites = [SumSite(plan, site, KEYS[site], others.get(site, nothing), job) for site in rest]
    line = InProcessLine([ContributorSite(audited, first, KEYS[first]), *sites])
    rounds = SecureRounds(job, "r1", plan, analysis.max_rounds, analysis.answer_seconds, line.exchange())
    rounds.open()
    return rounds.sum(1, np.zeros(0)).total


def sites_of(plan: Plan, keys: Mapping[str, Ed25519PrivateKey], each: int = 1) -> list[SumSite]:
    """Every site of the Plan; each adds the same ring elements."""
    ring = np.full(plan.layout.length, each, dtype=np.uint64)
    return [SumSite(plan, site, keys[site], ring) for site in plan.sites]
