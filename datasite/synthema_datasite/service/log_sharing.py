"""What a run printed, shown to the researcher because this site's stewards said so.

A log holds what rows hold, as text that no check understands. It is kept for stewards; each one who shares it has read
it. Never of code with a guarantee: nothing of its real run is told to anybody, or there would be none.
"""

from __future__ import annotations

import hashlib

from synthema_core.errors import IntegrityFailure, NotFound, Refused, TransitionDenied
from synthema_core.journal import Draft
from synthema_core.plan import Mode
from synthema_core.ports import JournalReader
from synthema_core.request_record import RequestRecord, request_record
from synthema_core.review import check_not_own_request
from synthema_datasite.service.decisions import check_shown, limits_of
from synthema_datasite.service.site import Site
from synthema_datasite.service.staging import run_log
from synthema_datasite.service.stewards import unlock

SHARED_LOGS = "shared-log/"
SHARE, AGREE = "share", "agree"


def log_digest(text: str) -> str:
    """Names the text that a steward was shown."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def shared_log(journal: JournalReader, request: str) -> str | None:
    """The text the researcher may read; None while no steward, or too few of them, have shared it."""
    entries = journal.entries(SHARED_LOGS + request)
    return next((str(entry.body["text"]) for entry in entries if entry.kind == SHARE), None)


def share_log(
    site: Site, identifier: str, steward: str, passphrase: str, *, shown: str = "", plan_digest: str = ""
) -> bool:
    """Let the researcher read the log of the run here; whether it is shared now, or waits for another steward.

    Parameters
    ----------
    shown
        `log_digest` of the text that the steward read; empty: not compared.

    Raises
    ------
    NotAuthenticated, NotPermitted, TransitionDenied
        Wrong passphrase; own request; shared already.
    Refused, NotFound, IntegrityFailure
        For code with a guarantee; where nothing ran or printed; for another log than the one shown.
    """
    unlock(site, steward, passphrase)
    with site.journal.writing() as journal:
        record = request_record(journal, identifier, site.name)
        check_shown(record, plan_digest)
        check_not_own_request(steward, record.request.author)
        text = _log_of(site, record)
        if shown and shown != log_digest(text):
            raise IntegrityFailure("This is not the log you were shown.", "Open it again and read it.")
        now = site.decided_at(journal)
        shared = _is_enough(site, journal, record, steward)
        body = {"steward": steward, **({"text": text} if shared else {"log": log_digest(text)})}
        journal.append(Draft(SHARED_LOGS + identifier, SHARE if shared else AGREE, steward, now, body))
    return shared


def _log_of(site: Site, record: RequestRecord) -> str:
    if record.plan.mode is Mode.PRIVATE:
        raise Refused("Nothing of a private request's run is told: its guarantee rests on that.", rule="guarantee")
    text = run_log(site, record)
    if not text:
        raise NotFound(f"No run of the request {record.request.id} has left a log here.")
    return text


def _is_enough(site: Site, journal: JournalReader, record: RequestRecord, steward: str) -> bool:
    """Whether this steward is the last one whom it takes."""
    entries = journal.entries(SHARED_LOGS + record.request.id)
    if any(entry.kind == SHARE for entry in entries):
        raise TransitionDenied("This log is shared already.")
    agreed = {entry.actor for entry in entries}
    if steward in agreed:
        raise TransitionDenied(f"{steward} has agreed already.", "It takes another steward of the site.")
    return len(agreed) + 1 >= limits_of(site, record).stewards
