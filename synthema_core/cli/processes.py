"""Starting processes and ending every one of them, whatever happens."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthema_core.errors import Unavailable

DIE_WITH_PARENT = "SYNTHEMA_DIE_WITH_PARENT"
_PR_SET_PDEATHSIG = 1
_END_SECONDS = 20.0
_LOOK_SECONDS = 0.05
_MOST_REVIVALS, _REVIVAL_SECONDS = 3, 60.0


def die_with_parent(how: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel end this process when its parent dies, even by kill -9. Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port_free(port: int, option: str) -> None:
    """Raise Unavailable if something listens on that port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Unavailable(f"The port {port} is not free: {error.strerror}.", f"Give another {option}.") from None


def command(*words: str) -> list[str]:
    """The argument list of a `synthema` verb, run by this interpreter."""
    return [sys.executable, "-m", "synthema_core.cli.main", *words]


def run_verb(*words: str, log: Path | None = None) -> str:
    """Run a verb to its end; return what it printed.

    Raises
    ------
    Unavailable
        With the verb's own sentence, if it failed.
    """
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False, env=_environment({}))
    if log is not None:
        with log.open("a") as file:
            file.write(f"$ synthema {' '.join(words)}\n{done.stdout}{done.stderr}")
    if done.returncode:
        said = done.stderr.strip().removeprefix("synthema: ") or f"exit status {done.returncode}"
        raise Unavailable(f"`synthema {' '.join(words[:2])}` failed: {said}")
    return done.stdout


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, DIE_WITH_PARENT: "1", "PYTHONUNBUFFERED": "1", **extra}


@dataclass(slots=True)
class Child:
    """A process that was started, and how to start it again.

    Parameters
    ----------
    ends
        Moments (monotonic, seconds) at which it ended and was started again.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]
    ends: list[float]


def _spawn(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _ended(child: Child, how: str) -> Unavailable:
    lines = child.log.read_text(errors="replace").strip().splitlines()
    return Unavailable(f"'{child.name}' {how}: {lines[-1] if lines else 'it said nothing'}.", f"See {child.log}.")


class Children:
    """The processes that were started; a context manager that leaves none behind."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []

    def __enter__(self) -> Children:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str, arguments: Sequence[str], extra: Mapping[str, str] | None = None) -> Child:
        """Start a process in a session of its own (so that Ctrl-C reaches us alone), logging to a file."""
        log, environment = self._logs / f"{name}.log", _environment(extra or {})
        child = Child(name, arguments, environment, log, _spawn(arguments, environment, log), [])
        self._children.append(child)
        return child

    def revive(self, now: float) -> list[str]:
        """Start again what has ended; return the names.

        Raises
        ------
        Unavailable
            If a child has ended three times within a minute.
        """
        revived = []
        for child in self._children:
            if child.process.poll() is None:
                continue
            child.ends = [*(end for end in child.ends if now - end < _REVIVAL_SECONDS), now]
            if len(child.ends) >= _MOST_REVIVALS:
                raise _ended(child, "keeps ending")
            child.process = _spawn(child.arguments, child.environment, child.log)
            revived.append(child.name)
        return revived

    def all(self) -> list[Child]:
        return list(self._children)

    def check_alive(self) -> None:
        """Raise Unavailable if a child has ended."""
        for child in self._children:
            if child.process.poll() is not None:
                raise _ended(child, "ended early")

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Until `ready()`; Unavailable if a child ends or time runs out first."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise Unavailable(f"{what} did not get ready within {seconds:g} seconds.", f"See {self._logs}.")
            time.sleep(_LOOK_SECONDS)

    def end(self, prefix: str = "") -> None:
        """End those whose name begins with `prefix`: ask the newest first, kill what does not listen."""
        ending = [child for child in reversed(self._children) if child.name.startswith(prefix)]
        self._children = [child for child in self._children if child not in ending]
        for child in ending:
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + _END_SECONDS
        for child in ending:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
