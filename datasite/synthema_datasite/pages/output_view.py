"""A staged output as tables of cells, each with what the checks noticed about it and whether it would be left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.code.outputs import Content, Output
from synthema_core.code.references import selected
from synthema_core.disclosure.finding import Severity
from synthema_datasite.service.staging import Staged

_PER_ROW = 10
_MOST_CELLS = 1_000
"""Of one output that can be ticked one by one; of a longer one, cells are named by typing."""
_RANKS: Mapping[str, int] = {Severity.NOTE: 1, Severity.LOOK: 2, Severity.SERIOUS: 3}


@dataclass(frozen=True, slots=True)
class Cell:
    """One number.

    Parameters
    ----------
    reference
        ``deaths[2]``.
    marks
        What was noticed about it, in words.
    worst
        The gravest severity of the marks; empty without any.
    gone
        Left out already by a condition of the approval, or by another steward.
    """

    reference: str
    value: float
    marks: tuple[str, ...]
    worst: str
    ticked: bool
    gone: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in two dimensions. `caption` says which slice of a deeper output this is."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True, slots=True)
class OutputView:
    """One output. `tables` is empty if it has too many numbers for ticking; then `lines` has them as text."""

    output: Output
    ticked: bool
    gone: bool
    tables: tuple[Table, ...]
    lines: tuple[str, ...]

    @property
    def counts(self) -> bool:
        return self.output.content is Content.COUNTS


def views_of(staged: Staged, ticked: Collection[str], gone: Sequence[str]) -> list[OutputView]:
    """Each declared output.

    Parameters
    ----------
    ticked
        References that the form would leave out.
    gone
        Those that are left out whatever the form says.
    """
    marks = _marks_by_cell(staged.findings)
    removed = staged.outputs.unflatten(selected(gone, staged.outputs).astype(np.float64))
    return [
        _view(output, np.asarray(staged.arrays[output.name]), marks, ticked, removed[output.name] > 0)
        for output in staged.outputs.outputs
    ]


def _marks_by_cell(findings: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """(severity, message) of each reference that a finding is about."""
    marks: dict[str, list[tuple[str, str]]] = {}
    for finding in findings:
        for reference in finding.get("cells", ()):
            marks.setdefault(str(reference), []).append((str(finding["severity"]), str(finding["message"])))
    return marks


def _view(
    output: Output,
    array: NDArray[Any],
    marks: Mapping[str, Sequence[tuple[str, str]]],
    ticked: Collection[str],
    removed: NDArray[np.bool_],
) -> OutputView:
    def cell(place: tuple[int, ...]) -> Cell:
        reference = f"{output.name}[{','.join(str(index) for index in place)}]" if place else output.name
        found = marks.get(reference, ())
        worst = max((severity for severity, _ in found), key=lambda one: _RANKS.get(one, 0), default="")
        texts = tuple(message for _, message in found)
        return Cell(reference, float(array[place]), texts, worst, reference in ticked, bool(removed[place]))

    whole = output.name in ticked
    if output.length > _MOST_CELLS:
        return OutputView(output, whole, bool(removed.all()), (), tuple(_as_text(array)))
    return OutputView(output, whole, bool(removed.all()), tuple(_tables(output.shape, cell)), ())


def _tables(shape: tuple[int, ...], cell: Any) -> Iterator[Table]:
    if len(shape) == 3:
        for index in range(shape[0]):
            columns = tuple(str(column) for column in range(shape[2]))
            yield Table(f"[{index}, …]", columns, tuple(_rows(shape[1:], cell, (index,))))
    elif len(shape) == 2:
        yield Table("", tuple(str(column) for column in range(shape[1])), tuple(_rows(shape, cell, ())))
    elif shape:
        starts = range(0, shape[0], _PER_ROW)
        columns = tuple(str(column) for column in range(min(_PER_ROW, shape[0]))) if len(starts) == 1 else ()
        rows = [(start, range(start, min(start + _PER_ROW, shape[0]))) for start in starts]
        named = (("" if columns else f"{start}…", tuple(cell((index,)) for index in places)) for start, places in rows)
        yield Table("", columns, tuple(named))
    else:
        yield Table("", (), (("", (cell(()),)),))


def _rows(shape: tuple[int, ...], cell: Any, before: tuple[int, ...]) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    for row in range(shape[0]):
        yield str(row), tuple(cell((*before, row, column)) for column in range(shape[1]))


def _as_text(array: NDArray[Any]) -> Iterator[str]:
    """A line for each row of the last dimension, named by its first cell."""
    flat = array.reshape(-1)
    width = min(array.shape[-1], _PER_ROW)
    for start in range(0, flat.size, width):
        place = ",".join(str(int(index)) for index in np.unravel_index(start, array.shape))
        yield f"[{place}]  " + "  ".join(f"{float(value):.6g}" for value in flat[start : start + width])
