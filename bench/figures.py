"""The figures of one run of the bench, and the table that shows them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TypeAlias

from synthema_core.errors import NotFound

_VERSIONS = ("synthema", "flwr", "numpy", "cryptography", "duckdb")
_GIB = 1 << 30

Row: TypeAlias = tuple[str, ...]
_HEADINGS: Row = ("figure", "measured", "target", "stock flower-supernode", "ratio")


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of one run.

    Parameters
    ----------
    floats
        How many float64 go to each site, and as many 64-bit numbers come back.
    seconds
        Of each exchange: input to all sites, all their contributions back, and the sum or average of them.
    run_seconds
        From the order to run to the result.
    with_evaluation
        For the stock side: each exchange together with the evaluation that FedAvg has follow it.
    processor_seconds
        For our side: what all its processes used during each exchange.
    """

    floats: int
    seconds: tuple[float, ...]
    run_seconds: float
    with_evaluation: tuple[float, ...] = ()
    processor_seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return median(self.seconds)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line that is not about rounds."""

    name: str
    value: float
    unit: str
    target: float | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """Our rounds beside the stock deployment's, of the same number of floats."""

    ours: Rounds
    stock: Rounds
    target_seconds: float

    @property
    def ratios(self) -> tuple[float, float]:
        """How many of our rounds take as long as one of theirs: its training half, and the whole of it."""
        return self.stock.median / self.ours.median, median(self.stock.with_evaluation) / self.ours.median


def rows(compared: Sequence[Compared], others: Sequence[Figure]) -> list[Row]:
    return [_HEADINGS, *(_compared_row(pair) for pair in compared), *(_figure_row(figure) for figure in others)]


def _compared_row(pair: Compared) -> Row:
    return (
        f"round of {pair.ours.floats:,} floats",
        f"{spread(pair.ours.seconds)} {verdict(pair.ours.median, pair.target_seconds)}",
        f"{pair.target_seconds:g} s",
        f"{spread(pair.stock.seconds)}; with evaluation {median(pair.stock.with_evaluation):.2f} s",
        "{:.0f}x; {:.0f}x".format(*pair.ratios),
    )


def _figure_row(figure: Figure) -> Row:
    remark = f" ({figure.remark})" if figure.remark else ""
    measured = f"{rounded(figure.value)} {figure.unit}{remark}"
    if figure.target is None:
        return (figure.name, measured, "", "", "")
    judged = verdict(figure.value, figure.target)
    return (figure.name, f"{measured} {judged}", f"{figure.target:g} {figure.unit}", "", "")


def rounded(value: float) -> str:
    """To three digits, but all of a whole number's."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(seconds: Sequence[float]) -> str:
    """Median, range and number."""
    return f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}, n={len(seconds)})"


def verdict(value: float, target: float, *, at_least: bool = False) -> str:
    return "met" if (value >= target if at_least else value <= target) else "MISSED"


def circumstances(load: float) -> str:
    """When, where and with what.

    Parameters
    ----------
    load
        Of the machine in the minute before the bench began.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _VERSIONS)
    machine = f"{os.cpu_count()} cores ({_cpu_model()}), {memory:.0f} GiB, load {load:.1f} before"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}; Python {platform.python_version()}, {versions}."


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def as_text(table: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def as_markdown(table: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([lines[0], f"|{'---|' * len(table[0])}", *lines[1:]])


def replace_figures(document: Path, table: Sequence[Row], about: str, name: str = "figures") -> None:
    """Between the document's two marks of that name, and nothing outside them."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, mark, rest = document.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not mark or not closed:
        raise NotFound(f"{document.name} has no marks '{name}'.")
    document.write_text(f"{before}{begin}\n{as_markdown(table)}\n\n{about}\n{end}{after}")
