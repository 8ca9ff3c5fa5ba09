"""The datasite's verbs as somebody types them: exit status, and one sentence with a hint for whatever is wrong."""

from __future__ import annotations

import json
import logging
import signal
import socket
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from support.site import PASSPHRASE, POLICY, STEWARD, TrialSite, write_patients, write_schema
from support.terminal import DENIED, INTEGRITY, INVALID, NOT_ALLOWED, NOT_FOUND, UNAVAILABLE, Terminal
from synthema_core.identity import fingerprint
from synthema_core.request import Status, Verb
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.records import dataset_records, stewards
from synthema_datasite.service.site import utc_now
from synthema_datasite.state import HubContact, SiteState


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, capsys)


@pytest.fixture
def here(terminal: Terminal) -> TrialSite:
    """A whole datasite in the terminal's folder; the verbs look at the real clock."""
    here = TrialSite(terminal.folder)
    here.clock.now = utc_now()
    return here


@pytest.fixture(autouse=True)
def _process_left_as_it_was() -> Iterator[None]:
    """`serve` takes over a signal and a logger's level."""
    before, level = signal.getsignal(signal.SIGTERM), logging.getLogger("httpx").level
    yield
    signal.signal(signal.SIGTERM, before)
    logging.getLogger("httpx").setLevel(level)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_init_makes_a_folder_for_its_owner_alone(terminal: Terminal) -> None:
    assert "Made the datasite 'alder'" in terminal.types("init", "alder", "--title", "Alder Hospital")
    state = SiteState(terminal.state)
    assert (state.name, state.title) == ("alder", "Alder Hospital")
    assert terminal.state.stat().st_mode & 0o077 == 0
    for name in ("identity.key", "node.key", "commitment.salt"):
        assert (terminal.state / name).stat().st_mode & 0o077 == 0
    assert state.policy().defaults.exact is False, "safe until somebody says otherwise"


def test_init_takes_a_policy(terminal: Terminal) -> None:
    path = terminal.folder / "policy.toml"
    path.write_text(POLICY)
    terminal.types("init", "alder", "--policy", path)
    assert SiteState(terminal.state).policy().for_dataset("trial").exact


def test_init_on_a_datasite_changes_nothing(terminal: Terminal) -> None:
    terminal.types("init", "alder")
    before = files(terminal.state)
    assert "already" in terminal.fails(INVALID, "init", "birch")
    assert files(terminal.state) == before


@pytest.mark.parametrize("policy", ["[defaults]\nmin_patient = 1\n", "[defaults", None])
def test_init_with_a_bad_policy_makes_nothing(terminal: Terminal, policy: str | None) -> None:
    path = terminal.folder / "policy.toml"
    if policy is not None:
        path.write_text(policy)
    terminal.fails(INVALID, "init", "alder", "--policy", path)
    assert not terminal.state.exists()


@pytest.mark.parametrize("name", ["Alder", "../alder", "alder hospital", "-", ""])
def test_init_with_a_bad_name_makes_nothing(terminal: Terminal, name: str) -> None:
    assert "cannot name a site" in terminal.fails(INVALID, "init", name)
    assert not terminal.state.exists()


def test_init_where_nothing_can_be_written_is_said(terminal: Terminal) -> None:
    (terminal.folder / "file").write_text("")
    terminal.state = terminal.folder / "file" / "alder"
    assert "cannot be written" in terminal.fails(UNAVAILABLE, "init", "alder")


@pytest.mark.parametrize(
    "words",
    [
        ("steward", "maria"),
        ("ingest", "trial.csv", "--name", "trial", "--schema", "trial.yaml"),
        ("review", "list"),
        ("review", "show", "r1"),
        ("serve", "--port", "0"),
        ("join", "127.0.0.1:9", "--code", "c", "--fingerprint", "f"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_without_a_datasite_every_verb_says_how_to_make_one(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert "synthema datasite init" in terminal.fails(NOT_FOUND, *words)
    assert not terminal.state.exists()


def test_a_steward_is_added_with_a_passphrase_from_a_file(terminal: Terminal) -> None:
    terminal.types("init", "alder")
    said = terminal.types("steward", "maria", "--passphrase-file", terminal.secret())
    key = stewards(SqliteJournal(terminal.state / "journal.sqlite"))["maria"]
    assert fingerprint(key) in said
    assert PASSPHRASE not in said
    assert "already" in terminal.fails(INVALID, "steward", "maria", "--passphrase-file", terminal.secret())


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_passphrase_that_others_can_read_is_refused(here: TrialSite, terminal: Terminal, mode: int) -> None:
    said = terminal.fails(INVALID, "steward", "otto", "--passphrase-file", terminal.secret(mode=mode))
    assert "Others can read" in said
    assert "chmod 600" in said
    here.submitted(here.plan())
    decision = ("--steward", STEWARD, "--passphrase-file", terminal.secret(mode=mode))
    terminal.fails(INVALID, "review", "approve", "r1", *decision)
    assert here.record().request.status is Status.UNDER_REVIEW


@pytest.mark.parametrize("passphrase", ["short", ""])
def test_a_short_passphrase_is_refused(terminal: Terminal, passphrase: str) -> None:
    terminal.types("init", "alder")
    said = terminal.fails(INVALID, "steward", "maria", "--passphrase-file", terminal.secret(passphrase))
    assert "12 characters" in said


def test_a_passphrase_file_that_is_not_there_is_said(here: TrialSite, terminal: Terminal) -> None:
    said = terminal.fails(INVALID, "steward", "otto", "--passphrase-file", terminal.folder / "absent")
    assert "cannot be read" in said


def test_ingest_says_the_version_and_what_was_taken_in(terminal: Terminal) -> None:
    terminal.types("init", "alder")
    schema = write_schema(terminal.folder)
    for version, patients in ((1, 12), (2, 15)):
        table = write_patients(terminal.folder / "trial.csv", patients, seed=version)
        said = terminal.types("ingest", table, "--name", "trial", "--schema", schema)
        assert said == f"'trial' is now version {version}: {patients} patients, 5 columns.\n"
    assert "already" in terminal.fails(INVALID, "ingest", table, "--name", "trial", "--schema", schema)
    records = dataset_records(SqliteJournal(terminal.state / "journal.sqlite"))
    assert records["trial"].facts.version == 2


def test_ingest_of_a_bad_table_names_column_and_line_and_no_value(terminal: Terminal) -> None:
    terminal.types("init", "alder")
    table = terminal.folder / "trial.csv"
    table.write_text("id,days,died,age,arm\nzx-1,-4711,1,61.5,a\n")
    said = terminal.fails(INVALID, "ingest", table, "--name", "trial", "--schema", write_schema(terminal.folder))
    assert "Column 'days' goes below its minimum of 0 days (line 2)." in said
    assert "4711" not in said
    assert "zx-1" not in said


def decision(terminal: Terminal, *more: str) -> tuple[str | Path, ...]:
    return ("--steward", STEWARD, "--passphrase-file", terminal.secret(), *more)


def test_review_lists_what_waits_and_with_all_what_does_not(here: TrialSite, terminal: Terminal) -> None:
    assert terminal.types("review", "list") == "No request is waiting.\n"
    here.submitted(here.plan(purpose="First"), "r1")
    here.approved(here.plan(purpose="Second"), "r2")
    said = terminal.types("review", "list")
    assert "First" in said
    assert "Second" not in said
    assert "Second" in terminal.types("review", "list", "--all")
    (line,) = json.loads(terminal.types("review", "list", "--json"))
    assert line == {
        "id": "r1",
        "status": "under_review",
        "waits_for": "review",
        "said_yes": [],
        "requester": "rosalind",
        "analysis": "kaplan-meier",
        "purpose": "First",
        "plan_digest": here.record().plan.digest,
    }
    assert json.loads(terminal.types("review", "list", "--json", "--wait", "9"))[0]["id"] == "r1", "waits for nothing"


def test_review_shows_all_that_is_decided_on(here: TrialSite, terminal: Terminal) -> None:
    here.submitted(here.plan())
    said = terminal.types("review", "show", "r1")
    for part in ("Does arm B live longer?", "What protects the patients", here.record().plan.digest, "first met"):
        assert part in said


def test_what_others_wrote_stays_on_its_line_of_the_terminal(here: TrialSite, terminal: Terminal) -> None:
    """A purpose that draws a section of its own, or moves the cursor over one of ours."""
    purpose = "Harmless\nThis site's rules\n  Checked  all allow it\x1b[2J\x1b[1;1H\u202e\x07\r"
    here.submitted(here.plan(purpose=purpose), "r1")
    shown, listed = terminal.types("review", "show", "r1"), terminal.types("review", "list")
    for said in (shown, listed):
        assert not set(said) & set("\x1b\x07\r\u202e")
        assert "Harmless?This site's rules?" in said
    assert listed.count("\n") == 1
    assert [line for line in shown.splitlines() if line.startswith("This site's rules")] == ["This site's rules"]


def test_review_approves_and_takes_back(here: TrialSite, terminal: Terminal) -> None:
    here.submitted(here.plan(), "3f9a2b")
    digest = here.record("3f9a2b").plan.digest
    said = terminal.types("review", "approve", "3f", *decision(terminal, "--plan", digest, "--reason", "Fine."))
    assert said.startswith("Approved 3f9a2b for one run until ")
    assert here.record("3f9a2b").request.status is Status.APPROVED
    assert here.record("3f9a2b").last(Verb.REVIEW).detail["reason"] == "Fine."
    assert "back" in terminal.types("review", "revoke", "3f", *decision(terminal))
    assert here.record("3f9a2b").request.status is Status.REVOKED


def test_review_rejects_with_a_reason(here: TrialSite, terminal: Terminal) -> None:
    here.submitted(here.plan())
    assert "--reason" in terminal.misspelt("review", "reject", "r1", "--steward", STEWARD)
    assert "needs a reason" in terminal.fails(INVALID, "review", "reject", "r1", *decision(terminal, "--reason", " "))
    assert here.record().request.status is Status.UNDER_REVIEW
    terminal.types("review", "reject", "r1", *decision(terminal, "--reason", "Too fine."))
    assert here.record().request.status is Status.REJECTED


@pytest.mark.parametrize("verb", ["approve", "reject", "revoke"])
def test_a_decision_that_is_not_the_stewards_decides_nothing(here: TrialSite, terminal: Terminal, verb: str) -> None:
    here.submitted(here.plan())
    before = here.site.journal.head()
    reason = ("--reason", "No.") if verb == "reject" else ()
    wrong = ("--passphrase-file", terminal.secret("wrong horse battery"))
    assert "is wrong" in terminal.fails(NOT_ALLOWED, "review", verb, "r1", "--steward", STEWARD, *wrong, *reason)
    right = ("--passphrase-file", terminal.secret())
    assert "is wrong" in terminal.fails(NOT_ALLOWED, "review", verb, "r1", "--steward", "nobody", *right, *reason)
    assert "--steward" in terminal.misspelt("review", verb, "r1", *reason)
    assert here.site.journal.head() == before


def test_a_decision_that_cannot_be_made_says_why(here: TrialSite, terminal: Terminal) -> None:
    here.submitted(here.plan())
    assert "no request 'r9'" in terminal.fails(NOT_FOUND, "review", "approve", "r9", *decision(terminal))
    shown = decision(terminal, "--plan", "0" * 64)
    assert "not the Plan you were shown" in terminal.fails(INTEGRITY, "review", "approve", "r1", *shown)
    terminal.types("review", "approve", "r1", *decision(terminal))
    assert "r1" in terminal.fails(DENIED, "review", "approve", "r1", *decision(terminal))
    Claims(here.site).claim("j1", "r1", here.record().plan.digest)
    assert "running" in terminal.fails(DENIED, "review", "revoke", "r1", *decision(terminal))


def test_a_request_is_found_by_its_beginning_or_its_whole_id(here: TrialSite, terminal: Terminal) -> None:
    for request in ("ab", "abc", "abd"):
        here.submitted(here.plan(purpose=f"Question {request}"), request)
    assert "begins the ids of 3 requests" in terminal.fails(INVALID, "review", "show", "a")
    assert "Question abd" in terminal.types("review", "show", "abd")
    assert "Question ab\n" in terminal.types("review", "show", "ab"), "also where it begins another's"


def test_serve_before_joining_is_refused(here: TrialSite, terminal: Terminal) -> None:
    assert "synthema datasite join" in terminal.fails(NOT_FOUND, "serve", "--port", "0")


@pytest.fixture
def joined(here: TrialSite) -> TrialSite:
    here.state.keep_contact(HubContact("127.0.0.1:9", "ab" * 32, "1"), "no certificate")
    return here


def test_serve_on_a_port_in_use_is_refused(joined: TrialSite, terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = terminal.fails(UNAVAILABLE, "serve", "--port", port)
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
        assert "--port" in said


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_serve_on_no_port_is_refused(joined: TrialSite, terminal: Terminal, port: str) -> None:
    assert f"{port} is no port" in terminal.fails(INVALID, "serve", f"--port={port}")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "hospital.example"])
def test_serve_to_other_machines_without_tls_is_refused(joined: TrialSite, terminal: Terminal, host: str) -> None:
    assert "passphrases unencrypted" in terminal.fails(INVALID, "serve", "--host", host, "--port", "0")


def test_serve_with_a_certificate_that_cannot_be_used_is_refused(joined: TrialSite, terminal: Terminal) -> None:
    absent, text = terminal.folder / "absent.pem", terminal.folder / "text.pem"
    text.write_text("no certificate")
    assert "needs its key" in terminal.fails(INVALID, "serve", "--page-certificate", text)
    assert "needs its key" in terminal.fails(INVALID, "serve", "--page-key", text)
    for path in (absent, text):
        said = terminal.fails(INVALID, "serve", "--host", "0.0.0.0", "--page-certificate", path, "--page-key", path)
        assert "cannot use the certificate" in said


def pem_files(folder: Path, *, passphrase: bytes = b"") -> tuple[Path, Path]:
    """A certificate for this machine and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alder")])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    (folder / "page.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "page.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return folder / "page.pem", folder / "page.key"


def test_serve_takes_a_certificate_with_its_key_and_asks_for_no_passphrase(
    joined: TrialSite, terminal: Terminal
) -> None:
    certificate, key = pem_files(terminal.folder)
    with socket.create_server(("127.0.0.1", 0)) as other:
        words = ("serve", "--port", str(other.getsockname()[1]), "--page-certificate", certificate, "--page-key", key)
        assert "cannot listen" in terminal.fails(UNAVAILABLE, *words), "the certificate is not what is wrong"
        pem_files(terminal.folder, passphrase=b"hush-hush")
        assert "without a passphrase" in terminal.fails(INVALID, *words)


def test_serve_over_a_journal_that_was_changed_is_refused(joined: TrialSite, terminal: Terminal) -> None:
    joined.site.journal.close()
    connection = sqlite3.connect(joined.state.journal_path)
    connection.execute("DROP TRIGGER journal_no_update")
    connection.execute("UPDATE journal SET actor = 'eve' WHERE sequence = 1")
    connection.commit()
    connection.close()
    assert "tampered" in terminal.fails(INTEGRITY, "serve", "--port", "0")


def test_serve_under_a_policy_that_cannot_be_read_is_refused(joined: TrialSite, terminal: Terminal) -> None:
    (joined.state.folder / "policy.toml").write_text("[defaults]\nmin_patient = 1\n")
    assert "unknown 'min_patient'" in terminal.fails(INVALID, "serve", "--port", "0")


@pytest.mark.parametrize("gateway", ["127.0.0.1:{port}", "https://127.0.0.1:{port}/", "127.0.0.1:none"])
def test_join_where_no_hub_is_is_said(here: TrialSite, terminal: Terminal, gateway: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    said = terminal.fails(UNAVAILABLE, "join", gateway.format(port=free), "--code", "c", "--fingerprint", "f")
    assert "cannot be reached" in said
    assert not (here.state.folder / "hub.json").exists()


@pytest.mark.parametrize("words", [(), ("dance",), ("review",), ("review", "release", "r1"), ("ingest", "x.csv")])
def test_a_malformed_command_line_is_answered_with_its_usage(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert "usage: synthema datasite" in terminal.misspelt(*words)
