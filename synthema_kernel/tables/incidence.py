"""Cumulative incidence as the tables of a paper: events by group, incidence at some times, and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.figures.canvas import plain
from synthema_kernel.markup import Table, number, p_value

_Values = Mapping[str, Any]
_SERIES = ("events", "incidence", "standard_error", "lower", "upper")
_MOST_TIMES = 5


def tables(values: _Values) -> list[Table]:
    """Those that the result has numbers for."""
    notes = Table(("To read with these numbers",), [(note,) for note in values["notes"]])
    found = (_overview(values), _at_times(values), _landmarks(values), _tests(values), _differences(values), notes)
    return [table for table in found if table.rows]


def records(values: _Values) -> Iterator[dict[str, Any]]:
    """One a group, event and time of the grid."""
    for arm in values["arms"]:
        for cause in arm["causes"]:
            for cell, time in enumerate(values["grid"]):
                series = {name: cause[name][cell] for name in _SERIES}
                about = {"arm": arm["code"], "label": arm["label"], "event": cause["column"], "time": time}
                yield {**about, "at_risk": arm["at_risk"][cell], **series}


def _name(arm: _Values) -> str:
    return str(arm["label"] or arm["code"])


def _unit(values: _Values) -> str:
    return str(values["time"]["unit"] or "units of time")


def _interval(lower: float | None, upper: float | None) -> str:
    return "–" if lower is None or upper is None else f"{number(lower)} to {number(upper)}"


def _overview(values: _Values) -> Table:
    if not values["arms"]:
        return Table((), [])
    causes = [cause["label"] for cause in values["arms"][0]["causes"]]
    rows = [(_name(arm), f"{arm['patients']:,}", *(f"{count:,}" for count in arm["events"])) for arm in values["arms"]]
    return Table(
        ("Group", "Patients", *causes), rows, "Patients and first events", frozenset(range(1, len(causes) + 2))
    )


def _at_times(values: _Values) -> Table:
    """Incidence at a few of the grid's times."""
    cells = len(values["grid"])
    apart = max(1, cells // _MOST_TIMES)
    rows = [
        (
            _name(arm),
            cause["label"],
            plain(values["grid"][cell]),
            f"{arm['at_risk'][cell]:,}",
            number(cause["incidence"][cell]),
            _interval(cause["lower"][cell], cause["upper"][cell]),
        )
        for arm in values["arms"]
        for cause in arm["causes"]
        for cell in range(apart - 1, cells, apart)
        if cause["incidence"][cell] is not None
    ]
    return Table(_columns(values, "At risk"), rows, "Cumulative incidence", frozenset({2, 3, 4, 5}))


def _columns(values: _Values, *more: str) -> tuple[str, ...]:
    interval = f"{values['confidence'] * 100:g} % interval"
    return ("Group", "Event", f"Time ({_unit(values)})", *more, "Incidence", interval)


def _landmarks(values: _Values) -> Table:
    rows = [
        (
            _name(arm),
            cause["label"],
            plain(own["time"]),
            number(own["incidence"]),
            _interval(own["lower"], own["upper"]),
        )
        for arm in values["arms"]
        for cause in arm["causes"]
        for own in cause["at"]
    ]
    return Table(_columns(values), rows, "Incidence at the times asked for", frozenset({2, 3, 4}))


def _tests(values: _Values) -> Table:
    rows = [
        (own["cause"], number(own["test"]["statistic"], 2), str(own["test"]["degrees"]), p_value(own["test"]["p"]))
        for own in values["tests"]
        if own["test"]
    ]
    return Table(("Event", "Chi-squared", "df", "p"), rows, "Do the groups differ? Gray's test", frozenset({1, 2, 3}))


def _differences(values: _Values) -> Table:
    rows = [
        (plain(own["time"]), number(own["value"]), _interval(own["lower"], own["upper"]), p_value(own["p"]))
        for own in values["at"]
        if own
    ]
    columns = (f"Time ({_unit(values)})", "Difference", f"{values['confidence'] * 100:g} % interval", "p")
    caption = "The event asked about: the second group's incidence less the first's"
    return Table(columns, rows, caption, frozenset({0, 1, 2, 3}))
