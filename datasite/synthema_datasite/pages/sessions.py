"""Stewards' logins on the page: in memory, short, and never enough to decide anything."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from synthema_core.errors import NotAuthenticated, NotPermitted
from synthema_core.ports import Clock

COOKIE = "synthema-steward"
LASTS = timedelta(minutes=30)
_FAILURES_ALLOWED, _FAILURES_WINDOW = 5, timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Session:
    """One steward's login.

    Parameters
    ----------
    form_token
        Written into each form, so that no other site's page can post one.
    last_login
        The moment of the one before this; empty if this is the first.
    """

    steward: str
    form_token: str
    ends: datetime
    last_login: str = ""


class Sessions:
    """Opens, finds and ends Sessions; slows down guessing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}
        self._failures: list[tuple[str, datetime]] = []

    def open(self, steward: str, last_login: str = "") -> str:
        """A new Session for a steward whose passphrase was just checked; returns the cookie's value."""
        cookie = secrets.token_urlsafe(32)
        self._open[cookie] = Session(steward, secrets.token_urlsafe(24), self._clock() + LASTS, last_login)
        return cookie

    def find(self, cookie: str) -> Session | None:
        session = self._open.get(cookie)
        if session is not None and session.ends <= self._clock():
            self.end(cookie)
            return None
        return session

    def end(self, cookie: str) -> None:
        self._open.pop(cookie, None)

    def check_may_try(self, steward: str) -> None:
        """Raise NotPermitted after five wrong passphrases in five minutes."""
        now = self._clock()
        self._failures = [(name, at) for name, at in self._failures if now - at < _FAILURES_WINDOW]
        if sum(name == steward for name, _ in self._failures) >= _FAILURES_ALLOWED:
            raise NotPermitted("Too many wrong passphrases.", "Wait five minutes.")

    def failed(self, steward: str) -> None:
        self._failures.append((steward, self._clock()))


def check_form_token(session: Session, offered: str) -> None:
    """Raise NotAuthenticated unless the form was made for this Session."""
    if not hmac.compare_digest(session.form_token.encode(), offered.encode()):
        raise NotAuthenticated("This form was not made here.", "Open the request again.")
