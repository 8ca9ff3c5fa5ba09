"""One exchange with the sites of a Job: send, poll fast, ask again, give up in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from synthema_core.errors import Refused, RoundFailed, SynthemaError, from_wire
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.flower_messages import Parcel, pack, unpack
from synthema_hub.federated.grid_line import GridLine

_FIRST_SECONDS, _POLL_SECONDS = 0.1, 0.05  # no answer comes sooner, and looking costs the SuperLink time
_UNREACHED_SECONDS = 10.0
"""Until a site that could not be reached is asked again: it may be starting anew."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an exchange waits.

    Parameters
    ----------
    seconds
        At most.
    enough
        With fewer answers the Job ends.
    grace_seconds
        What the others have once enough have answered; more where those took long.
    again_seconds
        Until a site that is silent is asked again, then twice as long: one that was started anew has lost the
        question, and gives the same answer to the next.
    away_seconds
        At most, for a site that cannot be reached at all.
    """

    seconds: float
    enough: int
    grace_seconds: float = 10.0
    again_seconds: float = 20.0
    away_seconds: float = 45.0


@dataclass(frozen=True, slots=True)
class Replies:
    """What came of an exchange: the answers, and why there is none from the others, by site."""

    answers: dict[str, JobMessage] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def take(self, site: str, reply: Parcel | None, expected: Collection[Kind]) -> None:
        """An answer of the expected kind is one; anything else is none, and says why."""
        if reply is None:
            self.missing[site] = "could not be reached"
            return
        try:
            answer = unpack(reply)
            if answer.kind is Kind.REFUSED:
                raise from_wire(answer.body.get("error", {}))
            if answer.kind not in expected:
                self.missing[site] = f"answered '{answer.kind}' where '{expected}' was due"
                return
        except Refused as error:
            self.missing[site] = f"refused by its rule '{error.rule}': {error.message} {error.hint}".rstrip()
        except SynthemaError as error:
            self.missing[site] = f"gave no answer that counts: {error.message}"
        else:
            self.answers[site] = answer


class SiteExchange:
    """Sends JobMessages to the sites' nodes and gathers the replies.

    Parameters
    ----------
    nodes
        Flower's node id of each site.
    """

    def __init__(
        self,
        line: GridLine,
        nodes: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._line, self._nodes = line, dict(nodes)
        self._clock, self._sleep = clock, sleep

    def ask(
        self, messages: Mapping[str, JobMessage], expected: Collection[Kind], patience: Patience, phase: str
    ) -> Replies:
        """The replies of enough of these sites, and of all that answer within their grace.

        Parameters
        ----------
        messages
            By site.
        phase
            As people are told it, such as "round 2".

        Raises
        ------
        RoundFailed
            If too few answer: they refuse (naming the rule), stay silent, or cannot be reached. Nothing of the others'
            replies is used.
        """
        replies, asked = Replies(), self._asked(messages, patience)
        self._sleep(_FIRST_SECONDS)
        while asked.waiting:
            for site, reply in asked.pull():
                replies.take(site, reply, expected)
            if len(replies.answers) >= patience.enough:
                asked.hurry()
            if asked.over() or len(replies.answers) + len(asked.waiting) < patience.enough:
                break
            if asked.waiting:
                self._sleep(_POLL_SECONDS)
        for site in asked.waiting:
            replies.missing[site] = f"gave no answer within {asked.seconds:.0f} seconds"
        if len(replies.answers) < patience.enough:
            raise _too_few(replies, phase)
        return replies

    def tell_all(self, message: JobMessage, timeout_seconds: float) -> None:
        """Send, and give every site that long to take it, whatever it answers."""
        asked = self._asked(dict.fromkeys(self._nodes, message), Patience(timeout_seconds, 0, away_seconds=0.0))
        while asked.waiting and not asked.over():
            self._sleep(_POLL_SECONDS)
            for _ in asked.pull():
                pass

    def _asked(self, messages: Mapping[str, JobMessage], patience: Patience) -> _Asked:
        return _Asked(self._line, self._nodes, messages, patience, self._clock)


class _Asked:
    """The sites that an exchange waits for, and until when."""

    def __init__(
        self,
        line: GridLine,
        nodes: Mapping[str, int],
        messages: Mapping[str, JobMessage],
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        self._line, self._nodes, self._patience, self._clock = line, nodes, patience, clock
        self._parcels = _packed(messages)
        self._names = {line.push(parcel, nodes[site]): site for site, parcel in self._parcels.items()}
        self._began = self._clock()
        self._until = self._began + patience.seconds
        self._again = dict.fromkeys(messages, self._began + patience.again_seconds)
        self._hurried = False
        self.waiting = set(messages)

    @property
    def seconds(self) -> float:
        """Since the question."""
        return self._clock() - self._began

    def over(self) -> bool:
        return self._clock() >= self._until

    def hurry(self) -> None:
        """Enough have answered: the others have their grace, and no more."""
        if not self._hurried:
            self._hurried = True
            self._until = min(self._until, self._clock() + max(self._patience.grace_seconds, 2 * self.seconds))

    def pull(self) -> Iterator[tuple[str, Parcel | None]]:
        """(site, reply) of each that has answered; None where it has been out of reach for long."""
        for name, reply in self._line.pull(list(self._names)):
            site = self._names.pop(name)
            if site not in self.waiting:
                continue  # an answer to a question that was asked twice
            if reply is None and self.seconds < self._patience.away_seconds:
                self._again[site] = min(self._again[site], self._clock() + _UNREACHED_SECONDS)
                continue
            self.waiting.discard(site)
            yield site, reply
        self._ask_again()

    def _ask_again(self) -> None:
        for site in self.waiting:
            if self._clock() >= self._again[site]:
                self._names[self._line.push(self._parcels[site], self._nodes[site])] = site
                self._again[site] = self._clock() + max(self._patience.again_seconds, self.seconds)


def _packed(messages: Mapping[str, JobMessage]) -> dict[str, Parcel]:
    """By site. A message that goes to several is packed once: its large part is on the SuperLink once, too."""
    once = {id(message): message for message in messages.values()}
    parcels = {key: pack(message) for key, message in once.items()}
    return {site: parcels[id(message)] for site, message in messages.items()}


def _too_few(replies: Replies, phase: str) -> RoundFailed:
    reasons = [f"'{site}' {why}" for site, why in sorted(replies.missing.items())]
    told = f"{'; '.join(reasons)}." if reasons else "no site answered."
    return RoundFailed(
        f"Too few sites took part in {phase}, and nothing was revealed: {told.replace('..', '.')}",
        "Submit the request again when all sites are online and agree.",
    )
