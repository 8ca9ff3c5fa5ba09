"""What we rely on inside Flower. `flwr` is pinned exactly; when the pin moves, this says what has to be looked at."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import httpx
import numpy as np
import pytest
from flwr.app import Metadata, RecordDict
from flwr.app.message import make_message
from flwr.common.constant import Status as RunStatus
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.server.superlink.linkstate.utils import dict_to_message, message_to_dict
from flwr.supercore.constant import NodeStatus
from flwr.supercore.inflatable.inflatable_object import get_object_id
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, ObjectPushError, validate_object_content
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.superlink.grid.http_grid import HttpGrid

import synthema_datasite
from synthema_core.errors import IntegrityFailure, InvalidInput, NotAuthenticated, SynthemaError, Unavailable
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.federated import fleet_link, flower_messages
from synthema_hub.federated import flower_messages as hub_messages
from synthema_hub.federated.control import FlowerControl, our_app
from synthema_hub.federated.superlink import TOKEN_FILE_VARIABLE, ControlGate

CALLS = {
    "ActivateNode",
    "DeactivateNode",
    "SendNodeHeartbeat",
    "PullMessages",
    "PushMessages",
    "PullObject",
    "PushObject",
    "ConfirmMessageReceived",
    "close",
    "from_server_address",
}


def test_flower_is_the_release_we_know() -> None:
    assert metadata.version("flwr") == "1.41.0"
    assert (RunStatus.FINISHED, NodeStatus.ONLINE, NodeStatus.UNREGISTERED) == ("finished", "online", "unregistered")


def test_a_datasite_knows_no_call_that_fetches_code() -> None:
    tree = ast.parse(Path(fleet_link.__file__).read_text())
    named = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "_client"
    }
    assert named and named <= CALLS
    for source in Path(next(iter(synthema_datasite.__path__))).rglob("*.py"):
        assert not re.search(
            r"GetFab|GetRun|get_fab|install_from_fab|load_client_app|\bexec\(|\beval\(|pickle", source.read_text()
        ), source


@pytest.mark.parametrize(
    "array", [None, np.arange(5.0), np.arange(2**17, dtype=np.uint64) << np.uint64(40), np.zeros(0)]
)
@pytest.mark.parametrize(("there", "here"), [(flower_messages, hub_messages), (hub_messages, flower_messages)])
def test_a_message_survives_flowers_packing(there, here, array) -> None:  # type: ignore[no-untyped-def]
    sent = JobMessage(Kind.ROUND, {"job": "j1", "round": 2, "roster": {"a": [1, "é"]}}, array)
    parcel = there.pack(sent)
    assert len(parcel.parts) == (array is not None and array.nbytes > there.LARGE_BYTES), "each part costs calls"
    for name, part in parcel.parts.items():
        validate_object_content(part)
        assert get_object_id(part) == name
    metadata = Metadata(1, "a" * 64, 1, 2, "", "", 0.0, 1.0, "query")
    sent_proto = message_to_proto(make_message(metadata, content=parcel.content))
    stored = dict_to_message(message_to_dict(message_from_proto(sent_proto)))
    came = here.unpack(here.Parcel(message_from_proto(message_to_proto(stored)).content, parcel.parts))
    assert (came.kind, dict(came.body)) == (sent.kind, dict(sent.body))
    assert (came.array is None) if array is None else np.array_equal(came.array, array)


def test_records_of_another_app_are_refused() -> None:
    with pytest.raises(IntegrityFailure):
        flower_messages.unpack(flower_messages.Parcel(RecordDict(), {}))


def test_a_part_that_is_none_is_refused() -> None:
    parcel = flower_messages.pack(JobMessage(Kind.ROUND, {"job": "j1"}, np.zeros(2**17)))
    for spoilt in (b"", b"ConfigRecord", b"ConfigRecord  3\x00abc", b"ArrayRecord  3\x00abc"):
        with pytest.raises(IntegrityFailure):
            flower_messages.unpack(flower_messages.Parcel(parcel.content, {"a" * 64: spoilt}))


def test_the_grid_has_the_connection_that_we_speak_over() -> None:
    assert isinstance(HttpGrid._runtime_client, property)
    calls = {"PushMessages", "PullMessages", "PushObject", "PullObject", "ConfirmMessageReceived"}
    assert calls <= set(dir(RuntimeHttpClient))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, NotAuthenticated),
        (412, NotAuthenticated),
        (403, fleet_link.RunOver),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_what_the_superlink_answers_is_told_apart(status: int, expected: type[Exception]) -> None:
    request = httpx.Request("POST", "https://127.0.0.1/v1/fleet/pull-messages")
    with pytest.raises(expected), fleet_link._mapped_errors():
        httpx.Response(status, request=request).raise_for_status()


@pytest.mark.parametrize("error", [ObjectPullError("o1", "gone"), ObjectPushError("o1", 1, "s1")])
def test_objects_that_went_with_their_run_do_not_break_the_link(error: Exception) -> None:
    with pytest.raises(fleet_link.RunOver), fleet_link._mapped_errors():
        raise error
    assert not issubclass(fleet_link.RunOver, SynthemaError), "no error of the tree, which travels"


def test_the_app_the_hub_submits_holds_no_code_for_sites() -> None:
    with zipfile.ZipFile(io.BytesIO(our_app().content)) as fab:
        sources = {name: fab.read(name).decode() for name in fab.namelist() if name.endswith(".py")}
    assert set(sources) == {"coordinator.py"}
    assert "@" not in sources["coordinator.py"], "its ClientApp has no handler"


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ecdsa-sha2-nistp384 AAAA", "\x00", "-----BEGIN"])
def test_what_is_no_node_key_is_said_in_a_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a public key"):
        FlowerControl("127.0.0.1:9", tmp_path / "ca.pem", "t").register_node(text, "alfred")


def test_the_control_api_takes_one_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "control.token"
    token.write_text("t" * 43)
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(token))
    gate = ControlGate()
    known, account = gate.validate_tokens_in_metadata([("flwr-oidc-access-token", "t" * 43)])
    assert known and account is not None
    for offered in ("", "t" * 42, "x" * 43):
        assert gate.validate_tokens_in_metadata([("flwr-oidc-access-token", offered)]) == (False, None)
    assert gate.validate_tokens_in_metadata([]) == (False, None)
    token.write_text("short")
    with pytest.raises(SystemExit):
        ControlGate()


def test_flowers_servers_have_the_options_we_start_them_with() -> None:
    programs = Path(sys.executable).parent
    for program, options in {
        "flower-superlink": (
            "--host --port --ssl-ca-certfile --ssl-certfile --ssl-keyfile --database --isolation "
            "--enable-supernode-auth --disable-runtime-dependency-installation --superexec-auth-secret-file"
        ),
        "flower-superexec": "--runtime-api-address --root-certificates --parent-pid --superexec-auth-secret-file",
    }.items():
        text = subprocess.run([programs / program, "--help"], capture_output=True, text=True, check=True).stdout
        assert not [option for option in options.split() if option not in text]
