"""The Ledger that each process keeps: at every moment what the Journal says, whoever else wrote it or took it back."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from support.builders import at
from support.charges import charges_of
from support.site import STEWARD, TrialSite
from support.spending import POLICY, approved, rewrite, spend, spending_site, take_in
from synthema_core.errors import BudgetSpent, IntegrityFailure, Refused
from synthema_core.journal import Draft
from synthema_core.ledger import Budget, Charge, Opened, Standing
from synthema_core.privacy.calibration import calibrate
from synthema_core.privacy.mechanisms import ApproximateDp, Mechanism, PureDp
from synthema_core.request import Status
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.service.allowance import reserve
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.ledger import Ledger
from synthema_datasite.service.records import BUDGETS, CHARGE, OPEN, charges
from synthema_datasite.service.site import Site


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return spending_site(tmp_path)


def standing(site: Site, patients: str = "all") -> Standing:
    return site.ledger.account(site.journal, site.state.policy(), patients).standing


def check_agrees(site: Site) -> None:
    """With the plainest reading of the whole Journal."""
    plain = Standing.of(site.state.policy().budget("trial"), charges(site.journal, "trial"))
    kept = standing(site)
    assert kept.spent.charges == plain.spent.charges
    assert kept.spent.rdp == pytest.approx(plain.spent.rdp)
    for who in {charge.requester for charge in charges(site.journal, "trial")}:
        theirs = Standing.of(plain.budget, charges_of(site.journal, "trial", who))
        look = site.ledger.look(site.journal, site.state.policy(), "trial", who, "")
        assert look.requester.rdp == pytest.approx(theirs.spent.rdp)


def charge(here: TrialSite, mechanism: Mechanism, number: int = 0, **more: Any) -> Charge:
    plan = here.plan(
        "histogram", epsilon=1.0, **{key: more.pop(key) for key in ("purpose", "requester") if key in more}
    )
    return Charge.of(mechanism, at=at(), request=f"x{number}", job=f"y{number}", plan=plan, dataset="trial", **more)


def reserved(here: TrialSite, one: Charge) -> float:
    with here.site.journal.writing() as journal:
        return reserve(here.site, journal, one)


def test_it_follows_two_processes(here: TrialSite) -> None:
    other = Site.open(here.state, here.clock)
    for number in range(3):
        spend(here, f"r{number}", 0.5)
        check_agrees(other)
        plan = approved(here, f"s{number}", 0.4, requester="otto")
        Claims(other).claim(f"job-s{number}", f"s{number}", plan.digest)
        check_agrees(here.site)
    assert standing(other).spent.charges == 6


def test_it_reads_what_it_has_read_only_once(here: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    spend(here, "r1")
    check_agrees(here.site)
    for number in range(3):
        here.submitted(here.plan(purpose=f"No charge {number}"), f"n{number}")
    seen: list[int] = []
    grown = SqliteJournal.grown

    def counted(journal: SqliteJournal, sequence: int, prefixes: Any) -> Any:
        entries = grown(journal, sequence, prefixes)
        seen.append(len(entries))
        return entries

    monkeypatch.setattr(SqliteJournal, "grown", counted)
    check_agrees(here.site)
    spend(here, "r2")
    check_agrees(here.site)
    assert sum(seen) <= 1, "the new charge, once it was there"


def test_a_charge_that_was_rolled_back_is_forgotten(here: TrialSite) -> None:
    """Also where it was seen before, and another stands in its place now."""
    spend(here, "r1")
    for put_other in (False, True):
        with pytest.raises(KeyboardInterrupt), here.site.journal.writing() as journal:
            journal.append(Draft(BUDGETS + "trial", CHARGE, "alder", at(), charge(here, PureDp(0.3)).to_dict()))
            look = here.site.ledger.look(journal, here.state.policy(), "trial", "rosalind", "")
            assert look.standing.spent.charges == 2 + put_other
            raise KeyboardInterrupt
        if put_other:
            break
        assert standing(here.site).spent.charges == 1
        reserved(here, charge(here, PureDp(0.1)))
    check_agrees(here.site)


def test_what_others_rolled_back_hides_no_charge(here: TrialSite) -> None:
    """Entries that are none of the ledger's were seen, vanished, and a charge stands in their place."""
    spend(here, "r1")
    with pytest.raises(KeyboardInterrupt), here.site.journal.writing() as journal:
        for number in range(5):
            journal.append(Draft(f"login/{number}", "login", STEWARD, at(), {}))
        here.site.ledger.look(journal, here.state.policy(), "trial", "rosalind", "")
        raise KeyboardInterrupt
    other = Site.open(here.state, here.clock)
    with other.journal.writing() as journal:
        reserve(other, journal, charge(here, PureDp(0.1)))
    check_agrees(here.site)


def test_a_charge_made_while_the_journal_is_read_counts_once(here: TrialSite) -> None:
    spend(here, "r1")
    other = Site.open(here.state, here.clock)

    class Overtaken:
        """Another process writes right after the head was looked at."""

        def __getattr__(self, name: str) -> Any:
            return getattr(here.site.journal, name)

        def head(self) -> Any:
            head = here.site.journal.head()
            with other.journal.writing() as journal:
                reserve(other, journal, charge(here, PureDp(0.1)))
            return head

    for count in (2, 3):
        seen = here.site.ledger.account(Overtaken(), here.state.policy(), "all").standing  # type: ignore[arg-type]
        assert seen.spent.charges == count
    check_agrees(here.site)


def test_a_refused_claim_leaves_no_trace(here: TrialSite) -> None:
    for number in range(6):
        spend(here, f"r{number}")
    before = here.site.journal.head()
    with pytest.raises(BudgetSpent):
        for number in range(9, 40):
            plan = approved(here, f"r{number}")
            before = here.site.journal.head()
            Claims(here.site).claim(f"job-r{number}", f"r{number}", plan.digest)
    assert here.site.journal.head() == before
    check_agrees(here.site)


def test_another_journal_in_its_place_is_read_anew(here: TrialSite, tmp_path: Path) -> None:
    here.site.journal.close()
    shutil.copytree(here.state.folder, tmp_path / "earlier")
    spend(here, "r1")
    spend(here, "r2")
    assert standing(here.site).spent.charges == 2
    earlier = SqliteJournal(tmp_path / "earlier" / "journal.sqlite")
    assert here.site.ledger.account(earlier, here.state.policy(), "all").standing.spent.charges == 0
    assert standing(here.site).spent.charges == 2


def test_threads_see_no_half_of_it(here: TrialSite) -> None:
    """Pages are read while jobs are claimed."""
    stop, wrong = threading.Event(), list[str]()

    def read() -> None:
        last = 0
        while not stop.is_set():
            count = standing(here.site).spent.charges
            if count < last:
                wrong.append(f"{count} after {last}")
            last = count
        here.site.journal.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(5):
        spend(here, f"r{number}", 0.4)
    stop.set()
    for reader in readers:
        reader.join(30)
    assert not wrong
    check_agrees(here.site)


# What is fixed when a Budget begins


def test_the_first_charge_fixes_the_budget(here: TrialSite) -> None:
    spend(here, "r1")
    opened, first = here.site.journal.entries(BUDGETS + "trial")
    assert (opened.kind, first.kind) == (OPEN, CHARGE)
    assert Opened.from_dict(opened.body) == Opened.of(Budget(3.0, 1e-6))
    spend(here, "r2")
    assert [entry.kind for entry in here.site.journal.entries(BUDGETS + "trial")] == [OPEN, CHARGE, CHARGE]


@pytest.mark.parametrize("larger", ["epsilon = 50.0", "epsilon = 50.0\ndelta = 1e-3"])
def test_a_budget_that_is_raised_in_the_policy_stays_what_it_was(here: TrialSite, larger: str) -> None:
    spend(here, "r0")
    rewrite(here, f"[defaults.budget]\n{larger}\n")
    assert standing(here.site).budget == Budget(3.0, 1e-6)
    with pytest.raises(BudgetSpent):
        for number in range(1, 40):
            spend(here, f"r{number}")
    assert standing(here.site).spent_epsilon <= 3.0


def test_a_budget_that_is_lowered_holds_at_once(here: TrialSite) -> None:
    spend(here, "r0")
    rewrite(here, "[defaults.budget]\nepsilon = 1.2\n")
    with pytest.raises(BudgetSpent):
        spend(here, "r1")
    assert standing(here.site).budget == Budget(1.2, 1e-6)
    rewrite(here, "[defaults.budget]\nepsilon = 50.0\n")
    spend(here, "r2")
    assert standing(here.site).budget == Budget(3.0, 1e-6)


def test_before_the_first_charge_the_policy_can_say_anything(here: TrialSite) -> None:
    rewrite(here, "[defaults.budget]\nepsilon = 8.0\n")
    spend(here, "r0")
    assert standing(here.site).budget == Budget(8.0, 1e-6)


def test_another_group_begins_with_no_more_than_its_datasets_had(here: TrialSite) -> None:
    """To move a Dataset to a new group is no way round a renewal: its charges and its Budget go with it."""
    spend(here, "r0")
    fresh = '[datasets.trial]\npatients = "fresh"\n[patients.fresh]\nepsilon = 50.0\n'
    rewrite(here, fresh)
    moved = standing(here.site, "fresh")
    assert (moved.spent.charges, moved.budget) == (1, Budget(3.0, 1e-6))
    with pytest.raises(BudgetSpent):
        for number in range(1, 40):
            spend(here, f"r{number}")


# Groups of patients


def test_all_versions_of_a_dataset_share_its_budget(here: TrialSite) -> None:
    spend(here, "r0")
    take_in(here, "trial", seed=2)
    assert here.site.facts(here.site.journal).datasets["trial"].version == 2
    spend(here, "r1")
    assert standing(here.site).spent.charges == 2


def test_datasets_of_one_group_share_its_budget(here: TrialSite) -> None:
    take_in(here, "other", seed=2)
    reserved(here, charge(here, calibrate(2.0, 1e-6, 1.0)))
    more = Charge.from_dict({**charge(here, calibrate(2.0, 1e-6, 1.0)).to_dict(), "dataset": "other"})
    with pytest.raises(BudgetSpent):
        for _ in range(20):
            reserved(here, more)
    total = standing(here.site)
    assert total.spent.charges == len(charges(here.site.journal, "trial")) + len(charges(here.site.journal, "other"))
    assert total.spent_epsilon <= 3.0
    assert len(charges(here.site.journal, "other")) >= 1


def test_groups_do_not_share(tmp_path: Path) -> None:
    own = '[datasets.other]\npatients = "own"\n[patients.own]\nepsilon = 1.0\n'
    here = spending_site(tmp_path, own)
    take_in(here, "other", seed=2)
    reserved(here, charge(here, calibrate(2.0, 1e-6, 1.0)))
    assert standing(here.site, "own").spent.charges == 0
    other = Charge.from_dict({**charge(here, calibrate(1.0, 1e-6, 1.0)).to_dict(), "dataset": "other"})
    reserved(here, other)
    with pytest.raises(BudgetSpent):
        reserved(here, other)


def test_a_policy_that_parts_datasets_with_common_patients_stops_charges_to_both(here: TrialSite) -> None:
    take_in(here, "other", seed=1)
    take_in(here, "third", seed=3)
    spend(here, "r0")
    rewrite(here, '[datasets.other]\npatients = "own"\n[patients.own]\nepsilon = 3.0\n')
    head = here.site.journal.head()
    for dataset in ("trial", "other"):
        one = Charge.from_dict({**charge(here, PureDp(0.1)).to_dict(), "dataset": dataset})
        with pytest.raises(Refused) as refused:
            reserved(here, one)
        assert refused.value.rule == "patients"
    assert here.site.journal.head() == head
    plan = here.plan("histogram", epsilon=0.5, purpose="Another")
    assert here.submitted(plan, "r1").request.status is Status.UNDER_REVIEW, "nor is it approved by the policy"
    reserved(here, Charge.from_dict({**charge(here, PureDp(0.1)).to_dict(), "dataset": "third"}))
    rewrite(here, "")
    reserved(here, charge(here, PureDp(0.1)))


def test_datasets_that_were_never_compared_count_as_overlapping(here: TrialSite) -> None:
    """Taken in before overlaps were recorded."""
    (entry,) = here.site.journal.entries("dataset/trial")
    body = {key: value for key, value in entry.body.items() if key != "overlaps"}
    with here.site.journal.writing() as journal:
        journal.append(Draft("dataset/older", "ingest", "engineer", at(), {**body, "name": "older"}))
    rewrite(here, '[datasets.older]\npatients = "own"\n[patients.own]\nepsilon = 3.0\n')
    with pytest.raises(Refused) as refused:
        reserved(here, charge(here, PureDp(0.1)))
    assert refused.value.rule == "patients"


# Limits for some


def test_a_purpose_has_a_limit_of_its_own_whoever_asks(tmp_path: Path) -> None:
    here = spending_site(tmp_path)
    rewrite(here, "", policy=_limited("epsilon_per_purpose = 1.0"))
    spend(here, "r0", purpose="Do they live longer?")
    with pytest.raises(BudgetSpent) as refused:
        spend(here, "r1", purpose="  do they LIVE  longer?", requester="otto")
    assert refused.value.rule == "epsilon_per_purpose"
    spend(here, "r2", purpose="Are there more of arm B?")


def test_a_researcher_has_a_limit_of_their_own(tmp_path: Path) -> None:
    here = spending_site(tmp_path)
    rewrite(here, "", policy=_limited("epsilon_per_researcher = 1.0"))
    spend(here, "r0")
    with pytest.raises(BudgetSpent) as refused:
        spend(here, "r1")
    assert refused.value.rule == "epsilon_per_researcher"
    spend(here, "r2", requester="otto")


def _limited(limit: str) -> str:
    name = limit.split()[0]
    return "\n".join(limit if line.startswith(name) else line for line in POLICY.splitlines()) + "\n"


def test_a_reading_counts_for_its_reader_and_its_purpose_alone(tmp_path: Path) -> None:
    here = spending_site(tmp_path)
    rewrite(here, "", policy=_limited("epsilon_per_researcher = 1.0"))
    spend(here, "r0")
    before = standing(here.site)
    one = charge(here, calibrate(1.0, 1e-6, 1.0), requester="otto", reading=True)
    assert reserved(here, one) == pytest.approx(before.cumulative_epsilon)
    assert standing(here.site).spent.charges == before.spent.charges == 1
    look = here.site.ledger.look(here.site.journal, here.state.policy(), "trial", "otto", "")
    assert look.requester.charges == 1
    with pytest.raises(BudgetSpent) as refused:
        reserved(here, one)
    assert refused.value.rule == "epsilon_per_researcher"


def test_a_reading_needs_no_room_in_the_budget(here: TrialSite) -> None:
    reserved(here, charge(here, calibrate(3.0, 1e-6, 1.0)))
    one = calibrate(1.0, 1e-6, 1.0)
    with pytest.raises(BudgetSpent):
        reserved(here, charge(here, one, 1, requester="otto"))
    reserved(here, charge(here, one, 1, requester="otto", reading=True))


def test_charges_of_the_first_version_are_whose_their_requests_say(tmp_path: Path) -> None:
    """And where even the Request is not known, everybody's."""
    here = spending_site(tmp_path)
    rewrite(here, "", policy=_limited("epsilon_per_researcher = 1.0"))
    approved(here, "r0")
    for request in ("r0", "gone"):
        body = {**charge(here, calibrate(1.0, 1e-6, 1.0)).to_dict(), "request": request}
        old = {key: value for key, value in body.items() if key not in ("requester", "purpose", "reading")}
        with here.site.journal.writing() as journal:
            journal.append(Draft(BUDGETS + "trial", CHARGE, "alder", at(), old))
        counts = [
            here.site.ledger.look(here.site.journal, here.state.policy(), "trial", who, "").requester.charges
            for who in ("rosalind", "otto")
        ]
        assert counts == ([1, 0] if request == "r0" else [2, 1])


def test_own_deltas_need_a_part_of_the_budget(tmp_path: Path) -> None:
    one = ApproximateDp(0.1, 1e-7)
    here = spending_site(tmp_path / "none")
    with pytest.raises(BudgetSpent):
        reserved(here, charge(here, one))
    here = spending_site(tmp_path / "some", "[defaults.budget]\nepsilon = 3.0\nown_delta = 2e-7\n")
    for number in range(2):
        reserved(here, charge(here, one, number))
    with pytest.raises(BudgetSpent):
        reserved(here, charge(here, one, 2))


# What nobody of this site wrote


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (CHARGE, {"dataset": "other"}),
        (CHARGE, {"mechanism": {"mechanism": "pure-dp", "epsilon": -1.0}}),
        (CHARGE, {"refunded": True}),
        ("refund", {}),
    ],
)
def test_a_ledger_that_cannot_be_read_stops_the_site(here: TrialSite, kind: str, changes: dict[str, Any]) -> None:
    spend(here, "r0")
    body = {**charge(here, PureDp(0.1)).to_dict(), **changes}
    with here.site.journal.writing() as journal:
        journal.append(Draft(BUDGETS + "trial", kind, "alder", at(), body))
    for ledger in (here.site.ledger, Ledger()):
        for _ in range(2):
            with pytest.raises(IntegrityFailure):
                ledger.account(here.site.journal, here.state.policy(), "all")


def test_a_budget_is_opened_once(here: TrialSite) -> None:
    """A larger one cannot be written over it."""
    spend(here, "r0")
    with here.site.journal.writing() as journal:
        journal.append(Draft(BUDGETS + "trial", OPEN, STEWARD, at(), Opened.of(Budget(50.0, 1e-6)).to_dict()))
    with pytest.raises(IntegrityFailure):
        standing(here.site)


def test_the_claim_says_what_its_patients_have_been_charged(here: TrialSite) -> None:
    first, second = spend(here, "r0"), spend(here, "r1")
    assert first.spent is not None and second.spent is not None
    assert first.spent == pytest.approx(1.0, abs=0.01)
    assert second.spent == pytest.approx(standing(here.site).cumulative_epsilon)
