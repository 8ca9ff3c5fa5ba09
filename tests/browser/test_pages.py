"""The data owner's way, in a real browser: read a request on the datasite's page, decide, and see it at the hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.login import log_in
from support.running import KAPLAN_MEIER, Running, wait_for

pytestmark = [pytest.mark.federation, pytest.mark.browser, pytest.mark.timeout(200)]


def steward_logs_in(page: Page, federation: Running, site: str) -> str:
    owner = federation.person(f"owner-{site}")
    page.goto(federation.local.page_of(site))
    page.fill("#steward", owner.name)
    page.fill("#passphrase", owner.password)
    page.get_by_role("button", name="Log in").click()
    return owner.password


def test_a_data_owner_approves_on_the_datasites_page(page: Page, federation: Running, artifacts: Path) -> None:
    first, second, *others = federation.sites
    purpose = "How long do patients stay free of leukaemia?"
    request = federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, purpose=purpose, name="on-the-page")
    wait_for(lambda: federation.has_received(first, request), "the site had received it")
    passphrase = steward_logs_in(page, federation, first)
    expect(page.get_by_role("heading", name="Waiting for your decision")).to_be_visible()
    page.screenshot(path=artifacts / "datasite-queue.png", full_page=True)
    page.get_by_role("link", name=purpose).click()
    expect(page.get_by_test_id("status")).to_have_text("under review")
    page.screenshot(path=artifacts / "datasite-request.png", full_page=True)
    page.fill("#passphrase", "not the passphrase")
    page.get_by_role("button", name="Approve for one run").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    expect(page.get_by_test_id("status")).to_have_text("under review")
    page.fill("#passphrase", passphrase)
    page.get_by_role("button", name="Approve for one run").click()
    expect(page.get_by_test_id("status")).to_have_text("approved")
    federation.review(second, "reject", request, "--reason", "We have been asked this before.")
    assert federation.wait_until_ended(request)["status"] == "rejected"
    log_in(page, federation, f"owner-{others[0]}", "%2Fservices%2Ffederation%2F")
    page.get_by_role("link", name=purpose).click()
    expect(page.get_by_test_id("status")).to_have_text("rejected")
    expect(page.get_by_text("We have been asked this before.")).to_be_visible()
    assert page.locator("form, button").count() == 0, "the hub's pages are for reading"
    page.screenshot(path=artifacts / "hub-request.png", full_page=True)
    page.goto(f"{federation.service}/")
    expect(page.get_by_role("heading", name="All requests")).to_be_visible()
    page.screenshot(path=artifacts / "hub-overview.png", full_page=True)
