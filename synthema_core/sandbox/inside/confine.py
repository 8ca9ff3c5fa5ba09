"""How a child gives up everything but its rows, the libraries' files and its own memory, before the code runs."""

from __future__ import annotations

import math
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass

from synthema_core.sandbox.inside import clocks, kernel
from synthema_core.sandbox.inside.messages import ERRORS, LOG, RESULT, ROWS, Order

_RULESET = RESULT + 1
_FILES = 48
_STACK_BYTES = 8 << 20
_FRESH = kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWNET


@dataclass(frozen=True, slots=True)
class Means:
    """What of this machine confines.

    Parameters
    ----------
    namespaces
        Whether every child gets its own process, mount, network, IPC and host name spaces.
    uid
        Whose a child becomes, and its group; None where it cannot be another's.
    ruleset
        Landlock's, by its descriptor; None where the kernel has none.
    filter
        The seccomp program.
    hidden
        Whether the template's own copy of the kernel's clocks is gone.
    """

    namespaces: bool
    uid: int | None
    ruleset: int | None
    filter: bytes
    hidden: bool


@dataclass(frozen=True, slots=True)
class Child:
    """What one child is given.

    Parameters
    ----------
    files
        Descriptors of its rows, its result and its log.
    base_bytes
        The address space that the template takes.
    """

    order: Order
    files: tuple[int, int, int]
    base_bytes: int
    parent: int


def take_files(means: Means, child: Child) -> None:
    """Its three pipes at their places; everything else is closed, whatever the template had open."""
    rows, result, log = (os.dup(file) for file in child.files)  # from above the places they go to
    ruleset = None if means.ruleset is None else os.dup(means.ruleset)
    for file, place in ((rows, ROWS), (log, LOG), (log, ERRORS), (result, RESULT)):
        os.dup2(file, place)
    if ruleset is not None:
        os.dup2(ruleset, _RULESET)
    os.closerange(_RULESET + (ruleset is not None), 1 << 30)


def fresh_namespaces(means: Means, _child: Child) -> None:
    """Of its own; the one for processes is made before the fork."""
    if means.namespaces:
        kernel.unshare(_FRESH)


def limit_resources(_means: Means, child: Child) -> None:
    """The second line: the template kills a child for its time, the kernel a little later."""
    order = child.order
    most = {
        resource.RLIMIT_AS: child.base_bytes + order.memory_bytes,
        resource.RLIMIT_CPU: math.ceil(order.cpu_seconds) + 1,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_STACK: _STACK_BYTES,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 0,
    }
    for kind, value in most.items():
        resource.setrlimit(kind, (value, value))


def become_nobody(means: Means, child: Child) -> None:
    """Another uid where the template is root's; no capability anywhere."""
    if means.uid is not None:
        os.setgroups([])
        os.setresgid(means.uid, means.uid, means.uid)
        os.setresuid(means.uid, means.uid, means.uid)
    kernel.drop_capabilities()
    kernel.forbid_new_privileges()
    kernel.forbid_core_and_trace()
    kernel.end_with_parent(signal.SIGKILL)  # a change of uid would clear it
    if not means.namespaces and os.getppid() != child.parent:
        raise ProcessLookupError("The template has ended.")


def restrict_files(means: Means, _child: Child) -> None:
    if means.ruleset is not None:
        kernel.landlock(_RULESET)
        os.close(_RULESET)


def restrict_time(means: Means, _child: Child) -> None:
    if means.hidden:
        clocks.stop_counter()


def restrict_calls(means: Means, _child: Child) -> None:
    kernel.filter_calls(means.filter)


Step = Callable[[Means, Child], None]
STEPS: tuple[Step, ...] = (
    take_files,
    fresh_namespaces,
    limit_resources,
    become_nobody,
    restrict_files,
    restrict_time,
    restrict_calls,
)
"""In this order: each takes away what the one before it needed."""


def confine(means: Means, child: Child) -> None:
    """All steps. Raises OSError if one does not hold; then the code must not run."""
    for step in STEPS:
        step(means, child)
