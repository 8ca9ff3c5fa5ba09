"""What the sandbox's doctor says of this machine: asked once a server, when somebody first wants to know."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthema_core.sandbox.doctor import Report

_log = logging.getLogger(__name__)


def examine_machine() -> Report:
    from synthema_core.sandbox.doctor import examine

    return examine()


class Examination:
    """Made in a thread of its own: it takes tens of seconds."""

    def __init__(self, examine: Callable[[], Report]) -> None:
        self._examine, self._lock = examine, threading.Lock()
        self._thread: threading.Thread | None = None
        self._report: Report | None = None

    def report(self) -> Report | None:
        """What was found; None while it is being looked for."""
        with self._lock:
            if self._report is None and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="examination", daemon=True)
                self._thread.start()
        return self._report

    def wait(self, seconds: float) -> None:
        """Until the examination that was begun has ended."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._report = self._examine()
        except Exception:  # the outermost edge of a thread: record; the next who asks begins anew
            _log.exception("The sandbox could not be examined.")
