"""The stewards' page as a browser meets it, without one: cookies are kept, nothing is followed, nothing is run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx

from support.site import PASSPHRASE, STEWARD, TrialSite
from synthema_core.sandbox.doctor import Report
from synthema_datasite.pages.app import make_pages
from synthema_datasite.pages.sessions import COOKIE

MARKUP = "<script>alert('x')</script><b onclick=x>\"bold\"&amp;"
_HIDDEN = r'name="(form_token|plan_digest|output|shown)" value="([^"]+)"'


class Browser:
    """Starlette's own TestClient wants another HTTP library than ours."""

    def __init__(
        self, here: TrialSite, *, secure: bool = False, examine: Callable[[], Report] = lambda: Report((), ())
    ) -> None:
        self.app = make_pages(here.site, here.reviewing, secure=secure, examine=examine)
        base = f"http{'s' if secure else ''}://127.0.0.1"
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=base)

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._client.get(path))

    def post(self, path: str, **form: Any) -> httpx.Response:
        return asyncio.run(self._client.post(path, data=form))

    def login(self, steward: str = STEWARD, passphrase: str = PASSPHRASE) -> httpx.Response:
        return self.post("/login", steward=steward, passphrase=passphrase)

    def form(self, request: str = "r1", page: str = "") -> dict[str, str]:
        """The hidden fields of a request's page."""
        return dict(re.findall(_HIDDEN, self.get(f"/requests/{request}{page}").text))

    def decide(self, verdict: str, request: str = "r1", **changes: Any) -> httpx.Response:
        """About the Plan."""
        form = {**self.form(request), "verdict": verdict, "passphrase": PASSPHRASE, **changes}
        return self.post(f"/requests/{request}/verdict", **form)

    def release(self, decision: str, request: str = "r1", **changes: Any) -> httpx.Response:
        """About what its code put out."""
        form = {**self.form(request, "/output"), "decision": decision, "passphrase": PASSPHRASE, **changes}
        return self.post(f"/requests/{request}/output", **form)

    def forget(self) -> None:
        self._client.cookies.clear()

    @property
    def cookie(self) -> str | None:
        return self._client.cookies.get(COOKIE)

    @cookie.setter
    def cookie(self, value: str) -> None:
        self._client.cookies.set(COOKIE, value)


def logged_in(here: TrialSite, steward: str = STEWARD) -> Browser:
    browser = Browser(here)
    assert browser.login(steward).status_code == 303
    return browser


def said_by(browser: Browser, request: str = "r1") -> dict[str, str]:
    """What a request's page says, by label."""
    rows = r'<tr><th scope="row">(.*?)</th><td[^>]*>(.*?)</td></tr>'
    return dict(re.findall(rows, browser.get(f"/requests/{request}").text))


def text_of(page: str) -> str:
    """What a person reads: no tags, single spaces."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())
