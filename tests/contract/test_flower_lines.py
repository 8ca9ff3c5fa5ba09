"""The coordinator's line and a datasite's, joined by a SuperLink that keeps Flower's promises and no more."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import PullMessagesResponse, PushMessagesResponse
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedResponse,
    Message,
    ObjectTree,
    PullObjectResponse,
    PushObjectResponse,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import PullAppMessagesResponse, PushAppMessagesResponse
from flwr.supercore.task_identity import TaskIdentity

from synthema_core.errors import RoundFailed
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.federated.fleet_link import FleetLink
from synthema_hub.certificates import ensure
from synthema_hub.federated.exchange import Patience, SiteExchange
from synthema_hub.federated.flower_messages import pack, unpack
from synthema_hub.federated.grid_line import GridLine

RUN, SERVER = 1, 1
NODES = {"alder": 11, "birch": 12, "cedar": 13}
SMALL, LARGE = np.arange(100.0), np.arange(100_000.0)


class SuperLink:
    """Queues messages; keeps announced parts until nobody needs them. Counts calls."""

    def __init__(self) -> None:
        self.queues: dict[int, list[tuple[Message, ObjectTree]]] = {node: [] for node in (SERVER, *NODES.values())}
        self.parts: dict[str, bytes] = {}
        self.needed: Counter[str] = Counter()
        self.trees: dict[str, ObjectTree] = {}
        self.calls: Counter[str] = Counter()
        self.late = 0

    def take(self, messages: Any, trees: Any) -> list[str]:
        """Announce; the ids of parts that are not there."""
        self.calls["push"] += 1
        for message, tree in zip(messages, trees, strict=True):
            assert message.metadata.message_id == tree.object_id
            self.queues[message.metadata.dst_node_id].append((message, tree))
            self.trees[tree.object_id] = tree
            self.needed.update(part.object_id for part in tree.children)
        names = [part.object_id for tree in trees for part in (tree, *tree.children)]
        return [name for name in names if name not in self.parts]

    def next(self, node: int) -> list[tuple[Message, ObjectTree]]:
        self.calls["pull"] += 1
        queue, self.queues[node] = self.queues[node], []
        return queue

    def PushObject(self, request: Any) -> PushObjectResponse:
        self.calls["push part"] += 1
        self.parts[request.object_id] = request.object_content
        return PushObjectResponse(stored=True)

    def PullObject(self, request: Any) -> PullObjectResponse:
        self.calls["pull part"] += 1
        if self.late:
            self.late -= 1
            return PullObjectResponse(object_found=True, object_available=False)
        found = request.object_id in self.parts
        content = self.parts.get(request.object_id, b"")
        return PullObjectResponse(object_found=found, object_available=found, object_content=content)

    def ConfirmMessageReceived(self, request: Any) -> ConfirmMessageReceivedResponse:
        for part in self.trees.pop(request.message_object_id).children:
            self.needed[part.object_id] -= 1
            if not self.needed[part.object_id]:
                del self.parts[part.object_id]
        return ConfirmMessageReceivedResponse()


class GridSide(SuperLink):
    """Its Runtime API; the Fleet API is `fleet_side`'s."""

    def PushMessages(self, request: Any) -> PushAppMessagesResponse:
        wanted = self.take(request.messages_list, request.message_object_trees)
        names = [message.metadata.message_id for message in request.messages_list]
        return PushAppMessagesResponse(message_ids=names, objects_to_push=wanted, session_id="s")

    def PullMessages(self, request: Any) -> PullAppMessagesResponse:
        come = self.next(SERVER)
        assert all(message.metadata.reply_to_message_id in request.message_ids for message, _ in come)
        return PullAppMessagesResponse(
            messages_list=[message for message, _ in come], message_object_trees=[tree for _, tree in come]
        )


def fleet_side(link: SuperLink) -> Any:
    def push(request: Any) -> PushMessagesResponse:
        wanted = link.take(request.messages_list, request.message_object_trees)
        return PushMessagesResponse(objects_to_push=wanted, session_id="s")

    def pull(request: Any) -> PullMessagesResponse:
        come = link.next(request.node.node_id)
        return PullMessagesResponse(
            messages_list=[message for message, _ in come], message_object_trees=[tree for _, tree in come]
        )

    return SimpleNamespace(
        PushMessages=push,
        PullMessages=pull,
        PushObject=link.PushObject,
        PullObject=link.PullObject,
        ConfirmMessageReceived=link.ConfirmMessageReceived,
    )


@pytest.fixture
def superlink(monkeypatch: pytest.MonkeyPatch) -> GridSide:
    for part, value in {"_task_id": 1, "_run_id": RUN, "_node_id": SERVER}.items():
        monkeypatch.setattr(TaskIdentity, part, value)
    return GridSide()


@pytest.fixture
def links(superlink: GridSide, tmp_path: Path) -> list[FleetLink]:
    """The line of each site."""
    ca = ensure(tmp_path / "certificates", ()).ca.read_bytes()
    return [fleet_link(superlink, node, ca) for node in NODES.values()]


def grid_line(superlink: GridSide) -> GridLine:
    grid = SimpleNamespace(_runtime_client=superlink, node=Node(node_id=SERVER), run=SimpleNamespace(run_id=RUN))
    return GridLine(grid)  # type: ignore[arg-type]


def fleet_link(superlink: SuperLink, node: int, ca: bytes) -> FleetLink:
    link = FleetLink("127.0.0.1:1", ca, ec.generate_private_key(ec.SECP384R1()))
    link._client.close()
    link._client, link._node = fleet_side(superlink), Node(node_id=node)
    return link


def a_round(superlink: GridSide, links: list[FleetLink], values: np.ndarray) -> list[JobMessage]:
    """Asked of all sites, each of which answers with its own numbers; the answers."""
    line = grid_line(superlink)
    asked = pack(JobMessage(Kind.ROUND, {"job": "j", "round": 1}, values))
    names = [line.push(asked, node) for node in NODES.values()]
    for number, link in enumerate(links):
        pulled = link.pull()
        assert pulled is not None and link.pull() is None
        envelope, message = pulled
        assert np.array_equal(message.values(), values)
        masked = values.astype(np.uint64) + np.uint64(number)
        link.push(envelope, JobMessage(Kind.MASKED, {"job": "j", "round": 1}, masked))
    replies = line.pull(names)
    assert [name for name, _ in replies] == names
    return [unpack(parcel) for _, parcel in replies if parcel is not None]


@pytest.mark.parametrize("values", [SMALL, LARGE])
def test_everybody_gets_what_was_sent(superlink: GridSide, links: list[FleetLink], values: np.ndarray) -> None:
    answers = a_round(superlink, links, values)
    for number, answer in enumerate(answers):
        assert np.array_equal(answer.ring(), values.astype(np.uint64) + np.uint64(number))
    assert not superlink.parts, "parts that all have are dropped"


def test_a_small_round_costs_one_call_a_message(superlink: GridSide, links: list[FleetLink]) -> None:
    a_round(superlink, links, SMALL)
    assert superlink.calls["push"] == 2 * len(NODES)
    assert superlink.calls["push part"] == superlink.calls["pull part"] == 0


def test_what_all_sites_are_told_travels_to_the_superlink_once(superlink: GridSide, links: list[FleetLink]) -> None:
    a_round(superlink, links, LARGE)
    assert superlink.calls["push part"] == 1 + len(NODES)


def test_a_part_that_is_on_its_way_is_waited_for(superlink: GridSide, links: list[FleetLink]) -> None:
    superlink.late, began = 3, time.monotonic()
    assert len(a_round(superlink, links, LARGE)) == len(NODES)
    assert time.monotonic() - began < 1, "not as long as Flower would"


def test_a_reply_whose_part_is_gone_is_no_answer(superlink: GridSide, links: list[FleetLink]) -> None:
    line = grid_line(superlink)
    names = [line.push(pack(JobMessage(Kind.CLOSE, {"job": "j"})), node) for node in NODES.values()]
    for link in links:
        pulled = link.pull()
        assert pulled is not None
        link.push(pulled[0], JobMessage(Kind.MASKED, {"job": "j"}, LARGE))
    superlink.parts.clear()
    assert line.pull(names) == [(name, None) for name in names]


def test_a_site_that_is_not_reached_ends_the_round(superlink: GridSide, monkeypatch: pytest.MonkeyPatch) -> None:
    line = grid_line(superlink)
    monkeypatch.setattr(line, "pull", lambda names: [(name, None) for name in names])
    message = JobMessage(Kind.CLOSE, {"job": "j"})
    with pytest.raises(RoundFailed, match="'alder' could not be reached"):
        SiteExchange(line, NODES).ask(
            dict.fromkeys(NODES, message), (Kind.CLOSED,), Patience(1.0, 3, away_seconds=0.0), "the test"
        )
