"""What is there before any Job: the memory of an idle datasite, and the time a notebook waits for its extension."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_MIB = 1 << 20
#: Where a library's compiled parts are, by its name.
_HEAVY = {
    "duckdb": "/duckdb/",
    "opendp": "/opendp/",
    "pandas": "/pandas/",
    "pyarrow": "/pyarrow/",
    "sklearn": "/sklearn/",
    "torch": "/torch/",
}
_FRESH_IPYTHON = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
began = time.perf_counter()
shell.run_line_magic("load_ext", "synthema_kernel")
print(time.perf_counter() - began)
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, with its children.

    Parameters
    ----------
    resident_mib
        RSS: counts what is shared with other processes in full.
    proportional_mib
        PSS: counts it in equal parts.
    heavy
        The libraries for data and models that are mapped into it.
    """

    resident_mib: float
    proportional_mib: float
    heavy: tuple[str, ...]


def memory_of(pid: int) -> Memory:
    process = psutil.Process(pid)
    processes = [process, *process.children(recursive=True)]
    used = [each.memory_full_info() for each in processes]
    mapped = "".join(Path(f"/proc/{each.pid}/maps").read_text() for each in processes)
    return Memory(
        sum(each.rss for each in used) / _MIB,
        sum(each.pss for each in used) / _MIB,
        tuple(name for name, part in _HEAVY.items() if part in mapped),
    )


def largest(measured: Mapping[str, Memory]) -> Memory:
    """The one with the most resident memory; with any library that is loaded in one of them."""
    most = max(measured.values(), key=lambda memory: memory.resident_mib)
    heavy = sorted({name for memory in measured.values() for name in memory.heavy})
    return Memory(most.resident_mib, most.proportional_mib, tuple(heavy))


def load_ext_seconds(times: int) -> tuple[float, ...]:
    """`%load_ext synthema_kernel`, each time in a fresh IPython."""
    return tuple(_load_ext_once() for _ in range(times))


def _load_ext_once() -> float:
    done = subprocess.run([sys.executable, "-c", _FRESH_IPYTHON], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
