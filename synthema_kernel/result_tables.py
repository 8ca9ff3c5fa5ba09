"""The tables of each kind of result, and its numbers as records for a data frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.figures.canvas import plain
from synthema_kernel.figures.histogram import cell_label
from synthema_kernel.markup import Table, number, significant

_Values = Mapping[str, Any]
_SERIES = ("at_risk", "deaths", "censored", "survival", "standard_error", "lower", "upper")
_MOST_TIMES = 6


def _interval(item: _Values, digits: int) -> str:
    if item["lower"] is None or item["upper"] is None:
        return "–"
    return f"{number(item['lower'], digits)} to {number(item['upper'], digits)}"


def _percent(values: _Values) -> str:
    return f"{values['confidence'] * 100:g} %"


def kaplan_meier(values: _Values) -> list[Table]:
    """Patients, events and median by arm, then survival at some of the grid's times."""
    unit = values["time"]["unit"] or "units of time"
    overview = Table(
        ("Group", "Patients", "Events", f"Median ({unit})"),
        [
            (
                arm["label"] or arm["code"],
                f"{arm['patients']:,}",
                f"{arm['events']:,}",
                "not reached" if arm["median"] is None else plain(arm["median"]),
            )
            for arm in values["arms"]
        ],
        "Patients and events",
        frozenset({1, 2, 3}),
    )
    rows = [
        (
            arm["label"] or arm["code"],
            plain(values["grid"][cell]),
            f"{arm['at_risk'][cell]:,}",
            number(arm["survival"][cell]),
            _interval({"lower": arm["lower"][cell], "upper": arm["upper"][cell]}, 3),
        )
        for arm in values["arms"]
        for cell in _some(len(values["grid"]))
        if arm["at_risk"][cell]
    ]
    at_times = Table(
        ("Group", f"Time ({unit})", "At risk", "Free of the event", f"{_percent(values)} interval"),
        rows,
        "Kaplan-Meier estimates",
        frozenset({1, 2, 3, 4}),
    )
    return [overview, at_times]


def _some(cells: int) -> list[int]:
    """A few cells after time 0, evenly spread; the frame has them all."""
    apart = max(1, (cells - 1) // _MOST_TIMES)
    return list(range(apart, cells, apart))[:_MOST_TIMES]


def kaplan_meier_records(values: _Values) -> Iterator[dict[str, Any]]:
    for arm in values["arms"]:
        for cell, time in enumerate(values["grid"]):
            series = {name: arm[name][cell] for name in _SERIES}
            yield {"arm": arm["code"], "label": arm["label"], "time": time, **series}


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
