"""The stewards' page: plain HTML, no script, served by the datasite itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from synthema_core.errors import NotAuthenticated, NotFound, SynthemaError
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord
from synthema_datasite.pages.sessions import COOKIE, Session, Sessions, check_form_token
from synthema_datasite.service.reading import read_request
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REDIRECT = 303


class LoginNeeded(Exception):
    """A page was asked for without a Session."""


class Pages:
    """What the routes share."""

    def __init__(self, site: Site, reviewing: Reviewing, *, secure: bool) -> None:
        self.site, self.reviewing, self.secure = site, reviewing, secure
        self.sessions = Sessions(site.clock)
        self._templates = Environment(
            loader=PackageLoader("synthema_datasite.pages"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.filters["moment"] = lambda text: str(text)[:16].replace("T", " ") + " UTC"

    def render(self, template: str, status: int = 200, **values: object) -> HTMLResponse:
        text = self._templates.get_template(template).render(site=self.site.state, **values)
        return HTMLResponse(text, status_code=status)

    def request_page(self, record: RequestRecord, session: Session, error: SynthemaError | None = None) -> Response:
        return self.render(
            "request.html",
            400 if error else 200,
            session=session,
            record=record,
            sections=read_request(self.site, record),
            can_decide=record.request.status is Status.UNDER_REVIEW,
            can_revoke=record.request.status is Status.APPROVED,
            error=error,
        )


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
routes = APIRouter()


@routes.get("/login")
def login_form(pages: Here) -> Response:
    return pages.render("login.html", session=None, error=None)


@routes.post("/login")
def login(pages: Here, steward: Text, passphrase: Text) -> Response:
    try:
        pages.sessions.check_may_try(steward)
        pages.reviewing.check_steward(steward, passphrase)
    except SynthemaError as error:
        pages.sessions.failed(steward)
        return pages.render("login.html", 401, session=None, error=error)
    response = RedirectResponse("/", _REDIRECT)
    cookie = pages.sessions.open(steward)
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=pages.secure)
    return response


@routes.post("/logout")
def logout(request: Request, pages: Here, session: LoggedIn, form_token: Text) -> Response:
    check_form_token(session, form_token)
    pages.sessions.end(request.cookies.get(COOKIE, ""))
    return RedirectResponse("/login", _REDIRECT)


@routes.get("/")
def queue(pages: Here, session: LoggedIn) -> Response:
    records = list(reversed(pages.reviewing.all()))
    waiting = [record for record in records if record.request.status is Status.UNDER_REVIEW]
    others = [record for record in records if record not in waiting]
    return pages.render("queue.html", session=session, waiting=waiting, others=others)


@routes.get("/requests/{identifier}")
def show(identifier: str, pages: Here, session: LoggedIn) -> Response:
    return pages.request_page(pages.reviewing.get(identifier), session)


@routes.post("/requests/{identifier}/verdict")
def decide(
    identifier: str,
    pages: Here,
    session: LoggedIn,
    form_token: Text,
    verdict: Text,
    plan_digest: Text,
    passphrase: Text = "",
    reason: Text = "",
) -> Response:
    check_form_token(session, form_token)
    record = pages.reviewing.get(identifier)
    try:
        pages.sessions.check_may_try(session.steward)
        _decide(pages.reviewing, session.steward, identifier, verdict, plan_digest, passphrase, reason)
    except SynthemaError as error:
        if isinstance(error, NotAuthenticated):
            pages.sessions.failed(session.steward)
        return pages.request_page(record, session, error)
    return RedirectResponse(f"/requests/{identifier}", _REDIRECT)


def _decide(
    reviewing: Reviewing, steward: str, identifier: str, verdict: str, digest: str, passphrase: str, reason: str
) -> None:
    if verdict == "approve":
        reviewing.approve(identifier, steward, passphrase, plan_digest=digest, reason=reason)
    elif verdict == "reject":
        reviewing.reject(identifier, steward, passphrase, reason, plan_digest=digest)
    elif verdict == "revoke":
        reviewing.revoke(identifier, steward, passphrase)
    else:
        raise NotFound(f"There is no verdict '{verdict}'.")


def make_pages(site: Site, reviewing: Reviewing, *, secure: bool) -> FastAPI:
    """The page as an app. `secure` marks its cookie for https."""
    app = FastAPI(title="Synthema datasite", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.pages = Pages(site, reviewing, secure=secure)
    app.include_router(routes)
    app.add_exception_handler(LoginNeeded, _send_to_login)
    app.add_exception_handler(SynthemaError, _show_error)
    app.middleware("http")(_add_headers)
    return app


async def _send_to_login(_: Request, __: Exception) -> Response:
    return RedirectResponse("/login", _REDIRECT)


async def _show_error(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NotFound) else 400
    return pages_of(request).render("error.html", status, session=None, error=error)


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    return response
