"""Logging in and out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from synthema_core.errors import NotAuthenticated, SynthemaError
from synthema_datasite.pages.sessions import COOKIE, check_form_token
from synthema_datasite.pages.shared import Here, LoggedIn, Text, go_to
from synthema_datasite.service.logins import note_login

routes = APIRouter()


@routes.get("/login")
def login_form(pages: Here) -> Response:
    return pages.render("login.html", None, error=None)


@routes.post("/login")
def login(pages: Here, steward: Text, passphrase: Text) -> Response:
    try:
        pages.sessions.check_may_try(steward)
        pages.reviewing.check_steward(steward, passphrase)
        last_login = note_login(pages.site, steward)
    except SynthemaError as error:
        if isinstance(error, NotAuthenticated):
            pages.sessions.failed(steward)
        return pages.render("login.html", None, 401, error=error)
    response = go_to("/")
    cookie = pages.sessions.open(steward, last_login)
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=pages.secure)
    return response


@routes.post("/logout")
def logout(request: Request, pages: Here, session: LoggedIn, form_token: Text) -> Response:
    check_form_token(session, form_token)
    pages.sessions.end(request.cookies.get(COOKIE, ""))
    return go_to("/login")
