"""Helper modules that a researcher names: read as text, and sent along under the Plan's digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from synthema_core.errors import InvalidInput, NotFound

_SUFFIX = ".py"


def read_helpers(names: Iterable[str], folder: Path) -> dict[str, str]:
    """Source by path relative to `folder`: of each named file, and of every module in each named folder.

    Raises
    ------
    NotFound
        For a name that is nothing there.
    InvalidInput
        For a file that is outside, no Python, or unreadable.
    """
    return {path.relative_to(folder).as_posix(): _read(path, folder) for name in names for path in _paths(name, folder)}


def _paths(name: str, folder: Path) -> Iterator[Path]:
    path = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise InvalidInput(f"The helper '{name}' is not below this folder.", "Name it as helpers/scores.py.")
    if path.is_dir():
        found = sorted(file for file in path.rglob(f"*{_SUFFIX}") if file.is_file())
        if not found:
            raise NotFound(f"The folder '{name}' holds no module.", "Name a folder with .py files.")
        yield from found
    elif path.is_file():
        if path.suffix != _SUFFIX:
            raise InvalidInput(f"'{name}' is no Python module.", "Helpers are .py files: data do not travel with code.")
        yield path
    else:
        raise NotFound(f"There is no helper '{name}' here.", f"'Here' is {folder}.")


def _read(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InvalidInput(f"The helper '{name}' leads outside this folder.", "Copy it here.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"The helper '{name}' cannot be read as text.", "Save it as UTF-8.") from None
