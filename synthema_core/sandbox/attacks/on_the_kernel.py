"""Attacks on the kernel's less worn parts, on limits and rights, and on name spaces. By bare system calls."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field


def _calls(name: str, tries: str, expression: str, *, quick: bool = False, provable: bool = True) -> Attack:
    source = f"def attempt(rows, bait):\n    return works(lambda: {expression})\n"
    return Attack(Field.KERNEL, name, tries, source, quick=quick, provable=provable)


_PRIVATE = "syscall('unshare', 0x20000), syscall('mount', None, b'/', None, 0x44000, None)"
_MOUNTS = f"[{_PRIVATE}, syscall('mount', b'none', bait['writable'].encode(), b'tmpfs', 0, None)]"
_UNMOUNTS = f"[{_PRIVATE}, syscall('mount', b'none', b'/mnt', b'tmpfs', 0, None), syscall('umount2', b'/mnt', 2)]"
_SEGMENT = """
def attempt(rows, bait):
    LIBC.shmat.restype = ctypes.c_void_p
    def read():
        segment = syscall("shmget", bait["segment"], 0, 0)
        if LIBC.shmat(segment, None, 0o10000) in (None, ctypes.c_void_p(-1).value):
            raise OSError
    return works(read)
"""
_RIGHTS = """
def attempt(rows, bait):
    held = ctypes.create_string_buffer(24)
    LIBC.capget(struct.pack("=Ii", 0x20080522, 0), held)
    return float(any(held.raw) or 0 in os.getresuid())
"""
_EXECUTABLE = """
def attempt(rows, bait):
    def make():
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(b"\\xc3")
    def turn():
        memory = mmap.mmap(-1, 4096)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        syscall("mprotect", address, 4096, 5)
    return any_of((make, turn))
"""
_TIMERS = "syscall('timer_create', 1, None, struct.pack('=Q', 0))"
_RAISE = "resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))"
_OTHERS_LIMITS = "resource.prlimit(bait['pid'], resource.RLIMIT_NOFILE)"

ON_THE_KERNEL = (
    _calls("user name space", "Become root in a name space of its own.", "syscall('unshare', 0x10000000)", quick=True),
    _calls("name spaces", "Make other name spaces.", "[syscall('unshare', kind) for kind in (0x20000, 0x40000000)]"),
    _calls("mount", "Mount a file system.", _MOUNTS),
    _calls("unmount", "Take away what hides a file.", _UNMOUNTS),
    _calls("new mount calls", "Mount by the newer system calls.", "os.close(syscall('fsopen', b'tmpfs', 0))"),
    _calls("open a tree", "Copy a part of the file system.", "os.close(syscall('open_tree', -100, b'/', 1))"),
    _calls("chroot", "Change the root.", "syscall('chroot', b'/usr')"),
    _calls("keyring", "Read the session's keys.", "syscall('keyctl', 0, -3, 1)"),
    _calls("add a key", "Keep something in the kernel's keyring.", "syscall('add_key', b'user', b'x', b'y', 1, -2)"),
    _calls(
        "bpf",
        "Make a map in the kernel.",
        "os.close(syscall('bpf', 0, struct.pack('=4I', 2, 4, 4, 1) + bytes(56), 72))",
    ),
    _calls(
        "io_uring", "Make calls that no filter sees.", "os.close(syscall('io_uring_setup', 1, bytes(120)))", quick=True
    ),
    _calls(
        "performance counters",
        "Watch the machine's counters.",
        "os.close(syscall('perf_event_open', struct.pack('=IIQ', 1, 112, 0) + bytes(96), 0, -1, -1, 0))",
    ),
    _calls("page faults", "Hold up the kernel at a page fault.", "os.close(syscall('userfaultfd', 1))"),
    _calls("personality", "Turn off the random layout of memory.", "syscall('personality', 0x0040000)"),
    _calls("fanotify", "Watch all files.", "os.close(syscall('fanotify_init', 0, 0))"),
    _calls("inotify", "Watch files.", "os.close(syscall('inotify_init1', 0))"),
    _calls("more memory", "Raise its own limits.", _RAISE),
    _calls("others' limits", "Read or set another process's limits.", _OTHERS_LIMITS),
    _calls("priority", "Be served before others.", "os.setpriority(os.PRIO_PROCESS, 0, 1)"),
    _calls("processors", "Choose its processors.", "os.sched_setaffinity(0, os.sched_getaffinity(0))"),
    _calls("timers", "Set a timer.", _TIMERS),
    _calls("alarms", "Set an alarm.", "signal.setitimer(signal.ITIMER_REAL, 0)"),
    _calls("event files", "Make an event file.", "os.close(os.eventfd(0))"),
    _calls("pipes", "Make a pipe.", "os.pipe()"),
    _calls("root", "Become root again.", "os.setresuid(0, 0, 0)"),
    Attack(Field.KERNEL, "rights", "Find a capability or root's uid left.", _RIGHTS),
    _calls(
        "host name", "Name the host.", "syscall('sethostname', os.uname().nodename.encode(), len(os.uname().nodename))"
    ),
    Attack(Field.KERNEL, "machine code", "Run machine code that no library holds.", _EXECUTABLE),
    Attack(Field.KERNEL, "shared memory", "Read another program's System V shared memory.", _SEGMENT, quick=True),
    _calls(
        "new shared memory",
        "Leave shared memory behind.",
        "[syscall('shmctl', syscall('shmget', 0, 4096, 0o1600), 0, None)]",
    ),
    _calls("semaphores", "Leave semaphores behind.", "LIBC.semctl(syscall('semget', 0, 1, 0o1600), 0, 0)"),
    _calls("message queues", "Leave messages behind.", "LIBC.msgctl(syscall('msgget', 0, 0o1600), 0, None)"),
    _calls(
        "seccomp", "Install a filter of its own.", "syscall('prctl', 22, 1, 0, 0, 0)", provable=False
    ),  # it would end there
    _calls("process controls", "Let others look into it.", "syscall('prctl', 4, 1, 0, 0, 0)"),
)
