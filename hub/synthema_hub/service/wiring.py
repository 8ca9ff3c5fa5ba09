"""The federation service put together from its settings: one object that the routes are given."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from synthema_core.identity import public_key
from synthema_core.ports import Clock
from synthema_core.signed_request import RequestVerifier
from synthema_core.sqlite_journal import SqliteJournal
from synthema_hub.service.changes import Changes
from synthema_hub.service.jobs import Jobs, RunStarter
from synthema_hub.service.membership import Membership, NodeRegistry
from synthema_hub.service.mirror import Mirror
from synthema_hub.service.requests import Requests
from synthema_hub.service.shared_logs import SharedLogs
from synthema_hub.service.site_desk import SiteDesk
from synthema_hub.state import HubState
from synthema_hub.store.newest_budgets import NewestBudgets


class Flower(NodeRegistry, RunStarter, Protocol):
    """All that the service asks of Flower."""


@dataclass(frozen=True, slots=True)
class Federation:
    """The use cases and what they share."""

    clock: Clock
    membership: Membership
    requests: Requests
    mirror: Mirror
    logs: SharedLogs
    jobs: Jobs
    desk: SiteDesk
    budgets: NewestBudgets
    changes: Changes
    verifier: RequestVerifier
    hub_key: str
    ca_pem: str
    job_token: str


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """80 random bits: never the same twice."""
    return secrets.token_hex(10)


def new_code() -> str:
    """128 random bits, spelled so that no command line takes them for an option."""
    return secrets.token_hex(16)


def wire_federation(
    state: HubState, flower: Flower, service_url: str, clock: Callable[[], datetime] = utc_now
) -> Federation:
    """Open the Journal, check it, and put the service together."""
    journal = SqliteJournal(state.journal_path)
    journal.verify()
    key = state.signing_key()
    changes = Changes()
    membership = Membership(journal, clock, flower)
    requests = Requests(journal, clock, new_id)
    requests.listen(changes.ring)
    return Federation(
        clock=clock,
        membership=membership,
        requests=requests,
        mirror=Mirror(requests),
        logs=SharedLogs(journal),
        jobs=Jobs(requests, membership, flower, clock, new_id, service_url, key),
        desk=SiteDesk(journal, key),
        budgets=NewestBudgets(state.budgets_folder),
        changes=changes,
        verifier=RequestVerifier(),
        hub_key=public_key(key),
        ca_pem=state.certificates.ca.read_text(),
        job_token=state.job_token(),
    )
