"""All Requests of a site, as lists show them: read once, and then only what the Journal has grown by."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from synthema_core.canonical import digest
from synthema_core.journal import Entry, Head
from synthema_core.plan import question_digest
from synthema_core.request import NEEDED, Request, Status, Verb, evolve
from synthema_core.request_record import REQUESTS, event_of
from synthema_datasite.service.site import Site


@dataclass(frozen=True, slots=True)
class Line:
    """One Request without the bulk of its Plan.

    Parameters
    ----------
    dataset
        The one that the Plan asks this site about; empty if it does not name this site.
    question_digest, code_digest
        Of what is asked, and of the code that asks it; the second is empty for a built-in analysis.
    approved_at
        When this site approved; empty if it never did. It stays when the approval is taken back.
    asked, answered
        How many questions its stewards have put, and how many answers came.
    """

    request: Request
    name: str
    purpose: str
    analysis: str
    exact: bool
    dataset: str
    plan_digest: str
    question_digest: str
    code_digest: str
    received_at: str
    changed_at: str
    approved_at: str = ""
    stewards_needed: int = 1
    asked: int = 0
    answered: int = 0

    @property
    def id(self) -> str:
        return self.request.id

    @property
    def requester(self) -> str:
        return self.request.author

    @property
    def status(self) -> Status:
        return self.request.status

    def said_yes(self, site: str) -> frozenset[str]:
        """The stewards of this site who have agreed to the step that waits now."""
        by = self.request.cleared_by if self.status is Status.STAGED else self.request.approved_by
        return by.get(site, frozenset())


class Register:
    """The Lines of a site's Journal. Safe for several threads; never older than the Journal at the moment of asking."""

    def __init__(self, site: Site) -> None:
        self._site, self._lock = site, threading.Lock()
        self._head, self._lines = Head(), dict[str, Line]()

    def lines(self) -> list[Line]:
        """Oldest first."""
        with self._lock:
            self._catch_up()
            return list(self._lines.values())

    def _catch_up(self) -> None:
        journal = self._site.journal
        if self._head.sequence and journal.digest_at(self._head.sequence) != self._head.digest:
            self._head, self._lines = Head(), {}  # another Journal was put in the place of the one that was read
        while entries := journal.after(self._head.sequence):
            for entry in entries:
                if entry.stream.startswith(REQUESTS):
                    self._take(entry)
                self._head = Head(entry.sequence, entry.digest)

    def _take(self, entry: Entry) -> None:
        identifier, event = entry.stream.removeprefix(REQUESTS), event_of(entry)
        line = self._lines.get(identifier) or _line_of(identifier, entry, self._site.name)
        request = evolve(line.request, event)
        changes: dict[str, Any] = {"request": request, "changed_at": event.at}
        if event.verb in (Verb.REVIEW, Verb.CLEAR):
            needed = event.detail.get(NEEDED, 1)
            changes["stewards_needed"] = needed if isinstance(needed, int) else 1
        elif event.verb is Verb.APPROVE:
            changes["approved_at"] = event.at
        elif event.verb is Verb.ASK:
            changes["asked"] = line.asked + 1
        elif event.verb is Verb.ANSWER:
            changes["answered"] = line.answered + 1
        self._lines[identifier] = replace(line, **changes)


def _line_of(identifier: str, entry: Entry, site: str) -> Line:
    """From the first entry of a Request. The Plan was checked when it was recorded: here it is only quoted."""
    body: Mapping[str, Any] = entry.body
    detail = body["detail"]
    plan = detail["plan"]
    here = next((part["dataset"] for part in plan["participants"] if part["site"] == site), "")
    code = plan["parameters"].get("code")
    return Line(
        request=Request(identifier, plan["requester"], frozenset({site}), plan["expires_at"]),
        name=str(detail.get("name", "")),
        purpose=plan["purpose"],
        analysis=plan["analysis"],
        exact=plan["privacy"] is None,
        dataset=here,
        plan_digest=detail["plan_digest"],
        question_digest=question_digest(plan),
        code_digest=digest(code) if code else "",
        received_at=entry.at,
        changed_at=entry.at,
    )
