"""Attacks on files: of the host, of the site, of other processes; and on what could be written anywhere."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field


def _reads(name: str, tries: str, expression: str, *, quick: bool = False) -> Attack:
    return _does(name, tries, f"open({expression}, 'rb').read(16)", quick=quick)


def _does(name: str, tries: str, expression: str, *, quick: bool = False) -> Attack:
    source = f"def attempt(rows, bait):\n    return works(lambda: {expression})\n"
    return Attack(Field.FILES, name, tries, source, quick=quick)


_WRITES = """
def attempt(rows, bait):
    name = f"synthema-{os.getpid()}"
    def write(folder):
        path = os.path.join(folder, name)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(path)
    folders = (bait["writable"], "/tmp", "/var/tmp", "/dev/shm", "/run", ".")
    return any_of(lambda folder=folder: write(folder) for folder in folders)
"""
_LIBRARY = """
def attempt(rows, bait):
    return any_of(lambda path=path: open(path, "r+b").close() for path in (os.__file__, np.__file__))
"""
_MANY = """
def attempt(rows, bait):
    paths = [os.path.join(bait["writable"], str(number)) for number in range(500)]
    done = works(lambda: [open(path, "wb").close() for path in paths])
    for path in paths:
        works(os.unlink, path)
    return done
"""
_SPARSE = """
def attempt(rows, bait):
    path = os.path.join(bait["writable"], "giant")
    def make():
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    done = works(make)
    works(os.unlink, path)
    return done
"""
_PROCESSES = """
def attempt(rows, bait):
    return any_of(lambda path=path: open(path, "rb").read(1) for path in (
        f"/proc/{bait['pid']}/environ", f"/proc/{os.getppid()}/environ", "/proc/1/environ", "/proc/self/environ",
        "/proc/self/maps", "/proc/self/status", f"/proc/{os.getppid()}/cmdline", "/proc/thread-self/comm"))
"""
_OTHERS_MEMORY = """
def attempt(rows, bait):
    pids = (os.getppid(), bait["pid"], 1)
    return any_of([lambda pid=pid: open(f"/proc/{pid}/mem", "rb").close() for pid in pids] +
                  [lambda pid=pid: os.listdir(f"/proc/{pid}/fd") for pid in pids])
"""
_RAW = """
def attempt(rows, bait):
    return works(lambda: syscall("openat", -100, bait["key"].encode(), os.O_RDONLY, 0))
"""
_HANDLE = """
def attempt(rows, bait):
    def by_handle():
        handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
        mount = ctypes.c_int()
        syscall("name_to_handle_at", -100, bait["key"].encode(), ctypes.addressof(handle), ctypes.addressof(mount), 0)
    return works(by_handle)
"""
_CHANGES = """
def attempt(rows, bait):
    key = bait["key"]
    return any_of((lambda: os.chmod(key, 0o666), lambda: os.utime(key), lambda: os.truncate(key, os.stat(key).st_size),
                   lambda: os.setxattr(key, "user.synthema", b"1"), lambda: os.rename(key, key),
                   lambda: syscall("fchmodat", -100, key.encode(), 0o666)))
"""


def _makes(name: str, expression: str) -> Attack:
    source = f"""
def attempt(rows, bait):
    path = os.path.join(bait["writable"], "made")
    done = works(lambda: {expression})
    works(shutil.rmtree if os.path.isdir(path) and not os.path.islink(path) else os.unlink, path)
    return done
"""
    return Attack(Field.FILES, name, f"Make a {name}.", source)


ON_FILES = (
    _reads("passwords", "Read the host's list of users.", "'/etc/passwd'", quick=True),
    _reads("shadow", "Read the host's password hashes.", "'/etc/shadow'"),
    _reads("another dataset", "Read a file of rows that is readable for everybody.", "bait['dataset']", quick=True),
    _reads("site key", "Read a key file that is readable for everybody.", "bait['key']"),
    Attack(Field.FILES, "site key by system call", "Open the key file without Python's or libc's help.", _RAW),
    Attack(Field.KERNEL, "file handle", "Get a handle of the key file, which needs no path later.", _HANDLE),
    _does("journal", "Open the site's journal.", "sqlite3.connect(bait['journal']).execute('select * from entries')"),
    _reads("program text", "Read Synthema's own source.", "bait['repository']"),
    _does("folders", "List the host's folders.", "[os.listdir(path) for path in ('/', '/tmp', bait['folder'])]"),
    Attack(Field.FILES, "processes", "Read about processes, its own included.", _PROCESSES, quick=True),
    Attack(Field.FILES, "memory of processes", "Open another process's memory, or list its files.", _OTHERS_MEMORY),
    _reads("devices", "Read a device.", "'/dev/zero'"),
    _does("shared memory file", "Read another program's POSIX shared memory.", "open(bait['posix']).read()"),
    Attack(Field.FILES, "writing", "Write a file anywhere.", _WRITES, quick=True),
    Attack(Field.FILES, "libraries", "Change a file of the libraries.", _LIBRARY),
    Attack(Field.FILES, "metadata", "Change a file's rights, times, size, attributes or name.", _CHANGES),
    Attack(Field.FILES, "many files", "Use up the file system's nodes.", _MANY),
    Attack(Field.FILES, "sparse file", "Make a file that seems to hold a terabyte.", _SPARSE),
    _makes("symbolic link", "os.symlink('/etc/shadow', path)"),
    _makes("hard link", "os.link(bait['key'], path)"),
    _makes("named pipe", "os.mkfifo(path)"),
    _makes("folder", "os.mkdir(path)"),
    _makes("file without a name", "os.close(os.open(bait['writable'], os.O_TMPFILE | os.O_RDWR))"),
    _does("memory file", "Make a file in memory.", "os.memfd_create('x')"),
    Attack(
        Field.FILES,
        "planted module",
        "Import a module that lies in a folder of the caller's.",
        "def attempt(rows, bait):\n    return works(importlib.import_module, bait['module'])\n",
        provable=False,  # only where that folder is searched: a test of its own plants it there
    ),
)
