"""The Charges of a Journal, read in the plainest way: what the Ledger that is kept up to date is held against."""

from __future__ import annotations

from synthema_core.ledger import Charge
from synthema_core.ports import JournalReader
from synthema_datasite.service.records import charges


def charges_of(journal: JournalReader, dataset: str, researcher: str) -> list[Charge]:
    return [charge for charge in charges(journal, dataset) if charge.requester == researcher]
