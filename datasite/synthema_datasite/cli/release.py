"""`synthema datasite review release | withhold | share-log`: a steward's decisions on what code put out here."""

from __future__ import annotations

import argparse
from typing import Any

from synthema_core.errors import IntegrityFailure, InvalidInput
from synthema_core.request import Status
from synthema_datasite.cli.arguments import decision, find, leaf, passphrase, site_of
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.log_sharing import share_log

_SHORTEST_PREFIX = 8


def verbs(review: Any) -> None:
    release = _about_output(leaf(review, "release", _release, "sign that what code put out here may be summed"))
    release.add_argument(
        "--redact",
        action="append",
        default=[],
        metavar="OUTPUT",
        help="an output, or a cell such as deaths[2], that this site does not give; may be repeated",
    )
    release.add_argument("--reason", default="", help="a remark for the record")
    withhold = _about_output(leaf(review, "withhold", _withhold, "sign that what code put out here is not given"))
    withhold.add_argument("--reason", required=True, help="a sentence the researcher can act on")
    decision(leaf(review, "share-log", _share_log, "let the researcher read what the code printed here"))


def _about_output(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    decision(parser)
    help_text = f"the output that `show` showed: at least {_SHORTEST_PREFIX} digits of it"
    parser.add_argument("--output", required=True, metavar="COMMITMENT", help=help_text)
    return parser


def _release(arguments: argparse.Namespace) -> int:
    clearing = Clearing(site_of(arguments))
    identifier = find(clearing.site, arguments.request).request.id
    clearance = clearing.clear(
        identifier,
        arguments.steward,
        passphrase(arguments),
        output=_whole(clearing, identifier, arguments.output),
        redacted=arguments.redact,
        reason=arguments.reason,
        plan_digest=arguments.plan,
    )
    if find(clearing.site, identifier).request.status is Status.STAGED:
        print(f"Signed. It takes {clearance.stewards_needed} stewards of this site: {identifier} waits for another.")
    else:
        print(f"Released the output of {identifier} here into the sum over all sites.")
    return 0


def _withhold(arguments: argparse.Namespace) -> int:
    clearing = Clearing(site_of(arguments))
    identifier = find(clearing.site, arguments.request).request.id
    clearing.withhold(
        identifier,
        arguments.steward,
        passphrase(arguments),
        arguments.reason,
        output=_whole(clearing, identifier, arguments.output),
        plan_digest=arguments.plan,
    )
    print(f"Withheld the output of {identifier}. The researcher will read your reason.")
    return 0


def _share_log(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    identifier = find(site, arguments.request).request.id
    shared = share_log(site, identifier, arguments.steward, passphrase(arguments), plan_digest=arguments.plan)
    print(
        f"Shared the log of {identifier}." if shared else f"Signed. The log of {identifier} waits for another steward."
    )
    return 0


def _whole(clearing: Clearing, identifier: str, beginning: str) -> str:
    """The commitment that begins so, if it is that of what waits."""
    if len(beginning) < _SHORTEST_PREFIX:
        raise InvalidInput(f"Give at least {_SHORTEST_PREFIX} digits of the output.", "See `review show`.")
    whole = clearing.staged(identifier).commitment
    if not whole.startswith(beginning):
        raise IntegrityFailure("This is not the output you were shown.", "Open it again and look at it.")
    return whole
