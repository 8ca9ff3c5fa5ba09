"""The views as built JavaScript and style sheets, for every place that shows them.

Written in TypeScript in extensions/views and committed as built, so that an installation needs no Node.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def module(name: str) -> Path:
    """The built file of that name, such as ``tracker.js`` (an ES module with ``render``) or ``tracker.css``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    path = _HERE / name
    if path.parent != _HERE or path.suffix not in (".js", ".css") or not path.is_file():
        raise FileNotFoundError(f"There is no built view '{name}'.")
    return path
