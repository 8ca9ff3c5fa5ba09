"""The hub's hand on Flower's Control API: register a site's node, start our one app, see whether a run has ended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import httpx
from flwr.cli.build import build_fab_from_files
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import ListNodesRequest, ListRunsRequest, RegisterNodeRequest, StartRunRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from synthema_core.errors import InvalidInput, Unavailable

_LATEST_RUNS = 20
"""Whoever asks for the list of runs has the SuperLink drop what those that are over have left behind."""


class _BearerToken:
    """Adds the control token to every request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers["authorization"] = f"Bearer {self._token}"
        return call_next(context)


def our_app() -> Fab:
    """The one app the hub ever submits: a ServerApp that lives in our package, and no code for sites."""
    folder = resources.files("synthema_hub.federated") / "app"
    content, _ = build_fab_from_files(
        {name: (folder / name).read_bytes() for name in ("pyproject.toml", "coordinator.py")}
    )
    return Fab(hashlib.sha256(content).hexdigest(), content, {})


class FlowerControl:
    """Calls the SuperLink's Control API. Each call opens its own connection; none is retried.

    Raises
    ------
    Unavailable
        If the SuperLink does not answer or refuses.
    """

    def __init__(self, address: str, ca: Path, token: str) -> None:
        self._address, self._ca, self._token = address, ca, token

    def _client(self) -> ControlHttpClient:
        return ControlHttpClient.from_server_address(
            server_address=self._address,
            insecure=False,
            root_certificates=self._ca.read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI"), _BearerToken(self._token)],
        )

    def register_node(self, public_key: str, name: str) -> int:
        """Let the holder of this P-384 key (OpenSSH form) in as a node; return the node's id. Idempotent.

        Raises
        ------
        InvalidInput
            If that is no such key.
        """
        key = _node_key_bytes(public_key)
        try:
            with self._client() as client:
                for node in client.ListNodes(ListNodesRequest()).nodes_info:
                    if node.public_key == key and node.status != "unregistered":
                        return int(node.node_id)
                return int(client.RegisterNode(RegisterNodeRequest(public_key=key, name=name)).node_id)
        except httpx.HTTPError as error:
            raise _unavailable(error) from None

    def online_nodes(self) -> frozenset[int]:
        """The ids of the nodes that are connected now."""
        try:
            with self._client() as client:
                nodes = client.ListNodes(ListNodesRequest()).nodes_info
        except httpx.HTTPError as error:
            raise _unavailable(error) from None
        return frozenset(int(node.node_id) for node in nodes if node.status == "online")

    def start_run(self, config: Mapping[str, str]) -> int:
        """Start our app with this configuration; return the run's id."""
        try:
            with self._client() as client:
                client.ListRuns(ListRunsRequest(limit=_LATEST_RUNS))
                request = StartRunRequest(
                    fab=fab_to_proto(our_app()), override_config=user_config_to_proto(dict(config))
                )
                return int(client.StartRun(request).run_id)
        except httpx.HTTPError as error:
            raise _unavailable(error) from None

    def has_ended(self, run: int) -> bool:
        """Whether the run is over, in whichever way."""
        try:
            with self._client() as client:
                found = client.ListRuns(ListRunsRequest(run_id=run)).run_dict
        except httpx.HTTPError as error:
            raise _unavailable(error) from None
        return run not in found or found[run].status.status == "finished"


def _node_key_bytes(public_key: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    try:
        return public_key_to_bytes(load_ssh_public_key(public_key.encode()))
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput("The node key is not a public key in OpenSSH's form.") from None


def _unavailable(error: httpx.HTTPError) -> Unavailable:
    return Unavailable(
        f"The SuperLink did not do as asked ({type(error).__name__}).", "See whether its process runs, and its log."
    )
