"""Where the packaged notebooks are, and which one a name means."""

from __future__ import annotations

from pathlib import Path

from synthema_core.errors import NotFound

_PACKAGE = Path(__file__).parents[1]


def notebooks_folder() -> Path:
    """The packaged notebooks of an installed wheel, or the repository's own in an editable checkout."""
    packaged = _PACKAGE / "notebooks"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "notebooks"


def find_template(name: str) -> Path:
    """The notebook at that path, or the packaged one of that name (``survival``, ``01-first-study``).

    Raises
    ------
    NotFound
        With the names of the packaged ones.
    """
    path = Path(name)
    if path.suffix == ".ipynb":
        if path.is_file():
            return path
        raise NotFound(f"There is no notebook '{name}'.", "Give the path of a notebook or the name of a template.")
    packaged = {found.stem: found for found in sorted(notebooks_folder().glob("*/*.ipynb"))}
    if name not in packaged:
        raise NotFound(f"There is no template '{name}'.", f"There are {', '.join(packaged)}.")
    return packaged[name]
