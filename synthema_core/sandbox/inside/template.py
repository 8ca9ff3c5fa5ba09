"""The template: a process with the libraries loaded that forks a child for each evaluation.

It never runs the researcher's code, never reads a row and never hears how an evaluation went: a child has all that its
template has. It ends with the process that started it.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import signal
import socket
import sys
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from synthema_core.sandbox.inside import kernel
from synthema_core.sandbox.inside.child import evaluate
from synthema_core.sandbox.inside.clocks import hide_clocks
from synthema_core.sandbox.inside.code import Program, preload
from synthema_core.sandbox.inside.confine import Child, Means, confine
from synthema_core.sandbox.inside.messages import (
    LARGEST_BYTES,
    LOG,
    MOST_FILES,
    NOT_CONFINED,
    READY,
    RESULT,
    Order,
    read_order,
)
from synthema_core.sandbox.inside.tables import Declared
from synthema_core.sandbox.inside.warm import warm_up

_MOST_BYTES = 1 << 46
_FILLING = range(1 << 29, (1 << 29) + 64)
Confine = Callable[[Means, Child], None]


class Template:
    """Forks, and forgets."""

    def __init__(
        self, control: socket.socket, program: Program, declared: Declared, means: Means, confine: Confine
    ) -> None:
        self._control = control
        self._program, self._declared = program, declared
        self._means, self._confine = means, confine
        self._pid = os.getpid()
        self._self = os.pidfd_open(self._pid)
        self._base_bytes = _address_space()

    def serve(self) -> None:
        """Until the other end of the socket closes; no child outlives that."""
        self._control.send(READY)
        while True:
            message, files, _, _ = socket.recv_fds(self._control, LARGEST_BYTES, MOST_FILES)
            if not message:
                return
            for ended in files[3:]:
                kernel.forget(ended)
            self._fork(read_order(message), (files[0], files[1], files[2]))
            for file in files:
                os.close(file)

    def _fork(self, order: Order, files: tuple[int, int, int]) -> None:
        if self._means.namespaces:
            kernel.setns(self._self, kernel.CLONE_NEWPID)  # undo the last child's
            kernel.unshare(kernel.CLONE_NEWPID)
        if kernel.fork() == 0:
            self._become_child(Child(order, files, self._base_bytes, self._pid))
        list(_FILLING)  # where the child's number was in memory, which would tell the next one how many came before

    def _become_child(self, child: Child) -> NoReturn:
        log, result = child.files[2], child.files[1]
        try:
            self._control.send(bytes([child.order.lane]))
            self._confine(self._means, child)
            log, result = LOG, RESULT
            evaluate(self._program, self._declared)
        except BaseException as error:
            with suppress(OSError):
                os.write(log, f"{type(error).__name__}: {error}".encode())
                os.write(result, NOT_CONFINED)
        finally:
            os._exit(1)


def _address_space() -> int:
    """Bytes that this process's mappings take. Sought with the limit itself: there is no /proc in here."""
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    fits, enough = 0, _MOST_BYTES
    try:
        while enough - fits > mmap.PAGESIZE:
            middle = (fits + enough) // 2
            resource.setrlimit(resource.RLIMIT_AS, (middle, unlimited[1]))
            try:
                mmap.mmap(-1, mmap.PAGESIZE).close()
                enough = middle
            except OSError:
                fits = middle
    finally:
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
    return enough


def _means(told: dict[str, Any]) -> Means:
    ruleset = kernel.landlock_ruleset(told["readable"]) if told["landlock"] else None
    hidden = hide_clocks(_maps(int(told["proc"])))
    return Means(bool(told["namespaces"]), told["uid"], ruleset, b64decode(told["filter"]), hidden)


def _maps(proc: int) -> str:
    """Of this process, by a handle of the host's /proc: the last use of it."""
    try:
        with os.fdopen(os.open("self/maps", os.O_RDONLY, dir_fd=proc)) as maps:
            return maps.read()
    except OSError:
        return ""
    finally:
        os.close(proc)


def main(control: int, confine: Confine = confine) -> None:
    """Read from stdin what to be; then serve on the socket with this descriptor."""
    kernel.end_with_parent(signal.SIGKILL)
    told = json.load(sys.stdin)
    program = Program.of(told["files"], told["function"])
    preload(program.sources.values())
    declared: Declared = tuple((name, tuple(shape)) for name, shape in told["outputs"])
    warm_up()
    sys.path.remove(told["root"])
    means = _means(told["means"])
    kernel.forbid_core_and_trace()
    kernel.empty_bounding_set()
    gc.collect()
    gc.freeze()
    gc.disable()
    Template(socket.socket(fileno=control), program, declared, means, confine).serve()
