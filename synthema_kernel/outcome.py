"""The released outputs of code, cell by cell, for figures, tables and frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synthema_kernel.markup import Table

_MOST_ROWS = 24


@dataclass(frozen=True, slots=True)
class Cell:
    """One released number.

    Parameters
    ----------
    index
        Its place in the output: ``2``, ``1,3``, or empty for a single number.
    value
        None where a site left it out.
    reach
        Half the width of the noise's interval; None without noise.
    """

    index: str
    value: float | None
    reach: float | None

    @property
    def span(self) -> tuple[float, float]:
        value, reach = self.value or 0.0, self.reach or 0.0
        return value - reach, value + reach

    def spell(self) -> str:
        if self.value is None:
            return "left out"
        return rounded(self.value) if self.reach is None else f"{rounded(self.value)} ± {rounded(self.reach)}"


@dataclass(frozen=True, slots=True)
class Shown:
    """One output as it is shown: code per block as means of a block, everything else as sums.

    Parameters
    ----------
    sums
        The released numbers themselves.
    """

    name: str
    shape: tuple[int, ...]
    cells: tuple[Cell, ...]
    sums: tuple[float | None, ...]
    deviation: float | None


def outputs(result: Mapping[str, Any]) -> list[Shown]:
    """All outputs, in the order in which they were declared."""
    return [_shown(output, result.get("evaluations") or 1) for output in result["outputs"]]


def _shown(output: Mapping[str, Any], per: int) -> Shown:
    shape, reach = tuple(output["shape"]), output["reach"]
    values = output["values"]
    cells = (
        Cell(index, None if value is None else value / per, None if reach is None else reach / per)
        for index, value in zip(_indices(shape), values, strict=True)
    )
    deviation = output["noise_standard_deviation"]
    return Shown(output["name"], shape, tuple(cells), tuple(values), deviation)


def _indices(shape: tuple[int, ...]) -> Iterator[str]:
    for place in range(math.prod(shape)):
        parts = []
        for size in reversed(shape):
            place, at = divmod(place, size)
            parts.append(str(at))
        yield ",".join(reversed(parts))


def tables(result: Mapping[str, Any]) -> list[Table]:
    """One row a cell: its number with the interval of the noise; of blocks, the mean of one and the sum of all."""
    shown = outputs(result)
    evaluations = result.get("evaluations")
    noisy = any(output.deviation is not None for output in shown)
    columns = ["Output", *(["Mean of a block"] if evaluations else []), "Sum"]
    columns += [f"{result['confidence'] * 100:g} % interval of the noise"] if noisy else []
    rows = [
        (
            f"{output.name}[{cell.index}]" if output.shape else output.name,
            *([rounded(cell.value)] if evaluations else []),
            rounded(total),
            *([_interval(cell)] if noisy else []),
        )
        for output in shown
        for cell, total in zip(output.cells, output.sums, strict=True)
    ]
    caption = f"Outputs over {evaluations:,} blocks" if evaluations else "Outputs"
    if len(rows) > _MOST_ROWS:
        caption = f"{caption}, the first {_MOST_ROWS} of {len(rows):,} numbers; `to_frame()` has all"
    return [Table(columns, rows[:_MOST_ROWS], caption, frozenset(range(1, len(columns))))]


def _interval(cell: Cell) -> str:
    if cell.value is None or cell.reach is None:
        return "–"
    low, high = cell.span
    return f"{rounded(low)} to {rounded(high)}"


def records(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every released number, unrounded; `lower` and `upper` are of the noise alone, around `value`."""
    evaluations = result.get("evaluations")
    for output, told in zip(outputs(result), result["outputs"], strict=True):
        reach = told["reach"]
        for cell, total in zip(output.cells, output.sums, strict=True):
            gone = total is None or reach is None
            yield {
                "output": output.name,
                "cell": cell.index,
                "value": total,
                "lower": None if gone else total - reach,
                "upper": None if gone else total + reach,
                "noise_standard_deviation": output.deviation,
                **({"mean": cell.value} if evaluations else {}),
            }


def rounded(value: float | None) -> str:
    """Four significant digits; whole thousands with their commas."""
    if value is None:
        return "left out"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"
