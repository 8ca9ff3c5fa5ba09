"""The `synthema` command: each zone adds its verbs by entry point. The one place where errors become exit statuses."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from synthema_core import __version__
from synthema_core.cli.processes import DIE_WITH_PARENT, die_with_parent
from synthema_core.errors import (
    IntegrityFailure,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    RoundFailed,
    SynthemaError,
    TransitionDenied,
    Unavailable,
)

#: Exit status of each kind of error; 1 for any other, 2 is argparse's own for a malformed command line.
EXIT_STATUS: tuple[tuple[type[SynthemaError], int], ...] = (
    (InvalidInput, 3),
    (NotFound, 4),
    (NotAuthenticated, 5),
    (NotPermitted, 5),
    (TransitionDenied, 6),
    (Refused, 6),
    (IntegrityFailure, 7),
    (RoundFailed, 8),
    (Unavailable, 9),
)
_INTERRUPTED = 130


def exit_status(error: SynthemaError) -> int:
    return next((status for cls, status in EXIT_STATUS if isinstance(error, cls)), 1)


def make_parser() -> argparse.ArgumentParser:
    """The whole command with every installed zone's verbs.

    A zone whose extra is not installed simply has no verbs.
    """
    parser = argparse.ArgumentParser(
        prog="synthema", description="Federated research on patients' data that never leaves the hospital."
    )
    parser.add_argument("--version", action="version", version=f"synthema {__version__}")
    commands = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for point in sorted(entry_points(group="synthema.verbs"), key=lambda point: point.name):
        try:
            add_verbs = point.load()
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("synthema"):
                raise
            continue
        add_verbs(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit status."""
    if os.environ.get(DIE_WITH_PARENT):
        die_with_parent()
    try:
        parsed = make_parser().parse_args(arguments)
        status: int = parsed.run(parsed)
        return status
    except SynthemaError as error:
        print(f"synthema: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"          {error.hint}", file=sys.stderr)
        return exit_status(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
