"""What this site has recorded, told to the hub: receipts, signed Reviews, revocations; in order, until it took them."""

from __future__ import annotations

import logging
from typing import Protocol

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, NotFound, TransitionDenied
from synthema_core.journal import Entry
from synthema_core.ports import JournalReader
from synthema_core.request import Verb
from synthema_core.request_record import REQUESTS, event_of

_log = logging.getLogger(__name__)


class HubListener(Protocol):
    """What the hub takes from a site. Every call is idempotent."""

    def receipt(self, request: str) -> None: ...

    def review(self, review: dict[str, Json]) -> None: ...

    def revocation(self, request: str, steward: str, at: str) -> None: ...


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
            if entry.stream.startswith(REQUESTS):
                self._tell(entry)
            after = entry.sequence
        return after

    def _tell(self, entry: Entry) -> None:
        request, event = entry.stream.removeprefix(REQUESTS), event_of(entry)
        try:
            if event.verb is Verb.RECEIVE:
                self._hub.receipt(request)
            elif event.verb is Verb.REVIEW:
                self._hub.review(dict(event.detail))
            elif event.verb is Verb.REVOKE:
                self._hub.revocation(request, event.actor, event.at)
        except (TransitionDenied, NotFound, IntegrityFailure) as error:
            # The hub holds another view for good: the Request ended there first. This site's own record stands.
            _log.warning("The hub did not take what happened to request %s: %s", request, error)
