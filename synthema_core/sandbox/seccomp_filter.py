"""The system calls that a child may make. What is not named here fails with EPERM."""

from __future__ import annotations

import errno
import os
from functools import cache
from typing import Any

from synthema_core.errors import Unavailable

#: Its own memory, its own pipes, and ending. Nothing that tells the time, a process number or what is being used.
_ALLOWED = """
read readv write writev close lseek poll ppoll select pselect6
munmap mremap brk
rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall
sched_yield sched_getaffinity getrusage getuid geteuid getgid getegid getresuid getresgid getrlimit uname getrandom
exit exit_group
"""
#: Where there are files that code may see at all: those of the libraries.
_ON_FILES = "pread64 stat lstat access faccessat faccessat2 readlink readlinkat getcwd getdents64"
_PROT_EXEC, _MAP_TYPE, _MAP_PRIVATE, _MAP_ANONYMOUS = 0x4, 0x0F, 0x02, 0x20
_FUTEX_PRIVATE, _AT_EMPTY_PATH, _LAST_PIPE = 128, 0x1000, 3
_MADV_DONTNEED, _MADV_FREE, _MADV_HUGEPAGE = 4, 8, 14
_F_GETFD, _F_SETFD, _F_GETFL = 1, 2, 3
_O_TMPFILE = 0o20000000
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _O_TMPFILE


@cache
def seccomp_filter(*, files: bool) -> bytes:
    """The BPF program for this machine, from libseccomp; about 2 KiB.

    Parameters
    ----------
    files
        Whether files can be opened for reading, or none at all.

    Raises
    ------
    Unavailable
        If libseccomp or its Python binding is not installed.
    """
    try:
        import pyseccomp as seccomp  # it looks for libseccomp when it is imported
    except (ImportError, RuntimeError, OSError):
        raise Unavailable("libseccomp is not installed.", "Install the system package libseccomp2.") from None
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)  # 32-bit calls have other numbers
    allow = _Allow(seccomp, rules)
    for name in _ALLOWED.split():
        allow(name)
    _allow_memory(allow)
    _allow_own_state(allow)
    if files:
        _allow_files(allow)
    with os.fdopen(os.memfd_create("filter"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


class _Allow:
    """Adds a rule. Conditions are on arguments: (which, mask, value), or (which, value)."""

    def __init__(self, seccomp: Any, rules: Any) -> None:
        self._seccomp, self._rules = seccomp, rules

    def __call__(self, name: str, *conditions: tuple[int, ...]) -> None:
        """A call that this architecture does not have needs no rule."""
        seccomp = self._seccomp
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0:
            arguments = (
                seccomp.Arg(first, seccomp.MASKED_EQ if len(rest) == 2 else seccomp.EQ, *rest)
                for first, *rest in conditions
            )
            self._rules.add_rule(seccomp.ALLOW, name, *arguments)

    def above(self, name: str, which: int, least: int) -> None:
        self._rules.add_rule(self._seccomp.ALLOW, name, self._seccomp.Arg(which, self._seccomp.GT, least))


def _allow_memory(allow: _Allow) -> None:
    """Machine code comes from the libraries' files, never from memory: those files are nobody's to write here.

    Nothing is shared. Two children that map one file could wake each other through it, even read-only.
    """
    allow("mmap", (2, _PROT_EXEC, 0), (3, _MAP_TYPE, _MAP_PRIVATE))
    allow("mmap", (2, _PROT_EXEC, _PROT_EXEC), (3, _MAP_TYPE | _MAP_ANONYMOUS, _MAP_PRIVATE))
    allow("mprotect", (2, _PROT_EXEC, 0))
    for advice in (_MADV_DONTNEED, _MADV_FREE, _MADV_HUGEPAGE):
        allow("madvise", (2, advice))
    allow("futex", (1, _FUTEX_PRIVATE, _FUTEX_PRIVATE), (3, 0))  # a time-out at a given time would be a clock


def _allow_own_state(allow: _Allow) -> None:
    """Limits can be read, not set, and only its own. Not the pipes' numbers: they tell how many came before."""
    for command in (_F_GETFD, _F_SETFD, _F_GETFL):
        allow("fcntl", (1, command))
    allow("prlimit64", (0, 0), (2, 0))


def _allow_files(allow: _Allow) -> None:
    """Opened for reading only."""
    for name in _ON_FILES.split():
        allow(name)
    allow("open", (1, _TO_WRITE, 0))
    allow("openat", (2, _TO_WRITE, 0))
    allow("newfstatat", (3, _AT_EMPTY_PATH, 0))
    for name in ("fstat", "newfstatat"):
        allow.above(name, 0, _LAST_PIPE)
