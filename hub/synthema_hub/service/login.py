"""Who calls: JupyterHub's word for it, for browsers (OAuth, a cookie) and for notebooks (a token with scopes)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse
from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

from synthema_core.errors import NotAuthenticated, NotPermitted, Unavailable

READ, SUBMIT, OPERATE, REVIEW = (f"custom:federation:{what}" for what in ("read", "submit", "operate", "review"))
_COOKIE, _STATE_COOKIE = "synthema-federation", "synthema-federation-login"
_CSRF_HEADER = "x-requested-with"


class BrowserLoginNeeded(Exception):
    """A page was asked for without a login; the edge sends the browser to it."""


class Login:
    """Asks JupyterHub about tokens and cookies.

    Parameters
    ----------
    oauth
        JupyterHub's own client, configured by the environment the hub gave this service.
    prefix
        The service's path, such as ``/services/federation/``.
    """

    def __init__(self, oauth: HubOAuth, prefix: str) -> None:
        self.oauth, self.prefix = oauth, prefix

    async def user(self, request: Request) -> dict[str, Any]:
        """JupyterHub's model of the caller.

        Raises
        ------
        NotAuthenticated, NotPermitted
            Without a valid token; for a token that may not reach this service; for a write by cookie alone, which
            another web page could have triggered.
        Unavailable
            If JupyterHub does not answer.
        """
        token, by_cookie = _token_of(request)
        model = await self._owner(token) if token else None
        if model is None:
            if "text/html" in request.headers.get("accept", ""):
                raise BrowserLoginNeeded
            raise NotAuthenticated("There is no valid hub token with this call.", "Log in to the hub again.")
        if not self.oauth.check_scopes(self.oauth.access_scopes, model):
            raise NotPermitted("This token may not reach the federation.", "Ask for the scope access:services.")
        if by_cookie and request.method not in ("GET", "HEAD") and request.headers.get(_CSRF_HEADER) != "synthema":
            raise NotPermitted("A change by cookie needs the header X-Requested-With: synthema.")
        return model

    async def _owner(self, token: str) -> dict[str, Any] | None:
        try:
            model: dict[str, Any] | None = await self.oauth.user_for_token(token, sync=False)
        except HTTPError:
            raise Unavailable("JupyterHub does not say who calls.", "Try again in a moment.") from None
        return model

    def may(self, scope: str, user: dict[str, Any]) -> bool:
        return bool(self.oauth.check_scopes([scope], user))


def _token_of(request: Request) -> tuple[str, bool]:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() in ("bearer", "token") and token:
        return token.strip(), False
    return request.cookies.get(_COOKIE, ""), True


def login_of(request: Request) -> Login:
    login: Login = request.app.state.login
    return login


async def current_user(request: Request, login: Annotated[Login, Depends(login_of)]) -> dict[str, Any]:
    return await login.user(request)


User = Annotated[dict[str, Any], Depends(current_user)]


def needs(scope: str) -> Callable[[Request, dict[str, Any], Login], Coroutine[Any, Any, dict[str, Any]]]:
    """A dependency: the caller, if the token carries `scope`."""

    async def check(_: Request, user: User, login: Annotated[Login, Depends(login_of)]) -> dict[str, Any]:
        if not login.may(scope, user):
            raise NotPermitted(
                f"That needs the scope {scope}.", "Ask the operator to add you to the group that has it."
            )
        return user

    return check


routes = APIRouter(include_in_schema=False)


@routes.get("/login")
async def begin(login: Annotated[Login, Depends(login_of)], target: str = "") -> RedirectResponse:
    """Send the browser to the hub's login, and remember where it wanted to go."""
    back = target if target.startswith(login.prefix) and target.isascii() else login.prefix
    state = secrets.token_urlsafe(24)
    query = {
        "client_id": login.oauth.oauth_client_id,
        "redirect_uri": login.oauth.oauth_redirect_uri,
        "response_type": "code",
        "state": state,
    }
    response = RedirectResponse(f"{login.oauth.oauth_authorization_url}?{urlencode(query)}")
    response.set_cookie(_STATE_COOKIE, f"{state} {back}", httponly=True, samesite="lax", path=login.prefix)
    return response


@routes.get("/oauth_callback")
async def finish(
    request: Request, login: Annotated[Login, Depends(login_of)], code: str = "", state: str = ""
) -> RedirectResponse:
    """The hub sends the browser back here with a code."""
    expected, _, back = request.cookies.get(_STATE_COOKIE, "").partition(" ")
    if not state or not secrets.compare_digest(expected.encode(), state.encode()):
        raise NotAuthenticated("This login was not begun here.", "Open the page again.")
    try:
        token = await login.oauth.token_for_code(code, sync=False)
    except HTTPError:
        raise NotAuthenticated("The hub does not confirm this login.", "Open the page again.") from None
    response = RedirectResponse(back if back.startswith(login.prefix) else login.prefix)
    response.set_cookie(_COOKIE, token, httponly=True, samesite="lax", path=login.prefix)
    response.delete_cookie(_STATE_COOKIE, path=login.prefix)
    return response
