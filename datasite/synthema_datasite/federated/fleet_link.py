"""A site's line to Flower's SuperLink: pull a message, push its answer. Only this module touches Flower's inside.

Flower's own SuperNode fetches an app from the hub and starts it. This link does neither: it knows no call that
fetches a FAB, and what it returns is data.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    pull_objects,
    push_object_contents_from_iterable,
)
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from synthema_core.errors import IntegrityFailure, NotAuthenticated, Unavailable
from synthema_core.wire import JobMessage
from synthema_datasite.federated.flower_messages import Parcel, pack, unpack

HEARTBEAT_SECONDS = 5.0
_SILENT_SECONDS = 10.0
"""Flower takes a node for gone after twice this time of silence, and lets no other with its key in before."""
_NOT_THERE_YET_SECONDS = 0.02
"""A message is announced before its parts are sent; Flower's own first wait for one that is on its way is a second."""


class RunOver(Exception):
    """The run to which a message belongs has ended at the hub. The link itself is well."""


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.UNAUTHORIZED:
            raise NotAuthenticated("The SuperLink does not know this node's key.", "Join the federation.") from None
        if error.response.status_code == httpx.codes.PRECONDITION_FAILED:
            raise NotAuthenticated(
                "The SuperLink does not let this node in: its key is not registered, or an earlier connection stands.",
                "Join the federation; a connection that was cut lapses within half a minute.",
            ) from None
        if error.response.status_code == httpx.codes.FORBIDDEN:
            raise RunOver("The SuperLink takes no more messages of this run: it is over.") from None
        raise Unavailable(f"The SuperLink answered with status {error.response.status_code}.") from None
    except (ObjectPullError, ObjectPushError):  # a run's objects go with it, also between two calls of ours
        raise RunOver("The SuperLink holds no more messages of this run: it is over.") from None
    except httpx.TransportError as error:
        raise Unavailable(f"The SuperLink cannot be reached ({type(error).__name__}).") from None


class FleetLink:
    """One connection over TLS. Use as a context manager around the node's life.

    Parameters
    ----------
    gateway
        host:port.
    ca
        The federation's CA, PEM.
    key
        The node's registered P-384 key.

    Raises
    ------
    NotAuthenticated
        If the SuperLink does not know the key (or has not yet noticed that the node was away).
    Unavailable
        If it cannot be reached, or its certificate is not the federation's.
    """

    def __init__(self, gateway: str, ca: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        public = key.public_key()
        self._public_key = public_key_to_bytes(public)
        self._client = FleetHttpClient.from_server_address(
            gateway,
            False,
            ca,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(key, public),
            ],
        )
        self._node = Node()

    def __enter__(self) -> FleetLink:
        request = ActivateNodeRequest(public_key=self._public_key, heartbeat_interval=_SILENT_SECONDS)
        try:
            with _mapped_errors():
                self._node = Node(node_id=self._client.ActivateNode(request).node_id)
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with _mapped_errors():
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
        except (Unavailable, NotAuthenticated):
            pass  # the SuperLink notices by the missing heartbeat
        finally:
            self._client.close()

    def beat(self) -> None:
        """Tell the SuperLink that the node lives; due every HEARTBEAT_SECONDS."""
        request = SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=_SILENT_SECONDS)
        with _mapped_errors():
            if not self._client.SendNodeHeartbeat(request).success:
                raise NotAuthenticated("The SuperLink does not know this node any more.", "Join the federation.")

    def pull(self) -> tuple[Message, JobMessage] | None:
        """The next message and what it says; None if there is none.

        Raises
        ------
        IntegrityFailure
            For a message that is not one of a Job. It does not come again.
        """
        with _mapped_errors():
            response = self._client.PullMessages(PullMessagesRequest(node=self._node))
            if not response.messages_list:
                return None
            envelope = message_from_proto(response.messages_list[0])
            if not envelope.has_content():
                raise IntegrityFailure("A message of a Job cannot be read.")
            parts = self._pull_parts(envelope.metadata.run_id, response.message_object_trees[0])
        return envelope, unpack(Parcel(envelope.content, parts))

    def _pull_parts(self, run: int, tree: ObjectTree) -> dict[str, bytes]:
        """What goes beside a message; the SuperLink drops it when every site has it."""
        if not tree.children:
            return {}
        parts: dict[str, bytes] = pull_objects(
            [part.object_id for part in tree.children],
            make_pull_object_fn_protobuf(self._client.PullObject, self._node, run),
            initial_backoff=_NOT_THERE_YET_SECONDS,
        )
        self._client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(node=self._node, run_id=run, message_object_id=tree.object_id)
        )
        return parts

    def push(self, envelope: Message, answer: JobMessage) -> None:
        """Send the answer to the message that came in this envelope."""
        parcel = pack(answer)
        reply = Message(parcel.content, reply_to=envelope)
        name = reply.metadata.__dict__["_message_id"] = secrets.token_hex(32)
        request = PushMessagesRequest(
            node=self._node,
            messages_list=[message_to_proto(reply)],
            message_object_trees=[
                ObjectTree(object_id=name, children=[ObjectTree(object_id=part) for part in parcel.parts])
            ],
            clientapp_runtime_list=[0.0],
        )
        with _mapped_errors():
            response = self._client.PushMessages(request)
            push_object_contents_from_iterable(
                [(part, parcel.parts[part]) for part in response.objects_to_push if part in parcel.parts],
                make_push_object_fn_protobuf(
                    self._client.PushObject, self._node, envelope.metadata.run_id, response.session_id
                ),
            )
