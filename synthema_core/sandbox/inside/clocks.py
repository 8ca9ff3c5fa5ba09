"""Hiding the time from a template's children.

With a clock, code could keep one patient's evaluation waiting and let all others tell when they ran: the gap would
show that the patient is there, whatever noise is added to one patient's share. System calls that tell the time are not
on the seccomp filter's list; here goes what tells it without a system call: the kernel's own code in every process
(the vDSO), the pages it reads, and the processor's counter.
"""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_READ_WRITE, _READ_EXECUTE = 3, 5
_PR_SET_TSC, _PR_TSC_SIGSEGV = 26, 2
_VDSO = "linux-vdso.so.1"
#: The vDSO's functions on x86-64, and the system calls that do the same.
_CALLS = {
    "__vdso_clock_gettime": 228,
    "__vdso_gettimeofday": 96,
    "__vdso_time": 201,
    "__vdso_clock_getres": 229,
    "__vdso_getcpu": 309,
}
_NOT_THERE = bytes.fromhex("48c7c0daffffffc3")  # mov rax, -ENOSYS; ret
_STOPPED = ("time", "monotonic", "perf_counter", "process_time", "thread_time")


def hide_clocks(maps: str) -> bool:
    """Let this process, and every fork of it, ask the kernel for the time. Whether that could be done.

    Parameters
    ----------
    maps
        This process's mappings, as in /proc/self/maps.
    """
    if os.uname().machine != "x86_64":  # elsewhere any program may read the processor's counter
        return False
    places = dict(_mapping(line) for line in maps.splitlines() if line.endswith(("[vdso]", "[vvar]", "[vvar_vclock]")))
    try:
        _redirect(*places.pop("[vdso]"))
        for start, length in places.values():
            _checked(_LIBC.munmap(start, length))
    except (KeyError, OSError):
        return False
    return True


def _mapping(line: str) -> tuple[str, tuple[int, int]]:
    """Name, start and length."""
    start, end = (int(word, 16) for word in line.split(maxsplit=1)[0].split("-"))
    return line.split()[-1], (start, end - start)


def _redirect(start: int, length: int) -> None:
    """Overwrite this process's copy of the vDSO's functions: a system call, and back."""
    vdso = ctypes.CDLL(_VDSO)
    stubs = {name: b"\xb8" + number.to_bytes(4, "little") + b"\x0f\x05\xc3" for name, number in _CALLS.items()}
    _checked(_LIBC.mprotect(start, length, _READ_WRITE))
    for name, stub in {**stubs, "__vdso_getrandom": _NOT_THERE}.items():
        with suppress(AttributeError):  # not in every kernel
            address = ctypes.cast(getattr(vdso, name), ctypes.c_void_p).value
            ctypes.memmove(address or 0, stub, len(stub))
    _checked(_LIBC.mprotect(start, length, _READ_EXECUTE))


def stop_counter() -> None:
    """From now on, this process ends if it reads the processor's counter."""
    _checked(_LIBC.prctl(_PR_SET_TSC, ctypes.c_ulong(_PR_TSC_SIGSEGV), 0, 0, 0))


def stand_still() -> None:
    """Libraries that measure how long they take find that it takes no time. For those who do not attack."""
    for name in _STOPPED:
        setattr(time, name, float)
        setattr(time, f"{name}_ns", int)


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
