"""Who runs a verb, for the Journal."""

from __future__ import annotations

import getpass
import os


def account() -> str:
    """The account's name; its number where it has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
