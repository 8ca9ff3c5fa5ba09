"""Notices to stewards by e-mail, off by default: that something waits, and nothing about what.

An e-mail crosses machines that nobody here answers for. It holds how much waits, its ids and kinds, and the page's
address; the purpose only where the settings say so; never what a Plan asks, and nothing that depends on rows.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

from synthema_core.errors import Unavailable
from synthema_core.request import Verb
from synthema_core.request_record import REQUESTS, RequestRecord, request_record
from synthema_datasite.service.decisions import Wait, said_yes, waits_for
from synthema_datasite.service.hub_line import Bookmark
from synthema_datasite.service.notice_settings import STARTTLS, TLS, NoticeSettings
from synthema_datasite.service.records import stewards
from synthema_datasite.service.site import Site

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 15.0
_RETRY_SECONDS = 120.0
_SMTP_SECONDS = 20.0
_NEWS = frozenset({Verb.RECEIVE, Verb.ANSWER, Verb.REVIEW, Verb.HOLD, Verb.CLEAR})
"""After which something may wait, or wait for one steward fewer."""
_LONGEST_LINE = 200
_PLACE = "told"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One Request, as a notice may tell of it."""

    request: str
    wait: Wait
    purpose: str


class Notices:
    """A turn of the hub line: writes to each steward what has come to wait since the last time.

    Told twice is told once too often, and told never is not told: what a mail server did not take is sent again.

    Parameters
    ----------
    page
        The page's address, where the settings give no other.
    """

    def __init__(self, site: Site, page: str) -> None:
        self._site, self._page = site, page
        self._folder = site.state.folder
        self._bookmark = Bookmark(self._folder / "notices.json")
        self._sent_at: datetime | None = None

    def turn(self) -> float:
        """Send what there is to tell; return the seconds to wait before the next turn."""
        settings = NoticeSettings.read(self._folder)
        if settings is None or self._was_just_sent(settings):
            return _LOOK_SECONDS
        records, place = self._news()
        letters = self._letters(settings, records)
        try:
            if letters:
                self.send(settings, letters)
                self._sent_at = self._site.clock()
        except Unavailable as error:
            _log.warning("%s", error)
            return _RETRY_SECONDS
        self._bookmark.set(_PLACE, place)
        return _LOOK_SECONDS

    def _was_just_sent(self, settings: NoticeSettings) -> bool:
        if self._sent_at is None:
            return False
        since = self._site.clock() - self._sent_at
        return timedelta(0) <= since < timedelta(minutes=settings.least_minutes)

    def trial(self, settings: NoticeSettings) -> None:
        """Write to everybody that notices work here."""
        everybody = [self._letter(settings, address, []) for address in settings.recipients.values()]
        self.send(settings, everybody)

    def send(self, settings: NoticeSettings, letters: Sequence[EmailMessage]) -> None:
        """Hand them to the mail server, one for each recipient.

        Raises
        ------
        Unavailable
            If it cannot be reached, does not offer the security asked for, or breaks off. That it refuses an address is
            logged, and ends nothing.
        """
        with _connected(settings, self._folder) as server:
            refused = sum(not _was_taken(server, letter) for letter in letters)
        if refused:
            _log.warning("The mail server refused %d of %d recipients of a notice.", refused, len(letters))

    def _letters(self, settings: NoticeSettings, records: Sequence[RequestRecord]) -> list[EmailMessage]:
        """One for each steward for whom something new waits."""
        known = stewards(self._site.journal)
        letters = []
        for name, address in settings.recipients.items():
            mine = [_line(record) for record in records if name in known and self._is_for(record, name)]
            if mine:
                letters.append(self._letter(settings, address, mine))
        return letters

    def _is_for(self, record: RequestRecord, steward: str) -> bool:
        return steward != record.request.author and steward not in said_yes(record, self._site.name)

    def _news(self) -> tuple[list[RequestRecord], int]:
        """What still waits of that on which something happened since the last notice; and how far was read."""
        place, changed = self._bookmark.get(_PLACE), dict[str, None]()
        while batch := self._site.journal.after(place):
            place = batch[-1].sequence
            entries = (entry for entry in batch if entry.stream.startswith(REQUESTS))
            changed.update(
                (entry.stream.removeprefix(REQUESTS), None) for entry in entries if Verb(entry.kind) in _NEWS
            )
        records = (request_record(self._site.journal, identifier, self._site.name) for identifier in changed)
        return [record for record in records if waits_for(record) is not Wait.NOTHING], place

    def _letter(self, settings: NoticeSettings, address: str, waiting: Sequence[Waiting]) -> EmailMessage:
        letter = EmailMessage()
        count = len(waiting)
        what = f"{count} request{'s wait' if count != 1 else ' waits'} for you" if count else "notices work"
        letter["Subject"] = f"Synthema at {_plain(self._site.state.title)}: {what}"
        letter["From"], letter["To"] = settings.sender, address
        letter["Date"] = format_datetime(self._site.clock())
        letter["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(_body(waiting, settings.purpose, settings.page or self._page))
        return letter


def _line(record: RequestRecord) -> Waiting:
    return Waiting(record.request.id, waits_for(record), record.plan.purpose)


def _body(waiting: Sequence[Waiting], with_purpose: bool, page: str) -> str:
    lines = ["For your decision wait:", ""] if waiting else ["Notices by e-mail work here. Nothing is to be done."]
    for one in waiting:
        lines.append(f"    {one.wait.value} of request {_plain(one.request)[:40]}")
        lines += [f"        {_plain(one.purpose)[:_LONGEST_LINE]}"] if with_purpose else []
    return "\n".join([*lines, "", f"The stewards' page: {page}", "Nothing can be decided by e-mail.", ""])


def _plain(text: str) -> str:
    """On one line, without control characters: what others wrote must not pass for what this site says."""
    return "".join(character if character.isprintable() else "?" for character in text)


@contextmanager
def _connected(settings: NoticeSettings, folder: Path) -> Iterator[smtplib.SMTP]:
    """A session with the mail server, secured and logged in."""
    where = f"{settings.host}:{settings.port}"
    try:
        context = ssl.create_default_context(cafile=str(folder / settings.ca_file) if settings.ca_file else None)
        if settings.security == TLS:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=_SMTP_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=_SMTP_SECONDS)
        with server:
            if settings.security == STARTTLS:
                server.starttls(context=context)
            if settings.user:
                server.login(settings.user, settings.password(folder))
            yield server
    except (smtplib.SMTPException, OSError) as error:  # ssl's errors are OSErrors; the texts are the server's own
        raise Unavailable(
            f"The mail server {where} did not take a notice: {type(error).__name__}.", "See notices.toml."
        ) from None


def _was_taken(server: smtplib.SMTP, letter: EmailMessage) -> bool:
    try:
        server.send_message(letter)
    except smtplib.SMTPRecipientsRefused:
        server.rset()
        return False
    return True
