"""Files that verbs are given: text, and secrets that only their owner can read."""

from __future__ import annotations

import getpass
from pathlib import Path

from synthema_core.errors import InvalidInput


def read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The file {path} cannot be read: {type(error).__name__}.") from None


def read_secret(path: Path | None, prompt: str) -> str:
    """A password or passphrase from a file that only its owner can read, or from the terminal."""
    if path is None:
        return getpass.getpass(prompt)
    text = read_text(path)
    if path.stat().st_mode & 0o077:
        raise InvalidInput(f"Others can read {path}.", f"Run `chmod 600 {path}`.")
    return text.rstrip("\n")
