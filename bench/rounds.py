"""Measure Rounds of the secure sum beside a stock Flower deployment, in one run: `python bench/rounds.py [--write]`."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bench import environment
from bench.federation import SITES, Jobs, Question, new_federation
from bench.figures import Compared, Figure, Rounds, as_text, circumstances, replace_figures, rows
from bench.footprint import Memory, largest, load_ext_seconds, memory_of
from bench.running import processes, say
from bench.stock_flower import StockFlower
from synthema_core.cli.processes import Children

_DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_LOGS = Path("artifacts/bench")
#: floats -> (our Rounds, the stock deployment's, the target in seconds)
_SIZES = {1_000: (20, 3, 0.6), 1_000_000: (6, 3, 4.0)}
_IDLE_TARGET_MIB, _LOAD_TARGET_SECONDS = 200.0, 1.0
_SETTLE_SECONDS = 5.0
_LOAD_TIMES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the figures into docs/{_DOCUMENT.name}")
    arguments = parser.parse_args()
    if not environment.is_own():
        environment.enter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load = os.getloadavg()[0]
    with environment.own_folder(_LOGS) as folder:
        table = rows(*_measure(folder))
    about = circumstances(load)
    print(f"\n{as_text(table)}\n\n{about}")
    if arguments.write:
        replace_figures(_DOCUMENT, table, about)


def _measure(folder: Path) -> tuple[list[Compared], list[Figure]]:
    """One side after the other: they share this machine."""
    say(f"Loading the notebook's extension, {_LOAD_TIMES} times.")
    loading = load_ext_seconds(_LOAD_TIMES)
    ours, others = _measure_ours(folder / "federation")
    stock = _measure_stock(folder / "stock")
    compared = [Compared(ours[floats], stock[floats], target) for floats, (_, _, target) in _SIZES.items()]
    worst = f"the median of {_LOAD_TIMES}; the slowest {max(loading):.2g} s"
    load = Figure("`%load_ext synthema_kernel`", sorted(loading)[_LOAD_TIMES // 2], "s", _LOAD_TARGET_SECONDS, worst)
    return compared, [*others, load]


def _measure_ours(folder: Path) -> tuple[dict[int, Rounds], list[Figure]]:
    federation = new_federation(folder)
    with processes(federation.logs) as children:
        say(f"Starting a hub and {len(SITES)} datasites.")
        began = time.monotonic()
        federation.start(SITES, children)
        started = time.monotonic() - began
        before = _idle_memory(children)
        with closing(Jobs(federation)) as jobs:
            measured = {floats: _our_rounds(jobs, floats, rounds) for floats, (rounds, _, _) in _SIZES.items()}
        after = _idle_memory(children)
    return measured, [
        _memory_figure("idle datasite, before its first Job", before, _IDLE_TARGET_MIB),
        _memory_figure("idle datasite, after the Jobs above", after, _IDLE_TARGET_MIB),
        *_run_figures(measured),
        Figure(f"hub and {len(SITES)} datasites made and started", started, "s"),
    ]


def _our_rounds(jobs: Jobs, floats: int, rounds: int) -> Rounds:
    say(f"Ours: {rounds} rounds of {floats:,} floats.")
    return jobs.measure(Question(floats, rounds))


def _idle_memory(children: Children) -> dict[str, Memory]:
    time.sleep(_SETTLE_SECONDS)
    sites = {f"site-{site}" for site in SITES}
    return {child.name: memory_of(child.process.pid) for child in children.all() if child.name in sites}


def _memory_figure(name: str, measured: Mapping[str, Memory], target: float) -> Figure:
    most = largest(measured)
    loaded = ", ".join(most.heavy) or "none of duckdb, opendp, pandas, pyarrow, sklearn, torch"
    remark = f"RSS of the largest; PSS {most.proportional_mib:.0f} MiB; {loaded} loaded"
    return Figure(name, most.resident_mib, "MiB", target, remark)


def _run_figures(measured: Mapping[int, Rounds]) -> list[Figure]:
    return [
        Figure(f"last approval to Release, {len(run.seconds)} rounds of {floats:,} floats", run.run_seconds, "s")
        for floats, run in measured.items()
    ]


def _measure_stock(folder: Path) -> dict[int, Rounds]:
    with processes(folder / "logs") as children:
        say(f"Starting a stock SuperLink and {len(SITES)} stock SuperNodes.")
        stock = StockFlower(folder / "deployment", SITES, children)
        stock.start()
        return {floats: _stock_rounds(stock, floats, rounds) for floats, (_, rounds, _) in _SIZES.items()}


def _stock_rounds(stock: StockFlower, floats: int, rounds: int) -> Rounds:
    say(f"Stock: {rounds} rounds of {floats:,} floats.")
    return stock.measure(floats, rounds)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("Stopped; every process has ended.") from None
