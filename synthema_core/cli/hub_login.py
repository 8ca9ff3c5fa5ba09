"""Logging in to the hub as a browser does: by its form, for a cookie; then a token with the scopes needed only."""

from __future__ import annotations

import re

import httpx

from synthema_core.errors import NotAuthenticated, Unavailable

RESEARCH_SCOPES = ("custom:federation:read", "custom:federation:submit", "access:services!service=federation")
_TOKEN_SECONDS = 3600


def token_by_login_form(url: str, name: str, password: str, scopes: tuple[str, ...] = RESEARCH_SCOPES) -> str:
    """A token of `name` for one hour, with these scopes and no others.

    Raises
    ------
    NotAuthenticated
        If the hub does not take the password.
    Unavailable
        If it cannot be reached.
    """
    try:
        with httpx.Client(base_url=url, follow_redirects=True, timeout=30.0, trust_env=False) as browser:
            form = browser.get("/hub/login")
            guard = re.search(r'name="_xsrf" value="([^"]*)"', form.text)
            fields = {"username": name, "password": password, "_xsrf": guard.group(1) if guard else ""}
            landed = browser.post("/hub/login?next=%2Fhub%2Ftoken", data=fields)
            if landed.url.path != "/hub/token":
                raise NotAuthenticated(f"The hub does not let '{name}' in.", "Check the name and the password.")
            answer = browser.post(
                f"/hub/api/users/{name}/tokens",
                json={"note": "notebook run", "expires_in": _TOKEN_SECONDS, "scopes": list(scopes)},
                headers={
                    "X-XSRFToken": browser.cookies.get("_xsrf", path="/hub/") or "",
                    "Referer": f"{url}/hub/token",
                },
            )
            answer.raise_for_status()
            return str(answer.json()["token"])
    except httpx.HTTPError as error:
        raise Unavailable(f"The hub at {url} gave no token ({type(error).__name__}).", "See its log.") from None
