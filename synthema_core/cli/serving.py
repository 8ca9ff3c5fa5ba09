"""The note by which a server says that it serves, for those who wait for it: ``serving.json`` in its state folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthema_core.errors import Unavailable

_NOTE, _LOCK = "serving.json", "serving.lock"


def note_serving(folder: Path, url: str) -> None:
    """Say that this process serves `folder` at `url`. Written whole or not at all."""
    fresh = folder / f"{_NOTE}.new"
    fresh.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    fresh.replace(folder / _NOTE)


@contextmanager
def note_taken_back(folder: Path) -> Iterator[None]:
    """No note is left when the block ends, or from an earlier process when it begins.

    Raises
    ------
    Unavailable
        If another process serves the folder: two would run one approval twice, or lose what the other knows.
    """
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(f"Another process serves {folder}.", "End it first.") from None
        (folder / _NOTE).unlink(missing_ok=True)
        try:
            yield
        finally:
            (folder / _NOTE).unlink(missing_ok=True)


def is_serving(folder: Path) -> bool:
    """Whether the process that wrote the note lives."""
    try:
        os.kill(int(json.loads((folder / _NOTE).read_text())["pid"]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError):
        return False
    return True


def url_of(folder: Path) -> str:
    """Where the server of that folder is, or Unavailable."""
    try:
        return str(json.loads((folder / _NOTE).read_text())["url"])
    except (OSError, ValueError, KeyError):
        raise Unavailable(f"Nothing serves {folder}.", "Start it first.") from None
