"""A Budget begins anew by stewards' signatures and a reason, and by nothing else; what was spent stays in sight."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import KEYS, at, days_later
from support.pages import Browser, text_of
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.spending import POLICY, rewrite, spend, spending_site, take_in
from synthema_core.errors import (
    BudgetSpent,
    IntegrityFailure,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Refused,
    TransitionDenied,
)
from synthema_core.journal import Draft
from synthema_core.ledger import Budget, Opened
from synthema_core.renewal import Renewal
from synthema_datasite.service.allowance import reserve
from synthema_datasite.service.ledger import AGREE, RENEW, Account
from synthema_datasite.service.records import RENEWALS, charges, stewards
from synthema_datasite.service.renewals import renew, waiting
from synthema_datasite.service.stewards import add_steward

REASON = "The ethics committee agreed to a second study on 2 March."


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    """Its Budget is spent but for a rest."""
    return spent_site(tmp_path)


def spent_site(folder: Path, *, policy: str = POLICY) -> TrialSite:
    here = spending_site(folder, "[defaults.budget]\nepsilon = 1.2\n", policy=policy)
    add_steward(here.site, "otto", PASSPHRASE)
    spend(here, "r0")
    with pytest.raises(BudgetSpent):
        spend(here, "full")
    return here


def account(here: TrialSite, patients: str = "all") -> Account:
    return here.site.ledger.account(here.site.journal, here.state.policy(), patients)


def renewed(here: TrialSite, steward: str = STEWARD, reason: str = REASON, patients: str = "all") -> Renewal:
    return renew(here.site, patients, steward, PASSPHRASE, reason)


def test_a_renewal_begins_the_filter_anew_and_not_what_is_shown(here: TrialSite) -> None:
    before = account(here).standing
    renewal = renewed(here)
    assert renewal.complete
    renewal.check_signatures({STEWARD: _key(here, STEWARD)})
    after = account(here).standing
    assert (after.spent.charges, after.spent_epsilon, after.share) == (0, 0.0, 0.0)
    assert after.cumulative_epsilon == before.cumulative_epsilon > 0.9
    claim = spend(here, "r1")
    assert claim.spent is not None and claim.spent > before.cumulative_epsilon
    with pytest.raises(BudgetSpent):
        spend(here, "r2")
    assert account(here).standing.cumulative_epsilon == pytest.approx(claim.spent)
    here.site.journal.verify()


def test_limits_of_researchers_and_purposes_begin_anew_too(tmp_path: Path) -> None:
    policy = POLICY.replace("epsilon_per_researcher = 100.0", "epsilon_per_researcher = 1.0")
    here = spending_site(tmp_path, policy=policy)
    spend(here, "r0")
    with pytest.raises(BudgetSpent):
        spend(here, "r1")
    renewed(here)
    spend(here, "r2")


def test_the_budget_that_begins_is_the_policys_of_today(here: TrialSite) -> None:
    rewrite(here, "[defaults.budget]\nepsilon = 5.0\ndelta = 1e-5\n")
    assert account(here).standing.budget == Budget(1.2, 1e-6)
    assert renewed(here).opened == Opened.of(Budget(5.0, 1e-5))
    assert account(here).standing.budget == Budget(5.0, 1e-5)
    rewrite(here, "[defaults.budget]\nepsilon = 50.0\n")
    assert account(here).standing.budget == Budget(5.0, 1e-6)


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_a_renewal_needs_a_reason(here: TrialSite, reason: str) -> None:
    head = here.site.journal.head()
    with pytest.raises(InvalidInput, match="reason"):
        renewed(here, reason=reason)
    assert here.site.journal.head() == head


@pytest.mark.parametrize(("steward", "passphrase"), [(STEWARD, "wrong horse battery"), ("eve", PASSPHRASE)])
def test_a_renewal_needs_a_stewards_passphrase(here: TrialSite, steward: str, passphrase: str) -> None:
    head = here.site.journal.head()
    with pytest.raises(NotAuthenticated):
        renew(here.site, "all", steward, passphrase, REASON)
    assert here.site.journal.head() == head


def test_patients_that_nobody_names_and_budgets_that_have_not_begun_are_not_renewed(tmp_path: Path) -> None:
    here = spending_site(tmp_path)
    with pytest.raises(NotFound, match="There are all"):
        renewed(here, patients="women")
    with pytest.raises(TransitionDenied, match="Nothing was charged"):
        renewed(here)


def test_a_group_that_the_policy_splits_is_not_renewed(here: TrialSite) -> None:
    take_in(here, "other", seed=1)
    rewrite(here, '[datasets.other]\npatients = "own"\n[patients.own]\nepsilon = 1.0\n')
    with pytest.raises(Refused) as refused:
        renewed(here)
    assert refused.value.rule == "patients"


# Two stewards


TWO = POLICY + "stewards = 2\n"


@pytest.fixture
def pair(tmp_path: Path) -> TrialSite:
    here = spent_site(tmp_path)
    rewrite(here, "[defaults.budget]\nepsilon = 1.2\n", policy=TWO)
    return here


def begun(here: TrialSite) -> bool:
    return account(here).standing.spent.charges == 0


def test_where_the_policy_wants_two_both_sign_the_same(pair: TrialSite) -> None:
    first = renewed(pair)
    assert not first.complete and not begun(pair)
    assert waiting(pair.site, pair.state.policy(), account(pair)) == first
    second = renewed(pair, "otto")
    assert second.complete and begun(pair)
    assert set(second.signatures) == {STEWARD, "otto"}
    assert second.statement() == first.statement()
    assert account(pair).pending is None
    assert [entry.kind for entry in pair.site.journal.entries(RENEWALS + "all")] == [AGREE, RENEW]


def test_nobody_signs_for_two(pair: TrialSite) -> None:
    renewed(pair)
    with pytest.raises(TransitionDenied, match="has signed already"):
        renewed(pair)
    assert not begun(pair)


def test_a_colleague_signs_the_same_reason_or_none(pair: TrialSite) -> None:
    renewed(pair)
    with pytest.raises(InvalidInput, match="The ethics committee agreed"):
        renewed(pair, "otto", "I want to.")
    replaced = renewed(pair, reason="Another reason.")
    assert replaced.signatures.keys() == {STEWARD}, "whoever signed can put other words in their place"
    with pytest.raises(InvalidInput):
        renewed(pair, "otto")
    assert not begun(pair)
    assert renewed(pair, "otto", "Another reason.").complete


@pytest.mark.parametrize("overtaken", ["the policy's budget", "the policy's stewards", "a dataset", "time"])
def test_a_signature_is_for_what_was_signed(pair: TrialSite, overtaken: str) -> None:
    """Not for a larger Budget, other patients or next year."""
    renewed(pair)
    if overtaken == "the policy's budget":
        rewrite(pair, "[defaults.budget]\nepsilon = 9.0\n", policy=TWO)
    elif overtaken == "the policy's stewards":
        rewrite(pair, "[defaults.budget]\nepsilon = 1.2\n", policy=POLICY + "stewards = 3\n")
    elif overtaken == "a dataset":
        take_in(pair, "other", seed=2)
    else:
        pair.clock.now = days_later(31)
    assert waiting(pair.site, pair.state.policy(), account(pair)) is None
    again = renewed(pair, "otto")
    assert again.signatures.keys() == {"otto"}
    assert not again.complete and not begun(pair)


def test_a_renewal_signed_once_is_not_made_twice(pair: TrialSite) -> None:
    """Its signatures, copied to the end of the Journal, are for a renewal that has been."""
    renewed(pair)
    done = renewed(pair, "otto")
    forge(pair, RENEW, done)
    with pytest.raises(IntegrityFailure):
        account(pair)


# What nobody signed


def forge(here: TrialSite, kind: str, renewal: Renewal, **changes: Any) -> None:
    """What somebody could do who writes to the journal but has no steward's passphrase."""
    with here.site.journal.writing() as journal:
        journal.append(Draft(RENEWALS + "all", kind, STEWARD, at(), {**renewal.to_dict(), **changes}))


def asked(here: TrialSite, **changes: Any) -> Renewal:
    parts: dict[str, Any] = {
        "site": "alder",
        "patients": "all",
        "number": 1,
        "datasets": ("trial",),
        "opened": Opened.of(Budget(1.2, 1e-6)),
        "reason": REASON,
        "decided_at": at(),
    }
    return Renewal(**{**parts, **changes})


def _key(here: TrialSite, steward: str) -> str:
    return stewards(here.site.journal)[steward]


def test_a_renewal_without_the_stewards_signature_stops_the_ledger(here: TrialSite) -> None:
    forged = asked(here).signed(STEWARD, KEYS["birch"])
    forge(here, RENEW, forged)
    with pytest.raises(IntegrityFailure):
        account(here)
    with pytest.raises(IntegrityFailure):
        spend(here, "r9")


@pytest.mark.parametrize("steward", ["eve", "hub"])
def test_nor_does_that_of_somebody_else_count(here: TrialSite, steward: str) -> None:
    forge(here, RENEW, asked(here).signed(steward, KEYS["birch"]))
    with pytest.raises(IntegrityFailure, match="not a steward"):
        account(here)


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "Another."},
        {"number": 2},
        {"patients": "own"},
        {"site": "birch"},
        {"datasets": ["trial", "other"]},
        {"stewards_needed": 0},
        {"opened": Opened.of(Budget(90.0, 1e-6)).to_dict()},
        {"opened": {**Opened.of(Budget(1.2, 1e-6)).to_dict(), "ceiling": 99.0}},
        {"signatures": {}},
        {"decided_at": "2027-01-01T00:00:00.000Z"},
    ],
)
def test_a_signature_covers_every_word(here: TrialSite, changes: dict[str, Any]) -> None:
    key = here.state.unlock(STEWARD, PASSPHRASE)
    forge(here, RENEW, asked(here).signed(STEWARD, key), **changes)
    with pytest.raises(IntegrityFailure):
        account(here)


def test_one_of_two_signatures_does_not_renew(pair: TrialSite) -> None:
    key = pair.state.unlock(STEWARD, PASSPHRASE)
    forge(pair, RENEW, asked(pair, stewards_needed=2).signed(STEWARD, key))
    with pytest.raises(IntegrityFailure, match="lacks a steward"):
        account(pair)


def test_a_renewal_frees_what_it_names_and_nothing_else(here: TrialSite) -> None:
    """Not another group; and a Dataset that is moved into the renewed one brings what was spent on it."""
    own = '[datasets.other]\npatients = "own"\n[patients.own]\nepsilon = 1.2\n'
    rewrite(here, f"[defaults.budget]\nepsilon = 1.2\n{own}")
    take_in(here, "other", seed=2)
    (first,) = charges(here.site.journal, "trial")
    with here.site.journal.writing() as journal:
        reserve(here.site, journal, replace(first, request="r1", job="j1", dataset="other"))
    renewed(here)
    assert begun(here)
    assert account(here, "own").standing.spent.charges == 1
    rewrite(here, "[defaults.budget]\nepsilon = 1.2\n")
    moved = account(here).standing
    assert (moved.spent.charges, moved.ever.charges) == (1, 2)
    renewed(here)
    assert account(here).standing.spent.charges == 0, "which the next one names"


# Where it is seen


def test_a_renewal_comes_back_from_the_journal(pair: TrialSite) -> None:
    renewal = renewed(pair)
    assert Renewal.from_dict(json.loads(json.dumps(renewal.to_dict()))) == renewal


def test_it_is_on_the_ledger_page_and_in_the_trail(pair: TrialSite) -> None:
    browser = Browser(pair)
    browser.login()
    renewed(pair, reason="<b>Why</b>")
    waits = browser.get("/ledger").text
    assert "maria signed that this budget begins anew" in text_of(waits)
    assert "&lt;b&gt;Why" in waits and "<b>Why" not in waits
    renewed(pair, "otto", "<b>Why</b>")
    said = text_of(browser.get("/ledger").text)
    assert "epsilon 1.2, by maria and otto: &lt;b&gt;Why" in said
    assert "Renewed by maria and otto" in said
    assert "signed that this budget begins anew" not in said
    trail = text_of(browser.get("/requests/r0/trail").text)
    assert "renew renewal" in trail and "agree renewal" in trail
