"""The researcher's way, in a real browser: log in, run the tutorial, see the trackers move, read the result."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.login import log_in
from support.running import Running, wait_for
from synthema_core.cli.local_federation import RESEARCHER

pytestmark = [pytest.mark.federation, pytest.mark.browser, pytest.mark.timeout(400)]
_SLOW = 60_000  # milliseconds


def open_notebook(page: Page, federation: Running, path: str) -> None:
    log_in(page, federation, RESEARCHER, "%2Fhub%2Fspawn")
    page.wait_for_url(f"**/user/{RESEARCHER}/**", timeout=_SLOW)
    page.goto(f"{federation.local.url}/user/{RESEARCHER}/lab/tree/{path}?reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell .jp-InputArea-editor", timeout=_SLOW)
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-StatusBar-TextItem')].some(e => /Idle/.test(e.innerText))", timeout=_SLOW
    )


def run(page: Page, what: str) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text(what, exact=True).click()


def test_a_researcher_runs_the_tutorial(page: Page, federation: Running, artifacts: Path) -> None:
    open_notebook(page, federation, "tutorials/01-first-study.ipynb")
    earlier = {view["id"] for view in federation.session().mine()}
    run(page, "Run All Cells")
    trackers = page.get_by_test_id("request-tracker")
    expect(trackers).to_have_count(3, timeout=_SLOW)
    asked = wait_for(lambda: _new(federation, earlier), "three requests were submitted")
    for tracker in trackers.all():
        expect(tracker).to_have_attribute("data-status", "under_review", timeout=_SLOW)
    trackers.first.scroll_into_view_if_needed()
    page.screenshot(path=artifacts / "notebook-under-review.png")
    for request in asked:
        federation.approve(request)
    for tracker in trackers.all():  # nobody touches the page
        expect(tracker).to_have_attribute("data-status", "released", timeout=_SLOW)
    trackers.first.scroll_into_view_if_needed()
    page.screenshot(path=artifacts / "notebook-released.png")
    page.locator(".jp-CodeCell .jp-InputArea", has_text="%fed result survival").click()
    run(page, "Run Selected Cell and All Below")
    curve = page.locator(".jp-OutputArea-output svg[role=img]").first
    expect(curve).to_be_visible(timeout=_SLOW)
    expect(page.get_by_text("Patients and events")).to_be_visible(timeout=_SLOW)
    expect(page.locator(".jp-OutputArea-output svg[role=img]")).to_have_count(3, timeout=_SLOW)
    curve.scroll_into_view_if_needed()
    page.screenshot(path=artifacts / "notebook-result.png")


def _new(federation: Running, earlier: set[str]) -> list[str]:
    asked = [view["id"] for view in federation.session().mine() if view["id"] not in earlier]
    return asked if len(asked) == 3 else []
