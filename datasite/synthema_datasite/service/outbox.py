"""What this site has recorded, told to the hub: receipts, questions, signed decisions, what became of a run; in order.

Nothing of a run but that its output waits (a commitment to it) or the kind of its failure, and what a steward shares.
"""

from __future__ import annotations

import logging
from typing import Protocol

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidInput, NotFound, NotPermitted, TransitionDenied
from synthema_core.journal import Entry
from synthema_core.ports import JournalReader
from synthema_core.request import Event, Role, Verb
from synthema_core.request_record import REQUESTS, event_of
from synthema_datasite.service.log_sharing import SHARE, SHARED_LOGS

_log = logging.getLogger(__name__)
LONGEST_LOG = 20_000
"""Characters of a log that the hub takes: the last ones, where the error is that ended the run."""
_FOR_GOOD = (TransitionDenied, NotFound, IntegrityFailure, InvalidInput, NotPermitted)


class HubListener(Protocol):
    """What the hub takes from a site. Every call is idempotent."""

    def receipt(self, request: str) -> None: ...

    def question(self, request: str, steward: str, text: str, at: str) -> None: ...

    def review(self, review: dict[str, Json]) -> None: ...

    def revocation(self, request: str, steward: str, at: str) -> None: ...

    def staged(self, request: str, commitment: str, at: str) -> None: ...

    def clearance(self, clearance: dict[str, Json]) -> None: ...

    def failure(self, request: str, kind: str, at: str) -> None: ...

    def log(self, request: str, steward: str, text: str, at: str) -> None: ...


class Outbox:
    """Delivers the Journal's entries after a place, which moves on with each delivery."""

    def __init__(self, journal: JournalReader, hub: HubListener) -> None:
        self._journal, self._hub = journal, hub

    def deliver(self, after: int) -> int:
        """Tell the hub everything after that sequence; return the new place.

        Raises
        ------
        Unavailable
            If the hub cannot be reached. What it took before is not forgotten: telling it twice does no harm.
        """
        for entry in self._journal.after(after):
            try:
                self._tell(entry)
            except _FOR_GOOD as error:
                # The hub holds another view for good: the Request ended there first. This site's own record stands.
                _log.warning("The hub did not take what happened to %s: %s", entry.stream, error)
            after = entry.sequence
        return after

    def _tell(self, entry: Entry) -> None:
        if entry.stream.startswith(REQUESTS):
            self._tell_event(entry.stream.removeprefix(REQUESTS), event_of(entry))
        elif entry.stream.startswith(SHARED_LOGS) and entry.kind == SHARE:
            request, text = entry.stream.removeprefix(SHARED_LOGS), str(entry.body["text"])
            self._hub.log(request, entry.actor, text[-LONGEST_LOG:], entry.at)

    def _tell_event(self, request: str, event: Event) -> None:
        match event.verb:
            case Verb.RECEIVE:
                self._hub.receipt(request)
            case Verb.ASK:
                self._hub.question(request, event.actor, str(event.detail["text"]), event.at)
            case Verb.REVIEW:
                self._hub.review(dict(event.detail))
            case Verb.REVOKE:
                self._hub.revocation(request, event.actor, event.at)
            case Verb.STAGE:
                self._hub.staged(request, str(event.detail["output"]), event.at)
            case Verb.CLEAR:
                self._hub.clearance(dict(event.detail))
            case Verb.FAIL if event.role is Role.SITE:  # the others are the hub's own word
                self._hub.failure(request, str(event.detail["kind"]), event.at)
