"""One line of work for each Job: in order within it, beside the others."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)

Work = Callable[[], None]


class JobLines:
    """Threads that live as long as their Job has something to do."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Work]] = {}
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()

    def do(self, job: str, work: Work) -> None:
        """Have `work` done after all that this Job was given before. Returns at once."""
        with self._lock:
            if job in self._waiting:
                self._waiting[job].append(work)
                return
            self._waiting[job] = deque([work])
            thread = threading.Thread(target=self._run, args=(job,), name=f"job-{job[:8]}", daemon=True)
            self._threads.add(thread)
        thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Give what is in hand that long to end. The workers are closed by then, so it does."""
        with self._lock:
            running = list(self._threads)
        for thread in running:
            thread.join(seconds)

    def _run(self, job: str) -> None:
        while True:
            with self._lock:
                if not self._waiting[job]:
                    del self._waiting[job]
                    self._threads.discard(threading.current_thread())
                    return
                work = self._waiting[job].popleft()
            try:
                work()
            except Exception:  # the outermost edge of a thread: what comes after it must not wait for ever
                _log.exception("A message of the job %s was not answered.", job)
