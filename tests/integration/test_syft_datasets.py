"""A dataset of syft comes in as a version through every check, or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml
from syft_datasets import DatasetStorage, SyftBoxConfig
from syft_datasets.dataset_storage import DatasetSourceFiles

from support.site import TrialSite, write_patients, write_schema
from support.staged import code_site
from support.syft_folders import ALIASES, OBJECT, OWNER, state_of
from support.terminal import INVALID, NOT_FOUND, UNAVAILABLE, Terminal
from synthema_datasite.service.records import dataset_records
from synthema_datasite.service.site import utc_now


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, capsys)


@pytest.fixture
def here(terminal: Terminal) -> TrialSite:
    here = code_site(terminal.folder)
    here.clock.now = utc_now()
    return here


class SyftBox:
    """A SyftBox folder with one dataset that syft's own code wrote."""

    def __init__(self, folder: Path, protocol: str = "0", table: str = "rows.csv") -> None:
        self.root, self.folder, self.table = folder / "SyftBox", folder, table
        private = write_patients(folder / "rows.csv", 30, seed=7)
        if table.endswith(".parquet"):
            rows = pyarrow.csv.read_csv(private)
            private = folder / table
            pyarrow.parquet.write_table(rows, private)
        (mock := folder / "mock.csv").write_text("this is no table, and must not be read")
        storage = DatasetStorage(config=SyftBoxConfig(syftbox_folder=self.root, email=OWNER))
        files = DatasetSourceFiles(mock=mock, private=private)
        storage.create_dataset(name="trial", source=files, protocol_versions=[protocol])
        segment = "" if protocol == "0" else f"v{protocol}"
        self.private = self.root / OWNER / "private" / "syft_datasets" / segment / "trial"
        self.public = self.root / OWNER / "public" / "syft_datasets" / segment / "trial"

    def words(self, owner: str = OWNER, name: str = "trial") -> tuple[str | Path, ...]:
        schema = write_schema(self.folder)
        return "syft", "import-dataset", self.root, "--owner", owner, "--name", name, "--schema", schema


@pytest.mark.parametrize("protocol", ["0", "1"])
@pytest.mark.parametrize("table", ["rows.csv", "rows.parquet"])
def test_a_dataset_comes_in_as_a_version(here: TrialSite, terminal: Terminal, protocol: str, table: str) -> None:
    box = SyftBox(terminal.folder, protocol, table)
    assert "'trial' is now version 2: 30 patients" in terminal.types(*box.words())
    assert "'other' is now version 1" in terminal.types(*box.words(), "--as", "other")
    assert dataset_records(here.site.journal)["trial"].facts.patients == 30
    assert not [path for path in here.state.folder.iterdir() if path.name.startswith(".syft")], "no copy is left"


def linked_table(box: SyftBox) -> None:
    table = box.private / box.table
    table.rename(box.folder / "elsewhere.csv")
    table.symlink_to(box.folder / "elsewhere.csv")


def linked_folder(box: SyftBox) -> None:
    box.private.rename(box.folder / "elsewhere")
    box.private.symlink_to(box.folder / "elsewhere")


def linked_public(box: SyftBox) -> None:
    box.public.rename(box.folder / "elsewhere")
    box.public.symlink_to(box.folder / "elsewhere")


def fifo(box: SyftBox) -> None:
    (box.private / box.table).unlink()
    os.mkfifo(box.private / box.table)


def describes(**changes: str) -> Callable[[SyftBox], None]:
    def change(box: SyftBox) -> None:
        path = box.private / "private_metadata.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))

    return change


def says(text: str) -> Callable[[SyftBox], None]:
    return lambda box: (box.public / "dataset.yaml").write_text(text) and None


SPOILT: dict[str, tuple[Callable[[SyftBox], object], str]] = {
    "the table is a link": (linked_table, "is a link"),
    "the table has another name too": (
        lambda box: (box.folder / "h").hardlink_to(box.private / box.table),
        "is a link",
    ),
    "its folder is a link": (linked_folder, "is a link or no folder"),
    "its public folder is a link": (linked_public, "is a link or no folder"),
    "two tables": (lambda box: (box.private / "b.csv").touch(), "has 2 private files"),
    "no table": (lambda box: (box.private / box.table).unlink(), "has 0 private files"),
    "a fifo": (fifo, "is no regular file"),
    "a pickle": (lambda box: (box.private / box.table).rename(box.private / "rows.pkl"), "is no table"),
    "a bad value": (lambda box: (box.private / box.table).write_text("id,days,died,age,arm\na,1,0,x,a\n"), "(line 2)"),
    "no rows": (lambda box: (box.private / box.table).write_text("id\n"), "The file rows.csv holds no patients."),
    "rows elsewhere": (describes(data_dir="/etc"), "lie outside"),
    "two halves": (describes(uid="12345678-1234-5678-1234-567812345678"), "of two datasets"),
    "a bomb": (says(ALIASES), "cannot be read"),
    "an object": (says(OBJECT), "cannot be read"),
    "nothing": (says(""), "syft cannot read"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_not_one_plain_table_is_refused(here: TrialSite, terminal: Terminal, case: str) -> None:
    box = SyftBox(terminal.folder)
    spoil, sentence = SPOILT[case]
    spoil(box)
    before = state_of(here)
    said = terminal.fails(INVALID, *box.words())
    assert sentence in said and ".syft-" not in said
    assert state_of(here) == before


def test_a_parquet_table_of_lists_is_refused(here: TrialSite, terminal: Terminal) -> None:
    box = SyftBox(terminal.folder, table="rows.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"id": [["a"]]}), box.private / box.table)
    assert "no number or text" in terminal.fails(INVALID, *box.words())
    (box.private / box.table).write_bytes(b"PAR1 and no more")
    assert "'rows.parquet' is no Parquet file." in terminal.fails(INVALID, *box.words())


def test_owner_and_name_cannot_lead_out_of_the_syftbox(here: TrialSite, terminal: Terminal) -> None:
    box = SyftBox(terminal.folder)
    for owner in ("..", f"../SyftBox/{OWNER}", f"{OWNER}/private", "a@b/..", "\x1b@c"):
        assert "is no e-mail address." in terminal.fails(INVALID, *box.words(owner=owner))
    for name in ("../trial", "none", "\x1b[2J"):
        assert "\x1b" not in terminal.fails(NOT_FOUND, *box.words(name=name))


def test_without_syft_the_verb_says_what_to_install(
    here: TrialSite, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = SyftBox(terminal.folder)
    monkeypatch.setitem(sys.modules, "syft_datasets", None)
    assert "Install synthema[syft]." in terminal.fails(UNAVAILABLE, *box.words())
