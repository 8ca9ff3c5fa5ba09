"""The coordinator's line to Flower's SuperLink: push a message, pull replies. Only this module knows the grid's inside.

Flower's grid moves a message's content in parts, which makes some fifty calls a Round with three sites; see
`flower_messages` for what this line does instead.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from flwr.app import Message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PushAppMessagesRequest
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    pull_objects,
    push_object_contents_from_iterable,
)

from synthema_core.errors import RoundFailed
from synthema_hub.federated.flower_messages import Parcel

_MESSAGE_TYPE = "query"
_NOT_THERE_YET_SECONDS = 0.02
"""A message is announced before its parts are sent; Flower's own first wait for one that is on its way is a second."""


class GridLine:
    """Speaks over the connection that Flower's grid has for this run."""

    def __init__(self, grid: Grid) -> None:
        self._client, self._node, self._run = grid._runtime_client, grid.node, grid.run.run_id

    def push(self, parcel: Parcel, node: int) -> str:
        """Send to one node; the name under which its reply will come. A part that is there already is not sent again.

        Raises
        ------
        RoundFailed
            If the SuperLink does not take it.
        """
        envelope = Message(parcel.content, dst_node_id=node, message_type=_MESSAGE_TYPE)
        name = envelope.metadata.__dict__["_message_id"] = secrets.token_hex(32)
        tree = ObjectTree(object_id=name, children=[ObjectTree(object_id=part) for part in parcel.parts])
        response = self._client.PushMessages(
            PushAppMessagesRequest(messages_list=[message_to_proto(envelope)], message_object_trees=[tree])
        )
        if list(response.message_ids) != [name]:
            raise RoundFailed("The SuperLink did not take a message to every site; nothing was revealed.", "Try again.")
        push_object_contents_from_iterable(
            [(part, parcel.parts[part]) for part in response.objects_to_push if part in parcel.parts],
            make_push_object_fn_protobuf(self._client.PushObject, self._node, self._run, response.session_id),
        )
        return name

    def pull(self, names: Iterable[str]) -> list[tuple[str, Parcel | None]]:
        """(name, reply) of each message that has been answered; None where it did not reach its node, or not whole."""
        response = self._client.PullMessages(PullAppMessagesRequest(message_ids=names))
        replies = zip(response.messages_list, response.message_object_trees, strict=True)
        return [(reply.metadata.reply_to_message_id, self._open(reply, tree)) for reply, tree in replies]

    def _open(self, reply: MessageProto, tree: ObjectTree) -> Parcel | None:
        envelope = message_from_proto(reply)
        if not envelope.has_content():
            return None
        if not tree.children:
            return Parcel(envelope.content, {})
        try:
            parts = pull_objects(
                [part.object_id for part in tree.children],
                make_pull_object_fn_protobuf(self._client.PullObject, self._node, self._run),
                initial_backoff=_NOT_THERE_YET_SECONDS,
            )
        except ObjectPullError:
            return None
        self._client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(node=self._node, run_id=self._run, message_object_id=tree.object_id)
        )
        return Parcel(envelope.content, parts)
