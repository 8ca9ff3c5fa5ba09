"""What the datasite's verbs share: the --state option, a request by the beginning of its id, a steward's passphrase."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthema_core.cli.files import read_secret
from synthema_core.errors import InvalidInput, NotFound
from synthema_core.request_record import RequestRecord, request_ids, request_record
from synthema_datasite.service.site import Site
from synthema_datasite.state import SiteState

Run = Callable[[argparse.Namespace], int]


def leaf(commands: Any, name: str, run: Run, help_text: str) -> argparse.ArgumentParser:
    """A verb that works on one datasite's folder."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument(
        "--state", type=Path, default=Path(".synthema/datasite"), metavar="DIR", help="the datasite's folder"
    )
    parser.set_defaults(run=run)
    return parser


def request(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("request", help="its id, or enough of its beginning")
    return parser


def decision(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What every decision takes: on what, by whom, and the passphrase."""
    signature(request(parser))
    parser.add_argument("--plan", default="", metavar="DIGEST", help="refuse unless the Plan has this digest")
    return parser


def signature(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """By whom, and the passphrase."""
    parser.add_argument("--steward", required=True, help="who decides")
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="else it is asked for")
    return parser


def site_of(arguments: argparse.Namespace) -> Site:
    return Site.open(SiteState(arguments.state))


def passphrase(arguments: argparse.Namespace) -> str:
    return read_secret(arguments.passphrase_file, f"Passphrase of {arguments.steward}: ")


def find(site: Site, beginning: str) -> RequestRecord:
    """The one Request whose id begins so.

    Raises
    ------
    NotFound, InvalidInput
        If none does, or several do and none is exactly that.
    """
    found = [identifier for identifier in request_ids(site.journal) if identifier.startswith(beginning)]
    found = [identifier for identifier in found if identifier == beginning] or found
    if not found:
        raise NotFound(f"There is no request '{beginning}' at this site.", "See `synthema datasite review list --all`.")
    if len(found) > 1:
        raise InvalidInput(f"'{beginning}' begins the ids of {len(found)} requests.", "Give more of it.")
    return request_record(site.journal, found[0], site.name)


def plain(text: str) -> str:
    """On one line, without control characters: what others wrote must not pass for what this site says."""
    return "".join(character if character.isprintable() else "?" for character in text)
