"""Measure the sandbox: `python bench/sandbox.py [--json] [--patients N] [--backend NAME]`.

(a) Its start beside a plain Python process that does `import pandas`, one after the other, several times.
(b) A light function on 10,000 patients, with a fresh fork and fresh name spaces for each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from bench.figures import Figure, as_text, circumstances, rows
from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.source import Code
from synthema_core.sandbox.choose import BACKENDS
from synthema_core.sandbox.port import LANES, Backend, End, Limits

_TIMES = 9
_PATIENTS = 10_000
_START_TARGET_SECONDS, _ALL_TARGET_SECONDS = 0.15, 60.0
_SOURCE = """
def visits(rows):
    first = rows.sort_values("day").iloc[0]
    return {"visits": len(rows), "haemoglobin": rows["haemoglobin"].mean(), "gain": first["haemoglobin"]}
"""
_CODE = Code({"study.py": _SOURCE}, "visits")
_OUTPUTS = Outputs(tuple(Output(name, (), 200.0) for name in ("visits", "haemoglobin", "gain")))
_SEED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--patients", type=int, default=_PATIENTS)
    parser.add_argument("--backend", choices=[backend.name for backend in BACKENDS], help="only this one")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    measured: list[Figure] = []
    for backend in BACKENDS:
        if arguments.backend in (None, backend.name) and not backend.missing():
            measured += _measure(backend, arguments.patients)
    if arguments.json:
        print(json.dumps([{"name": each.name, "value": each.value, "unit": each.unit} for each in measured]))
    else:
        print(f"{as_text(rows([], measured))}\n\n{circumstances(load)}")


def _measure(backend: Backend, patients: int) -> list[Figure]:
    plain, sandbox = _starts(backend)
    more = median(sandbox) - median(plain)
    remark = f"{median(sandbox):.2f} s against {median(plain):.2f} s; medians of {_TIMES}, taken in turn"
    target = _ALL_TARGET_SECONDS if patients == _PATIENTS else None
    seconds, busy = _all_of(backend, patients)
    each = f"{seconds / patients * 1000:.1f} ms each; {busy:.0%} of the machine was this or others' work"
    return [
        Figure(f"{backend.name}: start, above `import pandas`", more, "s", _START_TARGET_SECONDS, remark),
        Figure(f"{backend.name}: {patients:,} patients, {LANES} at a time", seconds, "s", target, each),
    ]


def _starts(backend: Backend) -> tuple[list[float], list[float]]:
    """A plain process, and a sandbox up to its first outcome; in turn, so that both meet the same machine."""
    plain, sandbox = [], []
    command = [sys.executable, "-I", "-c", "import pandas"]
    for _ in range(_TIMES):
        began = time.perf_counter()
        subprocess.run(command, check=True)
        plain.append(time.perf_counter() - began)
        began = time.perf_counter()
        with backend.open(_CODE, _OUTPUTS) as opened:
            outcome = opened.evaluate(next(_patients(1)), Limits())
            sandbox.append(time.perf_counter() - began)
        _expect(outcome.end, outcome.log)
    return plain, sandbox


def _all_of(backend: Backend, patients: int) -> tuple[float, float]:
    """Seconds for all patients, and how busy the machine's processors were meanwhile."""
    with backend.open(_CODE, _OUTPUTS) as opened:
        idle, began = _idle_seconds(), time.perf_counter()
        ends = Counter(outcome.end for outcome in opened.evaluate_all(_patients(patients), Limits()))
        seconds = time.perf_counter() - began
    if ends != {End.RETURNED: patients}:
        raise SystemExit(f"Not every evaluation returned: {dict(ends)}.")
    return seconds, 1 - (_idle_seconds() - idle) / seconds / (os.cpu_count() or 1)


def _idle_seconds() -> float:
    """Of all processors together, since the machine was started."""
    return float(Path("/proc/uptime").read_text().split()[1])


def _patients(number: int) -> Iterator[Rows]:
    """Three visits each, two texts and five numbers a visit."""
    draw = np.random.default_rng(_SEED)
    for patient in range(number):
        yield {
            "patient": np.array([f"p{patient}"] * 3, dtype=object),
            "sex": np.array([("f", "m", "")[patient % 3]] * 3, dtype=object),
            "day": draw.permutation(3).astype(np.float64),
            **{name: draw.normal(10, 2, 3) for name in ("haemoglobin", "leucocytes", "platelets", "age")},
        }


def _expect(end: End, log: str) -> None:
    if end is not End.RETURNED:
        raise SystemExit(f"An evaluation was {end.value}: {log}")


if __name__ == "__main__":
    main()
