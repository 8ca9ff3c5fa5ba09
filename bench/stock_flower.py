"""The other side of the comparison: a stock SuperLink and SuperNodes, with TLS and node keys, and Flower's FedAvg.

Everything else is Flower's default, but for the installation of an app's dependencies from the network.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.cli.build import build_fab_from_disk
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import StartRunRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from bench.figures import Rounds
from synthema_core.cli.processes import Children, free_port
from synthema_core.errors import RoundFailed, Unavailable
from synthema_hub.certificates import ensure
from synthema_hub.federated.control import FlowerControl

_START_SECONDS, _RUN_SECONDS = 90.0, 600.0
_NO_TOKEN = "unread"  # a stock SuperLink asks nobody who they are
_QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}


@dataclass(frozen=True, slots=True)
class App:
    """A Flower app whose clients add one to each number in every round.

    Parameters
    ----------
    folder
        Beside this file.
    secure
        Whether it is asked to mask; None for an app that cannot.
    error
        How far a round may be off, by its quantisation.
    """

    folder: str
    secure: bool | None = None
    error: float = 0.0

    @property
    def config(self) -> dict[str, str | int | bool]:
        return {} if self.secure is None else {"secure": self.secure}


PLAIN = App("stock")


class StockFlower:
    """A deployment under one folder.

    Parameters
    ----------
    folder
        Holds certificates, keys, each process's FLWR_HOME and the results.
    """

    def __init__(self, folder: Path, sites: Sequence[str], children: Children) -> None:
        folder.mkdir(parents=True)
        self._folder, self._sites, self._children = folder, sites, children
        self._certificates = ensure(folder / "certificates", [])
        self._address = f"127.0.0.1:{free_port()}"
        self._control = FlowerControl(self._address, self._certificates.ca, _NO_TOKEN)

    def start(self) -> None:
        """Return when every SuperNode is online."""
        self._start_superlink()
        self._children.wait_until(
            _answers(lambda: self._control.online_nodes() is not None), "SuperLink", _START_SECONDS
        )
        for site in self._sites:
            self._start_supernode(site)
        everybody = len(self._sites)
        self._children.wait_until(lambda: len(self._control.online_nodes()) == everybody, "SuperNodes", _START_SECONDS)

    def measure(self, floats: int, rounds: int, app: App = PLAIN) -> Rounds:
        """The train rounds of one run of FedAvg over all SuperNodes, its result checked.

        Raises
        ------
        RoundFailed
            If the run ends without a result, or with another one than each client's additions.
        """
        output = self._folder / f"{app.folder}-{app.secure}-{floats}.json"
        about = {"floats": floats, "rounds": rounds, "sites": len(self._sites), "output": str(output)}
        run = self._start_run(app, {**about, **app.config})
        began = time.monotonic()
        self._children.wait_until(lambda: output.exists() or self._control.has_ended(run), "The run", _RUN_SECONDS)
        if not output.exists():
            raise RoundFailed(f"The stock run of {floats:,} floats ended without a result.")
        outcome = json.loads(output.read_text())
        if max(abs(outcome[end] - rounds) for end in ("smallest", "largest")) > rounds * app.error:
            raise RoundFailed(f"The stock run of {floats:,} floats did not add up.")
        self._children.wait_until(lambda: self._control.has_ended(run), "The run's end", _RUN_SECONDS)
        whole = tuple(outcome["round_seconds"])
        return Rounds(floats, tuple(outcome["train_seconds"]), time.monotonic() - began, whole)

    def _start_superlink(self) -> None:
        host, _, port = self._address.rpartition(":")
        certificates = self._certificates
        self._start(
            "superlink",
            *("flower-superlink", "--host", host, "--port", port),
            *("--ssl-ca-certfile", str(certificates.ca)),
            *("--ssl-certfile", str(certificates.certificate), "--ssl-keyfile", str(certificates.key)),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
        )

    def _start_supernode(self, site: str) -> None:
        key = self._folder / f"{site}.key"
        self._control.register_node(_make_node_key(key), site)
        self._start(
            f"supernode-{site}",
            *("flower-supernode", "--superlink", self._address),
            *("--root-certificates", str(self._certificates.ca), "--auth-supernode-private-key", str(key)),
            *("--host", "127.0.0.1", "--port", str(free_port())),
        )

    def _start(self, name: str, program: str, *words: str) -> None:
        home, programs = self._folder / name, Path(sys.executable).parent
        home.mkdir()
        more = {**_QUIET, "FLWR_HOME": str(home), "PATH": f"{programs}:/usr/bin:/bin"}  # they find each other by name
        self._children.start(name, [str(programs / program), *words], more)

    def _start_run(self, app: App, config: dict[str, str | int | bool]) -> int:
        content = build_fab_from_disk(Path(__file__).parent / app.folder)
        fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
        with ControlHttpClient.from_server_address(
            server_address=self._address,
            insecure=False,
            root_certificates=self._certificates.ca.read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
        ) as client:
            request = StartRunRequest(fab=fab_to_proto(fab), override_config=user_config_to_proto(dict(config)))
            return int(client.StartRun(request).run_id)


def _answers(ask: Callable[[], bool]) -> Callable[[], bool]:
    def answered() -> bool:
        try:
            return ask()
        except (Unavailable, httpx.HTTPError):
            return False

    return answered


def _make_node_key(path: Path) -> str:
    """A P-384 key in that file; its public half, in OpenSSH's form."""
    key = ec.generate_private_key(ec.SECP384R1())
    form, encoding = serialization.PrivateFormat.OpenSSH, serialization.Encoding.PEM
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()
