"""The tables of each kind of result, and its numbers as records for a data frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.figures.canvas import plain
from synthema_kernel.figures.histogram import cell_label
from synthema_kernel.markup import Table, number, significant

_Values = Mapping[str, Any]


def _interval(item: _Values, digits: int) -> str:
    if item["lower"] is None or item["upper"] is None:
        return "–"
    return f"{number(item['lower'], digits)} to {number(item['upper'], digits)}"


def _percent(values: _Values) -> str:
    return f"{values['confidence'] * 100:g} %"


def histogram(values: _Values) -> list[Table]:
    """One row a cell and one for the total; counts carry their noise, so they may be fractional or negative."""
    cells = [
        (cell_label(cell), plain(cell["shown"]), number(cell["count"], 1), _interval(cell, 1))
        for cell in values["cells"]
    ]
    total = values["total"]
    if total:
        cells.append(("All", "", number(total["count"], 1), _interval(total, 1)))
    columns = ("Value", "Patients", "Noisy count", f"{_percent(values)} interval")
    return [Table(columns, cells, "Noisy numbers of patients", frozenset({1, 2, 3}))]


def histogram_records(values: _Values) -> Iterator[dict[str, Any]]:
    yield from (dict(cell) for cell in values["cells"])


def mean(values: _Values) -> list[Table]:
    """The mean, the standard deviation and the number of patients, each with its interval; then the mean's error."""
    told, spread, patients, unit = values["mean"], values["spread"], values["patients"], values["column"]["unit"]
    rows = [
        ("Mean", *_with_interval(told), unit),
        ("Standard deviation of patients' values", *_with_interval(spread), unit),
        ("Patients with a value", f"{patients['shown']:,}", _interval(patients, 1), ""),
    ]
    parts = (("Privacy noise", told["noise"]), ("Sampling: other patients of this kind", told["sampling"]))
    errors = [(part, significant(error, error or 0.0), unit) for part, error in parts]
    columns = ("", "Estimate", f"{_percent(values)} interval", "Unit")
    numbers = frozenset({1, 2})
    return [
        Table(columns, rows, f"{values['column']['label'] or values['column']['column']}", numbers),
        Table(("Part", "Standard error", "Unit"), errors, "What makes the mean uncertain", frozenset({1})),
    ]


def _with_interval(item: _Values) -> tuple[str, str]:
    if item["lower"] is None:
        return "–", "–"
    within = item["upper"] - item["lower"]
    low, high = (significant(item[end], within) for end in ("lower", "upper"))
    return significant(item["value"], within), f"{low} to {high}"


def mean_records(values: _Values) -> Iterator[dict[str, Any]]:
    patients = {"value": values["patients"]["count"], **{end: values["patients"][end] for end in ("lower", "upper")}}
    for name, item in (("mean", values["mean"]), ("standard deviation", values["spread"]), ("patients", patients)):
        yield {"what": name, **{part: item[part] for part in ("value", "lower", "upper")}}
