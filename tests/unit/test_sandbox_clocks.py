"""Without its clocks a process cannot tell the time, whichever way it asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, mmap, os, sys, time
from pathlib import Path
from synthema_core.sandbox.inside.clocks import hide_clocks, stand_still, stop_counter
maps = Path("/proc/self/maps").read_text()
hidden = hide_clocks(maps)
print("hidden", hidden, time.time() > 1e9, time.monotonic() > 0, flush=True)
places = [line for line in Path("/proc/self/maps").read_text().splitlines() if "[vvar" in line]
print("pages", len(places), flush=True)
def read_counter():
    memory = mmap.mmap(-1, 4096, prot=7)
    memory.write(bytes.fromhex("0f31c3"))
    ctypes.CFUNCTYPE(ctypes.c_uint32)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
read_counter()
print("counter read", flush=True)
stand_still()
print("stands", time.time(), time.time_ns(), time.perf_counter() - time.perf_counter(), flush=True)
if sys.argv[1] == "stop":
    stop_counter()
read_counter()
print("counter read again", flush=True)
"""
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="Elsewhere clocks cannot be hidden.")


def run(what: str) -> tuple[list[str], int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, what], capture_output=True, text=True, check=False)
    return done.stdout.splitlines(), done.returncode


def test_the_kernels_pages_go_and_asking_it_still_works() -> None:
    said, _ = run("stop")
    assert said[:2] == ["hidden True True True", "pages 0"]
    assert "stands 0.0 0 0.0" in said


def test_reading_the_counter_ends_the_process() -> None:
    said, status = run("stop")
    assert "counter read" in said and "counter read again" not in said
    assert status == -signal.SIGSEGV


def test_it_can_be_read_where_it_was_not_stopped() -> None:
    said, status = run("leave")
    assert said[-1] == "counter read again" and status == 0
