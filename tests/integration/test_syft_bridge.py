"""Requests as jobs of syft and back: what comes from there is untrusted, and an approval there is none here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import syft_crypto_python as crypto
import yaml
from IPython.utils.text import DollarFormatter

from support.builders import card
from support.code import PATIENTS
from support.site import TrialSite
from support.staged import code_site, plan_for
from support.syft_folders import ALIASES, OBJECT, OWNER, state_of
from support.terminal import INTEGRITY, INVALID, NOT_FOUND, UNAVAILABLE, Terminal
from synthema_core.cli.main import main
from synthema_core.code.questions import CodeQuestion
from synthema_core.request import Status
from synthema_core.request_record import request_ids
from synthema_datasite.service.site import utc_now
from synthema_kernel.cell import read_cell
from synthema_kernel.line import Line

STUDY = "def study(rows):\n    return {'n': 1.0}\n"


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, capsys)


@pytest.fixture
def here(terminal: Terminal) -> TrialSite:
    here = code_site(terminal.folder)
    here.clock.now = utc_now()
    return here


def test_without_syft_only_envelopes_are_missing(
    here: TrialSite, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(terminal.folder, "a@x.example")
    here.submitted(plan_for(here))
    monkeypatch.setitem(sys.modules, "syft_crypto_python", None)
    words = ("syft", "export-request", "r1", terminal.folder / "out", "--for", keys.bundle, "--identity", keys.identity)
    assert "Install synthema[syft]." in terminal.fails(UNAVAILABLE, *words)
    assert "Wrote r1" in terminal.types("syft", "export-request", "r1", terminal.folder / "job")


def test_nothing_of_syft_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys, synthema_datasite.syft_bridge; from synthema_core.cli.main import make_parser; make_parser();"
        "print([name for name in sys.modules if name.startswith('syft')])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def exported(here: TrialSite, terminal: Terminal, shape: str = "aggregate", **more: Any) -> Path:
    here.submitted(plan_for(here, shape, **more))
    folder = terminal.folder / "job"
    assert "no approval here" in terminal.types("syft", "export-request", "r1", folder)
    return folder


def imported(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert main(["datasite", "syft", "import-request", *map(str, words)]) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.isascii()
    draft: dict[str, Any] = json.loads(said.out)
    return draft


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = INVALID) -> str:
    assert main(["datasite", "syft", "import-request", *map(str, words)]) == status
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("synthema: ")
    assert not set(said.err) & set("\x1b\u202e\r") and len(said.err.splitlines()) <= 2
    return said.err


def asked(draft: dict[str, Any], folder: Path, shape: str) -> CodeQuestion:
    """What a researcher's notebook makes of the draft, with the helpers beside it."""
    for path, text in draft["helpers"].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    line, _, source = draft["cell"].partition("\n")
    question = read_cell(Line.of_cell(line.removeprefix("%%remote")), source, folder)
    made = question.ask([card("alder", policy={"code": [shape], "max_patients": PATIENTS})])
    assert isinstance(made, CodeQuestion)
    return made


@pytest.mark.parametrize("shape", ["per-patient", "per-block", "aggregate"])
def test_a_request_comes_back_as_it_was_asked(
    here: TrialSite, terminal: Terminal, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    folder = exported(here, terminal, shape)
    assert {path.name for path in folder.iterdir()} == {"code", "run.sh", "config.yaml"}, "else syft rejects it"
    assert not [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o177]
    assert subprocess.run(["sh", "run.sh"], cwd=folder, capture_output=True).returncode == 1
    assert "no approval in Synthema" in (folder / "code" / "README.md").read_text()
    draft = imported(capsys, folder)
    plan = here.record().plan
    assert (draft["name"], draft["requester"], draft["plan"]) == ("km", "rosalind", plan.digest)
    again = asked(draft, terminal.folder, shape).parameters()
    assert {**again, "capacity": 0} == {**plan.parameters, "capacity": 0}, "a hospital's capacity is its own"
    assert Line.of_cell(draft["cell"].splitlines()[0].removeprefix("%%remote")).options["purpose"] == plan.purpose


def test_syft_job_itself_reads_what_is_exported(here: TrialSite, terminal: Terminal) -> None:
    storage = pytest.importorskip("syft_job.job_storage")
    config = pytest.importorskip("syft_job.config").SyftJobConfig
    job = exported(here, terminal)
    for protocol, segment in (("0", ""), ("1", "v1")):
        inbox = terminal.folder / OWNER / "app_data" / "job" / "inbox" / "r@x.example" / segment
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / "km").symlink_to(job)
        jobs = storage.JobStorage(config(syftbox_folder=terminal.folder, current_user_email=OWNER))
        found = jobs.read_submission(storage.JobRef(OWNER, "r@x.example", "km", protocol))
        assert (found.name, found.entrypoint, found.files) == ("km", "study.py", ["README.md", "study.py"])


def test_an_export_writes_over_nothing_and_takes_code_only(here: TrialSite, terminal: Terminal) -> None:
    folder = exported(here, terminal)
    assert "already" in terminal.fails(INVALID, "syft", "export-request", "r1", folder)
    here.submitted(here.plan(), "r2")
    assert "is no code" in terminal.fails(INVALID, "syft", "export-request", "r2", terminal.folder / "new")
    assert "no request 'r9'" in terminal.fails(NOT_FOUND, "syft", "export-request", "r9", terminal.folder / "new")


def job(folder: Path, config: object = None, **files: str) -> Path:
    """A job's folder as anybody may have written it."""
    (folder / "job" / "code").mkdir(parents=True)
    text = config if isinstance(config, str) else yaml.safe_dump(config or {"name": "x", "entrypoint": "main.py"})
    (folder / "job" / "config.yaml").write_text(text)
    for name, source in (files or {"main": STUDY}).items():
        (folder / "job" / "code" / f"{name}.py").write_text(source)
    return folder / "job"


def giant(folder: Path) -> None:
    with (folder / "code" / "big.py").open("wb") as file:
        file.truncate(1 << 40)


def replaced_by_link(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "code is a link": (lambda f: (f / "code" / "a.py").symlink_to("/etc/hostname"), "'a.py' is a link"),
    "the folder of code is a link": (lambda f: replaced_by_link(f, "code"), "'code' is a link or no folder"),
    "config.yaml is a link": (lambda f: replaced_by_link(f, "config.yaml"), "'config.yaml' is a link"),
    "code has another name too": (lambda f: (f.parent / "h").hardlink_to(f / "code" / "main.py"), "is a link"),
    "code is a fifo": (lambda f: os.mkfifo(f / "code" / "a.py"), "is no regular file"),
    "config.yaml is a folder": (lambda f: ((f / "config.yaml").unlink(), (f / "config.yaml").mkdir()), "no regular"),
    "a sparse giant": (giant, "larger than"),
    "many folders": (lambda f: [(f / "code" / f"d{n}").mkdir() for n in range(101)], "more than 100 files"),
    "deep folders": (lambda f: (f / "code" / "/".join("abcdefgh")).mkdir(parents=True), "too deep"),
    "a tree of folders": (
        lambda f: [(f / "code" / f"d{n}" / f"e{m}").mkdir(parents=True) for n in range(20) for m in range(20)],
        "too large",
    ),
    "data": (lambda f: (f / "code" / "p.json").touch(), "'code/p.json' is no Python module"),
    "no text": (lambda f: (f / "code" / "main.py").write_bytes(b"\xff\xfe"), "is no UTF-8 text"),
    "no Python": (lambda f: (f / "code" / "main.py").write_bytes(b"\0" * 100), "null bytes"),
    "a name that draws": (lambda f: (f / "code" / "\x1b[2J\u202e.py").touch(), "'code/?[2J?.py' is no Python module"),
    "a name that is no text": (lambda f: Path(os.fsdecode(bytes(f / "code") + b"/\xff.py")).touch(), "code/?.py"),
    "two cells": (lambda f: (f / "code" / "study.py").touch(), "entry point is another file"),
    "no entry": (lambda f: (f / "code" / "main.py").rename(f / "code" / "other.py"), "entry point is none"),
    "a script": (lambda f: (f / "code" / "main.py").write_text("print(1)"), "is a script"),
    "a bomb": (lambda f: (f / "config.yaml").write_text(ALIASES), "config.yaml cannot be read"),
    "an object": (lambda f: (f / "config.yaml").write_text(OBJECT), "config.yaml cannot be read"),
    "nested": (lambda f: (f / "config.yaml").write_text("[" * 60_000), "config.yaml cannot be read"),
    "well nested": (
        lambda f: (f / "config.yaml").write_text("a: " + "[" * 20 + "]" * 20),
        "config.yaml cannot be read",
    ),
    "too large": (lambda f: (f / "config.yaml").write_text("#" * 64_001), "larger than 64,000 bytes"),
    "a date that is none": (lambda f: (f / "config.yaml").write_text("a: 2024-99-99"), "config.yaml cannot be read"),
    "a list": (lambda f: (f / "config.yaml").write_text("[1]"), "no Python job"),
    "a shell's": (lambda f: (f / "config.yaml").write_text("type: bash"), "no Python job"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_folder_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = job(tmp_path)
    spoil, sentence = HOSTILE[case]
    spoil(folder)
    assert sentence in refused(capsys, folder)
    assert not (tmp_path / "ran").exists()


DECLARED = {
    "outputs that are none": {"outputs": [{"name": "\x1b[2J", "shape": [], "bound": 1, "content": "numbers"}]},
    "an output of nothing": {"outputs": [7]},
    "a column that is an option": {"columns": ["a", "b --supersedes=x"]},
    "a number that is none": {"epsilon": "1 --supersedes=x"},
    "a number that is not finite": {"clip": float("inf")},
    "a huge number": {"cpu_seconds": 16**5000},
}


@pytest.mark.parametrize("case", DECLARED)
def test_a_declaration_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    config = yaml.safe_dump({"entrypoint": "main.py", "headers": {"synthema": {**DECLARED[case], "cpu_seconds": 0}}})
    if "cpu_seconds" in DECLARED[case]:
        config = config.replace("cpu_seconds: 0", f"cpu_seconds: {DECLARED[case]['cpu_seconds']:#x}")
    assert "cannot be read" in refused(capsys, job(tmp_path, config))


def test_names_cannot_become_options_expressions_or_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A notebook fills in ``$name`` and ``{expression}`` in the line of a cell: they would run in the researcher's."""
    evil = (
        "<img src=x onerror=alert(1)> {__import__('os').system('touch ran')} $HOME \\\n--supersedes=mine `id` \x1b[2J"
    )
    header = dict.fromkeys(("purpose", "dataset", "shape", "function", "requester", "plan"), evil)
    folder = job(tmp_path, {"name": evil, "entrypoint": "main.py", "headers": {"synthema": header}})
    draft = imported(capsys, folder)
    line = draft["cell"].splitlines()[0]
    for text in (line, draft["name"], draft["requester"]):
        assert not set(text) & set("{}$<>\\`\x1b&")
    assert DollarFormatter().vformat(line, (), {}) == line
    options = Line.of_cell(line.removeprefix("%%remote")).options
    assert set(options) == {"purpose", "function"} and options["function"] == "study"
    assert draft["cell"] == f"{line}\n{STUDY}" and draft["plan"] == ""
    assert shlex.split(line)[1].startswith("--purpose=img src x onerror")


def test_a_job_of_syft_alone_is_drafted_without_what_it_does_not_declare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = job(tmp_path, main="from tools import one\n" + STUDY, tools="one = 1\n")
    draft = imported(capsys, folder)
    assert draft["cell"].startswith("%%remote --helpers=tools.py --name=x --function=study\nfrom tools")
    assert draft["helpers"] == {"tools.py": "one = 1\n"}
    assert main(["datasite", "syft", "import-request", str(folder), "--to", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "study.cell").read_text() == draft["cell"]
    assert (tmp_path / "new" / "tools.py").read_text() == "one = 1\n"
    capsys.readouterr()
    assert "already" in refused(capsys, folder, "--to", tmp_path / "new")


def test_marks_of_approval_runners_and_outputs_of_syft_have_no_effect(
    here: TrialSite, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """syft-job runs what is in the folder when it is approved there: changed code, a submitter's script, twice."""
    folder = exported(here, terminal)
    plain, before = imported(capsys, folder), state_of(here)
    for mark in ("approved", "done", "running", "state.yaml"):
        (folder / mark).write_text("status: approved\napproved_by: maria\n")
    (folder / "outputs").symlink_to("/etc")
    (folder / "logs").symlink_to(here.state.folder)
    (folder / "run.sh").write_text(f"touch {terminal.folder}/ran\n")
    (folder / "run.sh").chmod(0o755)
    assert [imported(capsys, folder), imported(capsys, folder)] == [plain, plain], "two runners draft the same"
    (folder / "code" / "study.py").write_text(STUDY)
    changed = imported(capsys, folder)
    assert changed["cell"].endswith(STUDY) and changed["plan"] == plain["plan"], "what it claims, it claims"
    assert not (terminal.folder / "ran").exists()
    assert state_of(here) == before and request_ids(here.site.journal) == ["r1"]
    record = here.record()
    assert (
        record.request.status is Status.UNDER_REVIEW and "deaths" in record.plan.parameters["code"]["files"]["study.py"]
    )


class Keys:
    """A peer's keys and bundle, in the files that syft keeps and exchanges."""

    def __init__(self, folder: Path, email: str, name: str = "") -> None:
        self.email = email
        self.keys = crypto.SyftRecoveryKey.generate().derive_keys()
        self.identity, self.bundle = folder / f"{name or email}.keys", folder / f"{name or email}.json"
        self.identity.write_text(json.dumps({"email": email, "keys_jwk": self.keys.to_jwks(), "peer_bundles": {}}))
        self.identity.chmod(0o600)
        document = self.keys.to_public_bundle().to_did_document(f"did:syft:{email}")
        self.bundle.write_text(json.dumps({**document, "identity": email}))

    def seal(self, path: Path, content: bytes, to: Keys) -> Path:
        recipient = crypto.EncryptionRecipient(to.email, to.keys.to_public_bundle())
        path.write_bytes(crypto.encrypt_message(self.email, self.keys, [recipient], content))
        return path


def test_an_envelope_is_opened_for_its_recipient_from_its_sender_alone(
    here: TrialSite, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    maria, ros, eve = (Keys(terminal.folder, f"{name}@x.example") for name in ("maria", "ros", "eve"))
    false_ros = Keys(terminal.folder, ros.email, "false")
    here.submitted(plan_for(here))
    path = terminal.folder / "r1.syc"
    sealing = ("--for", ros.bundle, "--identity", maria.identity)
    assert f"sealed for {ros.email} (" in terminal.types("syft", "export-request", "r1", path, *sealing)
    assert "already" in terminal.fails(INVALID, "syft", "export-request", "r1", path, *sealing)
    assert b"deaths" not in path.read_bytes()
    opening = ("--from", maria.bundle, "--identity", ros.identity)
    assert (
        imported(capsys, path, *opening)["signed_by"]
        == f"{maria.email} ({maria.keys.to_public_bundle().identity_fingerprint()})"
    )
    for sender, recipient in ((eve, ros), (maria, eve), (maria, false_ros)):
        said = refused(capsys, path, "--from", sender.bundle, "--identity", recipient.identity, status=INTEGRITY)
        assert f"{sender.email} signed for {recipient.email}" in said
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    refused(capsys, path, *opening, status=INTEGRITY)
    path.write_bytes(b"no envelope")
    assert "no envelope" in refused(capsys, path, *opening)
    assert "Give both" in refused(capsys, path, "--from", maria.bundle)
    ros.identity.chmod(0o644)
    assert "Others can read" in refused(capsys, path, *opening)
    theirs = eve.keys.to_public_bundle().to_did_document("")["keyAgreement"][1]["publicKeyJwk"]["x"]
    document = json.loads(maria.bundle.read_text())
    document["keyAgreement"][1]["publicKeyJwk"]["x"] = theirs
    maria.bundle.write_text(json.dumps(document))
    assert "no public bundle" in refused(capsys, path, *opening), "somebody put their key into it"


def test_what_an_envelope_holds_is_as_untrusted_as_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ros = Keys(tmp_path, "ros@x.example")
    words = ("--from", ros.bundle, "--identity", ros.identity)
    for content, sentence in (
        (b"\xff", "holds no files"),
        (b"[" * 100_000, "holds no files"),
        (b'{"config.yaml": 1}', "holds no files"),
        (
            json.dumps({"config.yaml": "{}", "code/../../x.py": STUDY, "code/study.py": STUDY}).encode(),
            "cannot be a file",
        ),
        (json.dumps({"config.yaml": "{}", "code/\x1b.py": "", "code/study.py": STUDY}).encode(), "is no Python module"),
        (json.dumps({"config.yaml": ALIASES, "code/study.py": STUDY}).encode(), "cannot be read"),
    ):
        path = ros.seal(tmp_path / "e.syc", content, ros)
        assert sentence in refused(capsys, path, *words)
    marks = {"config.yaml": "{}", "code/study.py": STUDY, "approved": "", "/etc/cron.d/x": "", "run.sh": "touch ran"}
    path = ros.seal(tmp_path / "e.syc", json.dumps(marks).encode(), ros)
    assert imported(capsys, path, *words)["cell"].endswith(STUDY)
