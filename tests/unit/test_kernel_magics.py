"""%fed in a real IPython shell, against a federation inside the test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from support.builders import SITES
from support.federation import RESEARCHER, FakeFederation
from support.notebook import Notebook, opened
from synthema_core.errors import NotFound, Refused, RoundFailed, Unavailable
from synthema_kernel.complaint import FederationError
from synthema_kernel.magics import FederationMagics
from synthema_kernel.session import Session
from synthema_kernel.shown import Shown
from synthema_kernel.widgets.tracker import Tracker

HISTOGRAM = 'run histogram --dataset trial --column arm --purpose "How many?" '
KM = 'kaplan-meier --dataset trial --time days --event died --group arm --step 100 --purpose "Does arm B live longer?"'


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    with opened(FakeFederation()) as made:
        yield made


def test_sites_and_catalogue_are_shown(notebook: Notebook) -> None:
    assert all(site in notebook.fed("sites") for site in SITES)
    assert "A small trial" in notebook.fed("catalogue")
    text = notebook.fed("catalogue trial")
    assert "a = Arm A" in text
    assert "0 to 1000" in text
    assert "min patients" in text
    assert "text/html" in notebook.displayed[0]


def test_plan_tries_on_mocks_and_submits_nothing(notebook: Notebook) -> None:
    text = notebook.fed(f"plan {KM} -o mine")
    assert "Tried on mock data" in text
    assert "at least 5 patients and 3 sites" in text
    assert notebook.federation.records == {}
    assert isinstance(notebook.variable("mine"), Shown)


def test_plan_says_how_wide_intervals_would_be(notebook: Notebook) -> None:
    text = notebook.fed("plan histogram --dataset trial --column arm --purpose x --epsilon 1 --patients 100,1000")
    assert "To expect, of invented patients: the 95 % interval of a count" in text
    assert "1,000" in text and "epsilon 3" in text and "Nothing was submitted." in text


def test_run_rehearses_submits_and_returns_at_once(notebook: Notebook) -> None:
    text = notebook.fed(f"run {KM} --name survival")
    assert "Submitted 'survival'" in text
    (record,) = notebook.federation.records.values()
    assert record.plan.requester == RESEARCHER
    assert record.plan.purpose == "Does arm B live longer?"
    assert record.plan.sites == tuple(sorted(SITES))
    assert record.name == "survival"


def test_a_request_that_replaces_another_names_its_plan(notebook: Notebook) -> None:
    notebook.fed(f"run {KM} --name first")
    notebook.fed(f"run {KM} --name second --supersedes first")
    first, second = notebook.federation.records.values()
    assert second.plan.supersedes == first.plan.digest
    with pytest.raises(FederationError, match="no request 'unknown'"):
        notebook.fed(f"run {KM} --supersedes unknown")


def test_a_private_question_carries_its_cost(notebook: Notebook) -> None:
    notebook.fed('run histogram --dataset trial --column arm --epsilon 0.5 --delta 1e-7 --purpose "How many?"')
    (record,) = notebook.federation.records.values()
    assert record.plan.privacy is not None
    assert (record.plan.privacy.epsilon, record.plan.privacy.delta) == (0.5, 1e-7)
    assert record.name == "histogram-trial"


def test_a_private_question_says_whom_its_noise_counts_on_and_how_much_there_is(notebook: Notebook) -> None:
    """At epsilon 1 a part is 4.53 / sqrt(3 - 1) patients; three sites add one each."""
    asked = 'histogram --dataset trial --column arm --purpose "How many?"'
    text = notebook.fed(f"plan {asked}")
    assert "epsilon 1, delta 1e-06" in text
    assert "standard deviation 5.55 with all 3 sites; 1 site may know their own part" in text
    assert "standard deviation 4.53 with all 3 sites\n" in notebook.fed(f"plan {asked} --insiders 0").replace("  ", "")
    notebook.fed(f"run {asked} --standard-error 5.56 --insiders 0 --name few")
    notebook.fed("resubmit few --standard-error 20")
    first, second = (record.plan.privacy for record in notebook.federation.records.values())
    assert first is not None
    assert second is not None
    assert (first.insiders, second.insiders) == (0, 0)
    assert 0.8 < first.epsilon < 0.85
    assert 0.2 < second.epsilon < 0.25
    assert "Noise" not in notebook.fed(f"plan {KM}")


def test_how_many_may_be_insiders_is_asked_anew_with_other_sites(notebook: Notebook) -> None:
    """A single site is nobody's insider; the one of three must not stay."""
    notebook.fed(f"{HISTOGRAM} --name arms")
    notebook.fed("resubmit arms --sites alder")
    first, second = (record.plan for record in notebook.federation.records.values())
    assert first.privacy is not None
    assert second.privacy is not None
    assert (first.privacy.insiders, second.privacy.insiders) == (1, 0)
    assert "all of it from one site" in notebook.fed(
        "plan histogram --dataset trial --column arm --sites alder --purpose x"
    )


def test_variables_are_filled_in_as_ipython_does(notebook: Notebook) -> None:
    notebook.shell.user_ns.update(data="trial", cost=0.25)
    cell = '%fed run histogram --dataset $data --epsilon {cost * 2} \\\n    --column arm --purpose "How many?"'
    notebook.shell.run_cell(cell).raise_error()
    (record,) = notebook.federation.records.values()
    assert record.plan.privacy is not None
    assert record.plan.privacy.epsilon == 0.5


def test_status_shows_verdicts_and_reasons(notebook: Notebook) -> None:
    assert "You have no request yet" in notebook.fed("status")
    notebook.fed(f"run {KM} --name survival")
    assert "0 of 3 approved" in notebook.fed("status")
    notebook.federation.reject("r1", "The purpose is too broad.")
    text = notebook.fed("status survival")
    assert "survival: rejected" in text
    assert "The purpose is too broad." in text


def test_the_newest_request_of_a_name_is_meant_and_the_last_one_without_a_name(notebook: Notebook) -> None:
    for _ in range(2):
        notebook.fed(f"run {KM} --name survival")
    notebook.fed(f"run {KM} --name other")
    assert notebook.session.identifier("survival") == "r2"
    assert notebook.session.identifier() == "r3"
    later = Session(notebook.session.client)
    assert (later.identifier("survival"), later.identifier("r1"), later.identifier()) == ("r2", "r1", "r3")


def test_result_is_kept_shown_and_a_frame(notebook: Notebook) -> None:
    notebook.fed(f"run {KM}")
    notebook.federation.run_to_release("r1")
    text = notebook.fed("result kaplan-meier-trial -o km")
    assert "Arm A" in text
    assert "no formal guarantee" in text
    assert set(notebook.displayed[0]) == {"text/html", "image/svg+xml", "text/plain"}
    frame = notebook.variable("km").to_frame()
    assert set(frame.arm) == {"a", "b"}
    assert frame.survival.between(0, 1).all()


def test_follow_with_wait_prints_each_change_once_and_returns_at_the_release(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.fed(f"run {KM} --name survival")
    fake = notebook.federation
    fake.script = [lambda: fake.approve("r1"), lambda: fake.start("r1"), lambda: None, lambda: fake.release("r1")]
    notebook.fed("follow survival --wait 30")
    assert capsys.readouterr().out.splitlines() == [
        "survival: submitted, 0 of 3 sites have approved",
        "survival: approved",
        "survival: running, Round 1 of at most 12",
        "survival: released",
    ]


def test_waiting_ends_with_what_ended_the_request(notebook: Notebook) -> None:
    fake = notebook.federation
    notebook.fed(f"run {KM} --name one")
    fake.script = [lambda: fake.reject("r1", "Too broad.")]
    with pytest.raises(FederationError, match=r"rejected by birch: Too broad\. Nothing ran") as caught:
        notebook.fed("follow one --wait 30")
    assert isinstance(caught.value.__cause__, Refused)
    notebook.fed(f"run {KM} --name two")
    fake.approve("r2")
    fake.start("r2")
    fake.script = [lambda: fake.fail("r2", RoundFailed("A site went away.", "Submit it again."))]
    with pytest.raises(FederationError, match="A site went away") as caught:
        notebook.fed("follow two --wait 30")
    assert isinstance(caught.value.__cause__, RoundFailed)
    with pytest.raises(FederationError, match="A site went away"):
        notebook.fed("result two")


def test_waiting_too_long_says_that_it_goes_on(notebook: Notebook) -> None:
    notebook.fed(f"run {KM} --name survival")
    with pytest.raises(FederationError, match=r"has not ended within 0\.2 seconds: it is submitted") as caught:
        notebook.fed("follow survival --wait 0.2")
    assert isinstance(caught.value.__cause__, Unavailable)


def test_follow_returns_a_tracker_that_reaches_released_by_itself(notebook: Notebook) -> None:
    notebook.fed(f"run {KM} --name survival")
    fake = notebook.federation
    fake.breaks = 1
    fake.script = [lambda: fake.approve("r1"), lambda: fake.start("r1"), lambda: fake.release("r1")]
    seen: list[tuple[str, str]] = []
    notebook.session.identifier("survival")
    tracker = _follow(notebook, seen)
    assert tracker.view["status"] == "released"
    assert tracker.connection == "ended"
    assert "lost" in [connection for _, connection in seen]
    assert [status for status, _ in dict.fromkeys(seen)][-1] == "released"
    assert "plan" not in tracker.view


def _follow(notebook: Notebook, seen: list[tuple[str, str]]) -> Tracker:
    from synthema_kernel.widgets.tracker import Follower

    tracker = Tracker(view=notebook.federation.view("r1"))
    tracker.observe(lambda _: seen.append((tracker.view["status"], tracker.connection)), ["view", "connection"])
    follower = Follower(notebook.session.client, "r1", tracker)
    follower.start()
    follower.join(20)
    assert not follower.is_alive()
    return tracker


def test_follow_shows_a_live_tracker_without_blocking(notebook: Notebook) -> None:
    notebook.fed(f"run {KM} --name survival")
    notebook.federation.run_to_release("r1")
    text = notebook.fed("follow survival -o watch")
    assert text == "survival: released (a live tracker: open the notebook to see it move)"
    assert "application/vnd.jupyter.widget-view+json" in notebook.displayed[0]
    assert isinstance(notebook.variable("watch"), Tracker)


def test_a_tracker_tells_of_an_error_and_raises_nothing(notebook: Notebook) -> None:
    from synthema_kernel.widgets.tracker import Follower

    notebook.fed(f"run {KM} --name survival")
    tracker = Tracker(view=notebook.federation.view("r1"))
    notebook.federation.records.clear()
    follower = Follower(notebook.session.client, "r1", tracker)
    follower.run()
    assert tracker.connection == "ended"
    assert "There is no request 'r1'" in tracker.notice


def test_withdraw_takes_a_request_back(notebook: Notebook) -> None:
    notebook.fed(f"run {KM} --name survival")
    assert "survival: withdrawn" in notebook.fed("withdraw survival")
    with pytest.raises(FederationError, match="has no result: it is withdrawn"):
        notebook.fed("result survival")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("dance", "There is no '%fed dance'", "follow"),
        ("run", "needs the name of an analysis", "kaplan-meier"),
        ("run kaplan-meier --time days", "needs --dataset", "--dataset"),
        ("run kaplan-meier --dataset trial --time days --event died", "needs --purpose", "--purpose"),
        (KM.replace("trial", "nowhere").join(["run ", ""]), "No site offers a dataset 'nowhere'", "trial"),
        ("run " + KM.replace("days", "weeks"), "no column 'weeks'", "days"),
        (f"run {KM} --colour red", "no option --colour", "--step"),
        (f"run {KM} --insiders 1", "is exact", "--insiders"),
        (HISTOGRAM + "--epsilon 1 --standard-error 4", "both say how much noise", "one of them"),
        (HISTOGRAM + "--insiders 2", "0 to 1 insiders, not 2", "usual is 1"),
        (HISTOGRAM + "--standard-error few", "--standard-error takes a number above 0", "--standard-error"),
        (f"run {KM} --sites alder,birch", "at least 3 sites", "more sites"),
        (f"run {KM} --sites alder,birch,zebra", "'zebra' does not offer", "alder"),
        (f"run {KM} --name 'a b'", "cannot name a request", "letters"),
        ("run quantum --dataset trial --purpose x", "no analysis 'quantum'", "cox"),
        ("result", "You have no request yet", "%fed run"),
        ("withdraw", "needs the name of a request", "status"),
        ("sites --fast", "no option --fast", "-o"),
    ],
)
def test_bad_input_is_one_sentence_and_a_hint_and_nothing_is_submitted(
    notebook: Notebook, line: str, message: str, hint: str
) -> None:
    with pytest.raises(FederationError) as caught:
        notebook.fed(line)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert notebook.federation.records == {}


def test_the_notebook_shows_the_sentence_and_the_hint_only(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    result = notebook.shell.run_cell("%fed catalogue nowhere")
    assert isinstance(result.error_in_exec.__cause__, NotFound)
    shown = capsys.readouterr().out
    assert "No site offers a dataset 'nowhere'." in shown
    assert "Offered are trial." in shown
    assert "Traceback" not in shown


def test_help_needs_no_federation() -> None:
    def refuse() -> Session:
        raise AssertionError("help opened a session")

    shell = InteractiveShell()
    magics = FederationMagics(shell, refuse)
    magics.fed("help")
    with pytest.raises(FederationError, match="no '%fed dance'"):
        magics.fed("dance")
    shell.history_manager.end_session()


def test_every_verb_is_in_the_help() -> None:
    from synthema_kernel.commands import COMMANDS
    from synthema_kernel.manual import manual

    assert all(f"%fed {verb}" in str(manual()) for verb in COMMANDS)


HEAVY = {"anywidget", "flwr", "httpx", "ipywidgets", "nbconvert", "numpy", "pandas", "papermill", "scipy", "torch"}


def test_loading_the_extension_imports_nothing_heavy() -> None:
    program = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
before, began = set(sys.modules), time.perf_counter()
shell.run_line_magic("load_ext", "synthema_kernel")
print(time.perf_counter() - began, *(set(sys.modules) - before))
shell.history_manager.end_session()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, *loaded = done.stdout.split()
    assert "synthema_kernel.magics" in loaded
    assert not HEAVY & set(loaded)
    assert float(seconds) < 1.0
