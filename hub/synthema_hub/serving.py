"""`synthema hub serve`: every process of a hub, started together, watched, and ended together."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from pathlib import Path

import httpx

from synthema_core.cli.processes import Children, check_port_free, free_port
from synthema_core.cli.serving import note_serving, note_taken_back
from synthema_core.cli.tied import tied
from synthema_core.errors import Unavailable
from synthema_hub.settings import HubPorts, Settings
from synthema_hub.state import HubState

_log = logging.getLogger(__name__)
_READY_SECONDS, _WATCH_SECONDS = 90.0, 0.5
_OWN_PORTS = ("hub_api", "proxy_api", "service", "superlink")
_CONTROL_TOKEN, _JOB_TOKEN = "SYNTHEMA_CONTROL_TOKEN_FILE", "SYNTHEMA_JOB_TOKEN_FILE"
_QUIET_FLOWER = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
_SUPEREXEC_POLL_SECONDS = "0.2"


def choose_ports(state: HubState, browser: int, gateway: int) -> HubPorts:
    """The faces' ports as asked; the hub's own as they were at the last start, where they are still free.

    Raises
    ------
    Unavailable
        If a face's port is in use.
    """
    check_port_free(browser, "--port")
    check_port_free(gateway, "--gateway-port")
    kept: Mapping[str, int] = {}
    with suppress(OSError, ValueError):
        kept = json.loads(state.ports_path.read_text())
    taken, own = {browser, gateway}, dict[str, int]()
    for name in _OWN_PORTS:
        own[name] = _still_free(int(kept.get(name, 0)), taken)
        taken.add(own[name])
    state.ports_path.write_text(json.dumps(own))
    return HubPorts(browser, gateway, **own)


def _still_free(port: int, taken: Set[int]) -> int:
    if port and port not in taken:
        with suppress(Unavailable):
            check_port_free(port, "")
            return port
    while (port := free_port()) in taken:
        pass
    return port


def serve(state: HubState, ports: HubPorts, gateway_host: str = "127.0.0.1") -> None:
    """Run the hub until a signal; a part that ends is started again.

    Raises
    ------
    Unavailable
        If the hub does not get ready, or a part keeps ending.
    """
    settings = Settings(state.folder.resolve(), ports)
    with note_taken_back(state.folder), Children(state.folder / "logs") as parts:
        _start_flower(state, ports, parts)
        _start_gateway(state, ports, gateway_host, parts)
        _start_jupyterhub(settings, parts)
        parts.wait_until(_is_ready(state, ports), "The hub", _READY_SECONDS)
        note_serving(state.folder, f"http://127.0.0.1:{ports.browser}")
        _log.info("The hub serves browsers at http://127.0.0.1:%d and sites at port %d.", ports.browser, ports.gateway)
        while True:
            for name in parts.revive(time.monotonic()):
                _log.warning("'%s' had ended and was started again.", name)
            time.sleep(_WATCH_SECONDS)


def _start_flower(state: HubState, ports: HubPorts, parts: Children) -> None:
    certificates, folder = state.certificates, state.flower_folder.resolve()
    environment = {**_QUIET_FLOWER, "FLWR_HOME": str(folder)}
    secret = ("--superexec-auth-secret-file", str(state.exec_secret_path))
    superlink = [
        *(sys.executable, "-m", "synthema_hub.federated.superlink"),
        *("--host", "127.0.0.1", "--port", str(ports.superlink)),
        *("--ssl-ca-certfile", str(certificates.ca)),
        *("--ssl-certfile", str(certificates.certificate), "--ssl-keyfile", str(certificates.key)),
        *("--database", str(folder / "superlink.sqlite"), "--isolation", "process"),
        "--enable-supernode-auth",
        "--disable-runtime-dependency-installation",
        *secret,
    ]
    parts.start("superlink", superlink, {**environment, _CONTROL_TOKEN: str(state.control_token_path)})
    superexec = [
        str(_programs() / "flower-superexec"),
        *("--runtime-api-address", f"127.0.0.1:{ports.superlink}"),
        *("--root-certificates", str(certificates.ca)),
        *("--parent-pid", str(os.getpid())),
        *secret,
    ]
    more = {
        _JOB_TOKEN: str(state.job_token_path),
        "PATH": f"{_programs()}:{os.environ.get('PATH', '/usr/bin:/bin')}",  # it finds flwr-serverapp by name
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": _SUPEREXEC_POLL_SECONDS,
    }
    parts.start("superexec", superexec, {**environment, **more})


def _programs() -> Path:
    """Where this environment's commands are; not resolved, as a virtual environment's interpreter is a link."""
    return Path(sys.executable).parent


def _start_gateway(state: HubState, ports: HubPorts, host: str, parts: Children) -> None:
    command = [
        *(sys.executable, "-m", "synthema_hub.proxy.gateway"),
        *("--host", host, "--port", str(ports.gateway)),
        *("--superlink", f"https://127.0.0.1:{ports.superlink}", "--service", f"http://127.0.0.1:{ports.service}"),
        *("--certificates", str(state.certificates.ca.parent)),
    ]
    parts.start("gateway", command)


def _start_jupyterhub(settings: Settings, parts: Children) -> None:
    packaged = Path(__file__).parent / "jupyterhub_config.py"
    config = packaged if packaged.exists() else packaged.parents[1] / packaged.name
    parts.start("jupyterhub", tied("jupyterhub", "--config", str(config)), settings.to_environment())


def _is_ready(state: HubState, ports: HubPorts) -> Callable[[], bool]:
    """Whether each face answers: the login page, and the service and the SuperLink through the gateway."""
    gateway = f"https://127.0.0.1:{ports.gateway}"
    checks = {
        f"http://127.0.0.1:{ports.browser}/hub/login": 200,
        f"{gateway}/sites/ca": 200,
        f"{gateway}/v1/fleet/pull-messages": 405,  # a GET, which only the SuperLink itself refuses like this
    }
    waiting = dict(checks)

    def ready() -> bool:
        for url, status in list(waiting.items()):
            with suppress(httpx.HTTPError):
                if httpx.get(url, verify=str(state.certificates.ca), trust_env=False).status_code == status:
                    del waiting[url]
        return not waiting

    return ready
