"""%fed budget, what a planned question would leave, and answers that are there already: in a real IPython shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from support.budgets import BUDGET, charge, told
from support.builders import SITES, plan
from support.federation import RESEARCHER, FakeFederation, release_of
from support.notebook import Notebook, opened
from synthema_core.ledger import Standing
from synthema_core.release import Release
from synthema_kernel import provenance
from synthema_kernel.complaint import FederationError
from synthema_kernel.result import Result

COUNT = 'histogram --dataset trial --column arm --purpose "How many in each arm?"'
KM = 'kaplan-meier --dataset trial --time days --event died --step 100 --purpose "Does arm B live longer?"'
MODEL = 'diffprivlib --model pca --columns days,age --epsilon 0.5 --dataset trial --purpose "How do they vary?"'
MARKUP = "<script>alert('x')</script>\x1b[2J"


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    with opened(FakeFederation()) as made:
        yield made


def tell(notebook: Notebook, **charges: Any) -> None:
    """Each site tells where its Budget stands; `charges` are (request, epsilon, requester) lists by site."""
    for site in SITES:
        made = [charge(*one) for one in charges.get(site, [])]
        notebook.federation.budgets.append((site, told(*made, promised=0.05)))


def answered(notebook: Notebook, line: str = COUNT) -> str:
    notebook.fed(f"run {line}")
    request = next(reversed(notebook.federation.records))
    notebook.federation.run_to_release(request)
    return request


# Answers that are there already.


@pytest.mark.parametrize("line", [COUNT, KM], ids=["private", "exact"])
def test_a_question_that_was_answered_shows_its_answer_and_submits_nothing(notebook: Notebook, line: str) -> None:
    answered(notebook, line)
    text = notebook.fed(f"run {line} -o found")
    assert len(notebook.federation.records) == 1
    assert "at no new cost, and nothing was submitted. --again asks anew." in text
    assert isinstance(notebook.variable("found"), Result)
    assert "at no new cost" in notebook.html
    assert "<svg" in notebook.html


def test_the_shown_answer_is_the_last_request(notebook: Notebook) -> None:
    first = answered(notebook)
    notebook.fed(f"run {KM} --name other")
    notebook.fed(f"run {COUNT} --name mine")
    assert notebook.session.identifier() == first
    assert notebook.session.identifier("mine") == first


def test_in_other_words_it_is_the_same_question(notebook: Notebook) -> None:
    answered(notebook)
    assert "at no new cost" in notebook.fed(f"run {COUNT.replace('How many in each arm?', 'Arms, once more')}")


@pytest.mark.parametrize("more", ["--again", "--epsilon 0.5", "--confidence 0.9", "--sites alder,birch,cedar --again"])
def test_what_is_asked_anew_or_otherwise_is_submitted(notebook: Notebook, more: str) -> None:
    answered(notebook)
    assert "Submitted" in notebook.fed(f"run {COUNT} {more}")
    assert len(notebook.federation.records) == 2


def test_a_request_that_is_not_answered_yet_is_no_answer(notebook: Notebook) -> None:
    notebook.fed(f"run {COUNT}")
    assert "Submitted" in notebook.fed(f"run {COUNT} --name second")


def test_resubmitting_an_answered_question_needs_again(notebook: Notebook) -> None:
    answered(notebook)
    assert "at no new cost" in notebook.fed("resubmit histogram-trial")
    assert "Submitted" in notebook.fed("resubmit histogram-trial --again")


def test_a_dry_run_submits_nothing_and_shows_no_answer(notebook: Notebook) -> None:
    answered(notebook)
    assert "Nothing was submitted." in notebook.fed(f"run {COUNT} --dry-run")
    assert len(notebook.federation.records) == 1


# Budgets.


def test_the_budget_shows_each_site_with_ones_own_and_others_apart(notebook: Notebook) -> None:
    mine = answered(notebook)
    tell(notebook, alder=[(mine, 1.0, RESEARCHER), ("theirs", 1.5, "john")], birch=[(mine, 1.0, RESEARCHER)])
    text = notebook.fed("budget")
    for site in SITES:
        assert f"{site} (trial)" in text
    assert "1 request of others" in text
    assert "Your charges since the last renewal" in text
    assert "How many in each arm?" in text
    assert "alder, birch" in text
    assert "john" not in text, "others' charges are one sum"
    standing = Standing.of(BUDGET, [charge(mine, 1.0, RESEARCHER), charge("theirs", 1.5, "john")])
    assert f"{standing.spent_epsilon:.3g}" in text
    assert "0.998" in text, "what the charge of epsilon 1 comes to, rounded up to a noise of three digits"
    ElementTree.fromstring(notebook.html.replace("&nbsp;", " "))


def test_one_dataset_alone(notebook: Notebook) -> None:
    tell(notebook)
    notebook.federation.budgets.append(("alder", told(patients="outpatients", datasets=("clinic",))))
    assert "clinic" in notebook.fed("budget")
    assert "clinic" not in notebook.fed("budget trial")
    assert "alder, patients 'all' (trial)" in notebook.fed("budget")
    with pytest.raises(FederationError, match="No site has told a budget of a dataset 'none'"):
        notebook.fed("budget none")


def test_without_any_budget_it_says_so(notebook: Notebook) -> None:
    assert "No site has told a budget yet." in notebook.fed("budget")


def test_what_one_request_would_leave(notebook: Notebook) -> None:
    tell(notebook, alder=[("theirs", 2.8, "john")])
    text = notebook.fed("budget trial --epsilon 1.5")
    assert "alder would refuse it now: its budget has no room (budget)." in text
    assert "birch would refuse" not in text
    assert "+ this question" in text
    assert "Every site has room." in notebook.fed("budget trial --epsilon 0.2")
    with pytest.raises(FederationError, match="--delta alone"):
        notebook.fed("budget trial --delta 1e-6")


@pytest.mark.parametrize("line", [f"plan {COUNT}", f"run {COUNT} --dry-run", f"run {COUNT}"])
def test_a_planned_question_says_which_site_would_refuse_it(notebook: Notebook, line: str) -> None:
    tell(notebook, cedar=[("theirs", 2.8, "john")])
    text = notebook.fed(line)
    assert "cedar would refuse it now: its budget has no room (budget)." in text
    assert "alder would refuse" not in text


def test_a_planned_question_shows_what_it_would_leave(notebook: Notebook) -> None:
    tell(notebook, alder=[("theirs", 1.0, "john")])
    text = notebook.fed(f"plan {COUNT}")
    assert "What it would leave" in text
    row = next(line for line in text.splitlines() if line.startswith("alder "))
    assert "have room" in row
    assert "What it would leave" not in notebook.fed(f"plan {KM}"), "an exact question costs nothing"


def test_a_model_with_its_own_guarantee_says_what_it_would_leave_too(notebook: Notebook) -> None:
    tell(notebook, alder=[("theirs", 2.8, "john")])
    text = notebook.fed(f"plan {MODEL}")
    assert "alder would refuse it now: its budget has no room (budget)." in text
    assert "What it would leave" in text


def test_a_sites_limit_for_one_request_is_said_before_it_refuses(notebook: Notebook) -> None:
    tell(notebook)
    first = notebook.federation.offered[0]
    from support.builders import KEYS

    strict = replace(first, policy={**first.policy, "epsilon_per_request": 0.5}).signed(KEYS[first.site])
    notebook.federation.offered[0] = strict
    assert f"{first.site} would refuse it now: its limit for one request is lower" in notebook.fed(f"plan {COUNT}")


def test_the_gauge_offers_what_the_table_says(notebook: Notebook) -> None:
    """Each stop of the slider is what `--epsilon` of that cost shows."""
    tell(notebook, cedar=[("theirs", 2.8, "john")])
    notebook.fed("budget trial --slider -o gauge")
    gauge = notebook.variable("gauge")
    assert [site["title"] for site in gauge.sites] == [f"{site} (trial)" for site in SITES]
    assert gauge.epsilons[gauge.chosen] == 1.0
    for place, epsilon in enumerate(gauge.epsilons):
        table = notebook.fed(f"budget trial --epsilon {epsilon:g}")
        for site, told_of in zip(SITES, gauge.sites, strict=True):
            step = told_of["steps"][place]
            assert (f"{site} would refuse it now: {step['reason']}." in table) is bool(step["reason"])
            row = next(line for line in table.splitlines() if line.startswith(f"{site} ") and "(trial)" not in line)
            assert f"{step['left']:.3g}" in row
    assert "cedar (trial)" in str(gauge)
    assert "slider" in repr(gauge)


def test_a_site_that_has_told_nothing_is_not_known(notebook: Notebook) -> None:
    tell(notebook)
    del notebook.federation.budgets[0]
    assert "not known" in notebook.fed(f"plan {COUNT}")


def test_words_of_others_stay_words(notebook: Notebook) -> None:
    tell(notebook)
    notebook.federation.budgets.append((MARKUP, told(patients=MARKUP, datasets=(MARKUP,))))
    text = notebook.fed("budget")
    assert "\x1b" not in text
    assert "<script" not in notebook.html


# What a Release says of itself.


def told_by(release: Release) -> str:
    return "\n".join(
        table.text() for table in (provenance.protection(release, noise_differs=False), provenance.provenance(release))
    )


def released(**changes: Any) -> Release:
    made = release_of(plan("histogram", sites=(*SITES, "douglas")), {"kind": "histogram"})
    return replace(made, **changes)


def test_a_release_says_what_it_cost_and_what_all_have_cost() -> None:
    text = told_by(released(cumulative={"alder": 1.25, "birch": 2.5}))
    assert "standard deviation 3 in each released number" in text
    assert "epsilon 1, delta 1e-06 for one patient at one site; add or remove one patient" in text
    assert "alder 1.25, birch 2.5" in text
    assert "1 site may know or leave out their own noise" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "all 4 sites: alder, birch, cedar, douglas"),
        (
            {"missing": {"cedar": "It did not answer in time."}},
            "3 of 4 sites: alder, birch, douglas; not in the sum: cedar (It did not answer in time)",
        ),
        ({"missing": {"cedar": "Away."}, "rounds": 3}, "not in some or all rounds: cedar (Away)"),
    ],
)
def test_a_release_says_which_sites_its_sum_is_over(changes: dict[str, Any], said: str) -> None:
    release = released(**changes)
    assert said in told_by(release)
    assert said in provenance.lines(release)[1]


def test_a_stored_answer_names_the_release_it_is_from() -> None:
    assert "of release rel-0: nothing ran for this one" in told_by(released(reused_from="rel-0"))
    assert "Stored answer" not in told_by(released())
