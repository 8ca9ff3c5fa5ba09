"""One exchange with all sites of a Job over Flower's grid: send, poll fast, give up in time."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flwr.app import Message
from flwr.serverapp import Grid

from synthema_core.errors import Refused, RoundFailed, from_wire
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.flower_messages import decode, encode

_POLL_SECONDS = 0.015
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
        records = encode(message)
        sent = {self._send(node, records): site for site, node in self._nodes.items()}
        replies: dict[str, JobMessage] = {}
        deadline = time.monotonic() + timeout_seconds
        while len(replies) < len(sent) and time.monotonic() < deadline:
            for reply in self._grid.pull_messages([m for m, site in sent.items() if site not in replies]):
                site = sent[reply.metadata.reply_to_message_id]
                replies[site] = self._read(site, reply, expected)
            if len(replies) < len(sent):
                time.sleep(_POLL_SECONDS)
        missing = sorted(set(self._nodes) - set(replies))
        if missing:
            raise RoundFailed(
                f"No answer from {', '.join(missing)} within {timeout_seconds:g} seconds; nothing was revealed.",
                "Submit the request again when all sites are online.",
            )
        return replies

    def tell_all(self, message: JobMessage) -> None:
        """Send without waiting for replies."""
        records = encode(message)
        for node in self._nodes.values():
            self._send(node, records)

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
