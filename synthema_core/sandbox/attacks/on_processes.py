"""Attacks by processes and on them: to outlive the evaluation, to escape its limits, to look into others."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field


def _does(name: str, tries: str, body: str, *, quick: bool = False, provable: bool = True) -> Attack:
    source = f"def attempt(rows, bait):\n{body}"
    return Attack(Field.PROCESSES, name, tries, source, quick=quick, provable=provable)


_FORK = """
    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return works(fork)
"""
_CLONE = """
    def clone():
        pid = syscall("clone", signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return works(clone)
"""
_CLONE3 = """
    def clone():
        arguments = struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
        pid = syscall("clone3", arguments, len(arguments))
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return works(clone)
"""
_THREAD = """
    def start():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    return works(start)
"""
_SHELL = "    return float(os.system('true') == 0)\n"
_SUBPROCESS = "    return works(subprocess.run, [bait['program'], '-c', 'pass'], check=True)\n"
_SPAWN = "    return works(lambda: os.waitpid(os.posix_spawn(bait['program'], ['python', '-c', ''], {}), 0))\n"
_POOL = """
    def start():
        process = multiprocessing.get_context("fork").Process(target=int)
        process.start()
        process.join()
    return works(start)
"""
_EXEC = """
    def execute():  # of a file that is none: only who may execute at all hears about that
        try:
            os.execve(np.__file__, ["x"], {})
        except OSError as error:
            if error.errno == 1:
                raise
    return works(execute)
"""
_DAEMON = """
    if rows["turn"].iloc[0] == 1:
        def leave():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    signal.alarm(1)
                    time.sleep(1)
                os._exit(0)
        works(leave)
        return 0.0
    return works(lambda: os.kill(-1, 0))
"""
_SIGNALS = """
    pids = [os.getppid() or 1, bait["pid"], 1, -1]
    return any_of([lambda pid=pid: os.kill(pid, 0) for pid in pids] +
                  [lambda pid=pid: syscall("tgkill", pid, pid, 0) for pid in pids])
"""
_PIDFD = (
    "    return any_of(lambda pid=pid: os.close(os.pidfd_open(pid)) for pid in (bait['pid'], os.getppid() or 1, 1))\n"
)
_TRACED = "    return works(lambda: syscall('ptrace', 0, 0, 0, 0))\n"
_TRACES = """
    return works(lambda: syscall("ptrace", 0x4206, os.getppid() or 1, 0, 0))
"""
_READS = """
    def read(pid):
        target = ctypes.create_string_buffer(8)
        here = struct.pack("=QQ", ctypes.addressof(target), 8)
        there = struct.pack("=QQ", id(None), 8)
        try:
            syscall("process_vm_readv", pid, here, 1, there, 1, 0)
        except OSError as error:
            if error.errno != 14:  # of a bad address hears only who may read
                raise
    return any_of(lambda pid=pid: read(pid) for pid in (bait["pid"], os.getppid() or 1))
"""
_FILES = """
    return any_of(lambda number=number: fcntl.fcntl(number, fcntl.F_GETFD) for number in range(4, 1024))
"""
_VARIABLES = "    return float(bait['variable'] in os.environ)\n"

ON_PROCESSES = (
    _does("fork", "Fork.", _FORK, quick=True),
    _does("clone", "Fork without Python's or libc's help.", _CLONE),
    _does("clone3", "Fork by the newer system call.", _CLONE3),
    _does("thread", "Start a thread: with two, it could use twice its time.", _THREAD),
    _does("shell", "Run a command of the shell.", _SHELL),
    _does("subprocess", "Run a program.", _SUBPROCESS, quick=True),
    _does("spawned program", "Run a program without a fork of Python's.", _SPAWN),
    _does("process pool", "Compute in another process.", _POOL),
    _does("another program", "Become another program.", _EXEC),
    Attack(Field.PROCESSES, "daemon", "Leave a process behind.", f"def attempt(rows, bait):\n{_DAEMON}", turns=2),
    _does("signals", "Send a signal to the template, the site or anybody.", _SIGNALS, quick=True),
    _does("process handles", "Get a handle of another process.", _PIDFD),
    _does("being traced", "Be traced by the template.", _TRACED),
    _does("tracing", "Trace the template.", _TRACES),
    _does("reading memory", "Read another process's memory.", _READS),
    _does("open files", "Use a file that somebody else opened.", _FILES),
    _does("variables", "Find a secret among the environment's variables.", _VARIABLES, quick=True),
)
