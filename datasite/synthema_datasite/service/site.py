"""One datasite, put together: its state, Journal and clock, and the facts its rules are checked against."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from synthema_core import moments
from synthema_core.admission import SiteFacts
from synthema_core.card import Card
from synthema_core.errors import Refused
from synthema_core.identity import public_key
from synthema_core.ports import Clock, JournalReader
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.engine import engine_digest
from synthema_datasite.service.ledger import Ledger
from synthema_datasite.service.records import dataset_records, known_identities
from synthema_datasite.state import SiteState

_CLOCKS_DIFFER = timedelta(seconds=60)
"""By so much a clock may be put right backwards."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Site:
    """What every use case of a datasite needs. One for each process; the Journal is shared between processes."""

    state: SiteState
    journal: SqliteJournal
    clock: Clock
    engine: str
    ledger: Ledger = field(default_factory=Ledger, compare=False, repr=False)

    @classmethod
    def open(cls, state: SiteState, clock: Clock = utc_now) -> Site:
        return cls(state, SqliteJournal(state.journal_path), clock, engine_digest())

    @property
    def name(self) -> str:
        return self.state.name

    def now(self) -> str:
        return moments.spell(self.clock())

    def decided_at(self, journal: JournalReader) -> str:
        """Now, as the moment of a decision or a claim.

        Raises
        ------
        Refused
            If the clock is behind the Journal's last entry: one that was set back would revive what has expired.
        """
        now = self.clock()
        last = journal.after(journal.head().sequence - 1, 1)
        if last and now < moments.read(last[-1].at) - _CLOCKS_DIFFER:
            raise Refused(
                "This machine's clock is behind its journal's last entry.", "Have its engineer set it.", rule="clock"
            )
        return moments.spell(now)

    def facts(self, journal: JournalReader) -> SiteFacts:
        """As they are now, read through `journal`: pass a transaction's own reader to decide inside it."""
        return SiteFacts(
            site=self.name,
            identity=public_key(self.state.identity()),
            engine=self.engine,
            datasets={name: record.facts for name, record in dataset_records(journal).items()},
            policy=self.state.policy(),
            known_identities=known_identities(journal),
            sandbox=self.state.sandbox(),
        )

    def cards(self) -> list[Card]:
        """A signed Card of each Dataset. Depends on the Schema and the Policy, never on rows."""
        key, policy = self.state.identity(), self.state.policy()
        return [
            Card(
                site=self.name,
                identity=public_key(key),
                dataset=name,
                version=record.facts.version,
                schema=record.facts.schema,
                commitment=record.facts.commitment,
                policy=policy.for_dataset(name).public(),
                engine=self.engine,
            ).signed(key)
            for name, record in dataset_records(self.journal).items()
        ]
