"""What the datasite's verbs share: the --state option, files, passphrases."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthema_core.errors import InvalidInput

Run = Callable[[argparse.Namespace], int]


def leaf(commands: Any, name: str, run: Run, help_text: str) -> argparse.ArgumentParser:
    """A verb that works on one datasite's folder."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument(
        "--state", type=Path, default=Path(".synthema/datasite"), metavar="DIR", help="the datasite's folder"
    )
    parser.set_defaults(run=run)
    return parser


def read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The file {path} cannot be read: {type(error).__name__}.") from None


def read_passphrase(path: Path | None, prompt: str) -> str:
    """From a file that only its owner can read, or from the terminal."""
    if path is None:
        return getpass.getpass(prompt)
    text = read_text(path)
    if path.stat().st_mode & 0o077:
        raise InvalidInput(f"Others can read {path}.", f"Run `chmod 600 {path}`.")
    return text.rstrip("\n")
