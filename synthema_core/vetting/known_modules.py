"""Modules by what they are for. What is in no list is a question to the researcher, whatever it is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from synthema_core.vetting.finding import Kind, Severity
from synthema_core.vetting.remark import Concern, words

ALLOWED = words(
    "numpy pandas scipy sklearn math statistics datetime re json collections itertools functools typing dataclasses "
    "__future__ abc enum numbers fractions decimal bisect cmath"
)
"""Libraries for computing; no finding for the import itself. Some of their parts are listed below all the same."""

_NETWORK = Concern(
    Kind.NETWORK,
    Severity.DANGER,
    "Reads the network module '{}'",
    "code at a site has no network; ask why it is here",
)
_MACHINE = Concern(
    Kind.FILES,
    Severity.DANGER,
    "Reads '{}', which reaches the machine's files",
    "the rows come as the function's argument and nothing else is there to read; ask what it is for",
)
_PROCESS = Concern(
    Kind.PROCESS,
    Severity.DANGER,
    "Reads '{}', which starts or controls processes",
    "an evaluation is one process that starts no other; ask what it is for",
)
_NATIVE = Concern(
    Kind.NATIVE,
    Severity.DANGER,
    "Reads '{}', which runs machine code or touches raw memory",
    "what such code does cannot be read here",
)
_DYNAMIC = Concern(
    Kind.DYNAMIC,
    Severity.DANGER,
    "Reads '{}', which can load, make or inspect code while it runs",
    "then the text you read is not all that runs",
)
_PICKLE = Concern(
    Kind.PICKLE,
    Severity.DANGER,
    "Reads '{}', which turns data into code",
    "a stored object can run anything when it is loaded",
)
_DECODE = Concern(
    Kind.OPAQUE,
    Severity.DANGER,
    "Reads '{}', which packs and unpacks unreadable data",
    "ask what is packed, and why it cannot be written plainly",
)
_NOISE = Concern(
    Kind.NOISE,
    Severity.LOOK,
    "Makes random numbers with '{}'",
    "noise of the code's own protects nobody, and noise from a seed can be taken off again",
)
_TIME = Concern(
    Kind.TIME,
    Severity.LOOK,
    "Reads the clock with '{}'",
    "how long something takes can carry a patient's value; an analysis of rows needs no clock",
)
_OUTPUT = Concern(
    Kind.OUTPUT,
    Severity.LOOK,
    "Reads '{}', which writes messages",
    "messages can hold patients' values; they go to you and never to the researcher",
)
_HASH = Concern(
    Kind.SINGLING_OUT,
    Severity.LOOK,
    "Reads '{}', which makes fingerprints of values",
    "a fingerprint can pick one patient without the name being readable here",
)
OTHER = Concern(
    Kind.IMPORT,
    Severity.LOOK,
    "Reads the module '{}'",
    "it is not among the libraries for analyses; ask what it is for and whether the site has it",
)
STAR = Concern(
    Kind.IMPORT,
    Severity.LOOK,
    "Takes every name of '{}'",
    "then names below may mean something else than they seem to",
)
SHADOWS = Concern(
    Kind.IMPORT,
    Severity.DANGER,
    "The helper module '{}' has the name of a library",
    "where the code reads as if it used the library, it may use the helper",
)

_GROUPS: tuple[tuple[Concern, frozenset[str]], ...] = (
    (
        _NETWORK,
        words(
            "socket ssl http urllib urllib3 requests httpx aiohttp ftplib smtplib poplib imaplib telnetlib nntplib "
            "xmlrpc socketserver websocket websockets asyncio paramiko grpc flwr select selectors webbrowser boto3 "
            "zmq _socket sklearn.datasets scipy.datasets ipaddress pycurl syft"
        ),
    ),
    (
        _MACHINE,
        words(
            "os posix posixpath pathlib shutil tempfile glob io _io fileinput sqlite3 dbm zipfile tarfile gzip bz2 "
            "lzma csv mmap linecache duckdb pyarrow h5py tables openpyxl stat platform pwd grp getpass fcntl "
            "scipy.io pandas.io numpy.lib.npyio numpy.lib.format numpy.DataSource configparser tomllib yaml"
        ),
    ),
    (
        _PROCESS,
        words(
            "subprocess multiprocessing threading concurrent _thread signal pty sched dask ray queue resource "
            "termios _posixsubprocess contextvars"
        ),
    ),
    (_NATIVE, words("ctypes _ctypes cffi numba cython Cython cupy numpy.ctypeslib numpy.f2py numpy.distutils")),
    (
        _DYNAMIC,
        words(
            "importlib builtins sys inspect gc types code codeop runpy ast dis imp pkgutil zipimport operator site "
            "atexit weakref tracemalloc faulthandler pkg_resources symtable tokenize opcode pdb bdb trace sysconfig "
            "pandas.core.computation numpy.testing numpy.lib.introspect"
        ),
    ),
    (_PICKLE, words("pickle _pickle cPickle dill cloudpickle marshal shelve copyreg joblib")),
    (_DECODE, words("base64 codecs binascii zlib struct quopri uu array unicodedata")),
    (_NOISE, words("random secrets uuid numpy.random opendp diffprivlib")),
    (_TIME, words("time timeit cProfile profile")),
    (_OUTPUT, words("logging warnings traceback pprint syslog IPython rich tqdm")),
    (_HASH, words("hashlib hmac")),
)
MODULES: Mapping[str, Concern] = MappingProxyType({name: concern for concern, names in _GROUPS for name in names})

HIDDEN_MODULES = words(
    "os sys io subprocess socket builtins importlib ctypes shutil pickle inspect threading multiprocessing tempfile "
    "pathlib posix gc runpy marshal ctypeslib requests urllib codecs copyreg linecache operator types thread"
)
"""Modules that libraries hold inside, and that code can reach from there: ``numpy.lib.npyio.os``."""


def concern_of(module: str) -> Concern | None:
    """What there is to say about reading `module`: that of its nearest listed parent; None if nothing."""
    parts = module.split(".")
    for length in range(min(len(parts), 4), 0, -1):
        known = MODULES.get(".".join(parts[:length]))
        if known:
            return known
    return None if parts[0] in ALLOWED else OTHER
