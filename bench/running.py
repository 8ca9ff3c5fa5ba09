"""Processes of the bench that end with it, and what it says as it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from synthema_core.cli.processes import Children

_PATIENCE_SECONDS = 10.0


@contextmanager
def processes(logs: Path) -> Iterator[Children]:
    """Children that take what they started with them; what is slow to follow is killed, by its id."""
    with Children(logs) as children:
        try:
            yield children
        finally:
            everything = psutil.Process().children(recursive=True)
            children.end()
            for process in psutil.wait_procs(everything, _PATIENCE_SECONDS)[1]:
                process.kill()


def say(text: str) -> None:
    print(text, flush=True)
