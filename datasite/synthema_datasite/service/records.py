"""The site's Journal, read as nouns: stewards, Datasets, Requests, charges, known identities.

==================  ==========================================================================
stream              kinds of entries
==================  ==========================================================================
stewards            add
dataset/NAME        ingest, one a version
request/ID          the life cycle's verbs as this site knows them
budget/NAME         open: the Budget under which a Dataset's first charge was made; charge
renewal/PATIENTS    agree, renew: stewards begin the Budget of a group of patients anew
identities          met: the identity key under which another site was first seen
evidence/ID         mock-run: this site's own trial of a Request's code
shared-log/ID       agree, share: a steward lets the researcher read what a run printed
login/STEWARD       login: to the page
==================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthema_core.admission import DatasetFacts
from synthema_core.journal import Entry
from synthema_core.ledger import Charge
from synthema_core.ports import JournalReader
from synthema_core.request import Verb
from synthema_core.request_record import RequestRecord, request_ids, request_record
from synthema_core.review import Review
from synthema_core.schemas import Schema

STEWARDS, DATASETS, BUDGETS, IDENTITIES = "stewards", "dataset/", "budget/", "identities"
RENEWALS = "renewal/"
JOBS = "job/"
NOT_BEGUN = "not-begun"
"""In the stream of a claimed Job: its worker refused it, and nothing of it has left."""
OPEN, CHARGE = "open", "charge"


def stewards(journal: JournalReader) -> dict[str, str]:
    """Ed25519 public key of each steward, by name."""
    return {str(entry.body["name"]): str(entry.body["key"]) for entry in journal.entries(STEWARDS)}


def known_identities(journal: JournalReader) -> dict[str, str]:
    """The identity key under which each other site was first met."""
    known: dict[str, str] = {}
    for entry in journal.entries(IDENTITIES):
        known.setdefault(str(entry.body["site"]), str(entry.body["identity"]))
    return known


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """One version of a Dataset and where its rows are: `path` is relative to the state folder, which may be moved."""

    facts: DatasetFacts
    path: Path
    sha256: str
    ingested_at: str
    ingested_by: str


def dataset_records(journal: JournalReader) -> dict[str, DatasetRecord]:
    """The newest version of each Dataset, by name."""
    streams = journal.streams(DATASETS)
    return {stream.removeprefix(DATASETS): _dataset(journal.entries(stream)[-1]) for stream in streams}


def _dataset(entry: Entry) -> DatasetRecord:
    body: Mapping[str, Any] = entry.body
    facts = DatasetFacts(
        name=body["name"],
        version=body["version"],
        schema=Schema.from_dict(body["schema"]),
        commitment=body["commitment"],
        patients=body["patients"],
    )
    return DatasetRecord(facts, Path(body["path"]), body["sha256"], entry.at, entry.actor)


def charges(journal: JournalReader, dataset: str) -> list[Charge]:
    """All that was ever charged to the Dataset, oldest first."""
    return [Charge.from_dict(entry.body) for entry in journal.entries(BUDGETS + dataset) if entry.kind == CHARGE]


def review_of(record: RequestRecord) -> Review | None:
    """The signed Review of this site that stands, if there is one."""
    event = record.last(Verb.REVIEW)
    return Review.from_dict(event.detail) if event else None


def request_records(journal: JournalReader, site: str) -> list[RequestRecord]:
    """All Requests, oldest first."""
    return [request_record(journal, identifier, site) for identifier in request_ids(journal)]
