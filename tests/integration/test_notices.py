"""Notices by e-mail, to a real mail server: that something waits, to whom it concerns, and nothing of what is asked."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.mail import Letters, mail_server, self_signed
from support.site import PASSPHRASE, POLICY, STEWARD, TrialSite
from support.staged import code_site, staged
from synthema_core.cli.main import main
from synthema_core.errors import InvalidInput
from synthema_core.request import Verb
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.notice_settings import FILE, NoticeSettings
from synthema_datasite.service.notices import Notices
from synthema_datasite.service.stewards import add_steward

MARIA, OTTO = "maria@hospital.example", "otto@hospital.example"
PAGE = "http://127.0.0.1:8100/"
PURPOSE = "Does arm B live longer?"


def settings(here: TrialSite, port: int, text: str = "", security: str = "none") -> None:
    whole = f"""
        host = "127.0.0.1"
        port = {port}
        security = "{security}"
        sender = "synthema@hospital.example"
        least_minutes = 10
        {text}
        [recipients]
        {STEWARD} = "{MARIA}"
        otto = "{OTTO}"
        """
    (here.state.folder / FILE).write_text(whole)


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    here = TrialSite(tmp_path)
    add_steward(here.site, "otto", PASSPHRASE)
    return here


@pytest.fixture
def letters(here: TrialSite) -> Iterator[Letters]:
    with mail_server() as (port, letters):
        settings(here, port)
        yield letters


@pytest.fixture
def notices(here: TrialSite) -> Notices:
    return Notices(here.site, PAGE)


def later(here: TrialSite) -> None:
    here.clock.now += timedelta(minutes=11)


def test_they_are_off_until_somebody_turns_them_on(here: TrialSite, notices: Notices) -> None:
    here.submitted(here.plan())
    assert notices.turn() > 1
    with mail_server() as (port, letters):
        assert letters.taken == []
        settings(here, port)
        notices.turn()
        assert {address for address, _ in letters.taken} == {MARIA, OTTO}, "what waits by then is told"


def test_a_notice_says_that_something_waits_and_nothing_of_what(
    here: TrialSite, notices: Notices, letters: Letters
) -> None:
    here.submitted(here.plan())
    notices.turn()
    text, head = letters.to(MARIA)[0], letters.taken[0][1]
    assert head["Subject"] == "Synthema at Alder Hospital: 1 request waits for you"
    assert (head["From"], head["To"]) == ("synthema@hospital.example", MARIA)
    assert head["Auto-Submitted"] == "auto-generated"
    assert "review of request r1" in text
    assert PAGE in text
    plan = here.record().plan
    whole = text + str(head)
    for secret in (PURPOSE, "rosalind", "kaplan", "survival", "days", "arm", plan.digest, "trial", OTTO, "patients"):
        assert secret not in whole, secret


def test_the_purpose_is_quoted_only_where_the_settings_say_so(here: TrialSite, notices: Notices) -> None:
    here.submitted(here.plan(purpose="Why?\r\nBcc: eve@evil.example\r\n\r\n\x1b[2JDecide at http://evil.example"))
    with mail_server() as (port, letters):
        settings(here, port, "purpose = true")
        notices.turn()
        (text,) = letters.to(MARIA)
    assert "        Why???Bcc: eve@evil.example????" in text, "on one line, as text"
    assert "\x1b" not in text
    assert {address for address, _ in letters.taken} == {MARIA, OTTO}


def test_it_is_told_once(here: TrialSite, notices: Notices, letters: Letters) -> None:
    here.submitted(here.plan())
    notices.turn()
    for _ in range(3):
        later(here)
        notices.turn()
    Notices(here.site, PAGE).turn()  # the server was started again
    assert len(letters.to(MARIA)) == 1


def test_what_comes_soon_after_is_told_together_later(here: TrialSite, notices: Notices, letters: Letters) -> None:
    here.submitted(here.plan())
    notices.turn()
    for number in (2, 3):
        here.submitted(here.plan(purpose=f"Question {number}"), f"r{number}")
        notices.turn()
    assert len(letters.to(MARIA)) == 1
    later(here)
    notices.turn()
    second = letters.to(MARIA)[1]
    assert ("r1" in second, "request r2" in second, "request r3" in second) == (False, True, True)


def test_what_was_decided_in_the_meantime_is_not_told(here: TrialSite, notices: Notices, letters: Letters) -> None:
    here.submitted(here.plan())
    here.reviewing.reject("r1", STEWARD, PASSPHRASE, "No.")
    here.submitted(here.plan(options={"time": "days", "event": "died", "step": "1"}), "r2")  # sent back by policy
    notices.turn()
    assert letters.taken == []


def test_an_answer_is_told(here: TrialSite, notices: Notices, letters: Letters) -> None:
    here.submitted(here.plan())
    notices.turn()
    later(here)
    here.reviewing.ask("r1", STEWARD, PASSPHRASE, "Why?")
    notices.turn()
    assert len(letters.to(MARIA)) == 1, "the question is the stewards' own"
    here.told(Verb.ANSWER, "r1", {"text": "Because of the donors."}, actor="rosalind")
    notices.turn()
    assert "donors" not in letters.to(MARIA)[1]


def test_who_has_signed_is_not_told_that_another_must(tmp_path: Path) -> None:
    here = TrialSite(tmp_path, policy=POLICY.replace("exact = true", "exact = true\nstewards = 2"))
    add_steward(here.site, "otto", PASSPHRASE)
    here.submitted(here.plan())
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    with mail_server() as (port, letters):
        settings(here, port)
        Notices(here.site, PAGE).turn()
        assert (len(letters.to(MARIA)), len(letters.to(OTTO))) == (0, 1)


def test_nobody_is_told_of_their_own_request(here: TrialSite, notices: Notices, letters: Letters) -> None:
    here.submitted(here.plan(requester="otto"))
    notices.turn()
    assert (len(letters.to(MARIA)), len(letters.to(OTTO))) == (1, 0)


def test_an_output_that_waits_is_told_without_its_numbers(tmp_path: Path) -> None:
    here = code_site(tmp_path)
    output = staged(here)
    with mail_server() as (port, letters):
        settings(here, port)
        notices = Notices(here.site, PAGE)
        notices.turn()
        (text,) = letters.to(MARIA)
        assert letters.to(OTTO) == [], "is no steward of this site"
        assert "release decision of request r1" in text
        assert "55.5" not in text
        assert output not in text
        later(here)
        Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=output)
        notices.turn()
        assert len(letters.to(MARIA)) == 1


def test_what_no_server_took_is_sent_again(here: TrialSite, notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    here.submitted(here.plan())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    settings(here, free)
    with caplog.at_level(logging.WARNING):
        assert notices.turn() >= 60, "a mail server that is down is not asked every second"
    assert f"The mail server 127.0.0.1:{free} did not take a notice: ConnectionRefusedError." in caplog.text
    with mail_server() as (port, letters):
        settings(here, port)
        notices.turn()
        assert len(letters.to(MARIA)) == 1


def test_an_address_that_is_refused_keeps_nothing_from_the_others(
    here: TrialSite, notices: Notices, letters: Letters, caplog: pytest.LogCaptureFixture
) -> None:
    letters.refuses.add(MARIA)
    here.submitted(here.plan())
    with caplog.at_level(logging.WARNING):
        notices.turn()
    assert len(letters.to(OTTO)) == 1
    assert "refused 1 of 2 recipients" in caplog.text
    assert MARIA not in caplog.text
    later(here)
    notices.turn()
    assert len(letters.to(OTTO)) == 1


def test_another_page_address_can_be_given(here: TrialSite, notices: Notices) -> None:
    here.submitted(here.plan())
    with mail_server() as (port, letters):
        settings(here, port, 'page = "https://data.hospital.example/"')
        notices.turn()
        assert "https://data.hospital.example/" in letters.to(MARIA)[0]
        assert PAGE not in letters.to(MARIA)[0]


# TLS and passwords


def secured(here: TrialSite, port: int, security: str, word: str = "a long password", more: str = "") -> None:
    path = here.state.folder / "mail-password"
    path.write_text(word + "\n")
    path.chmod(0o600)
    text = f'user = "synthema"\npassword_file = "mail-password"\nca_file = "mail.pem"\n{more}'
    settings(here, port, text, security)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_over_tls_with_a_login(here: TrialSite, notices: Notices, security: str) -> None:
    here.submitted(here.plan())
    certificate = self_signed(here.state.folder)
    with mail_server(security, certificate, login=security == "starttls") as (port, letters):
        secured(here, port, security) if security == "starttls" else settings(here, port, 'ca_file = "mail.pem"', "tls")
        notices.turn()
        assert len(letters.to(MARIA)) == 1
        assert letters.logins == ([("synthema", "a long password")] if security == "starttls" else [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_the_mail_servers_gets_nothing(
    here: TrialSite, notices: Notices, security: str, caplog: pytest.LogCaptureFixture
) -> None:
    here.submitted(here.plan())
    certificate = self_signed(here.state.folder, "127.0.0.9")
    with mail_server(security, certificate) as (port, letters):
        for more in ('ca_file = "mail.pem"', ""):  # of another address; of an authority that nobody knows
            settings(here, port, more, security)
            with caplog.at_level(logging.WARNING):
                notices.turn()
            assert "SSLCertVerificationError" in caplog.text
        assert letters.taken == []


def test_a_server_without_starttls_gets_neither_letter_nor_password(here: TrialSite, notices: Notices) -> None:
    """Somebody in between takes the offer of TLS out."""
    here.submitted(here.plan())
    self_signed(here.state.folder)
    with mail_server("none") as (port, letters):
        secured(here, port, "starttls")
        assert notices.turn() >= 60
        assert (letters.taken, letters.logins) == ([], [])


def test_a_wrong_password_is_said_and_not_shown(
    here: TrialSite, notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    here.submitted(here.plan())
    with mail_server("starttls", self_signed(here.state.folder), login=True) as (port, letters):
        secured(here, port, "starttls", word="a wrong password")
        with caplog.at_level(logging.WARNING):
            assert notices.turn() >= 60
    assert "SMTPAuthenticationError" in caplog.text
    assert "a wrong password" not in caplog.text
    assert letters.taken == []


def test_a_password_that_others_can_read_is_not_used(here: TrialSite, notices: Notices) -> None:
    here.submitted(here.plan())
    with mail_server("starttls", self_signed(here.state.folder), login=True) as (port, letters):
        secured(here, port, "starttls")
        (here.state.folder / "mail-password").chmod(0o644)
        with pytest.raises(InvalidInput, match="Others can read"):
            notices.turn()
        assert letters.logins == []


# Settings

GOOD = {
    "host": '"mail.example"',
    "sender": '"synthema@hospital.example"',
    "recipients": '{maria = "maria@hospital.example"}',
}


def read(folder: Path, **changes: str) -> Any:
    lines = [f"{name} = {value}" for name, value in {**GOOD, **changes}.items() if value]
    (folder / FILE).write_text("\n".join(lines))
    return NoticeSettings.read(folder)


def test_settings_are_safe_where_nothing_is_said(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.security, found.purpose, found.port, found.user) == ("starttls", False, 587, "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": ""}, "needs host"),
        ({"host": '""'}, "host and port"),
        ({"sender": ""}, "needs sender"),
        ({"recipients": ""}, "names no recipients"),
        ({"recipients": "{}"}, "names no recipients"),
        ({"recipients": '"maria@hospital.example"'}, "a table of stewards"),
        ({"recipients": "{maria = 1}"}, "a table of stewards"),
        ({"recipients": '{maria = "maria"}'}, "'maria' is no e-mail address"),
        ({"recipients": '{maria = "maria@a.example, eve@b.example"}'}, "no e-mail address"),
        ({"sender": '"a@b.example\\nBcc: eve@evil.example"'}, "no e-mail address"),
        ({"sender": '"märia@b.example"'}, "no e-mail address"),
        ({"port": "0"}, "host and port"),
        ({"port": "70000"}, "host and port"),
        ({"port": '"587"'}, "port must be a whole number"),
        ({"port": "true"}, "port must be a whole number"),
        ({"security": '"ssl"'}, "knows no security 'ssl'"),
        ({"security": "true"}, "security must be a text"),
        ({"user": '"synthema"'}, "both user and password_file"),
        ({"password_file": '"p"'}, "both user and password_file"),
        ({"user": '"s"', "password_file": '"p"', "security": '"none"'}, "password in the clear"),
        ({"purpose": '"no"'}, "purpose must be true or false"),
        ({"least_minutes": "-1"}, "least_minutes from 0"),
        ({"least_minutes": "nan"}, "least_minutes from 0"),
        ({"hosts": '"a"'}, "unknown 'hosts'"),
        ({"host": "mail"}, "is not TOML"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_understood_is_said_in_a_sentence(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(tmp_path, **changes)
    assert said in refused.value.message
    assert refused.value.message.startswith(FILE)
    assert refused.value.message.endswith(".")


def test_every_setting_is_documented() -> None:
    how_to = (Path(__file__).parents[2] / "docs" / "how-to" / "hospital-engineer.md").read_text()
    assert not [f.name for f in fields(NoticeSettings) if f"{f.name} =" not in how_to and f"[{f.name}]" not in how_to]


def test_the_verb_says_whom_they_go_to_and_tries_them(
    here: TrialSite, letters: Letters, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["datasite", "notices", "--state", str(here.state.folder)]
    assert main(words) == 0
    assert MARIA in capsys.readouterr().out
    assert letters.taken == []
    assert main([*words, "--try"]) == 0
    assert letters.taken[0][1]["Subject"] == "Synthema at Alder Hospital: notices work"
    assert {address for address, _ in letters.taken} == {MARIA, OTTO}
    (here.state.folder / FILE).unlink()
    assert main(words) == 4
    assert "Notices are off" in capsys.readouterr().err
