"""A steward's day in a real browser: read code and approve it with a condition; look at an output, redact, clear."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from support.scene import PURPOSES, Scene, scene
from support.site import PASSPHRASE, STEWARD
from synthema_core.request import Status
from synthema_core.sandbox.attacks import QUICK
from synthema_core.sandbox.choose import choose_backend
from synthema_core.sandbox.doctor import examine
from synthema_datasite.pages.app import make_pages
from synthema_datasite.service.approvals import clearances_of, reviews_of
from synthema_datasite.service.evidence import Evidence

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
WIDE, NARROW = {"width": 1400, "height": 1000}, {"width": 420, "height": 900}


@pytest.fixture
def scenery(tmp_path: Path) -> Scene:
    """With the site's own trial of the code that waits, in the sandbox that this machine offers."""
    made = scene(tmp_path)
    backend = choose_backend()
    made.here.state.keep_sandbox(backend.name)
    assert Evidence(made.here.site, backend.name, lambda _: backend).turn() == 0.0
    return made


@pytest.fixture
def address(scenery: Scene) -> Iterator[str]:
    """The page, served over a real socket."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    quickly = partial(examine, attacks=QUICK)
    app = make_pages(scenery.here.site, scenery.here.reviewing, secure=False, examine=quickly)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()
    app.state.pages.examination.wait(60)


@pytest.fixture
def troubles(page: Page) -> list[str]:
    """What the browser refused: anything that the Content-Security-Policy forbids is said there."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def log_in(page: Page, address: str) -> None:
    page.goto(address)
    page.fill("#steward", STEWARD)
    page.fill("#passphrase", PASSPHRASE)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Waiting for your decision")).to_be_visible()


def test_a_steward_reads_and_approves_with_a_condition(
    page: Page, address: str, scenery: Scene, troubles: list[str], artifacts: Path
) -> None:
    log_in(page, address)
    page.screenshot(path=artifacts / "review-queue.png", full_page=True)
    page.get_by_role("link", name=PURPOSES["second"]).click()
    expect(page.get_by_test_id("status")).to_have_text("under review")
    expect(page.get_by_role("heading", name="What changed")).to_be_visible()
    page.get_by_role("link", name="helpers/scores.py, line 3").click()
    expect(page.locator("tr:target")).to_contain_text("import os")
    expect(page.locator("#evidence")).to_contain_text("60")
    page.screenshot(path=artifacts / "review-code.png", full_page=True)
    page.get_by_label("End the approval after").fill("7")
    page.get_by_role("checkbox", name="risk").check()
    page.fill("#passphrase", PASSPHRASE)
    page.get_by_role("button", name="Approve for one run").click()
    expect(page.get_by_test_id("status")).to_have_text("approved")
    (review,) = reviews_of(scenery.here.record("second"))
    assert (review.without, review.expires_at[:10]) == (("risk",), "2026-03-09")
    expect(page.get_by_role("button", name="Take the approval back")).to_be_visible()
    assert not troubles


def test_a_steward_asks_from_a_folded_form(page: Page, address: str, scenery: Scene, troubles: list[str]) -> None:
    log_in(page, address)
    page.get_by_role("link", name=PURPOSES["second"]).click()
    page.get_by_text("Ask the researcher").click()
    page.fill("#question", "Is <b>age</b> needed?")
    page.fill("#passphrase-ask", PASSPHRASE)
    page.get_by_role("button", name="Send the question").click()
    expect(page.locator("#thread")).to_contain_text("Is <b>age</b> needed?")
    assert scenery.here.record("second").request.status is Status.UNDER_REVIEW
    assert not troubles


def test_a_steward_looks_redacts_and_clears(
    page: Page, address: str, scenery: Scene, troubles: list[str], artifacts: Path
) -> None:
    log_in(page, address)
    page.get_by_role("link", name=PURPOSES["table"]).click()
    expect(page.get_by_role("heading", name="What the checks noticed")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Leave out oldest")).to_be_checked()
    page.get_by_role("checkbox", name="Leave out deaths[1,3]").check()
    suggested = page.locator('input[name="redacted"]:checked').evaluate_all("boxes => boxes.map(box => box.value)")
    page.get_by_text("Show 12 characters").click()
    expect(page.locator("pre.log")).to_contain_text("patients 80")
    page.screenshot(path=artifacts / "release.png", full_page=True)
    page.fill("#passphrase", "not the passphrase")
    page.get_by_role("button", name="Clear it").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    expect(page.get_by_role("checkbox", name="Leave out deaths[1,3]")).to_be_checked()
    troubles.clear()  # the browser tells of the status 400
    page.fill("#passphrase", PASSPHRASE)
    page.get_by_role("button", name="Clear it").click()
    expect(page.get_by_test_id("status")).to_have_text("cleared")
    (clearance,) = clearances_of(scenery.here.record("table"))
    assert list(clearance.redacted) == suggested
    assert {"oldest", "deaths[1,3]"} <= set(suggested)
    assert not troubles


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_fits_its_window(
    browser: Browser, address: str, artifacts: Path, scheme: str, size: dict[str, int], request: pytest.FixtureRequest
) -> None:
    """Nothing is cut off or has to be scrolled sideways; and text is told from its ground."""
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    log_in(page, address)
    for path in ("", "requests/second", "requests/table/output", "ledger", "requests/second/trail", "policy"):
        page.goto(f"{address}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
        faint = page.evaluate(_FAINT)
        assert not faint, (path, faint[:5])
        page.screenshot(path=artifacts / f"page-{path.replace('/', '-') or 'queue'}-{request.node.callspec.id}.png")
    context.close()


_FAINT = """
() => {
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = text => text.match(/[0-9.]+/g).map(Number);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest('.hidden, .skip, .gone') || !element.checkVisibility()) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const where = `${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}`;
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${where}`);
  }
  return faint;
}
"""
"""Text with less contrast than WCAG's AA asks."""
