"""The trusted side's hold on a template: start it, order evaluations, hear of their ends."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from synthema_core.code.outputs import Outputs
from synthema_core.code.source import Code
from synthema_core.errors import Unavailable
from synthema_core.sandbox.inside.messages import LARGEST_BYTES, READY, Order
from synthema_core.sandbox.log_text import printable

_START_SECONDS = 60.0
_END_SECONDS = 5.0
_MOST_COMPLAINT_BYTES = 2000
_CREDENTIALS = struct.Struct("=3i")


@dataclass(frozen=True, slots=True)
class Start:
    """How a backend starts a template.

    Parameters
    ----------
    command
        Of the template that serves on the socket with this descriptor.
    means
        What a child is confined by, but for the seccomp program.
    filter
        Makes that program; called while the template loads its libraries.
    """

    command: Callable[[int], Sequence[str]]
    environment: Mapping[str, str]
    root: str
    means: Mapping[str, Any]
    filter: Callable[[], bytes]


class TemplateProcess:
    """A template that serves. Ends with the thread that started it, and on `close`.

    Raises
    ------
    Unavailable
        If it does not come to serve.
    """

    def __init__(self, start: Start, code: Code, outputs: Outputs) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with theirs, _proc() as proc:
            try:
                self._process = subprocess.Popen(
                    start.command(theirs.fileno()),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=dict(start.environment),
                    cwd="/",
                    pass_fds=(theirs.fileno(), proc),
                    start_new_session=True,
                )
            except OSError as error:
                self.control.close()
                raise Unavailable(f"The sandbox could not be started: {error.strerror}.") from None
        try:
            self._introduce(start, code, outputs, proc)
        except BaseException:
            self.close()
            raise

    def _introduce(self, start: Start, code: Code, outputs: Outputs, proc: int) -> None:
        told = {
            "root": start.root,
            "files": dict(code.files),
            "function": code.function,
            "outputs": [[output.name, list(output.shape)] for output in outputs.outputs],
            "means": {**start.means, "proc": proc, "filter": b64encode(start.filter()).decode()},
        }
        self.control.settimeout(_START_SECONDS)
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(told).encode())
                self._process.stdin.close()
            answer = self.control.recv(LARGEST_BYTES)
        except OSError:
            answer = b""
        if answer != READY:
            raise Unavailable(f"The sandbox did not start. {self._complaint()}".rstrip())
        self.control.settimeout(None)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, order: Order, files: Sequence[int]) -> None:
        """Raises OSError if the template is gone."""
        socket.send_fds(self.control, [order.pack()], list(files))

    def announced(self) -> tuple[int, int] | None:
        """The lane of a child that waits for its rows, and its process number here; None if the template is gone."""
        try:
            message, (about, *_), _, _ = self.control.recvmsg(LARGEST_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
        except (ConnectionError, ValueError):
            return None
        pid, _, _ = _CREDENTIALS.unpack(about[2])
        return (message[0], pid) if message else None

    def close(self) -> None:
        """End it and its children."""
        self.control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):  # what a template that had died did not read
                    stream.close()

    def _complaint(self) -> str:
        """The end of what it, or what confines it, said about why."""
        self._process.kill()
        self._process.wait()
        if self._process.stderr is None:
            return ""
        os.set_blocking(self._process.stderr.fileno(), False)
        said = self._process.stderr.read() or b""
        return printable(said[-_MOST_COMPLAINT_BYTES:]).strip().rpartition("\n")[2]


@contextmanager
def _proc() -> Iterator[int]:
    """A handle of /proc, by which a template that has none of its own can look at itself once."""
    handle = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)
