"""The hub's verbs: `synthema hub init | account | invite | serve`."""

from __future__ import annotations

import argparse
import json
import logging
import signal
from pathlib import Path
from typing import Any

from synthema_core.cli.whoami import account
from synthema_hub.state import HubState


def verbs(commands: Any) -> None:
    """Add the hub's verbs to the `synthema` command."""
    hub = commands.add_parser("hub", help="the coordinator").add_subparsers(
        title="verbs", metavar="VERB", required=True
    )
    _init_verb(hub)
    _account_verb(hub)
    _invite_verb(hub)
    _serve_verb(hub)


def _leaf(commands: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument("--state", type=Path, default=Path(".synthema/hub"), metavar="DIR", help="the hub's folder")
    parser.set_defaults(run=run)
    return parser


def _init_verb(commands: Any) -> None:
    parser = _leaf(commands, "init", _init, "make the hub's folder, keys and certificates; keep what is there")
    parser.add_argument(
        "--host", action="append", default=[], help="a name or address by which sites reach it; may be repeated"
    )


def _init(arguments: argparse.Namespace) -> int:
    state = HubState.initialise(arguments.state, tuple(arguments.host))
    print(f"The hub in {state.folder} is ready; its fingerprint is {state.certificates.fingerprint()}.")
    return 0


def _account_verb(commands: Any) -> None:
    parser = _leaf(commands, "account", _account, "make a login, or give it another group and password")
    parser.add_argument("name")
    parser.add_argument("--group", required=True, help="researcher, data-owner or operator")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="else it is asked for")


def _account(arguments: argparse.Namespace) -> int:
    from synthema_core.cli.files import read_secret
    from synthema_hub.accounts import Accounts

    state = HubState(arguments.state)
    password = read_secret(arguments.password_file, f"Password of {arguments.name}: ")
    Accounts(state.accounts_path).put(arguments.name, arguments.group, password)
    print(f"'{arguments.name}' can log in, as {arguments.group}.")
    return 0


def _invite_verb(commands: Any) -> None:
    parser = _leaf(commands, "invite", _invite, "print a one-time code with which a site can join")
    parser.add_argument("site", help="the site's name: lower-case letters, digits and hyphens")
    parser.add_argument("--json", action="store_true", help="for programs")


def _invite(arguments: argparse.Namespace) -> int:
    from synthema_core.sqlite_journal import SqliteJournal
    from synthema_hub.service.membership import invite
    from synthema_hub.service.wiring import new_code, utc_now

    state = HubState(arguments.state)
    code = invite(SqliteJournal(state.journal_path), arguments.site, account(), utc_now(), new_code())
    fingerprint = state.certificates.fingerprint()
    if arguments.json:
        print(json.dumps({"site": arguments.site, "code": code, "fingerprint": fingerprint}))
        return 0
    print(f"Give '{arguments.site}' these two over a channel you trust; the code is good for a week, once:")
    print(f"  code         {code}\n  fingerprint  {fingerprint}")
    return 0


def _serve_verb(commands: Any) -> None:
    parser = _leaf(commands, "serve", _serve, "serve browsers, notebooks and sites until stopped")
    parser.add_argument("--port", type=int, default=8000, help="for browsers, on this machine (default %(default)s)")
    parser.add_argument("--gateway-port", type=int, default=8443, help="for sites (default %(default)s)")
    parser.add_argument(
        "--gateway-host", default="127.0.0.1", help="where the gateway listens; 0.0.0.0 for all (default %(default)s)"
    )


def _serve(arguments: argparse.Namespace) -> int:
    from synthema_hub.serving import choose_ports, serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _raise_exit)
    state = HubState(arguments.state)
    serve(state, choose_ports(state, arguments.port, arguments.gateway_port), arguments.gateway_host)
    return 0


def _raise_exit(*_: object) -> None:
    raise SystemExit(0)
