"""The stewards' page: plain HTML, no script, served by the datasite itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import Response

from synthema_core.errors import NotFound, SynthemaError
from synthema_datasite.pages import routes_login, routes_output, routes_queue, routes_request, routes_site
from synthema_datasite.pages.examination import Examination, examine_machine
from synthema_datasite.pages.sessions import COOKIE
from synthema_datasite.pages.shared import LoginNeeded, Pages, go_to, pages_of
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site

if TYPE_CHECKING:
    from synthema_core.sandbox.doctor import Report


def make_pages(
    site: Site, reviewing: Reviewing, *, secure: bool, examine: Callable[[], Report] = examine_machine
) -> FastAPI:
    """The page as an app.

    Parameters
    ----------
    secure
        Marks its cookie for https.
    examine
        Attacks the sandboxes of this machine and says what they let through.
    """
    app = FastAPI(title="Synthema datasite", docs_url=None, redoc_url=None, openapi_url=None)
    pages = app.state.pages = Pages(site, reviewing, Examination(examine), secure=secure)
    for part in (routes_login, routes_queue, routes_request, routes_output, routes_site):
        app.include_router(part.routes)
    app.add_exception_handler(LoginNeeded, _send_to_login)
    app.add_exception_handler(SynthemaError, _show_error)
    app.middleware("http")(_closed(pages.style_hash))
    return app


async def _send_to_login(_: Request, __: Exception) -> Response:
    return go_to("/login")


async def _show_error(request: Request, error: Exception) -> Response:
    pages, status = pages_of(request), 404 if isinstance(error, NotFound) else 400
    session = pages.sessions.find(request.cookies.get(COOKIE, ""))
    return pages.render("error.html", session, status, error=error)


def _closed(style_hash: str) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Every answer says that the page runs no script, loads nothing, and has this one style sheet."""
    headers = {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style_hash}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(headers)
        return response

    return add_headers
