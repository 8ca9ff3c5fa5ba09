"""One evaluation, as the trusted side follows it: what goes in, what comes out, how it ended."""

from __future__ import annotations

import fcntl
import math
import os
import signal
import time
from contextlib import suppress

from synthema_core.code.outputs import Arrays
from synthema_core.errors import Unavailable
from synthema_core.sandbox.frames import Malformed, decode_arrays
from synthema_core.sandbox.inside.messages import (
    CONFINED,
    FAREWELL_BYTES,
    NOT_CONFINED,
    Exit,
    Farewell,
    Order,
    read_farewell,
)
from synthema_core.sandbox.log_text import Log
from synthema_core.sandbox.port import End, Limits, Outcome

_PIPE_BYTES = 64 << 10
_LARGE_PIPE_BYTES = 1 << 20
_PIECE_BYTES = 256 << 10
_SHORTEST_SECONDS = 0.001
_ENDS = {Exit.RETURNED: End.RETURNED, Exit.RAISED: End.RAISED, Exit.MEMORY: End.MEMORY, Exit.BAD_OUTPUT: End.BAD_OUTPUT}


class Evaluation:
    """A child, its three pipes and what has come through them. Holds the rows until they are written.

    The child waits for its rows: so it is still there when its announcement is answered by taking hold of it.

    Parameters
    ----------
    content
        The encoded rows.

    Attributes
    ----------
    process
        The child's handle; -1 until it has announced itself.
    streaming
        Whether its rows or its output are more than a pipe holds, so that it waits for us.
    look_at
        When it could have used up its time at the earliest: it has one thread.
    """

    def __init__(self, lane: int, content: bytes, limits: Limits) -> None:
        self.order = Order(lane, limits.cpu_seconds, limits.memory_bytes)
        self.limits = limits
        self._content = content
        self.restart()

    def restart(self) -> None:
        """From the beginning, with a template that has not met it."""
        content, limits = self._content, self.limits
        self.began = time.monotonic()
        self.process, self.rows, self.look_at = -1, -1, math.inf
        self.streaming = self.done = False
        self._pid = 0
        self._overtime = self._overflow = False
        self._cpu_seconds = self._wall_seconds = 0.0
        self._result, self._log = bytearray(), Log(limits.log_bytes)
        self._left = memoryview(content)
        rows, self.rows = _pipe(len(content))
        self.result, result = _pipe(limits.output_bytes)
        self.log, log = _pipe(_PIPE_BYTES)
        self.theirs: tuple[int, ...] = (rows, result, log)
        for file in (self.rows, self.result, self.log):
            os.set_blocking(file, False)

    def started(self, pid: int) -> None:
        """It is there, and waits. Raises ProcessLookupError if it has been killed meanwhile."""
        self.process = os.pidfd_open(pid)
        self._pid = pid
        self.began = time.monotonic()
        self.look_at = self.began + min(self.limits.cpu_seconds, self.limits.wall_seconds)
        if self._overtime:  # given up before it was there
            self.give_up()

    def write(self) -> bool:
        """As many rows as the pipe takes; whether there are more."""
        try:
            while self._left:
                self._left = self._left[os.write(self.rows, self._left[:_LARGE_PIPE_BYTES]) :]
        except BlockingIOError:
            self.streaming = True
            return True
        except BrokenPipeError:  # it ended without reading them all
            self._left = self._left[:0]
        os.close(self.rows)
        self.rows = -1
        return False

    def read(self, file: int) -> bool:
        """What has come; whether there can be more."""
        with suppress(BlockingIOError):
            while piece := os.read(file, _PIECE_BYTES):
                self.streaming = self.streaming or len(piece) >= _PIPE_BYTES
                if file == self.log:
                    self._log.add(piece)
                elif len(self._result) + len(piece) <= self.limits.output_bytes + FAREWELL_BYTES + len(CONFINED):
                    self._result += piece
                else:
                    self._overflow = True
                    self.kill()
                    return False
            return False
        return True

    def look(self) -> None:
        """Kill it if its time is over."""
        cpu_left = self.limits.cpu_seconds - self._measure()
        now = time.monotonic()
        left = min(cpu_left, self.began + self.limits.wall_seconds - now)
        if left <= 0:
            self.give_up()
        else:
            self.look_at = now + max(left, _SHORTEST_SECONDS)

    def give_up(self) -> None:
        """Nobody wants its result any more."""
        self._overtime, self.look_at = True, math.inf
        self.kill()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            if self.process >= 0:
                signal.pidfd_send_signal(self.process, signal.SIGKILL)

    def finish(self) -> None:
        """Its process has ended: what is still in the pipes is all there will be. Only its handle stays open."""
        self._measure()
        self._wall_seconds = time.monotonic() - self.began
        self.read(self.log)
        if not self._overflow:
            self.read(self.result)
        self.done = True
        self.close()

    @property
    def unexplained(self) -> bool:
        """Whether it neither said how it ended nor was ended by us."""
        told = read_farewell(bytes(self._result[len(CONFINED) :]))
        return (told is None or told[1].exit not in _ENDS) and not (self._overtime or self._overflow)

    def _measure(self) -> float:
        """Processor time so far. Its process stays in the kernel's tables until it is to be forgotten."""
        with suppress(OSError):
            self._cpu_seconds = time.clock_gettime(~self._pid << 3 | 2)  # CLOCK_PROCESS_CPUTIME_ID of another process
        return self._cpu_seconds

    def close(self) -> None:
        """Everything but the handle."""
        self.handed_over()
        for file in (self.rows, self.result, self.log):
            if file >= 0:
                os.close(file)
        self.rows = self.result = self.log = -1
        self._left = self._left[:0]

    def handed_over(self) -> None:
        """The template has its ends of the pipes."""
        for file in self.theirs:
            os.close(file)
        self.theirs = ()

    def outcome(self) -> Outcome:
        """Once. Raises Unavailable if the child could not be confined: then the code did not run."""
        self._content = b""
        log = self._log.text()
        if self._result.startswith(NOT_CONFINED):
            raise Unavailable(f"A process could not be confined: {log}.", "Run `synthema datasite doctor`.")
        told = read_farewell(bytes(self._result[len(CONFINED) :]))
        end, arrays = self._end(told)
        peak_kib = told[1].peak_kib if told and end in _ENDS.values() else 0
        most_kib = self.limits.memory_bytes >> 10
        return Outcome(end, arrays, log, self._cpu_seconds, self._wall_seconds, min(peak_kib, most_kib) << 10)

    def _end(self, told: tuple[bytes, Farewell] | None) -> tuple[End, Arrays | None]:
        if self._overflow:
            return End.BAD_OUTPUT, None
        if self._overtime or self._cpu_seconds >= self.limits.cpu_seconds:
            return End.TIMEOUT, None
        end = _ENDS.get(told[1].exit, End.KILLED) if told else End.KILLED
        if told is None or end is not End.RETURNED:
            return end, None
        try:
            return end, decode_arrays(told[0])
        except Malformed:
            return End.BAD_OUTPUT, None


def _pipe(most_bytes: int) -> tuple[int, int]:
    """Reading and writing end. Holds up to 1 MiB, so that a child need not wait for a busy reader."""
    reading, writing = os.pipe()
    if most_bytes > _PIPE_BYTES:
        with suppress(OSError):  # beyond what this user's pipes may hold together
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, min(most_bytes, _LARGE_PIPE_BYTES))
    return reading, writing
