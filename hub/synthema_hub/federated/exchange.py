"""One exchange with all sites of a Job over Flower's grid: send, poll fast, give up in time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.superlink.grid import http_grid

from synthema_core.errors import Refused, RoundFailed, from_wire
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.flower_messages import decode, encode

_FIRST_SECONDS, _POLL_SECONDS = 0.15, 0.05  # no answer comes sooner, and looking costs the SuperLink time
_NOT_THERE_YET_SECONDS = 0.02
_MESSAGE_TYPE = "query"

#: A message is announced before its parts are sent; the grid's own first wait for one that is on its way is a second.
http_grid.pull_objects = partial(http_grid.pull_objects, initial_backoff=_NOT_THERE_YET_SECONDS)


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
        waiting = self._send(records)
        deadline = time.monotonic() + timeout_seconds
        time.sleep(_FIRST_SECONDS)
        while waiting and time.monotonic() < deadline:
            for reply in self._grid.pull_messages(list(waiting)):
                yield waiting.pop(reply.metadata.reply_to_message_id), reply
            if waiting:
                time.sleep(_POLL_SECONDS)

    def _send(self, records: RecordDict) -> dict[str, str]:
        """The site of each message's id. All go in one call, so that what they share travels once.

        Raises
        ------
        RoundFailed
            If the SuperLink does not take one of them.
        """
        messages = [Message(records, dst_node_id=node, message_type=_MESSAGE_TYPE) for node in self._nodes.values()]
        identifiers = list(self._grid.push_messages(messages))
        if len(identifiers) != len(messages) or not all(identifiers):
            raise RoundFailed("The SuperLink did not take a message to every site; nothing was revealed.", "Try again.")
        return dict(zip(identifiers, self._nodes, strict=True))

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
