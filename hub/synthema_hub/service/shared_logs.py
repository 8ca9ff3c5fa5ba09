"""What stewards show a Request's author of the runs at their sites: text, kept as they sent it and shown as text."""

from __future__ import annotations

from dataclasses import dataclass

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidInput, TransitionDenied
from synthema_core.journal import Draft
from synthema_core.ports import Journal, JournalReader
from synthema_core.request_record import request_record
from synthema_hub.service.mirror import runs_before_sum
from synthema_hub.service.records import LOGS, SiteRecord

_LONGEST_LOG = 20_000
_SHARE = "share"


@dataclass(frozen=True, slots=True)
class SharedLog:
    """What the code printed in its run at one site."""

    site: str
    steward: str
    text: str
    at: str

    def to_dict(self) -> dict[str, Json]:
        return {"site": self.site, "steward": self.steward, "text": self.text, "at": self.at}


class SharedLogs:
    """Only of code with a release decision: nothing of a run with a guarantee may be told to anybody."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def share(self, identifier: str, site: SiteRecord, log: SharedLog) -> None:
        """Keep what a steward of the site sent. Idempotent.

        Raises
        ------
        TransitionDenied
            If the Request does not ask this site to run code with a release decision.
        """
        moments.read(log.at)
        if len(log.text) > _LONGEST_LOG:
            raise InvalidInput(f"A shared log has at most {_LONGEST_LOG:,} characters.", "Share its end.")
        if log.steward not in site.stewards:
            raise IntegrityFailure(f"'{log.steward}' is not a steward of '{site.name}'.")
        with self._journal.writing() as journal:
            plan = request_record(journal, identifier).plan
            if site.name not in plan.sites or not runs_before_sum(plan):
                raise TransitionDenied(f"No log of '{site.name}' belongs to the request {identifier}.")
            if log not in _logs(journal, identifier):
                body: dict[str, Json] = {"site": log.site, "text": log.text}
                journal.append(Draft(LOGS + identifier, _SHARE, log.steward, log.at, body))

    def of(self, identifier: str) -> list[SharedLog]:
        """All of that Request, oldest first."""
        return _logs(self._journal, identifier)


def _logs(journal: JournalReader, identifier: str) -> list[SharedLog]:
    entries = journal.entries(LOGS + identifier)
    return [SharedLog(str(e.body["site"]), e.actor, str(e.body["text"]), e.at) for e in entries]
