"""Reading below a folder that others can write to: by descriptors, regular files only, never more than so much."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from synthema_core.errors import InvalidInput, NotFound

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LINK_ERRORS = (errno.ELOOP, errno.ENOTDIR)
_LONGEST_NAME = 80


@contextmanager
def opened_folder(path: Path, below: Sequence[str] = ()) -> Iterator[int]:
    """A descriptor of the folder that is reached from `path` by these names, none of them a link.

    Raises
    ------
    NotFound, InvalidInput
        If there is none, or a name on the way is a link or no folder.
    """
    folder = _open(str(path), _FOLDER, None)
    try:
        for name in below:
            deeper = _open(name, _FOLDER | os.O_NOFOLLOW, folder)
            os.close(folder)
            folder = deeper
        yield folder
    finally:
        os.close(folder)


@contextmanager
def opened_below(folder: int, name: str) -> Iterator[int]:
    """A descriptor of a folder in that folder; raises as `opened_folder` does."""
    deeper = _open(name, _FOLDER | os.O_NOFOLLOW, folder)
    try:
        yield deeper
    finally:
        os.close(deeper)


@contextmanager
def opened_file(folder: int, name: str, largest: int) -> Iterator[BinaryIO]:
    """A regular file in that folder which has this one name, and at most so many bytes.

    Raises
    ------
    NotFound, InvalidInput
        If there is none, or it is anything else. A fifo is not waited for, and a device not opened.
    """
    _check(_status(folder, name), name, largest)
    descriptor = _open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, folder)
    with os.fdopen(descriptor, "rb") as file:
        _check(os.fstat(descriptor), name, largest)  # what was opened, whatever had that name before
        yield file


def read_file(folder: int, name: str, largest: int) -> bytes:
    """All of it; raises as `opened_file` does, also if it grows meanwhile."""
    with opened_file(folder, name, largest) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise _too_large(name, largest)
    return content


def is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(_status(folder, name).st_mode)


def names(folder: int, most: int) -> list[str]:
    """What is in that folder, in order; InvalidInput if that is more than `most`."""
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(found) == most:
                raise InvalidInput(f"A folder of it holds more than {most} files.", "Leave out what is not needed.")
            found.append(entry.name)
    return sorted(found)


def shown(name: str) -> str:
    """A name from there, as it may stand in a message."""
    plain = "".join(character if character.isprintable() else "?" for character in name)
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}..."


def _open(name: str, flags: int, folder: int | None) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None


def _status(folder: int, name: str) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None


def _check(status: os.stat_result, name: str, largest: int) -> None:
    regular = stat.S_ISREG(status.st_mode)
    if stat.S_ISLNK(status.st_mode) or (regular and status.st_nlink > 1):
        raise InvalidInput(f"'{shown(name)}' is a link.", "Only files themselves are read: copy it there.")
    if not regular:
        raise InvalidInput(f"'{shown(name)}' is no regular file.", "Only files themselves are read.")
    if status.st_size > largest:
        raise _too_large(name, largest)


def _too_large(name: str, largest: int) -> InvalidInput:
    return InvalidInput(f"'{shown(name)}' is larger than {largest:,} bytes.", "It was not read.")


def _unreadable(name: str, error: OSError | ValueError) -> InvalidInput | NotFound:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        return NotFound(f"There is no '{shown(name)}'.", "Check the folder's path.")
    if number in _LINK_ERRORS:
        return InvalidInput(f"'{shown(name)}' is a link or no folder.", "Only folders and files themselves are read.")
    reason = os.strerror(number) if number else "its name cannot be one"
    return InvalidInput(f"'{shown(name)}' cannot be read: {reason}.", "Check its rights.")
