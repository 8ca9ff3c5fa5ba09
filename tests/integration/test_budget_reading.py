"""What people read of a Budget: spent, under way, promised and left, by whom and for what; on terminal and page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import days_later
from support.charges import charges_of
from support.pages import Browser, text_of
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.spending import approved, rewrite, spend, spending_site, take_in
from support.terminal import INVALID, NOT_ALLOWED, NOT_FOUND, Terminal
from synthema_core.canonical import canonical
from synthema_core.ledger import Filter, Spent, Standing
from synthema_core.privacy.accounting import ORDERS
from synthema_core.privacy.calibration import calibrate
from synthema_core.privacy.mechanisms import ApproximateDp
from synthema_core.request import Status, Verb
from synthema_datasite.service.budget_reading import BudgetReading, pld_of, read_budgets
from synthema_datasite.service.costs import cost_of
from synthema_datasite.service.records import charges
from synthema_datasite.service.register import Register
from synthema_datasite.service.renewals import renew
from synthema_datasite.service.site import utc_now

ODD = "Is it \x1b[2Jwell?"


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    """One Job has ended, one is under way, one Request is approved, one waits."""
    here = spending_site(tmp_path)
    spend(here, "ended", 0.5)
    here.told(Verb.FAIL, "ended", {"failure": {"error": "round-failed", "message": "A site was away."}})
    spend(here, "running", 0.8, requester="otto", purpose="Who lives longer?")
    approved(here, "promised", 1.0)
    here.submitted(here.plan("cox", options={"time": "days", "event": "died", "covariates": "age"}), "waits")
    return here


def reading(here: TrialSite, patients: str = "all") -> BudgetReading:
    readings = read_budgets(here.site, Register(here.site).lines())
    return next(one for one in readings if one.patients == patients)


def test_every_part_is_told_apart(here: TrialSite) -> None:
    one = reading(here)
    assert (one.patients, one.datasets) == ("all", ("trial",))
    assert [part.count for part in (one.spent, one.reserved, one.promised)] == [1, 1, 1]
    assert one.spent.epsilon == pytest.approx(0.5, abs=0.01)
    shares = [part.share for part in (one.spent, one.reserved, one.promised)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[0] + shares[1] == pytest.approx(one.standing.share)
    assert one.spent.epsilon + one.reserved.epsilon == pytest.approx(one.standing.spent_epsilon)
    assert one.left == pytest.approx(3.0 - one.standing.spent_epsilon)


def test_parts_follow_what_happens(here: TrialSite) -> None:
    here.told(Verb.FAIL, "running", {"failure": {"error": "round-failed", "message": "A site was away."}})
    assert (reading(here).spent.count, reading(here).reserved.count, reading(here).reserved.share) == (2, 0, 0.0)
    here.reviewing.revoke("promised", STEWARD, PASSPHRASE)
    assert reading(here).promised.count == 0
    approved(here, "later")
    assert reading(here).promised.count == 1
    here.clock.now = days_later(31)
    assert reading(here).promised.count == 0, "expired, though nobody has said so yet"


def test_by_whom_and_for_what(here: TrialSite) -> None:
    spend(here, "more", 0.9, purpose=" WHO lives   longer?")
    one = reading(here)
    assert [(who.name, who.charges) for who in one.by_requester] == [("rosalind", 2), ("otto", 1)]
    assert [(what.name, what.charges) for what in one.by_purpose] == [
        (" WHO lives   longer?", 2),
        ("Does arm B live longer?", 1),
    ]
    plain = Standing.of(one.budget, charges_of(here.site.journal, "trial", "rosalind"))
    assert one.by_requester[0].epsilon == pytest.approx(plain.spent_epsilon)


def test_what_a_planned_request_would_leave(here: TrialSite) -> None:
    one, mechanism = reading(here), calibrate(1.0, 1e-6, 1.0)
    after = one.after(mechanism)
    assert after.fits
    assert after.spent == pytest.approx(one.standing.preview(mechanism))
    assert after.left == pytest.approx(3.0 - after.spent)
    standing = one.standing.plus(Spent.of(mechanism))
    for _ in range(after.more):
        standing.check_room(Spent.of(mechanism))
        standing = standing.plus(Spent.of(mechanism))
    assert not standing.has_room(Spent.of(mechanism))
    assert not one.after(calibrate(2.9, 1e-6, 1.0)).fits
    assert one.after(calibrate(2.9, 1e-6, 1.0)).left == 0


def test_the_largest_request_that_fits_is_the_largest(here: TrialSite) -> None:
    one = reading(here)
    assert 1.0 < one.left < one.largest < 3.0
    assert one.after(calibrate(one.largest * 0.99, 1e-6, 1.0)).fits
    assert not one.after(calibrate(one.largest * 1.02, 1e-6, 1.0)).fits


def test_the_cost_of_a_request_says_the_same(here: TrialSite) -> None:
    plan = here.record("promised").plan
    cost = cost_of(here.site, plan, here.site.facts(here.site.journal) and _analysis(plan))
    assert cost is not None
    after = reading(here).after(cost.mechanism)
    assert (cost.fits, cost.more) == (after.fits, after.more)
    assert (cost.after, cost.left, cost.then.share) == pytest.approx((after.spent, after.left, after.share))
    assert (cost.requester.limit, cost.purpose.limit, cost.requester.fits) == (100.0, 100.0, True)


def _analysis(plan: Any) -> Any:
    from synthema_core.analyses import from_plan

    return from_plan(plan.analysis, plan.parameters)


def test_each_group_is_read_for_itself(here: TrialSite) -> None:
    take_in(here, "other", seed=2)
    rewrite(here, '[datasets.other]\npatients = "own"\n[patients.own]\nepsilon = 1.0\ndelta = 1e-7\n')
    assert (reading(here, "own").spent.count, reading(here, "own").budget.epsilon) == (0, 1.0)
    assert reading(here).spent.count == 1


def test_a_budget_that_was_raised_says_so(here: TrialSite) -> None:
    assert not reading(here).was_raised
    rewrite(here, "[defaults.budget]\nepsilon = 9.0\n")
    one = reading(here)
    assert (one.was_raised, one.budget.epsilon, one.declared.epsilon) == (True, 3.0, 9.0)
    renew(here.site, "all", STEWARD, PASSPHRASE, "A second study.")
    one = reading(here)
    assert (one.was_raised, one.budget.epsilon, one.spent.count, len(one.renewals)) == (False, 9.0, 0, 1)
    assert one.cumulative > 0.9


def test_what_distributions_of_the_loss_say_is_shown_beside(here: TrialSite) -> None:
    """Less than Rényi's orders say, for information; nothing is decided by it."""
    one = reading(here)
    tight = pld_of(one.mechanisms, one.budget)
    assert tight is not None and 0.7 * one.cumulative < tight < one.cumulative
    assert pld_of({**one.mechanisms, ApproximateDp(0.1, 1e-6): 2}, one.budget) is None, "their deltas use it up"


# For the hub


def test_what_the_hub_is_told_is_enough_to_find_what_would_fit(here: TrialSite) -> None:
    told = json.loads(canonical(reading(here).public().to_dict()))
    standing, one = reading(here).standing, Spent.of(calibrate(1.0, 1e-6, 1.0))
    assert told["rdp"] == standing.spent.rdp.tolist()
    (limit,) = told["filters"]
    assert Filter(**limit) == standing.filters[0]
    room = told["rdp"][ORDERS.index(limit["order"])] + one.at(limit["order"]) <= limit["ceiling"]
    assert room == standing.has_room(one)
    assert set(told["requesters"]) == {"rosalind", "otto"}
    assert told["requesters"]["otto"]["rdp"] == Spent.of(charges(here.site.journal, "trial")[1].mechanism).rdp.tolist()
    assert told["spent"] + told["reserved"] + told["left"] == pytest.approx(told["epsilon"])


def test_nothing_that_the_hub_is_told_depends_on_a_row(tmp_path: Path) -> None:
    """Two hospitals whose patients differ in number and in everything say the same, to the last digit."""
    told = []
    for number, patients in enumerate((12, 300)):
        here = spending_site(tmp_path / str(number))
        take_in(here, "trial", seed=5 + number, patients=patients)
        spend(here, "r0", 0.5)
        spend(here, "r1", 0.7, requester="otto")
        told.append(canonical(reading(here).public().to_dict()))
    assert told[0] == told[1]


# On the terminal


@pytest.fixture
def terminal(here: TrialSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, capsys)


def test_show_says_it_all(here: TrialSite, terminal: Terminal) -> None:
    spend(here, "odd", 0.3, purpose=ODD)
    said = terminal.types("budget", "show")
    for words in (
        "Patients 'all': trial",
        "Budget          epsilon 3 at delta 1e-06",
        "1 charge\n",
        "2 charges, by jobs that are under way",
        "Ever spent      epsilon ",
        " by privacy loss distributions, for information",
        "rosalind",
        "Does arm B live longer?",
    ):
        assert words in said
    assert "\x1b" not in said
    bar = said.splitlines()[1].strip(" []")
    assert len(bar) == 60 and bar.strip("#=-.") == "" and {"#", "=", "."} <= set(bar)


def test_show_says_what_a_request_would_leave(here: TrialSite, terminal: Terminal) -> None:
    assert "more would fit" in terminal.types("budget", "show", "all", "--epsilon", "0.5")
    assert "there is no room for that" in terminal.types("budget", "show", "--epsilon", "2.9")


def test_show_for_programs(here: TrialSite, terminal: Terminal) -> None:
    (told,) = json.loads(terminal.types("budget", "show", "--json"))
    assert told["patients"] == "all"
    assert told["reserved"] == pytest.approx(reading(here).reserved.epsilon)
    assert "No dataset here is about" in terminal.fails(NOT_FOUND, "budget", "show", "women")


def test_renew_signs_and_says_what_begins(here: TrialSite, terminal: Terminal) -> None:
    here.clock.now = utc_now()
    who = ("--steward", STEWARD, "--passphrase-file", terminal.secret())
    assert "needs a reason" in terminal.fails(INVALID, "budget", "renew", "all", *who)
    wrong = terminal.secret("wrong horse battery", 0o400)
    reason = ("--reason", "A second study.")
    terminal.fails(NOT_ALLOWED, "budget", "renew", "all", "--steward", STEWARD, "--passphrase-file", wrong, *reason)
    said = terminal.types("budget", "renew", "all", *who, *reason)
    assert "begins anew: epsilon 3 at delta 1e-06. This is renewal 1;" in said
    assert f"epsilon 3, by {STEWARD}: A second study." in terminal.types("budget", "show")


def test_renew_waits_for_a_colleague_where_the_policy_wants_two(here: TrialSite, terminal: Terminal) -> None:
    rewrite(here, "[datasets.trial]\nstewards = 2\n")
    who = ("--steward", STEWARD, "--passphrase-file", terminal.secret())
    said = terminal.types("budget", "renew", "all", *who, "--reason", "A second study.")
    assert "waits for another, who gives the same reason" in said
    assert "waits for another steward" in terminal.types("budget", "show")


# On the page


def test_the_page_shows_the_parts(here: TrialSite) -> None:
    spend(here, "odd", 0.3, purpose="<i>Odd</i>")
    browser = Browser(here)
    browser.login()
    page = browser.get("/ledger").text
    said = text_of(page)
    one = reading(here)
    for words in (
        f"Spent {100 * one.spent.share:.0f} % epsilon {one.spent.epsilon:.3g} · 1 charge",
        f"Under way {100 * one.reserved.share:.0f} % epsilon {one.reserved.epsilon:.3g} · 2 jobs",
        f"Promised {100 * one.promised.share:.0f} % epsilon {one.promised.epsilon:.3g} · 1 approved",
        f"for one request of up to epsilon {one.largest:.3g}",
        "otto 1 0.8",
    ):
        assert words in said, words
    assert "<i>Odd" not in page
    assert page.count('<rect class="promised"') == 1
    assert here.record("promised").request.status is Status.APPROVED


def test_a_requests_page_says_what_it_would_take(here: TrialSite) -> None:
    rewrite(here, "[datasets.trial]\nauto_approve = []\n")
    approved_later = here.plan("histogram", epsilon=1.0, purpose="A third look")
    here.submitted(replace(approved_later), "third")
    browser = Browser(here)
    browser.login()
    said = text_of(browser.get("/requests/third").text)
    assert "of the group &#39;all&#39;: epsilon 3 at delta 1e-06" in said
    assert "more like this" in said
    assert "This purpose epsilon 0 so far, 1 afterwards, of 100" in said
