"""Attacks on what ties evaluations to each other: the time, numbers that count, and anything two could share."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field


def _tells(name: str, tries: str, expression: str, *, bearable: bool = False, provable: bool = True) -> Attack:
    source = f"def attempt(rows, bait):\n    return works(lambda: {expression})\n"
    return Attack(Field.ORDER, name, tries, source, bearable=bearable, provable=provable)


_CLOCK = """
def attempt(rows, bait):
    now = struct.pack("=qq", 0, 0)
    space = ctypes.create_string_buffer(now, 16)
    told = [LIBC.clock_gettime(kind, space) == 0 and space.raw != now for kind in range(12)]
    return float(any(told) or LIBC.gettimeofday(space, None) == 0 or LIBC.time(None) not in (0, -1))
"""
_FUTEX = """
def attempt(rows, bait):  # on a page of a library, which every process has: EAGAIN says that it would wait there
    try:
        syscall("futex", ctypes.cast(LIBC.getenv, ctypes.c_void_p).value & ~3, 0, 0, None, None, 0)
    except OSError as error:
        return float(error.errno == 11)
    return 1.0
"""
_PAGES = """
def attempt(rows, bait):
    return any_of(lambda path=path: mmap.mmap(os.open(path, os.O_RDONLY), 0, mmap.MAP_SHARED, mmap.PROT_READ)
                  for path in (os.__file__, np.__file__))
"""
_NUMBERS = """
def attempt(rows, bait):
    LIBC.getpid.restype = ctypes.c_int
    return float(max(LIBC.getpid(), LIBC.getppid(), LIBC.gettid()) > 1)
"""
_LOCK = "fcntl.flock(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)"

ON_ORDER = (
    Attack(Field.ORDER, "clock", "Tell the time.", _CLOCK, bearable=True),
    _tells("clock by system call", "Tell the time without libc's help.", "syscall('clock_gettime', 0, bytes(16))"),
    _tells("time since start", "Tell how long the machine has been running.", "syscall('times', bytes(32))"),
    _tells("state of the machine", "Tell how busy the machine is.", "syscall('sysinfo', bytes(128))"),
    _tells("waiting for a time", "Wait until a given time.", "syscall('clock_nanosleep', 0, 1, bytes(16), None)"),
    _tells("age of pipes", "Tell when this evaluation began.", "[os.fstat(file) for file in (1, 2, 3)]"),
    _tells("copies of pipes", "Look at a pipe under another number.", "[os.fstat(os.dup(file)) for file in (1, 3)]"),
    _tells("links of pipes", "Look at a pipe by a path.", "[os.stat(f'/proc/self/fd/{file}') for file in (1, 3)]"),
    _tells(
        "unique numbers",
        "Read a number that the kernel gives once.",
        "syscall('statx', 1, b'', 0x1000, 0xfff, bytes(256))",
    ),
    Attack(Field.ORDER, "process numbers", "Tell how many processes came before.", _NUMBERS),
    Attack(Field.ORDER, "rendezvous", "Wait for another evaluation at a place both have.", _FUTEX),
    Attack(Field.ORDER, "shared pages", "Share a page with another evaluation.", _PAGES),
    _tells("locks", "Lock a file that others use.", _LOCK),
    _tells("processor", "Tell which processor it runs on.", "syscall('getcpu', bytes(4), bytes(4), None)"),
    _tells(
        "pages in memory", "Tell which files were used lately.", "syscall('mincore', id(None) & ~4095, 4096, bytes(1))"
    ),
)
