"""A Job's memory on disk: one file an item, written once, there before anything that depends on it leaves the site."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from synthema_core.errors import Unavailable


class JobFolder:
    """Implements `secure_sum.Memory`.

    Parameters
    ----------
    path
        Of this Job alone; made with mode 0700 if absent.

    Raises
    ------
    Unavailable
        If the disk has no room or cannot be written: then nothing may leave the site either.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unwritable(error) from None

    def keep(self, name: str, content: bytes) -> bytes:
        fresh, path = self._path / f".{name}.{secrets.token_hex(8)}", self._path / name
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, path)  # unlike a rename, never over what is there
            except FileExistsError:
                content = path.read_bytes()
            finally:
                fresh.unlink()
            self._sync_folder()  # also of what was there: whoever put it there may have been killed before this
        except OSError as error:
            raise _unwritable(error) from None
        return content

    def recall(self, name: str) -> bytes | None:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unwritable(error) from None

    def let_go(self, name: str) -> None:
        os.truncate(self._path / name, 0)

    def _sync_folder(self) -> None:
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def forget(path: Path) -> None:
    """Remove a Job's folder. Renamed first: one that is half gone must not look like one of a Job that begins."""
    over = path.with_name(f"{path.name}.over")
    with suppress(FileNotFoundError):
        path.rename(over)
    shutil.rmtree(over, ignore_errors=True)


def _unwritable(error: OSError) -> Unavailable:
    return Unavailable(f"The job's folder cannot be used: {error.strerror}.", "Make room on the disk.")
