"""The node's loop: pull, answer, push; fast while a Job is open, slow when nothing is expected.

Every Job is answered in a thread of its own: code that takes its time must not keep another Job waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from flwr.app import Message

from synthema_core.errors import IntegrityFailure, SynthemaError, Unavailable
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.federated.fleet_link import HEARTBEAT_SECONDS, FleetLink, RunOver
from synthema_datasite.federated.job_lines import JobLines

_log = logging.getLogger(__name__)
_DURING_JOB_SECONDS, _EXPECTING_SECONDS, _IDLE_SECONDS = 0.05, 0.2, 2.0
_ANSWERED_SECONDS = 0.1
"""Nothing new comes sooner, and every look costs the SuperLink more than the sites' computation."""
_WARM_SECONDS = 20.0
_PUSHES = 20
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)


class JobDesk(Protocol):
    """What answers a Job's messages."""

    def answer(self, message: JobMessage) -> JobMessage | None:
        """The reply, or None where none is due. Raises nothing."""
        ...

    def expects_work(self) -> bool:
        """Whether an approved Request waits for its Job."""
        ...

    def tend(self) -> None:
        """Nothing has come: drop the Jobs that ended elsewhere."""
        ...

    def close_all(self) -> None: ...


class Node:
    """Keeps a FleetLink open and serves it.

    Parameters
    ----------
    connect
        Makes a new link; called again after every break.

    Attributes
    ----------
    connected
        Set once the SuperLink has let the node in for the first time.
    """

    def __init__(self, connect: Callable[[], FleetLink], desk: JobDesk) -> None:
        self._connect, self._desk = connect, desk
        self._lines = JobLines()
        self._stop = threading.Event()
        self._last_message = 0.0
        self.connected = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Until stopped. A link that is not let in is made again with growing pauses; a Job in hand waits for it."""
        failures = 0
        while not self._stop.is_set():
            try:
                with self._connect() as link:
                    _log.info("Connected to the SuperLink.")
                    failures = 0
                    self.connected.set()
                    self._serve(link)
            except SynthemaError as error:
                _log.warning("%s", error)
            except Exception:  # the outermost loop: record and mend
                _log.exception("The node's loop broke.")
            if not self._stop.is_set():
                self._stop.wait(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1
        self._desk.close_all()
        self._lines.close()

    def _serve(self, link: FleetLink) -> None:
        """Until stopped, or not let in any more. A SuperLink that was away remembers its nodes: the link stands."""
        away = 0
        with _Heartbeat(link) as heartbeat:
            while not self._stop.is_set():
                heartbeat.check()
                try:
                    pause = _ANSWERED_SECONDS if self._turn(link) else self._pause()
                    away = 0
                except Unavailable as error:
                    pause = _RETRY_SECONDS[min(away, len(_RETRY_SECONDS) - 1)]
                    if not away:
                        _log.warning("%s", error)
                    away += 1
                self._stop.wait(pause)

    def _turn(self, link: FleetLink) -> bool:
        """Take one message, if there is one, and have it answered; whether there was."""
        try:
            pulled = link.pull()
            if pulled is None:
                self._desk.tend()
                return False
            envelope, message = pulled
            self._last_message = 0.0 if message.kind is Kind.CLOSE else time.monotonic()
            self._lines.do(str(message.body.get("job", "")), lambda: self._answer(link, envelope, message))
        except IntegrityFailure as error:
            _log.warning("%s", error)
        except RunOver as error:
            _log.info("%s", error)
        return True

    def _answer(self, link: FleetLink, envelope: Message, message: JobMessage) -> None:
        answer = self._desk.answer(message)
        if answer is None:
            return
        try:
            self._push(link, envelope, answer)
        except RunOver as error:
            _log.info("%s", error)
        except SynthemaError as error:
            _log.warning("%s", error)
        if message.kind is not Kind.CLOSE:
            self._last_message = time.monotonic()

    def _push(self, link: FleetLink, envelope: Message, answer: JobMessage) -> None:
        """An answer is made once only: it is worth some patience with a SuperLink that is being restarted."""
        for _ in range(_PUSHES - 1):
            try:
                return link.push(envelope, answer)
            except Unavailable as error:
                _log.warning("%s", error)
                self._stop.wait(_RETRY_SECONDS[1])
        return link.push(envelope, answer)

    def _pause(self) -> float:
        if time.monotonic() - self._last_message < _WARM_SECONDS:
            return _DURING_JOB_SECONDS
        return _EXPECTING_SECONDS if self._desk.expects_work() else _IDLE_SECONDS


class _Heartbeat:
    """Beats in a thread of its own: a long Round must not make the node look dead."""

    def __init__(self, link: FleetLink) -> None:
        self._link = link
        self._stop = threading.Event()
        self._failure: SynthemaError | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended the heartbeat, if something did."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                with suppress(Unavailable):  # the next beat may get through
                    self._link.beat()
            except SynthemaError as error:
                self._failure = error
                return
