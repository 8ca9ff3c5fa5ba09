"""Logging in as people do, in a browser."""

from __future__ import annotations

from playwright.sync_api import Page

from support.running import Running


def log_in(page: Page, federation: Running, name: str, goes_to: str) -> None:
    """By the hub's form; `goes_to` is the path after it, percent-encoded."""
    page.goto(f"{federation.local.url}/hub/login?next={goes_to}")
    page.fill("#username_input", name)
    page.fill("#password_input", federation.person(name).password)
    page.click("#login_submit")
