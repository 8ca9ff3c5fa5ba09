"""What the datasite's verbs share: the --state option."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[argparse.Namespace], int]


def leaf(commands: Any, name: str, run: Run, help_text: str) -> argparse.ArgumentParser:
    """A verb that works on one datasite's folder."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument(
        "--state", type=Path, default=Path(".synthema/datasite"), metavar="DIR", help="the datasite's folder"
    )
    parser.set_defaults(run=run)
    return parser
