"""One exchange with all sites of a Job: send, poll fast, give up in time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from synthema_core.errors import Refused, RoundFailed, from_wire
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.flower_messages import Parcel, pack, unpack
from synthema_hub.federated.grid_line import GridLine

_FIRST_SECONDS, _POLL_SECONDS = 0.1, 0.05  # no answer comes sooner, and looking costs the SuperLink time


class SiteExchange:
    """Sends a JobMessage to each site's node and gathers the replies.

    Parameters
    ----------
    nodes
        Flower's node id of each site.
    """

    def __init__(self, line: GridLine, nodes: Mapping[str, int]) -> None:
        self._line = line
        self._nodes = dict(nodes)

    def ask_all(self, message: JobMessage, expected: Kind, timeout_seconds: float) -> dict[str, JobMessage]:
        """The reply of every site.

        Raises
        ------
        RoundFailed
            If a site refuses (naming the rule) or stays silent. Nothing of the others' replies is used.
        """
        replies: dict[str, JobMessage] = {}
        for site, reply in self._gather(message, timeout_seconds):
            replies[site] = self._read(site, reply, expected)
        missing = sorted(set(self._nodes) - set(replies))
        if missing:
            raise RoundFailed(
                f"No answer from {', '.join(missing)} within {timeout_seconds:g} seconds; nothing was revealed.",
                "Submit the request again when all sites are online.",
            )
        return replies

    def tell_all(self, message: JobMessage, timeout_seconds: float) -> None:
        """Send, and give every site that long to take it, whatever it answers."""
        for _ in self._gather(message, timeout_seconds):
            pass

    def _gather(self, message: JobMessage, timeout_seconds: float) -> Iterator[tuple[str, Parcel | None]]:
        """(site, reply) as they come, until all have or time is up; None for a site that was not reached."""
        parcel = pack(message)
        waiting = {self._line.push(parcel, node): site for site, node in self._nodes.items()}
        deadline = time.monotonic() + timeout_seconds
        time.sleep(_FIRST_SECONDS)
        while waiting and time.monotonic() < deadline:
            for name, reply in self._line.pull(waiting):
                yield waiting.pop(name), reply
            if waiting:
                time.sleep(_POLL_SECONDS)

    @staticmethod
    def _read(site: str, reply: Parcel | None, expected: Kind) -> JobMessage:
        if reply is None:
            raise RoundFailed(f"The site '{site}' could not be reached; nothing was revealed.", "Is it online?")
        answer = unpack(reply)
        if answer.kind is Kind.REFUSED:
            error = from_wire(answer.body.get("error", {}))
            rule = f" by its rule '{error.rule}'" if isinstance(error, Refused) else ""
            raise RoundFailed(f"The site '{site}' refused{rule}: {error.message}", error.hint)
        if answer.kind is not expected:
            raise RoundFailed(f"The site '{site}' answered '{answer.kind}' where '{expected}' was due.")
        return answer
