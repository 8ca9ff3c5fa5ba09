"""What the page's routes share: the site, the sessions, and how a template becomes an answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthema_core.errors import NotAuthenticated
from synthema_core.request import Status
from synthema_datasite.pages.examination import Examination
from synthema_datasite.pages.sessions import COOKIE, Session, Sessions, check_form_token
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.register import Register
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site

_REDIRECT = 303
_TEMPLATES = "synthema_datasite.pages"


class LoginNeeded(Exception):
    """A page was asked for without a Session."""


class Pages:
    """One for each server.

    Parameters
    ----------
    secure
        Whether its cookie is for https only.
    """

    def __init__(self, site: Site, reviewing: Reviewing, examination: Examination, *, secure: bool) -> None:
        self.site, self.reviewing, self.examination, self.secure = site, reviewing, examination, secure
        self.clearing, self.register = Clearing(site), Register(site)
        self.sessions = Sessions(site.clock)
        self._style = resources.files(_TEMPLATES).joinpath("templates/style.css").read_text()
        self._templates = Environment(
            loader=PackageLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=visible,
        )
        self._templates.filters |= {"moment": spell_moment, "words": in_words, "number": spell_number}

    @property
    def style_hash(self) -> str:
        """By which the Content-Security-Policy knows the page's one style sheet."""
        return base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()

    def render(self, template: str, session: Session | None, status: int = 200, **values: object) -> HTMLResponse:
        """The answer.

        Parameters
        ----------
        session
            Of whom it is for: its header shows what waits. None for somebody who is not logged in.
        """
        waiting = [line.status for line in self.register.lines()] if session else []
        text = self._templates.get_template(template).render(
            site=self.site.state,
            style=Markup(self._style),  # noqa: S704  our own file
            session=session,
            plans_waiting=waiting.count(Status.UNDER_REVIEW),
            releases_waiting=waiting.count(Status.STAGED),
            **values,
        )
        return HTMLResponse(text, status_code=status)

    @contextmanager
    def deciding(self, session: Session, form_token: str) -> Iterator[None]:
        """Around what a form of this Session asks for; a wrong passphrase in it counts as guessing."""
        check_form_token(session, form_token)
        self.sessions.check_may_try(session.steward)
        try:
            yield
        except NotAuthenticated:
            self.sessions.failed(session.steward)
            raise


def visible(value: object) -> object:
    """What a template shows: signs in a text that do not show, or that move other text, are spelled out."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(sign if sign.isprintable() or sign in "\r\n\t" else f"[U+{ord(sign):04X}]" for sign in value)


def spell_moment(text: str) -> str:
    """``2026-03-02 09:00 UTC``."""
    return f"{text[:16].replace('T', ' ')} UTC"


def in_words(name: str) -> str:
    """``under review`` of ``under_review``."""
    return str(name).replace("_", " ")


def spell_number(value: float) -> str:
    """Six significant digits; whole numbers as such."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.6g}"


def go_to(path: str) -> Response:
    return RedirectResponse(path, _REDIRECT)


def pages_of(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


Here = Annotated[Pages, Depends(pages_of)]


def current_session(request: Request, pages: Here) -> Session:
    session = pages.sessions.find(request.cookies.get(COOKIE, ""))
    if session is None:
        raise LoginNeeded
    return session


LoggedIn = Annotated[Session, Depends(current_session)]
Text = Annotated[str, Form()]
Texts = Annotated[list[str], Form(default_factory=list)]
