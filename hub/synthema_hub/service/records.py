"""The hub's Journal, read as nouns: the federation's sites. (Requests: `synthema_core.request_record`.)

==================  =====================================================================
stream              kinds of entries
==================  =====================================================================
site/NAME           invite, join, announce
request/ID          the verbs of the life cycle; `submit` holds the Plan, `start` and `sum` the
                    Job, `review` and `clear` what stewards signed, `release` the Release
log/ID              share: what a steward shows of the run at one site
==================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthema_core.card import Card
from synthema_core.errors import NotFound
from synthema_core.journal import Entry
from synthema_core.ports import JournalReader

SITES, LOGS = "site/", "log/"


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """A member of the federation, as it last announced itself.

    Parameters
    ----------
    node
        Flower's id of its node.
    stewards
        Ed25519 public key of each steward, by name.
    """

    name: str
    title: str
    identity: str
    node: int
    page: str
    cards: tuple[Card, ...]
    stewards: Mapping[str, str]


def site_record(journal: JournalReader, name: str) -> SiteRecord:
    """The site of that name, or NotFound if it never joined."""
    entries = journal.entries(SITES + name)
    joined = _last(entries, "join")
    if joined is None:
        raise NotFound(f"No site '{name}' has joined the federation.")
    announced: Mapping[str, Any] = getattr(_last(entries, "announce"), "body", {})
    return SiteRecord(
        name=name,
        title=str(joined.body["title"]),
        identity=str(joined.body["identity"]),
        node=int(str(joined.body["node"])),
        page=str(announced.get("page", "")),
        cards=tuple(Card.from_dict(card) for card in announced.get("cards", [])),
        stewards=dict(announced.get("stewards", {})),
    )


def site_names(journal: JournalReader) -> list[str]:
    """Every site that has joined."""
    names = [stream.removeprefix(SITES) for stream in journal.streams(SITES)]
    return [name for name in names if _last(journal.entries(SITES + name), "join")]


def _last(entries: Sequence[Entry], kind: str) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.kind == kind), None)
