"""`synthema up | demo | status`: a whole federation on one machine, for demonstration and development."""

from __future__ import annotations

import argparse
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from synthema_core.cli.demo import run_demo
from synthema_core.cli.local_federation import RESEARCHER, SITES, LocalFederation, Ports
from synthema_core.cli.processes import Children, check_port_free
from synthema_core.cli.serving import is_serving
from synthema_core.errors import InvalidInput, SynthemaError
from synthema_core.secure_sum.terms import SMALLEST_FEDERATION

_DEFAULT_STATE = Path(".synthema/up")
_WATCH_SECONDS = 0.5


def verbs(commands: Any) -> None:
    up = commands.add_parser("up", help="start a federation on this machine and keep it running")
    up.add_argument("--sites", type=int, default=len(SITES), help="how many hospitals, 3 or 4 (default %(default)s)")
    up.add_argument("--port", type=int, default=8000, help="of the hub, for browsers (default %(default)s)")
    up.add_argument("--gateway-port", type=int, default=8443, help="of the hub, for the sites (default %(default)s)")
    up.add_argument("--state", type=Path, default=_DEFAULT_STATE, metavar="DIR", help="(default %(default)s)")
    up.set_defaults(run=_up)
    demo = commands.add_parser("demo", help="start a federation, run the main job on real patients' data, and stop")
    demo.add_argument("--sites", type=int, default=len(SITES), help="how many hospitals, 3 or 4 (default %(default)s)")
    demo.add_argument(
        "--output", type=Path, default=Path("artifacts/demo"), metavar="DIR", help="(default %(default)s)"
    )
    demo.set_defaults(run=_demo)
    status = commands.add_parser("status", help="which parts of the federation of `synthema up` are running")
    status.add_argument("--state", type=Path, default=_DEFAULT_STATE, metavar="DIR", help="(default %(default)s)")
    status.set_defaults(run=_status)


def _chosen_sites(number: int) -> tuple[str, ...]:
    if not SMALLEST_FEDERATION <= number <= len(SITES):
        raise InvalidInput(
            f"The demonstration has real data of {len(SITES)} hospitals, and a secure sum needs {SMALLEST_FEDERATION}.",
            f"Use --sites {SMALLEST_FEDERATION} or --sites {len(SITES)}.",
        )
    return SITES[:number]


def _say(text: str) -> None:
    print(text, flush=True)


def _end_on_signals() -> None:
    """A SIGTERM ends things in the same order as Ctrl-C."""
    for end in (signal.SIGTERM, signal.SIGINT):  # a shell starts background jobs with SIGINT ignored
        signal.signal(end, signal.default_int_handler)


def _up(arguments: argparse.Namespace) -> int:
    sites = _chosen_sites(arguments.sites)
    check_port_free(arguments.port, "--port")
    check_port_free(arguments.gateway_port, "--gateway-port")
    _end_on_signals()
    federation = LocalFederation(arguments.state, Ports(arguments.port, arguments.gateway_port), _say)
    with Children(federation.logs) as children:
        try:
            federation.start(sites, children)
            _say(_welcome(federation))
            while True:
                children.check_alive()
                time.sleep(_WATCH_SECONDS)
        except KeyboardInterrupt:
            _say("\nStopping every process.")
            federation.stop(children)
    return 0


def _welcome(federation: LocalFederation) -> str:
    lines = [f"\nSynthema is at {federation.url}\n", "  login                     password                   page"]
    for person in federation.people:
        page = federation.page_of(person.site) if person.site else ""
        lines.append(f"  {person.name:<24}  {person.password:<25}  {page}")
    lines += [
        f"\nLog in as {RESEARCHER} and open tutorials/01-first-study.ipynb. Data owners decide on their datasite's",
        "page, or with `synthema datasite review` (a data owner's password is the steward's passphrase too).",
        "This is for demonstration only: notebooks of all users run under one account of this machine.",
        "Ctrl-C stops everything; the next `synthema up` finds it all again.",
    ]
    return "\n".join(lines)


def _demo(arguments: argparse.Namespace) -> int:
    sites = _chosen_sites(arguments.sites)
    _end_on_signals()
    with tempfile.TemporaryDirectory(prefix="synthema-demo-") as folder:
        federation = LocalFederation(Path(folder), Ports.free(), _say)
        try:
            with Children(federation.logs) as children:
                run_demo(federation, sites, children, arguments.output, _say)
        except SynthemaError as error:
            kept = _keep_logs(federation, arguments.output / "logs")
            raise type(error)(error.message, f"Every process's log is in {kept}.") from None
    return 0


def _keep_logs(federation: LocalFederation, folder: Path) -> Path:
    """The federation's folder goes; what its processes said stays."""
    shutil.rmtree(folder, ignore_errors=True)
    for logs in (federation.logs, federation.hub_state / "logs"):
        if logs.is_dir():
            shutil.copytree(logs, folder, dirs_exist_ok=True)
    return folder


def _status(arguments: argparse.Namespace) -> int:
    federation = LocalFederation(arguments.state, Ports(0, 0), _say)
    parts = {"hub": federation.hub_state, **{site: federation.site_state(site) for site in federation.sites}}
    running = {name: is_serving(state) for name, state in parts.items()}
    for name, serves in running.items():
        _say(f"{name:<16}{'running' if serves else 'stopped'}")
    return 0 if all(running.values()) else 1
