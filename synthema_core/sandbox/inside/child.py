"""One evaluation, from the moment its process is confined."""

from __future__ import annotations

import gc
import os
import random
import resource
import sys
import traceback
from typing import NoReturn

import numpy as np

from synthema_core.sandbox.inside.clocks import stand_still
from synthema_core.sandbox.inside.code import Modules, Program
from synthema_core.sandbox.inside.messages import CONFINED, RESULT, ROWS, Exit, Farewell
from synthema_core.sandbox.inside.tables import BadOutput, Declared, read_rows, write_arrays

_PIECE = 1 << 20


def evaluate(program: Program, declared: Declared) -> NoReturn:
    """Read the rows, call the function, write what it returned, end."""
    os.write(RESULT, CONFINED)
    before = _resident_kib()
    try:
        gc.enable()
        stand_still()
        _draw_anew()
        how = _call(program, declared)
        sys.stdout.flush()
        sys.stderr.flush()
        _write_all(Farewell(how, max(0, _resident_kib() - before)).pack())
    finally:
        os._exit(0)


def _call(program: Program, declared: Declared) -> int:
    try:
        _write_all(write_arrays(program.load()(read_rows(_read_all())), declared))
    except MemoryError:
        return Exit.MEMORY
    except BadOutput as error:
        sys.stderr.write(f"{error}\n")
        return Exit.BAD_OUTPUT
    except BaseException as error:  # SystemExit is a failure like any other: nothing was returned
        _tell(error)
        return Exit.RAISED
    return Exit.RETURNED


def _draw_anew() -> None:
    """A fork has its template's random numbers; two patients must not draw the same."""
    np.random.seed(int.from_bytes(os.urandom(4), "little"))
    random.seed(os.urandom(8))


def _tell(error: BaseException) -> None:
    """The traceback, from the code's first frame on."""
    trace = error.__traceback__
    while trace is not None and not isinstance(trace.tb_frame.f_globals.get("__loader__"), Modules):
        trace = trace.tb_next
    sys.stdout.flush()
    traceback.print_exception(type(error), error, trace or error.__traceback__)


def _resident_kib() -> int:
    """The most it has been. A fork begins with what it shares with its template."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _read_all() -> bytes:
    """Its place stays taken: a library's file in it could not be looked at, as no pipe may be."""
    pieces = []
    while piece := os.read(ROWS, _PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def _write_all(content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(RESULT, view) :]
