"""Measure what the secure sum costs: `python bench/secure_sum.py [--write] [--only PART]`.

rounds   our secure Rounds beside the same Rounds in plain
flower   Flower's SecAgg+ beside its plain averaging, in its own stock deployment
steps    each step of the protocol in one process, for 3 to 100 sites
ledger   reservations a second, and drawing noise
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from bench import environment
from bench.federation import SITES
from bench.figures import Figure, Rounds, Row, as_text, circumstances, replace_figures, rounded, spread, verdict
from bench.ledger import noise, reservations
from bench.masking import growth, steps
from bench.plain_and_secure import plain_and_secure
from bench.running import processes, say
from bench.stock_flower import App, StockFlower

_DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_LOGS = Path("artifacts/bench")
_QUIET_LOAD = 3.0
_PLAIN, _SECURE = App("secagg", secure=False), App("secagg", secure=True, error=1e-3)
#: floats -> rounds of each
_FLOWER_SIZES = {1_000: 3, 1_000_000: 3}
_FLOWER_HEADINGS: Row = ("round of", "in plain", "SecAgg+", "ratio", "with evaluation: in plain, SecAgg+")
_FIGURE_HEADINGS: Row = ("figure", "measured", "target")

Table = list[Row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the figures into docs/{_DOCUMENT.name}")
    parser.add_argument("--only", choices=list(_PARTS), help="measure this part alone")
    arguments = parser.parse_args()
    if not environment.is_own():
        environment.enter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load = os.getloadavg()[0]  # once: after the first part it is the bench's own
    about = circumstances(load)
    if load > _QUIET_LOAD:
        about += " The machine was busy with other work: ratios hold better than seconds."
    with environment.own_folder(_LOGS) as folder:
        for part in [arguments.only] if arguments.only else _PARTS:
            _measure(part, folder / part, about, write=arguments.write)


def _measure(part: str, folder: Path, about: str, *, write: bool) -> None:
    """One part, its tables printed, and written down at once: what comes after may fail."""
    for name, table in _PARTS[part](folder).items():
        say(f"\n{as_text(table)}\n\n{about}\n")
        if write:
            replace_figures(_DOCUMENT, table, about, name)


def _rounds(folder: Path) -> Mapping[str, Table]:
    return {"secure-rounds": plain_and_secure(folder)}


def _flower(folder: Path) -> Mapping[str, Table]:
    with processes(folder / "logs") as children:
        say(f"Starting a stock SuperLink and {len(SITES)} stock SuperNodes.")
        stock = StockFlower(folder / "deployment", SITES, children)
        stock.start()
        table = [_FLOWER_HEADINGS, *(_flower_row(stock, *size) for size in _FLOWER_SIZES.items())]
    return {"secure-flower": table}


def _flower_row(stock: StockFlower, floats: int, rounds: int) -> Row:
    say(f"Flower: {rounds} rounds of {floats:,} floats in plain, and as many with SecAgg+.")
    plain, secure = (stock.measure(floats, rounds, app) for app in (_PLAIN, _SECURE))
    ratio = f"{secure.median / plain.median:.1f}x"
    return (f"{floats:,} floats", spread(plain.seconds), spread(secure.seconds), ratio, _whole(plain, secure))


def _whole(plain: Rounds, secure: Rounds) -> str:
    return ", ".join(f"{median(rounds.with_evaluation):.1f} s" for rounds in (plain, secure))


def _steps(_: Path) -> Mapping[str, Table]:
    say("The protocol in this process.")
    figures = [_row(figure, at_least=figure.unit == "MB/s") for figure in steps()]
    return {"secure-steps": [_FIGURE_HEADINGS, *figures], "secure-growth": growth()}


def _ledger(folder: Path) -> Mapping[str, Table]:
    say("A ledger of one site.")
    figures = [*(_row(figure, at_least=True) for figure in reservations(folder)), *map(_row, noise())]
    return {"secure-ledger": [_FIGURE_HEADINGS, *figures]}


def _row(figure: Figure, *, at_least: bool = False) -> Row:
    remark = f" ({figure.remark})" if figure.remark else ""
    measured = f"{rounded(figure.value)} {figure.unit}{remark}"
    if figure.target is None:
        return (figure.name, measured, "")
    sign = "at least " if at_least else "at most "
    judged = verdict(figure.value, figure.target, at_least=at_least)
    return (figure.name, f"{measured} {judged}", f"{sign}{figure.target:g} {figure.unit}")


_PARTS: Mapping[str, Callable[[Path], Mapping[str, Table]]] = {
    "rounds": _rounds,
    "flower": _flower,
    "steps": _steps,
    "ledger": _ledger,
}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("Stopped; every process has ended.") from None
