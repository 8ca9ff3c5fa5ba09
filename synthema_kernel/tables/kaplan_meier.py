"""Survival as the tables of a paper: groups, survival at some times, what was asked for beside it, and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.figures.canvas import plain
from synthema_kernel.markup import Table, number, p_value, significant

_Values = Mapping[str, Any]
_SERIES = ("at_risk", "deaths", "censored", "survival", "standard_error", "lower", "upper")
_MOST_TIMES = 6


def tables(values: _Values) -> list[Table]:
    """Those that the result has numbers for."""
    found = [_overview(values), _at_times(values), _landmarks(values), _restricted(values), _comparisons(values)]
    notes = Table(("To read with these numbers",), [(note,) for note in values.get("notes", ())])
    return [table for table in (*found, notes) if table.rows]


def records(values: _Values) -> Iterator[dict[str, Any]]:
    """One a group and time of the grid."""
    for arm in values["arms"]:
        for cell, time in enumerate(values["grid"]):
            series = {name: arm[name][cell] for name in _SERIES}
            yield {"arm": arm["code"], "label": arm["label"], "time": time, **series}


def _name(arm: _Values) -> str:
    return str(arm["label"] or arm["code"])


def _unit(values: _Values) -> str:
    return str(values["time"]["unit"] or "units of time")


def _interval_head(values: _Values) -> str:
    return f"{values['confidence'] * 100:g} % interval"


def _overview(values: _Values) -> Table:
    rows = [
        (_name(arm), f"{arm['patients']:,}", f"{arm['events']:,}", _median(arm), _median_interval(arm))
        for arm in values["arms"]
    ]
    columns = ("Group", "Patients", "Events", f"Median ({_unit(values)})", _interval_head(values))
    return Table(columns, rows, "Patients and events", frozenset({1, 2, 3, 4}))


def _time(time: float) -> str:
    return plain(float(f"{time:.4g}")) if time < 1000 else plain(round(time))


def _median(arm: _Values) -> str:
    return "not reached" if arm["median"] is None else _time(arm["median"])


def _median_interval(arm: _Values) -> str:
    low, high = arm["median_interval"]
    if low is None and high is None:
        return "–"
    return f"{'?' if low is None else _time(low)} to {'not reached' if high is None else _time(high)}"


def _share(lower: float | None, upper: float | None) -> str:
    return "–" if lower is None or upper is None else f"{number(lower)} to {number(upper)}"


def _at_times(values: _Values) -> Table:
    """Survival at a few of the grid's times."""
    rows = [
        (
            _name(arm),
            plain(values["grid"][cell]),
            f"{arm['at_risk'][cell]:,}",
            number(arm["survival"][cell]),
            _share(arm["lower"][cell], arm["upper"][cell]),
        )
        for arm in values["arms"]
        for cell in _some(len(values["grid"]))
        if arm["at_risk"][cell] or values.get("private")
    ]
    columns = ("Group", f"Time ({_unit(values)})", "At risk", "Free of the event", _interval_head(values))
    return Table(columns, rows, "Kaplan-Meier estimates", frozenset({1, 2, 3, 4}))


def _some(cells: int) -> list[int]:
    """A few cells after time 0, evenly spread; the frame has them all."""
    apart = max(1, (cells - 1) // _MOST_TIMES)
    return list(range(apart, cells, apart))[:_MOST_TIMES]


def _landmarks(values: _Values) -> Table:
    """Survival to the times asked for; of two groups, how they differ."""
    rows = [
        (
            _name(arm),
            plain(own["time"]),
            f"{own['at_risk']:,}",
            number(own["survival"]),
            _share(own["lower"], own["upper"]),
        )
        for arm in values["arms"]
        for own in arm["at"]
    ]
    columns = ("Group", f"Time ({_unit(values)})", "At risk", "Free of the event", _interval_head(values))
    return Table(columns, rows, "Survival to the times asked for", frozenset({1, 2, 3, 4}))


def _restricted(values: _Values) -> Table:
    told = values["restricted_means"]
    if told is None:
        return Table((), [])
    rows = [(_name(arm), *_mean(own), "") for arm, own in zip(values["arms"], told["arms"], strict=True)]
    if told["difference"]:
        rows.append(("Difference, second less first", *_mean(told["difference"]), p_value(told["difference"]["p"])))
    columns = ("Group", f"Mean time ({_unit(values)})", _interval_head(values), "p")
    caption = f"Mean time free of the event up to {plain(told['until'])} {values['time']['unit']}".rstrip()
    return Table(columns, rows, caption, frozenset({1, 2, 3}))


def _mean(told: _Values | None) -> tuple[str, str]:
    if told is None:
        return "–", "–"
    width = told["upper"] - told["lower"]
    value, lower, upper = (significant(told[part], width) for part in ("value", "lower", "upper"))
    return value, f"{lower} to {upper}"


def _comparisons(values: _Values) -> Table:
    """The log-rank test, of all groups and of each two; and survival to the times asked for."""
    rows = [("Log-rank, all groups", *_test(values["log_rank"]), "")] if values["log_rank"] else []
    rows += [
        (f"Log-rank, {' and '.join(pair['arms'])}", *_test(pair["test"]), p_value(pair["p_holm"]))
        for pair in values["pairs"]
    ]
    rows += [
        (f"Survival to {plain(own['time'])} {values['time']['unit']}".rstrip(), *_test({**own, "degrees": 1}), "")
        for own in values["at"]
        if own
    ]
    columns = ("Comparison", "Chi-squared", "df", "p", *(["p, Holm"] if values["pairs"] else []))
    shown = [row[: len(columns)] for row in rows]
    return Table(columns, shown, "Do the groups differ?", frozenset(range(1, len(columns))))


def _test(test: _Values | None) -> tuple[str, str, str]:
    if test is None:
        return "–", "–", "–"
    return number(test["statistic"], 2), str(test["degrees"]), p_value(test["p"])
