"""The system calls that Python 3.11 has no name for."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x0002_0000, 0x0200_0000, 0x0400_0000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x0800_0000, 0x2000_0000, 0x4000_0000

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_LAST_CAPABILITY = 63
_P_PIDFD, _WEXITED = 3, 4
_CAPABILITY_VERSION_3 = 0x2008_0522
#: The numbers of Landlock's calls, the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_LIBC.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
_HOLDING_THE_LOCK = ctypes.PyDLL(None)


class _Filter(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, first: int = 0, second: int = 0) -> None:
    _checked(_LIBC.prctl(option, first, second, 0, 0))


def fork() -> int:
    """A fork without what Python does after one: for a process with one thread that is all pages copied in vain."""
    return _checked(_HOLDING_THE_LOCK.fork())


def unshare(flags: int) -> None:
    _checked(_LIBC.unshare(flags))


def setns(file: int, flags: int) -> None:
    _checked(_LIBC.setns(file, flags))


def forget(child: int) -> None:
    """Reap the ended child with this handle, without learning how it ended."""
    _LIBC.waitid(_P_PIDFD, child, None, _WEXITED)


def end_with_parent(signal: int) -> None:
    """Get this signal when the thread that started this process ends."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def forbid_core_and_trace() -> None:
    """Nobody of this uid may trace this process or look into it."""
    _prctl(_PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def empty_bounding_set() -> None:
    """No program that is ever executed from here can gain a capability."""
    with suppress(OSError):  # who may not drop has none to gain under `forbid_new_privileges`
        for capability in range(_LAST_CAPABILITY + 1):
            _prctl(_PR_CAPBSET_DROP, capability)
    with suppress(OSError):
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def drop_capabilities() -> None:
    """All of this process, and see that they are gone."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_LIBC.capset(header, bytes(24)))
    held = ctypes.create_string_buffer(b"\xff" * 24, 24)
    _checked(_LIBC.capget(header, held))
    if any(held.raw):
        raise OSError("A capability could not be dropped.")


def filter_calls(program: bytes) -> None:
    """Install a seccomp filter: the system calls of this process, for ever.

    Parameters
    ----------
    program
        BPF, 8 bytes an instruction.
    """
    fprog = _Filter(len(program) // 8, program)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(fprog))


def landlock_version() -> int:
    """0 where the kernel has no Landlock, or has it turned off."""
    return max(0, int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)))


def landlock_ruleset(readable: Iterable[str]) -> int:
    """A ruleset under which these folders' files can be read, and nothing else done to any file: its descriptor.

    TCP is denied from version 4 on, signals to and abstract sockets of processes outside from version 6 on.
    """
    version = landlock_version()
    files = (1 << 13) - 1
    for since, right in ((2, 1 << 13), (3, 1 << 14), (5, 1 << 15)):
        files |= right if version >= since else 0
    attributes = struct.pack("=QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _checked(_LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0))
    for path in readable:
        with suppress(FileNotFoundError, NotADirectoryError):
            _allow_reading(ruleset, path)
    return int(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, folder)
        _checked(_LIBC.syscall(_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(folder)


def landlock(ruleset: int) -> None:
    """Put this process under the ruleset, for ever."""
    _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
