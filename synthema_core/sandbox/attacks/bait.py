"""What attacks aim at: things that a site has, laid out for the time of the attacks, readable for everybody."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_CALLS = """
socket socketpair clone clone3 fork vfork execve execveat ptrace process_vm_readv kill tgkill pidfd_open pidfd_getfd
unshare setns mount umount2 chroot pivot_root keyctl add_key bpf perf_event_open io_uring_setup userfaultfd
memfd_create personality setrlimit prlimit64 setuid openat shmget shmat shmctl semget msgget mq_open mmap mprotect
open_by_handle_at name_to_handle_at fchmodat utimensat setxattr truncate rename renameat2 unlinkat mkdirat mknodat
prctl seccomp capget sethostname sched_setaffinity setpriority fsopen open_tree move_mount inotify_init1 fanotify_init
timer_create eventfd2 pipe2 acct swapon quotactl syslog init_module kcmp process_madvise setitimer
futex clock_gettime clock_nanosleep times sysinfo statx getcpu mincore
"""
_VARIABLE, _MODULE = "SYNTHEMA_BAIT", "synthema_bait_module"
_IPC_CREAT, _IPC_RMID = 0o1000, 0
_SEGMENT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Bait:
    """Where things are, as JSON for the attacker, and what shows that he was there."""

    told: str
    secret: str
    writable: Path
    listeners: tuple[socket.socket, ...]

    def touched(self) -> str:
        """What has been left or reached; empty if nothing."""
        if any(self.writable.iterdir()):
            return "it left a file"
        return "it reached a socket" if sum(_callers(listener) for listener in self.listeners) else ""


def _callers(listener: socket.socket) -> int:
    """How many have connected since they were last counted."""
    callers = 0
    with suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            callers += 1
    return callers


@contextmanager
def laid_out() -> Iterator[Bait]:
    """A dataset, a key, a journal, sockets, shared memory, a variable, an open file; all gone afterwards."""
    with ExitStack() as stack:
        secret = f"patient-{secrets.token_hex(16)}"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synthema-bait-")))
        folder.chmod(0o755)
        told = _files(folder, secret)
        listeners, addresses = _sockets(stack, folder)
        told |= addresses | _shared(stack, secret) | {"pid": os.getpid(), "numbers": _numbers()}
        told |= {"variable": _VARIABLE, "module": _MODULE}
        stack.enter_context(_variable(secret))
        open_file = stack.enter_context((folder / "site.key").open())
        os.set_inheritable(open_file.fileno(), True)
        yield Bait(json.dumps(told), secret, folder / "writable", listeners)


def _files(folder: Path, secret: str) -> dict[str, object]:
    for name in ("dataset.csv", "site.key"):
        (folder / name).write_text(secret)
        (folder / name).chmod(0o666)
    (folder / f"{_MODULE}.py").write_text("here = True\n")
    writable = folder / "writable"
    writable.mkdir()
    writable.chmod(0o777)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        journal.execute("create table entries (body text)")
        journal.commit()
    (folder / "journal.sqlite").chmod(0o666)
    names = {"dataset": "dataset.csv", "key": "site.key", "journal": "journal.sqlite", "writable": "writable"}
    own = {"repository": str(Path(__file__).parents[2] / "plan.py"), "program": sys.executable}
    return {**{name: str(folder / path) for name, path in names.items()}, **own, "folder": str(folder)}


def _sockets(stack: ExitStack, folder: Path) -> tuple[tuple[socket.socket, ...], dict[str, object]]:
    path, abstract = str(folder / "page.sock"), f"synthema-{secrets.token_hex(8)}"
    tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    listeners = [tcp]
    for address in (path, f"\0{abstract}"):
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(address)
        listener.listen()
        listeners.append(listener)
    Path(path).chmod(0o777)
    for listener in listeners:
        listener.setblocking(False)
    return tuple(listeners), {"port": tcp.getsockname()[1], "socket": path, "abstract": abstract}


def _shared(stack: ExitStack, secret: str) -> dict[str, object]:
    """A segment of System V and one of POSIX."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    key = secrets.randbelow(1 << 30) + 1
    segment = libc.shmget(key, _SEGMENT_BYTES, _IPC_CREAT | 0o666)
    if segment >= 0:
        stack.callback(libc.shmctl, segment, _IPC_RMID, None)
    posix = Path("/dev/shm") / f"synthema-{secrets.token_hex(8)}"  # noqa: S108  where POSIX has its shared memory
    with suppress(OSError):
        posix.write_text(secret)
        posix.chmod(0o666)
        stack.callback(posix.unlink)
    return {"segment": key, "posix": str(posix)}


@contextmanager
def _variable(secret: str) -> Iterator[None]:
    """Among this process's, where a template could take it from."""
    os.environ[_VARIABLE] = secret
    try:
        yield
    finally:
        del os.environ[_VARIABLE]


def _numbers() -> dict[str, int]:
    """Of the system calls on this architecture."""
    import pyseccomp  # it looks for libseccomp when it is imported

    found = {name: pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in _CALLS.split()}
    return {name: number for name, number in found.items() if number >= 0}
