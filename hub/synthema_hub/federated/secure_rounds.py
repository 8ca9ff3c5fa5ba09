"""The hub's conduct of a Job's secure sums: keys, shares, masked Contributions, survivors. It sees sums and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, RoundFailed
from synthema_core.plan import Plan
from synthema_core.secure_sum import (
    Announcement,
    Moment,
    Reveal,
    Roster,
    Session,
    Survivors,
    add,
    input_digest,
    unmask,
)
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.secure_sum.sealing import from_wire, to_wire
from synthema_core.secure_sum.summing import check_sealed
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.exchange import Patience, Replies, SiteExchange

OPEN_SECONDS = 60.0
ROUND_SECONDS = 120.0
UNMASK_SECONDS = 60.0
_BACK_SECONDS = 3.0
"""What a site that missed the last Round has, once the others have answered. One that is back needs no more."""

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class RoundSum:
    """The sum of a Round, and which sites it is over."""

    total: Ring
    sites: tuple[str, ...]


@dataclass(slots=True)
class _Course:
    """How the Job stands: fixed by its opening, but for the sites that a Round went without."""

    session: Session
    dealt: Mapping[str, Mapping[str, bytes]]
    spent: Mapping[str, float]
    begun: set[str] = field(default_factory=set)
    late: frozenset[str] = frozenset()


class SecureRounds:
    """One Job's rounds.

    Parameters
    ----------
    rounds
        The most there may be.
    answer_seconds
        How long after a Round's arrival a site answers, at the earliest.
    """

    def __init__(
        self, job: str, request: str, plan: Plan, rounds: int, answer_seconds: float, exchange: SiteExchange
    ) -> None:
        self._job, self._request, self._plan, self._rounds = job, request, plan, rounds
        self._terms = plan.terms
        self._exchange = exchange
        least = self._terms.least
        self._opening = Patience(OPEN_SECONDS, least)
        self._asking = Patience(answer_seconds + ROUND_SECONDS, least, again_seconds=answer_seconds + 20.0)
        self._unmasking = Patience(UNMASK_SECONDS, self._terms.threshold)
        self._course: _Course | None = None
        self.missing: dict[str, str] = {}

    @property
    def spent(self) -> Mapping[str, float]:
        """Epsilon that all answers have cost a patient of each site, as the sites say."""
        return self._ready().spent

    def open(self) -> None:
        """Have every site claim the Job and show its keys; and deal shares, where a Round may go without some sites."""
        body: dict[str, Json] = {"job": self._job, "request": self._request, "plan_digest": self._plan.digest}
        message = JobMessage(Kind.OPEN, body)
        replies = self._ask(dict.fromkeys(self._plan.sites, message), (Kind.ANNOUNCED,), self._opening, "the opening")
        announced = _read(replies, lambda _, reply: Announcement.from_dict(reply.mapping("announcement")))
        spent = {site: reply.body.get("spent") for site, reply in replies.answers.items()}
        roster = Roster.gather(
            self._job, self._plan.digest, announced.values(), self._plan.identities, self._terms, self._rounds
        )
        dealt = self._deal(roster) if self._terms.recovers else {}
        session = Session(roster, tuple(sorted(dealt)) if self._terms.recovers else roster.sites)
        known = {site: float(epsilon) for site, epsilon in spent.items() if isinstance(epsilon, int | float)}
        self._course = _Course(session, dealt, known)

    def _deal(self, roster: Roster) -> dict[str, dict[str, bytes]]:
        """The sealed shares, by sender and receiver."""
        message = JobMessage(Kind.ROSTER, {"job": self._job, "roster": roster.to_dict()})
        replies = self._ask(dict.fromkeys(roster.sites, message), (Kind.DEALT,), self._opening, "the dealing of shares")

        def sealed(sender: str, reply: JobMessage) -> dict[str, bytes]:
            shares = from_wire(reply.mapping("sealed"))
            check_sealed(shares, roster.sites, sender)
            return shares

        return _read(replies, sealed)

    def sum(self, round_index: int, values: Floats) -> RoundSum:
        """The sum of the Contributions of all sites that take part in this Round to its end.

        Raises
        ------
        RoundFailed
            If they are too few, saying in which phase; then nothing was revealed.
        """
        course, phase = self._ready(), f"round {round_index}"
        masked = self._masked(course, round_index, values, phase)
        sites = tuple(sorted(masked))
        total = add(masked, sites, self._plan.layout.length)
        course.late = frozenset(course.session.dealers) - masked.keys()
        if not self._terms.recovers:
            return RoundSum(total, sites)
        moment = Moment(course.session.digest, round_index, input_digest(values))
        chosen = Survivors(moment, sites)
        reveals = self._reveals(course.session, chosen, phase)
        return RoundSum(unmask(total, course.session, self._terms, chosen, reveals), sites)

    def _masked(self, course: _Course, round_index: int, values: Floats, phase: str) -> dict[str, Ring]:
        later = JobMessage(Kind.ROUND, {"job": self._job, "round": round_index}, values)
        messages = {
            site: later if site in course.begun else self._first(course, site, later) for site in course.session.dealers
        }
        patience = replace(self._asking, grace_seconds=_BACK_SECONDS) if course.late else self._asking
        replies = self._ask(messages, (Kind.MASKED,), patience, phase)
        masked = _read(replies, lambda _, reply: reply.ring())
        course.begun |= masked.keys()
        return masked

    def _first(self, course: _Course, site: str, message: JobMessage) -> JobMessage:
        """The Round's message with what a site needs before its first one: the Roster, if it has dealt nothing."""
        if not self._terms.recovers:
            return replace(message, body={**message.body, "roster": course.session.roster.to_dict()})
        dealt = {sender: sealed[site] for sender, sealed in course.dealt.items() if sender != site}
        return replace(message, body={**message.body, "dealt": to_wire(dealt)})

    def _reveals(self, session: Session, chosen: Survivors, phase: str) -> dict[str, Reveal]:
        """Shares of enough survivors; in a second exchange, once enough have signed, if a site is missing."""
        about: dict[str, Json] = {"job": self._job, "round": chosen.moment.round_index}
        message = JobMessage(Kind.UNMASK, {**about, "survivors": list(chosen.sites)})
        whole = chosen.sites == session.dealers
        expected = Kind.REVEALED if whole else Kind.SIGNED
        unmasking = f"unmasking {phase}"  # whoever is silent now is in the sum all the same
        replies = self._exchange.ask(dict.fromkeys(chosen.sites, message), (expected,), self._unmasking, unmasking)
        if not whole:
            signatures = self._signatures(chosen, replies)
            certified = JobMessage(Kind.CERTIFIED, {**about, "signatures": dict(signatures)})
            signers = dict.fromkeys(signatures, certified)
            replies = self._exchange.ask(signers, (Kind.REVEALED,), self._unmasking, unmasking)
        missing = set(session.dealers) - set(chosen.sites)

        def shares(_: str, reply: JobMessage) -> Reveal:
            reveal = Reveal.from_dict(reply.mapping("shares"))
            reveal.check_for(chosen.sites, missing)
            return reveal

        return _read(replies, shares)

    def _signatures(self, chosen: Survivors, replies: Replies) -> dict[str, str]:
        def signature(site: str, reply: JobMessage) -> str:
            chosen.check_signature(self._plan.identities[site], reply.text("signature"))
            return reply.text("signature")

        return _read(replies, signature)

    def _ask(
        self, messages: Mapping[str, JobMessage], expected: Iterable[Kind], patience: Patience, phase: str
    ) -> Replies:
        """As `SiteExchange.ask`; a site that does not answer is missing in the sum that is asked for."""
        replies = self._exchange.ask(messages, tuple(expected), patience, phase)
        for site, why in replies.missing.items():
            self.missing.setdefault(site, f"{why} ({phase})")
        return replies

    def _ready(self) -> _Course:
        if self._course is None:
            raise RoundFailed("A round cannot begin before the roster is complete.")
        return self._course


def _read(replies: Replies, read: Callable[[str, JobMessage], _Read]) -> dict[str, _Read]:
    """What each site answered. A site whose answer does not hold ends the Job: that is no mishap."""
    found = {}
    for site, reply in replies.answers.items():
        try:
            found[site] = read(site, reply)
        except IntegrityFailure as error:
            raise RoundFailed(f"What '{site}' answered does not hold: {error.message}", error.hint) from None
    return found
