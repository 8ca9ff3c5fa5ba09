"""The stewards' page as a browser meets it: who may see it, what it shows, and that a login alone decides nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.builders import NOW, days_later
from support.pages import MARKUP, Browser, said_by
from support.site import PASSPHRASE, POLICY, STEWARD, TrialSite
from synthema_core.plan import Plan
from synthema_core.request import Status, Verb
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.stewards import add_steward


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    here = TrialSite(tmp_path)
    here.submitted(here.plan())
    return here


@pytest.fixture
def browser(here: TrialSite) -> Browser:
    browser = Browser(here)
    assert browser.login().status_code == 303
    return browser


def status(here: TrialSite, request: str = "r1") -> Status:
    return here.record(request).request.status


def changes_nothing(here: TrialSite, response: httpx.Response, said: str, code: int = 400) -> None:
    assert (response.status_code, said in response.text) == (code, True), response.text
    assert status(here) is Status.UNDER_REVIEW


@pytest.mark.parametrize("path", ["/", "/requests/r1", "/requests/r9"])
def test_who_is_not_logged_in_sees_the_login_and_nothing_else(here: TrialSite, path: str) -> None:
    response = Browser(here).get(path)
    assert (response.status_code, response.headers["location"], response.text) == (303, "/login", "")


@pytest.mark.parametrize("path", ["/requests/r1/verdict", "/logout"])
def test_who_is_not_logged_in_posts_nothing(here: TrialSite, path: str) -> None:
    """The right passphrase and Plan, but no Session."""
    known = Browser(here)
    known.login()
    form = {**known.form(), "verdict": "approve", "passphrase": PASSPHRASE}
    response = Browser(here).post(path, **form)
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert status(here) is Status.UNDER_REVIEW


def test_a_login_shows_what_waits(browser: Browser) -> None:
    page = browser.get("/").text
    assert "Does arm B live longer?" in page
    assert 'href="/requests/r1"' in page
    assert STEWARD in page


@pytest.mark.parametrize(
    ("steward", "passphrase"), [(STEWARD, "wrong horse battery"), ("nobody", PASSPHRASE), ("../identity", PASSPHRASE)]
)
def test_a_wrong_login_opens_no_session(here: TrialSite, steward: str, passphrase: str) -> None:
    browser = Browser(here)
    response = browser.login(steward, passphrase)
    assert response.status_code == 401
    assert "The steward or the passphrase is wrong." in response.text
    assert passphrase not in response.text
    assert browser.cookie is None
    assert browser.get("/").status_code == 303


def test_after_five_wrong_passphrases_even_the_right_one_waits(here: TrialSite) -> None:
    add_steward(here.site, "otto", PASSPHRASE)
    browser = Browser(here)
    for _ in range(5):
        assert "is wrong" in browser.login(passphrase="wrong horse battery").text
    response = browser.login()
    assert response.status_code == 401
    assert "Too many wrong passphrases. Wait five minutes." in re.sub("<[^>]+>", "", response.text)
    assert browser.login("otto").status_code == 303, "another steward is not kept out"
    here.clock.now = days_later(5.5 / 1440)
    assert browser.login().status_code == 303


def test_guessing_at_a_decision_counts_as_guessing(here: TrialSite, browser: Browser) -> None:
    for _ in range(5):
        changes_nothing(here, browser.decide("approve", passphrase="wrong horse battery"), "passphrase is wrong")
    changes_nothing(here, browser.decide("approve"), "Too many wrong passphrases.")
    here.clock.now = days_later(5.5 / 1440)
    assert browser.decide("approve").status_code == 303
    assert status(here) is Status.APPROVED


def test_a_wrong_passphrase_at_the_decision_changes_nothing(here: TrialSite, browser: Browser) -> None:
    before = here.site.journal.head()
    for verdict in ("approve", "reject", "revoke"):
        response = browser.decide(verdict, passphrase="wrong horse battery", reason="No.")
        changes_nothing(here, response, "The steward or the passphrase is wrong.")
    changes_nothing(here, browser.decide("approve", passphrase=""), "is wrong")
    assert here.site.journal.head() == before


def test_a_steward_approves_and_takes_it_back(here: TrialSite, browser: Browser) -> None:
    response = browser.decide("approve", reason="Fine.")
    assert (response.status_code, response.headers["location"]) == (303, "/requests/r1")
    assert status(here) is Status.APPROVED
    page = browser.get("/requests/r1").text
    assert "Take the approval back" in page
    assert "Approve for one run" not in page
    assert browser.decide("revoke").status_code == 303
    assert status(here) is Status.REVOKED
    assert 'name="passphrase"' not in browser.get("/requests/r1").text, "nothing is left to decide"


def test_a_rejection_needs_a_reason_and_shows_it(here: TrialSite, browser: Browser) -> None:
    for reason in ("", "   "):
        changes_nothing(here, browser.decide("reject", reason=reason), "A rejection needs a reason.")
    assert browser.decide("reject", reason="Please leave out the age.").status_code == 303
    assert status(here) is Status.REJECTED
    assert "Please leave out the age." in browser.get("/requests/r1").text


@pytest.mark.parametrize("verdict", ["", "delete", "Approve", "release"])
def test_an_unknown_verdict_decides_nothing(here: TrialSite, browser: Browser, verdict: str) -> None:
    assert browser.decide(verdict).status_code in (400, 422)
    assert status(here) is Status.UNDER_REVIEW


def test_the_form_of_another_session_is_refused(here: TrialSite, browser: Browser) -> None:
    """Also the same steward's: another site's page that makes the browser post knows no token at all."""
    another = Browser(here)
    another.login()
    token = another.form()["form_token"]
    assert token != browser.form()["form_token"]
    for offered in (token, "x", "Ümlaut"):
        changes_nothing(here, browser.decide("approve", form_token=offered), "This form was not made here.")
    assert browser.decide("approve", form_token="").status_code == 422
    assert browser.post("/logout", form_token=token).status_code == 400
    assert browser.get("/").status_code == 200, "still logged in"
    assert status(here) is Status.UNDER_REVIEW


def test_a_page_that_shows_another_plan_decides_nothing(here: TrialSite, browser: Browser) -> None:
    response = browser.decide("approve", plan_digest=here.plan(purpose="Another").digest)
    changes_nothing(here, response, "This is not the Plan you were shown.")
    assert browser.decide("approve", plan_digest="").status_code == 422, "nor one that shows none"
    assert status(here) is Status.UNDER_REVIEW


def test_a_request_that_is_not_there_is_said(browser: Browser) -> None:
    for response in (
        browser.get("/requests/r9"),
        browser.post("/requests/r9/verdict", **browser.form(), verdict="approve"),
    ):
        assert response.status_code == 404
        assert "There is no request &#39;r9&#39;." in response.text


def tainted(here: TrialSite) -> Plan:
    """A Plan whose every free text is markup."""
    return here.plan(purpose=f"Purpose {MARKUP}", requester=f"rosalind {MARKUP}")


def test_markup_in_what_others_wrote_is_shown_as_text(here: TrialSite, browser: Browser) -> None:
    here.submitted(tainted(here), "r2")
    assert status(here, "r2") is Status.UNDER_REVIEW
    browser.decide("reject", "r2", reason=f"Reason {MARKUP}")
    for path in ("/", "/requests/r2"):
        page = browser.get(path).text
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
        assert "<script" not in page
        assert "<b onclick" not in page


def test_markup_in_the_login_and_in_an_error_is_shown_as_text(here: TrialSite, browser: Browser) -> None:
    for response in (browser.get(f"/requests/{MARKUP.replace('/', '')}"), browser.decide(MARKUP)):
        assert response.status_code in (400, 404)
        assert "&lt;script&gt;" in response.text
        assert "<script" not in response.text


@pytest.mark.parametrize("path", ["/login", "/", "/requests/r1", "/requests/r9", "/nowhere"])
def test_every_answer_carries_the_headers_that_close_the_page(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers
    policy = headers["content-security-policy"]
    for rule in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    assert "script-src" not in policy, "no script at all"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/login", "/", "/requests/r1"])
def test_a_page_loads_nothing_from_elsewhere(browser: Browser, path: str) -> None:
    page = browser.get(path).text
    assert not re.findall(r"<(?:script|link|iframe|img)\b|https?://|@import|url\(", page)


@pytest.mark.parametrize("secure", [False, True])
def test_the_cookie_is_for_this_page_alone(here: TrialSite, secure: bool) -> None:
    parts = Browser(here, secure=secure).login().headers["set-cookie"].lower().split("; ")
    assert {"httponly", "samesite=strict", "path=/"} <= set(parts)
    assert ("secure" in parts) is secure
    assert not [part for part in parts if part.startswith(("domain", "expires", "max-age"))]


def test_a_session_ends_by_itself_and_by_logging_out(here: TrialSite, browser: Browser) -> None:
    cookie = browser.cookie
    assert cookie is not None
    assert browser.post("/logout", form_token=browser.form()["form_token"]).status_code == 303
    browser.cookie = cookie
    assert browser.get("/").status_code == 303, "the old cookie opens nothing"
    browser.forget()
    browser.login()
    here.clock.now = days_later(31 / 1440)
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43])
def test_a_made_up_cookie_opens_nothing(here: TrialSite, cookie: str) -> None:
    browser = Browser(here)
    browser.cookie = cookie
    assert browser.get("/").status_code == 303


def test_sessions_and_their_tokens_are_never_alike(here: TrialSite) -> None:
    browsers = [Browser(here) for _ in range(3)]
    for browser in browsers:
        browser.login()
    assert (
        len({browser.cookie for browser in browsers})
        == len({browser.form()["form_token"] for browser in browsers})
        == 3
    )


def test_a_private_request_shows_what_it_costs_and_what_is_left(here: TrialSite, browser: Browser) -> None:
    here.submitted(here.plan("histogram", epsilon=1.0, purpose="Count"), "r2")
    said = said_by(browser, "r2")
    assert said["This request"] == "epsilon 1, delta 1e-06 for one patient here"
    assert said["Spent so far"] == "epsilon 0 of 3"
    browser.decide("approve", "r2")
    Claims(here.site).claim("j2", "r2", here.record("r2").plan.digest)
    here.submitted(here.plan("histogram", epsilon=1.0, purpose="Again"), "r3")
    said = said_by(browser, "r3")
    assert said["Spent so far"].startswith(("epsilon 0.9", "epsilon 1"))
    assert said["Asked before"] == "1 time(s), word for word"


def test_an_exact_request_says_that_it_has_no_guarantee_and_which_keys_are_new(browser: Browser) -> None:
    said = said_by(browser)
    assert said["Guarantee"].startswith("none that is formal")
    assert said["alder"].endswith("this site")
    assert said["birch"].endswith("first met in this request")
    assert said["Columns read"] == "days; died"


def test_what_changed_since_the_request_it_replaces_is_shown(here: TrialSite, browser: Browser) -> None:
    old = here.record().plan
    here.submitted(here.plan(purpose="And under fifty?", supersedes=old.digest), "r2")
    assert said_by(browser, "r2")["purpose"] == "Does arm B live longer? → And under fifty?"


def test_a_request_that_todays_rules_forbid_says_so_and_cannot_be_approved(here: TrialSite, browser: Browser) -> None:
    (here.state.folder / "policy.toml").write_text(POLICY.replace("exact = true", "exact = false"))
    assert said_by(browser)["Forbidden by exact"].startswith("This site allows no exact sums")
    changes_nothing(here, browser.decide("approve"), "This site allows no exact sums")


def test_a_broken_policy_shows_no_request_and_says_why(here: TrialSite, browser: Browser) -> None:
    (here.state.folder / "policy.toml").write_text("[defaults]\nmin_patient = 1\n")
    response = browser.get("/requests/r1")
    assert response.status_code == 400
    assert "unknown &#39;min_patient&#39;" in response.text


def test_a_request_that_has_ended_offers_no_decision(here: TrialSite, browser: Browser) -> None:
    here.told(Verb.WITHDRAW, "r1", actor="rosalind")
    page = browser.get("/requests/r1").text
    assert "withdrawn" in page
    assert "/verdict" not in page


def test_the_page_counts_time_by_the_sites_clock(here: TrialSite, browser: Browser) -> None:
    assert NOW.strftime("%Y-%m-%d %H:%M UTC") in browser.get("/").text


def forms(page: str) -> list[Any]:
    return re.findall(r'<form method="([a-z]+)" action="([^"]+)"', page)


def test_every_form_posts_to_this_page(browser: Browser) -> None:
    assert set(forms(browser.get("/requests/r1").text)) == {("post", "/logout"), ("post", "/requests/r1/verdict")}
