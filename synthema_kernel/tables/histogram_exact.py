"""Exact counts, one row a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.figures.histogram import cell_label
from synthema_kernel.markup import Table

_GONE = "·"


def tables(values: Mapping[str, Any]) -> list[Table]:
    """The counts and their sum; what is left out is said under them."""
    total = values["total"]
    rows = [(cell_label(cell), _count(cell["count"]), _share(cell["count"], total)) for cell in values["cells"]]
    rows.append(("All", _count(total), ""))
    found = [Table(("Value", "Patients", "Share"), rows, "Patients", frozenset({1, 2}))]
    if values["suppressed"]:
        least = values["min_patients"]
        note = f"{_GONE} stands for a number from 1 to below {least}, or for one that would give such a number back."
        found.append(Table(("To read with these numbers",), [(note,)]))
    return found


def _count(count: int | None) -> str:
    return _GONE if count is None else f"{count:,}"


def _share(count: int | None, total: int | None) -> str:
    return _GONE if count is None or not total else f"{100 * count / total:.1f} %"


def records(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One a cell."""
    yield from (dict(cell) for cell in values["cells"])
