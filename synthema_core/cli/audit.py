"""`synthema audit verify`: check a Journal's chain, and export it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from synthema_core.errors import NotFound
from synthema_core.journal import check_contains
from synthema_core.sqlite_journal import SqliteJournal

_SITE_ANCHOR = "own"


def verbs(commands: Any) -> None:
    audit = commands.add_parser("audit", help="check what was recorded").add_subparsers(
        title="verbs", metavar="VERB", required=True
    )
    parser = audit.add_parser("verify", help="check a journal's chain and its countersigned head")
    parser.add_argument("state", type=Path, metavar="DIR", help="the folder of a hub or a datasite")
    parser.add_argument("--export", type=Path, metavar="FILE", help="also write every entry, one JSON object a line")
    parser.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    path = arguments.state / "journal.sqlite"
    if not path.exists():
        raise NotFound(f"There is no journal in {arguments.state}.", "Give the folder of a hub or a datasite.")
    journal = SqliteJournal(path)
    head = journal.verify()
    anchored, _ = journal.anchor(_SITE_ANCHOR)
    check_contains(anchored, journal.digest_at(anchored.sequence))
    print(f"The journal holds: {head.sequence} entries, head {head.digest}.")
    if anchored.sequence:
        print(f"It contains the head that the hub countersigned, entry {anchored.sequence}.")
    if arguments.export:
        with arguments.export.open("w") as file:
            for entry in journal.all_entries():
                file.write(json.dumps(asdict(entry), sort_keys=True) + "\n")
        print(f"Exported to {arguments.export}.")
    return 0
