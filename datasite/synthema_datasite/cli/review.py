"""`synthema datasite review list | show | approve | reject | revoke`: a steward's decisions on the command line."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from synthema_core.cli.files import read_secret
from synthema_core.errors import InvalidInput, NotFound
from synthema_core.request_record import RequestRecord
from synthema_datasite.cli.arguments import leaf
from synthema_datasite.service.reading import read_request
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site
from synthema_datasite.state import SiteState

_LOOK_SECONDS = 0.3


def verbs(datasite: Any) -> None:
    review = datasite.add_parser("review", help="read and decide requests").add_subparsers(
        title="verbs", metavar="VERB", required=True
    )
    parser = leaf(review, "list", _list, "the requests that wait for a decision")
    parser.add_argument("--all", action="store_true", help="also those that are decided")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait that long for one to come")
    parser.add_argument("--json", action="store_true", help="for programs")
    _request(leaf(review, "show", _show, "everything about one request"))
    approve = _decision(leaf(review, "approve", _approve, "sign an approval for one run"))
    approve.add_argument("--reason", default="", help="a remark for the record")
    approve.add_argument("--plan", default="", metavar="DIGEST", help="refuse unless the Plan has this digest")
    reject = _decision(leaf(review, "reject", _reject, "sign a rejection"))
    reject.add_argument("--reason", required=True, help="a sentence the researcher can act on")
    _decision(leaf(review, "revoke", _revoke, "take an approval back before its run starts"))


def _request(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("request", help="its id, or enough of its beginning")
    return parser


def _decision(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _request(parser)
    parser.add_argument("--steward", required=True, help="who decides")
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="else it is asked for")
    return parser


def _list(arguments: argparse.Namespace) -> int:
    reviewing = _reviewing(arguments)
    deadline = time.monotonic() + arguments.wait
    records = reviewing.all() if arguments.all else reviewing.waiting()
    while not records and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        records = reviewing.all() if arguments.all else reviewing.waiting()
    if arguments.json:
        print(json.dumps([_line(record) for record in records]))
        return 0
    for record in records:
        line = {name: _plain(text) for name, text in _line(record).items()}
        print(f"{line['id']}  {line['status']:<12}  {line['requester']:<12}  {line['analysis']:<14}  {line['purpose']}")
    if not records:
        print("No request is waiting.")
    return 0


def _line(record: RequestRecord) -> dict[str, str]:
    return {
        "id": record.request.id,
        "status": record.request.status.value,
        "requester": record.plan.requester,
        "analysis": record.plan.analysis,
        "purpose": record.plan.purpose,
        "plan_digest": record.plan.digest,
    }


def _show(arguments: argparse.Namespace) -> int:
    reviewing = _reviewing(arguments)
    record = _find(reviewing, arguments.request)
    print(f"{_plain(record.plan.purpose)}\n{record.request.status.value.replace('_', ' ')}")
    for section in read_request(reviewing.site, record):
        print(f"\n{section.title}")
        for label, value in section.lines:
            print(f"  {_plain(label):<24}{_plain(value)}")
    return 0


def _plain(text: str) -> str:
    """On one line, without control characters: what others wrote must not pass for what this site says."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _approve(arguments: argparse.Namespace) -> int:
    reviewing = _reviewing(arguments)
    record = _find(reviewing, arguments.request)
    review = reviewing.approve(
        record.request.id,
        arguments.steward,
        _passphrase(arguments),
        plan_digest=arguments.plan,
        reason=arguments.reason,
    )
    print(f"Approved {record.request.id} for one run until {review.expires_at}.")
    return 0


def _reject(arguments: argparse.Namespace) -> int:
    reviewing = _reviewing(arguments)
    record = _find(reviewing, arguments.request)
    reviewing.reject(record.request.id, arguments.steward, _passphrase(arguments), arguments.reason)
    print(f"Rejected {record.request.id}. The researcher will read your reason.")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    reviewing = _reviewing(arguments)
    record = _find(reviewing, arguments.request)
    reviewing.revoke(record.request.id, arguments.steward, _passphrase(arguments))
    print(f"Took the approval of {record.request.id} back.")
    return 0


def _passphrase(arguments: argparse.Namespace) -> str:
    return read_secret(arguments.passphrase_file, f"Passphrase of {arguments.steward}: ")


def _reviewing(arguments: argparse.Namespace) -> Reviewing:
    return Reviewing(Site.open(SiteState(arguments.state)))


def _find(reviewing: Reviewing, beginning: str) -> RequestRecord:
    found = [record for record in reviewing.all() if record.request.id.startswith(beginning)]
    found = [record for record in found if record.request.id == beginning] or found
    if not found:
        raise NotFound(f"There is no request '{beginning}' at this site.", "See `synthema datasite review list --all`.")
    if len(found) > 1:
        raise InvalidInput(f"'{beginning}' begins the ids of {len(found)} requests.", "Give more of it.")
    return found[0]
