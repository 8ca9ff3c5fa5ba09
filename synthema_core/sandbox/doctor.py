"""What this machine offers for researchers' code, and what each backend lets through: `synthema datasite doctor`."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthema_core.errors import Unavailable
from synthema_core.sandbox.attacks import ATTACKS, Attack, Finding, attack
from synthema_core.sandbox.choose import BACKENDS
from synthema_core.sandbox.inside import kernel
from synthema_core.sandbox.port import Backend
from synthema_core.sandbox.seccomp_filter import seccomp_filter

_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


@dataclass(frozen=True, slots=True)
class Means:
    """One thing of this machine that a sandbox can use."""

    name: str
    there: bool
    remark: str


@dataclass(frozen=True, slots=True)
class BackendReport:
    """One backend, here.

    Parameters
    ----------
    missing
        Why it cannot be used; empty if it can.
    remarks
        What it cannot do on this machine although nothing gets through.
    """

    name: str
    missing: str
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()

    @property
    def through(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.disqualifies)

    @property
    def offered(self) -> bool:
        return not self.missing and not self.through


@dataclass(frozen=True, slots=True)
class Report:
    """All of it, as of now."""

    machine: tuple[Means, ...]
    backends: tuple[BackendReport, ...]

    @property
    def chosen(self) -> str:
        """The name of the backend that code will run in; empty if it will not run."""
        return next((backend.name for backend in self.backends if backend.offered), "")


def examine(among: Sequence[Backend] = BACKENDS, attacks: Iterable[Attack] = ATTACKS) -> Report:
    """Look at the machine, and try every attack on every backend. Takes about ten seconds a backend."""
    cases = tuple(attacks)
    return Report(tuple(_machine()), tuple(_examined(backend, cases) for backend in among))


def _machine() -> list[Means]:
    version = kernel.landlock_version()
    namespaces = int(_USER_NAMESPACES.read_text()) if _USER_NAMESPACES.exists() else 0
    root = os.geteuid() == 0
    return [
        Means("kernel", True, f"{platform.system()} {platform.release()}, {platform.machine()}"),
        Means("user", True, "root: code runs as another user" if root else f"uid {os.geteuid()}: code runs as it, too"),
        Means("bubblewrap", (program := shutil.which("bwrap")) is not None, program or "not installed"),
        Means("user name spaces", namespaces > 0, f"at most {namespaces:,}" if namespaces else "none"),
        Means("Landlock", version > 0, _landlock(version)),
        _seccomp(),
        Means("resource limits", True, "processor time, memory, files, processes"),
    ]


def _landlock(version: int) -> str:
    if not version:
        return "not in this kernel, or turned off"
    also = [text for since, text in ((4, "TCP"), (6, "signals and abstract sockets")) if version >= since]
    return f"version {version}: {', '.join(['files', *also])}"


def _seccomp() -> Means:
    try:
        return Means("seccomp", True, f"an allow-list of {len(seccomp_filter(files=True)) // 8} instructions")
    except Unavailable as error:
        return Means("seccomp", False, error.message)


def _examined(backend: Backend, cases: Sequence[Attack]) -> BackendReport:
    missing = backend.missing()
    if missing:
        return BackendReport(backend.name, missing, ())
    try:
        findings = attack(backend, cases)
    except Unavailable as error:
        return BackendReport(backend.name, error.message, ())
    return BackendReport(backend.name, "", findings, tuple(_remarks(backend, findings)))


def _remarks(backend: Backend, findings: Sequence[Finding]) -> list[str]:
    remarks = [
        f"It does not hold against '{finding.name}' ({finding.tries.rstrip('.').lower()}), which is bearable."
        for finding in findings
        if not finding.held and finding.bearable
    ]
    if backend.name == "landlock":
        remarks.append("Code imports only what it names; a library that imports more while it runs may fail.")
    return remarks
