"""What a Job's memory promises, of the fake that tests use and of the folder that a datasite has."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.sums import Remembered
from synthema_core.errors import Unavailable
from synthema_core.secure_sum import Memory
from synthema_datasite.store.job_folder import JobFolder, forget

Make = Callable[[Path], Memory]
KINDS: dict[str, Make] = {"fake": lambda _: Remembered(), "folder": lambda path: JobFolder(path / "job")}


@pytest.fixture(params=KINDS)
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Memory:
    return KINDS[request.param](tmp_path)


def test_what_was_kept_first_stays(memory: Memory) -> None:
    assert memory.recall("masked-1") is None
    assert memory.keep("masked-1", b"first") == b"first"
    assert memory.keep("masked-1", b"second") == b"first"
    assert memory.recall("masked-1") == b"first"


def test_a_name_stays_taken_when_its_content_is_let_go(memory: Memory) -> None:
    memory.keep("masked-1", b"large")
    memory.let_go("masked-1")
    assert memory.recall("masked-1") == b""
    assert memory.keep("masked-1", b"again") == b""


def test_a_folder_is_found_again_by_another_process_of_the_site(tmp_path: Path) -> None:
    JobFolder(tmp_path / "job").keep("seed", b"s" * 32)
    assert JobFolder(tmp_path / "job").recall("seed") == b"s" * 32
    (kept,) = (tmp_path / "job").iterdir()
    assert kept.name == "seed", "and nothing is left lying about"
    assert [path.stat().st_mode & 0o777 for path in (kept.parent, kept)] == [0o700, 0o600], "for nobody else to read"


def test_of_many_that_keep_at_once_one_is_first_and_all_hear_of_it(tmp_path: Path) -> None:
    """Two survivor sets, had they both been kept, would split a sum."""
    ready = threading.Barrier(8)
    folders = [JobFolder(tmp_path / "job") for _ in range(8)]
    heard: list[bytes] = []

    def keep(number: int) -> None:
        ready.wait()
        heard.append(folders[number].keep("survivors-1", f"set {number}".encode()))

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(heard)) == 1
    assert folders[0].recall("survivors-1") == heard[0]


def test_it_is_on_the_disk_before_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, and the folder in which its name stands."""
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    folder = JobFolder(tmp_path / "job")
    monkeypatch.setattr(os, "fsync", noted)
    folder.keep("masked-1", b"first")
    assert [Path(path).parent.name or path for path in synced] == ["job", tmp_path.name]


def test_whoever_finds_it_there_syncs_the_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who put it there may have been killed before that, and the answer that rests on it leaves now."""
    folder, synced = JobFolder(tmp_path / "job"), list[str]()
    folder.keep("masked-1", b"first")
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda one: (synced.append(str(Path(f"/proc/self/fd/{one}").readlink())), fsync(one))
    )
    assert folder.keep("masked-1", b"second") == b"first"
    assert str(tmp_path / "job") in synced


def test_a_folder_that_could_not_be_removed_whole_is_not_one_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JobFolder(tmp_path / "job").keep("seed", b"s" * 32)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        forget(tmp_path / "job")
    assert not (tmp_path / "job").exists()
    forget(tmp_path / "job")
    assert list(tmp_path.iterdir()) == [], "and the next time it goes"


def test_a_folder_that_is_gone_keeps_nothing(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    forget(tmp_path / "job")
    with pytest.raises(Unavailable, match="folder cannot be used"):
        folder.keep("masked-1", b"first")
    assert not (tmp_path / "job").exists()
    forget(tmp_path / "job")  # again: harmless
