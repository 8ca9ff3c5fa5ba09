"""The operator's verbs, as typed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from synthema_core.cli.main import main
from synthema_core.cli.processes import free_port
from synthema_core.errors import InvalidInput, Unavailable
from synthema_core.sqlite_journal import SqliteJournal
from synthema_hub.serving import choose_ports
from synthema_hub.settings import HubPorts, Settings
from synthema_hub.state import HubState


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["hub", "init", "--state", str(tmp_path / "hub"), "--host", "hub.example.org"]) == 0
    capsys.readouterr()
    return tmp_path / "hub"


def secret(path: Path, mode: int = 0o600) -> str:
    path.write_text("a long enough password\n")
    path.chmod(mode)
    return str(path)


def test_a_second_init_keeps_every_key(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["hub", "init", "--state", str(folder)]) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, folder / "signing.key", folder / "control.token"))


def test_an_invitation_prints_a_code_that_the_journal_does_not_know(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hub", "invite", "alfred", "--json", "--state", str(folder)]) == 0
    invitation = json.loads(capsys.readouterr().out)
    assert invitation["fingerprint"] == HubState(folder).certificates.fingerprint()
    entry = SqliteJournal(folder / "journal.sqlite").entries("site/alfred")[-1]
    assert entry.kind == "invite" and invitation["code"] not in json.dumps(dict(entry.body))
    assert not invitation["code"].startswith("-"), "a command line would take it for an option"


def test_accounts_are_made_from_a_file_that_only_its_owner_reads(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["hub", "account", "ada", "--group", "researcher", "--state", str(folder)]
    assert main([*words, "--password-file", secret(tmp_path / "open", 0o644)]) == 3
    assert "Others can read" in capsys.readouterr().err
    assert main([*words, "--password-file", secret(tmp_path / "closed")]) == 0


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["hub", "invite", "St. Vincent"], 3, "cannot name a site"),
        (["hub", "invite", "hub"], 3, "cannot name a site"),
    ],
)
def test_bad_input_is_a_sentence_and_a_status(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, says: str
) -> None:
    assert main([*words, "--state", str(folder)]) == status
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["invite", "alfred"], ["account", "ada", "--group", "operator"], ["serve"]])
def test_no_hub_no_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    assert main(["hub", *verb, "--state", str(tmp_path / "nowhere")]) == 4
    assert "synthema hub init" in capsys.readouterr().err


def test_a_port_in_use_is_said_before_anything_starts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["hub", "serve", "--port", port, "--state", str(folder)]) == 9
    assert f"The port {port} is not free" in capsys.readouterr().err
    assert not (folder / "logs").exists()


def test_a_hub_keeps_its_own_ports_while_they_are_free(folder: Path) -> None:
    state = HubState(folder)
    first = choose_ports(state, free_port(), free_port())
    assert len({getattr(first, name) for name in HubPorts.__slots__}) == 6
    again = choose_ports(state, first.browser, first.gateway)
    assert again == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.service))
        taken.listen()
        moved = choose_ports(state, first.browser, first.gateway)
    assert moved.service != first.service and moved.superlink == first.superlink
    with pytest.raises(Unavailable), socket.socket() as taken:
        taken.bind(("127.0.0.1", first.gateway))
        taken.listen()
        choose_ports(state, first.browser, first.gateway)


def test_settings_travel_by_the_environment(tmp_path: Path) -> None:
    settings = Settings(tmp_path, HubPorts(1, 2, 3, 4, 5, 6))
    assert Settings.from_environment(settings.to_environment()) == settings
    with pytest.raises(InvalidInput, match="not in the environment"):
        Settings.from_environment({})
    with pytest.raises(InvalidInput):
        Settings.from_environment({**settings.to_environment(), "SYNTHEMA_HUB_PORTS": "1,2"})
