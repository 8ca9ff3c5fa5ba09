"""A steward at a terminal: code to read, conditions, questions, release decisions, rules in words, the doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import SOURCE, code_site, plan_for, staged
from support.terminal import DENIED, INTEGRITY, INVALID, NOT_ALLOWED, NOT_FOUND, UNAVAILABLE, Terminal
from synthema_core.request import Status, Verb
from synthema_core.sandbox.attacks import Finding
from synthema_core.sandbox.doctor import BackendReport, Means, Report
from synthema_datasite.cli.checkup import report_text
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.log_sharing import shared_log
from synthema_datasite.service.site import utc_now
from synthema_datasite.service.stewards import add_steward

LOG = "ValueError: patient 17\n\x1b[2J<script>alert(1)</script>"


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, capsys)


@pytest.fixture
def here(terminal: Terminal) -> TrialSite:
    """A datasite that takes code, in the terminal's folder; the verbs look at the real clock."""
    here = code_site(terminal.folder)
    here.clock.now = utc_now()
    return here


def decision(terminal: Terminal, *more: str) -> tuple[str | Path, ...]:
    return ("--steward", STEWARD, "--passphrase-file", terminal.secret(), *more)


def test_list_says_what_each_request_waits_for(here: TrialSite, terminal: Terminal) -> None:
    output = staged(here, "r1")
    here.submitted(plan_for(here, purpose="Another"), "r2")
    first, second = terminal.types("review", "list").splitlines()
    assert first.split()[:4] == ["r1", "release", "decision", "rosalind"]
    assert second.split()[:3] == ["r2", "review", "rosalind"]
    lines = json.loads(terminal.types("review", "list", "--json"))
    assert [line["waits_for"] for line in lines] == ["release decision", "review"]
    assert (lines[0]["output"], lines[0]["suggestion"], "output" in lines[1]) == (output, ["deaths[1]"], False)
    (here.state.staged_folder("r1") / "output.safetensors").write_bytes(b"torn")
    (torn, _) = json.loads(terminal.types("review", "list", "--json"))
    assert torn["output"] == "", "nothing that could be released"


def test_show_prints_the_code_with_numbers_and_what_was_found_in_it(here: TrialSite, terminal: Terminal) -> None:
    source = "import socket\ndef study(rows):\n    return {'deaths': [1, 2, 3], 'mean_age': 50.0}\n"
    here.submitted(plan_for(here, source=source))
    said = terminal.types("review", "show", "r1")
    assert "  study.py\n      1! import socket\n      2" in said
    assert "study.py:1: " in said
    assert "never an identifier" in said
    assert "deaths                  3 numbers, counts of patients, each at most 1000; noise none" in said
    assert "Tried here on made-up rows\n  not yet" in said
    assert "What the code put out" not in said


def test_show_prints_what_changed_since_the_last_version(here: TrialSite, terminal: Terminal) -> None:
    here.approved(plan_for(here), "r0")
    here.submitted(plan_for(here, source=SOURCE.replace("50.0", "51.0"), purpose="Again"), "r1")
    said = terminal.types("review", "show", "r1")
    assert "approved here" in said
    assert "-     return {'deaths': [1, 2, 3], 'mean_age': 50.0}" in said
    assert "+     return {'deaths': [1, 2, 3], 'mean_age': 51.0}" in said


def test_show_prints_what_waits_with_the_checks_of_it(here: TrialSite, terminal: Terminal) -> None:
    output = staged(here, log=LOG)
    said = terminal.types("review", "show", "r1")
    for part in (output, "11 3 12", "55.5", "danger: A count of 3 is below 5.", "--redact deaths[1]", "patient 17"):
        assert part in said
    assert "\x1b" not in said


def test_code_cannot_draw_on_the_terminal(here: TrialSite, terminal: Terminal) -> None:
    """Lines that look like the site's own words, or text that is shown in another order than it runs."""
    source = SOURCE + "# \x1b[2J\x1b[1;1H\u202e\x0c\nX = '''\nThis site's rules\n  Checked    all allow it\n'''\n"
    here.submitted(plan_for(here, source=source))
    here.reviewing.ask("r1", STEWARD, PASSPHRASE, "Why?\nThis site's rules\n\x1b[2J")
    said = terminal.types("review", "show", "r1")
    assert not set(said) & set("\x1b\u202e\x0c\x07\r")
    assert [line for line in said.splitlines() if line.startswith("This site's rules")] == ["This site's rules"]


def test_approve_takes_conditions(here: TrialSite, terminal: Terminal) -> None:
    here.submitted(plan_for(here))
    words = decision(terminal, "--until-days", "2", "--without", "mean_age", "--without", "deaths[0]")
    assert terminal.types("review", "approve", "r1", *words).startswith("Approved r1 for one run until ")
    detail = here.record().last(Verb.REVIEW).detail
    assert detail["without"] == ["mean_age", "deaths[0]"]
    assert detail["expires_at"] < here.record().plan.expires_at
    assert "declares no output 'mean'" in terminal.fails(
        NOT_FOUND, "review", "approve", "r1", *decision(terminal, "--without", "mean")
    )


def test_with_two_stewards_the_first_reads_that_another_must_sign(terminal: Terminal) -> None:
    here = code_site(terminal.folder, stewards=2)
    here.clock.now = utc_now()
    add_steward(here.site, "otto", PASSPHRASE)
    here.submitted(plan_for(here))
    assert "waits for another" in terminal.types("review", "approve", "r1", *decision(terminal))
    (line,) = json.loads(terminal.types("review", "list", "--json"))
    assert line["said_yes"] == [STEWARD]
    assert "another steward" in terminal.fails(DENIED, "review", "approve", "r1", *decision(terminal))
    words = ("--steward", "otto", "--passphrase-file", terminal.secret())
    assert terminal.types("review", "approve", "r1", *words).startswith("Approved r1")


def test_ask_puts_a_question(here: TrialSite, terminal: Terminal) -> None:
    here.submitted(plan_for(here))
    assert "--text" in terminal.misspelt("review", "ask", "r1", "--steward", STEWARD)
    assert "needs a text" in terminal.fails(INVALID, "review", "ask", "r1", *decision(terminal, "--text", " "))
    terminal.types("review", "ask", "r1", *decision(terminal, "--text", "Why so early?"))
    here.told(Verb.ANSWER, "r1", {"text": "Transplant deaths."}, actor="rosalind")
    said = terminal.types("review", "show", "r1")
    assert "maria asks\n      Why so early?\n" in said
    assert "rosalind answers\n      Transplant deaths.\n" in said


def test_release_signs_for_the_output_that_was_shown(here: TrialSite, terminal: Terminal) -> None:
    output = staged(here)
    assert "--output" in terminal.misspelt("review", "release", "r1", "--steward", STEWARD)
    wrong = ("0" if output[0] != "0" else "1") + output[1:12]
    for verb, more in (("release", ()), ("withhold", ("--reason", "No."))):
        said = terminal.fails(INTEGRITY, "review", verb, "r1", *decision(terminal, "--output", wrong, *more))
        assert "not the output you were shown" in said
        said = terminal.fails(INVALID, "review", verb, "r1", *decision(terminal, "--output", output[:7], *more))
        assert "at least 8 digits" in said
    words = decision(terminal, "--output", output[:8], "--redact", "deaths[1]", "--reason", "A small cell.")
    assert "Released the output of r1" in terminal.types("review", "release", "r1", *words)
    assert here.record().request.status is Status.CLEARED
    assert here.record().last(Verb.CLEAR).detail["redacted"] == ["deaths[1]"]
    assert "waits" in terminal.fails(DENIED, "review", "release", "r1", *words)
    assert "back" in terminal.types("review", "revoke", "r1", *decision(terminal))


def test_withhold_says_why(here: TrialSite, terminal: Terminal) -> None:
    output = staged(here)
    assert "--reason" in terminal.misspelt("review", "withhold", "r1", "--steward", STEWARD, "--output", output)
    words = decision(terminal, "--output", output, "--reason", "Single patients.")
    assert "Withheld" in terminal.types("review", "withhold", "r1", *words)
    assert here.record().request.status is Status.WITHHELD


def test_share_log_lets_the_researcher_read_it(here: TrialSite, terminal: Terminal) -> None:
    here.submitted(plan_for(here, "per-patient"), "private")
    assert "guarantee" in terminal.fails(DENIED, "review", "share-log", "private", *decision(terminal))
    staged(here, log=LOG)
    terminal.types("review", "share-log", "r1", *decision(terminal))
    assert shared_log(here.site.journal, "r1") == LOG


@pytest.mark.parametrize("verb", ["approve", "ask", "reject", "revoke", "release", "withhold", "share-log"])
def test_every_decision_can_name_the_plan_and_takes_the_passphrase(
    here: TrialSite, terminal: Terminal, verb: str
) -> None:
    output = staged(here, log=LOG)
    more = {
        "ask": ("--text", "Why?"),
        "reject": ("--reason", "No."),
        "release": ("--output", output),
        "withhold": ("--output", output, "--reason", "No."),
    }.get(verb, ())
    before = here.site.journal.head()
    shown = decision(terminal, "--plan", "0" * 64, *more)
    assert "not the Plan you were shown" in terminal.fails(INTEGRITY, "review", verb, "r1", *shown)
    wrong = ("--steward", STEWARD, "--passphrase-file", terminal.secret("wrong horse battery"), *more)
    assert "is wrong" in terminal.fails(NOT_ALLOWED, "review", verb, "r1", *wrong)
    assert here.site.journal.head() == before


def test_policy_prints_every_rule_in_words(here: TrialSite, terminal: Terminal) -> None:
    said = terminal.types("review", "policy")
    assert said == terminal.types("review", "policy", "trial")
    assert "trial\n  min_patients = 5\n      With fewer than 5 patients" in said
    assert "  code = [per-patient, per-block, aggregate]\n" in said
    assert "no dataset 'other'" in terminal.fails(NOT_FOUND, "review", "policy", "other")


# The doctor


def finding(name: str, held: bool) -> Finding:
    return Finding(name, "Tries it.", "" if held else "it could")


def test_the_doctors_report_says_what_is_offered_and_what_went_through() -> None:
    machine = (Means("Landlock", True, "version 5"), Means("bubblewrap", False, "not installed"))
    backends = (
        BackendReport("bubblewrap", "bwrap is not installed.", ()),
        BackendReport("landlock", "", (finding("read a file", True), finding("open a socket", False)), ("Slow.",)),
    )
    said = "\n".join(report_text(Report(machine, backends)))
    assert "  + Landlock            version 5\n  - bubblewrap          not installed" in said
    assert "not offered: bwrap is not installed." in said
    assert "NOT offered: 1 of 2 attacks were held\n  went through: open a socket (it could)\n  note: Slow." in said
    assert said.endswith("Code runs in: nothing")


@pytest.mark.parametrize("chosen", [True, False])
def test_the_doctor_fails_where_no_sandbox_holds(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chosen: bool
) -> None:
    from synthema_core.cli.main import main

    report = Report((), (BackendReport("landlock", "", (finding("read a file", chosen),)),))
    monkeypatch.setattr("synthema_core.sandbox.doctor.examine", lambda: report)
    assert main(["datasite", "doctor"]) == (0 if chosen else UNAVAILABLE)
    assert ("no sandbox" in capsys.readouterr().err) is not chosen


def test_a_claim_after_a_release_on_the_command_line_leaves_out_what_was_redacted(
    here: TrialSite, terminal: Terminal
) -> None:
    output = staged(here, without=["mean_age"])
    terminal.types("review", "release", "r1", *decision(terminal, "--output", output, "--redact", "deaths[1]"))
    claim = Claims(here.site).claim_sum("sum", "r1", here.record().plan.digest)
    assert claim.left_out == ("mean_age", "deaths[1]")
