"""`synthema datasite init | steward | join | ingest | serve | demo-files`: an engineer's verbs."""

from __future__ import annotations

import argparse
import logging
import signal
from pathlib import Path
from typing import Any

from synthema_core.cli.files import read_secret, read_text
from synthema_core.cli.whoami import account
from synthema_datasite.cli.arguments import leaf
from synthema_datasite.settings import Settings
from synthema_datasite.state import SiteState


def verbs(datasite: Any) -> None:
    _init_verb(datasite)
    _steward_verb(datasite)
    _join_verb(datasite)
    _ingest_verb(datasite)
    _serve_verb(datasite)
    _demo_files_verb(datasite)


def _init_verb(commands: Any) -> None:
    parser = leaf(commands, "init", _init, "make a datasite's folder, keys and policy")
    parser.add_argument("name", help="the site's name: lower-case letters, digits and hyphens")
    parser.add_argument("--title", default="", help="the hospital's name, as people read it")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="a policy.toml to start with")


def _init(arguments: argparse.Namespace) -> int:
    policy = read_text(arguments.policy) if arguments.policy else ""
    state = SiteState.initialise(arguments.state, arguments.name, arguments.title, policy)
    print(f"Made the datasite '{state.name}' in {state.folder}. Read its policy.toml, then add a steward and join.")
    return 0


def _steward_verb(commands: Any) -> None:
    parser = leaf(commands, "steward", _steward, "add a steward, who decides on requests")
    parser.add_argument("name")
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="else it is asked for")


def _steward(arguments: argparse.Namespace) -> int:
    from synthema_core.identity import fingerprint
    from synthema_datasite.service.site import Site
    from synthema_datasite.service.stewards import add_steward

    site = Site.open(SiteState(arguments.state))
    key = add_steward(site, arguments.name, read_secret(arguments.passphrase_file, "New passphrase: "))
    print(f"'{arguments.name}' is a steward of '{site.name}', with the key {fingerprint(key)}.")
    return 0


def _join_verb(commands: Any) -> None:
    parser = leaf(commands, "join", _join, "join a federation with an invitation")
    parser.add_argument("gateway", help="host:port of the hub's gateway")
    parser.add_argument("--code", required=True, help="the invitation's one-time code")
    parser.add_argument("--fingerprint", required=True, help="the invitation's fingerprint of the hub")


def _join(arguments: argparse.Namespace) -> int:
    from synthema_core.identity import fingerprint
    from synthema_datasite.hub_client import join_federation

    state = SiteState(arguments.state)
    contact = join_federation(state, arguments.gateway, arguments.code, arguments.fingerprint)
    print(
        f"'{state.name}' has joined the federation at {contact.gateway}; "
        f"its hub signs with {fingerprint(contact.hub_key)}."
    )
    return 0


def _ingest_verb(commands: Any) -> None:
    parser = leaf(commands, "ingest", _ingest, "take a table in as a new version of a dataset")
    parser.add_argument("file", type=Path, help="a CSV file with a header")
    parser.add_argument("--name", required=True, help="the dataset's name")
    parser.add_argument(
        "--schema", required=True, type=Path, metavar="FILE", help="types, ranges, units, patient id (YAML)"
    )


def _ingest(arguments: argparse.Namespace) -> int:
    from synthema_datasite.ingest import ingest
    from synthema_datasite.service.site import Site

    site = Site.open(SiteState(arguments.state))
    record = ingest(site.state, site.journal, arguments.file, arguments.name, arguments.schema, account(), site.now())
    facts = record.facts
    print(
        f"'{facts.name}' is now version {facts.version}: {facts.patients} patients, {len(facts.schema.fields)} columns."
    )
    return 0


def _serve_verb(commands: Any) -> None:
    parser = leaf(commands, "serve", _serve, "serve the federation and the stewards' page until stopped")
    parser.add_argument("--host", default="127.0.0.1", help="where the stewards' page listens (default %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8100, help="the page's port; 0 takes a free one (default %(default)s)"
    )
    parser.add_argument("--page-certificate", type=Path, metavar="FILE", help="PEM, for https")
    parser.add_argument("--page-key", type=Path, metavar="FILE", help="PEM, for https")


def _serve(arguments: argparse.Namespace) -> int:
    from synthema_datasite.app import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _raise_exit)
    serve(
        Settings(
            state=arguments.state,
            host=arguments.host,
            port=arguments.port,
            certificate=arguments.page_certificate,
            key=arguments.page_key,
        )
    )
    return 0


def _raise_exit(*_: object) -> None:
    raise SystemExit(0)


def _demo_files_verb(commands: Any) -> None:
    help_text = "write real, public patients as four hospitals would export them, to try `ingest` on"
    parser = commands.add_parser("demo-files", help=help_text, description=help_text)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sites", required=True, help="the hospitals' names between commas")
    parser.set_defaults(run=_demo_files)


def _demo_files(arguments: argparse.Namespace) -> int:
    from synthema_datasite.demo.files import write_demo_files

    write_demo_files(arguments.folder, [name.strip() for name in arguments.sites.split(",") if name.strip()])
    print(f"Wrote the tables, schemas and a policy to {arguments.folder}.")
    return 0
