"""The two ways to confine on one machine. Both give a child the same steps; they differ in what stands around it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from synthema_core.code.outputs import Outputs
from synthema_core.code.source import Code
from synthema_core.errors import Unavailable
from synthema_core.sandbox.inside import kernel
from synthema_core.sandbox.log_text import printable
from synthema_core.sandbox.port import Sandbox
from synthema_core.sandbox.process import Start
from synthema_core.sandbox.runtime import Runtime
from synthema_core.sandbox.seccomp_filter import seccomp_filter
from synthema_core.sandbox.template_sandbox import TemplateSandbox

NOBODY = 65534
_TRY_SECONDS = 20
#: What a template needs to make a child's name spaces, to give it another uid, and to end it.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL")
Command = Callable[[int], Sequence[str]]
_UNSHARED = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")


@dataclass(frozen=True, slots=True)
class BubblewrapBackend:
    """Name spaces by bubblewrap, fresh ones for each child; its own uid, Landlock where there is one, seccomp, rlimits.

    There is no file but the libraries', none can be written, and neither /proc nor /dev exists.
    """

    name: str = "bubblewrap"

    def missing(self) -> str:
        program = shutil.which("bwrap")
        if program is None:
            return "bubblewrap is not installed."
        try:
            seccomp_filter(files=True)
            runtime = Runtime.of_this_process()
        except Unavailable as error:
            return error.message
        command = [*_bubblewrap(program, runtime), runtime.program, "-I", "-S", "-c", "pass"]
        try:
            tried = subprocess.run(command, env={}, cwd="/", capture_output=True, timeout=_TRY_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return "bubblewrap does not start here."
        said = printable(tried.stderr).strip().rpartition("\n")[2]
        return f"bubblewrap cannot make its name spaces here: {said}." if tried.returncode else ""

    def open(self, code: Code, outputs: Outputs) -> AbstractContextManager[Sandbox]:
        program = shutil.which("bwrap")
        if program is None:
            raise Unavailable("bubblewrap is not installed.", "Install the system package bubblewrap.")
        runtime = Runtime.of_this_process()

        def command(control: int) -> Sequence[str]:
            return [*_bubblewrap(program, runtime), *runtime.command(control)]

        return TemplateSandbox(_start(runtime, command, namespaces=True), code, outputs)


@dataclass(frozen=True, slots=True)
class LandlockBackend:
    """Landlock, seccomp, rlimits, and another uid where this process is root's. No name spaces.

    So there is no file at all: to know that one exists, or when it was read last, is to know something about others.
    Code can import what its first lines name, and what that imports.
    """

    name: str = "landlock"

    def missing(self) -> str:
        if not kernel.landlock_version():
            return "This kernel has no Landlock, or has it turned off."
        try:
            seccomp_filter(files=False)
            Runtime.of_this_process()
        except Unavailable as error:
            return error.message
        return ""

    def open(self, code: Code, outputs: Outputs) -> AbstractContextManager[Sandbox]:
        if not kernel.landlock_version():
            raise Unavailable("This kernel has no Landlock, or has it turned off.")
        runtime = Runtime.of_this_process()
        return TemplateSandbox(landlock_start(runtime), code, outputs)


def landlock_start(runtime: Runtime) -> Start:
    return _start(runtime, runtime.command, namespaces=False)


def _start(runtime: Runtime, command: Command, *, namespaces: bool) -> Start:
    means = {
        "namespaces": namespaces,
        "uid": NOBODY if os.geteuid() == 0 else None,
        "landlock": kernel.landlock_version() > 0,
        "readable": list(runtime.readable) if namespaces else [],
    }
    return Start(command, runtime.environment, runtime.root, means, partial(seccomp_filter, files=namespaces))


def _bubblewrap(program: str, runtime: Runtime) -> list[str]:
    """Up to the command that it confines."""
    as_user = () if os.geteuid() == 0 else ("--unshare-user",)
    capabilities = [word for name in _CAPABILITIES for word in ("--cap-add", name)]
    return [
        program,
        *_UNSHARED,
        *as_user,
        *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *capabilities,
        *_mounts(runtime),
        *("--chdir", "/", "--remount-ro", "/", "--"),
    ]


def _mounts(runtime: Runtime) -> list[str]:
    """The libraries, read-only, at the places they have here; links as links."""
    links = [path for path in runtime.system if Path(path).is_symlink()]
    bound: list[str] = []
    for path in (*runtime.system, *runtime.libraries, *runtime.inside, runtime.program):
        if path not in links and not any(Path(path).is_relative_to(folder) for folder in bound):
            bound.append(path)
    above = dict.fromkeys(str(folder) for path in (*links, *bound) for folder in reversed(Path(path).parents))
    return [
        *(word for folder in above if folder != "/" for word in ("--dir", folder)),  # else only root may pass them
        *(word for path in links for word in ("--symlink", str(Path(path).readlink()), path)),
        *(word for path in bound for word in ("--ro-bind", path, path)),
        *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
    ]
