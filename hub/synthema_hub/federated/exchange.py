"""One exchange with all sites of a Job over Flower's grid: send, poll fast, give up in time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from flwr.app import Message
from flwr.serverapp import Grid

from synthema_core.errors import Refused, RoundFailed, from_wire
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.flower_messages import decode, encode

_POLL_SECONDS = 0.03
_MESSAGE_TYPE = "query"


class SiteExchange:
    """Sends a JobMessage to each site's node and gathers the replies.

    Parameters
    ----------
    nodes
        Flower's node id of each site.
    """

    def __init__(self, grid: Grid, nodes: Mapping[str, int]) -> None:
        self._grid = grid
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

    def _gather(self, message: JobMessage, timeout_seconds: float) -> Iterator[tuple[str, Message]]:
        """(site, reply) as they come, until all have or time is up."""
        records = encode(message)
        waiting = {self._send(node, records): site for site, node in self._nodes.items()}
        deadline = time.monotonic() + timeout_seconds
        while waiting and time.monotonic() < deadline:
            for reply in self._grid.pull_messages(list(waiting)):
                yield waiting.pop(reply.metadata.reply_to_message_id), reply
            if waiting:
                time.sleep(_POLL_SECONDS)

    def _send(self, node: int, records: object) -> str:
        message = Message(records, dst_node_id=node, message_type=_MESSAGE_TYPE)
        return next(iter(self._grid.push_messages([message])))

    @staticmethod
    def _read(site: str, reply: Message, expected: Kind) -> JobMessage:
        if reply.has_error():
            raise RoundFailed(f"The site '{site}' could not be reached; nothing was revealed.", "Is it online?")
        answer = decode(reply.content)
        if answer.kind is Kind.REFUSED:
            error = from_wire(answer.body.get("error", {}))
            rule = f" by its rule '{error.rule}'" if isinstance(error, Refused) else ""
            raise RoundFailed(f"The site '{site}' refused{rule}: {error.message}", error.hint)
        if answer.kind is not expected:
            raise RoundFailed(f"The site '{site}' answered '{answer.kind}' where '{expected}' was due.")
        return answer
