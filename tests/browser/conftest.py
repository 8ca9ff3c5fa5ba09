"""A headless Chromium for the tests that look at pages as people do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """One a test: while Playwright's own loop runs in this thread, no other test could run one of its own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, artifacts: Path) -> Iterator[Page]:
    """A fresh profile; the test fails if its pages ask anything of another machine. Leaves a picture of its end."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    opened = context.new_page()
    elsewhere: list[str] = []
    local = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "about:")
    context.on("request", lambda request: None if request.url.startswith(local) else elsewhere.append(request.url))
    yield opened
    opened.screenshot(path=artifacts / f"{request.node.name}-at-its-end.png")
    context.close()
    assert not elsewhere, f"asked of other machines: {elsewhere}"
