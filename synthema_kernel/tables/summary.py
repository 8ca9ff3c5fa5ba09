"""A Table 1 as a paper has it: a row for each variable, its levels indented under it, a column for each group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synthema_kernel.figures.canvas import plain
from synthema_kernel.markup import Table, number, p_value, significant

_Values = Mapping[str, Any]
_INDENT = "\u2003"
_NOTHING = "–"
_OF_NUMBERS = ("n", "missing", "mean", "sd", "lower", "upper")


def tables(values: _Values) -> list[Table]:
    """The Table 1, and what is to be read with it."""
    grouped, compared = bool(values["groups"]), any(variable["smd"] for variable in values["variables"])
    tested = any(variable["test"] for variable in values["variables"])
    columns = ["Variable", *_headings(values), *(["p"] if tested else []), *(["SMD"] if compared else [])]
    rows = [
        [*row, *([""] * (len(columns) - len(row)))]
        for variable in values["variables"]
        for row in _rows(variable, values, tested=tested, compared=compared)
    ]
    caption = f"Table 1: {'patients by ' + _named(values['by']) if grouped else 'all patients'}"
    notes = Table(("To read with these numbers",), [(note,) for note in notes_of(values)])
    return [Table(columns, rows, caption, frozenset(range(1, len(columns)))), notes]


def notes_of(values: _Values) -> list[str]:
    """How numbers are to be read, what was tested how, and what is not told."""
    about = "about " if values["private"] else ""
    told = ["Numbers are mean (standard deviation), and median [quartiles] where asked for; counts are n (%)."]
    if names := sorted({variable["test"]["name"] for variable in values["variables"] if variable["test"]}):
        told.append(f"p: {'; '.join(names)}, not corrected for many tests.")
    if any(variable["smd"] for variable in values["variables"]):
        told.append("SMD: standardised mean difference (Yang and Dalton 2012), the largest of all pairs of groups.")
    if values["suppressed"]:
        left_out = ", ".join(values["suppressed"])
        told.append(f"Groups with too few patients, left out of every number, totals too: {left_out}.")
    if values["without_group"] is None:
        told.append("A few patients have no group and are left out.")
    elif values["without_group"]:
        told.append(f"Without a group, and left out: {about}{values['without_group']:,} patients.")
    told += [
        f"{_named(variable)}: {note}" for variable in values["variables"] for note in variable["notes"] if note.strip()
    ]
    return [*told, *values["notes"]]


def records(values: _Values) -> Iterator[dict[str, Any]]:
    """Long and tidy: one a variable, level, group and statistic; of tests and differences one a variable."""
    codes = [("", "Overall"), *((group["code"], group["label"]) for group in values["groups"])]
    for variable in values["variables"]:
        about = {"variable": variable["column"], "label": variable["label"], "unit": variable["unit"]}
        for (code, label), own in zip(codes, (variable["overall"], *variable["groups"]), strict=True):
            of_group = {**about, "group": code, "group_label": label}
            yield from ({**of_group, **record} for record in _of_group(variable, own, values["quantiles"]))
        yield from ({**about, "group": "", "group_label": "", **record} for record in _of_groups(variable))


def _of_group(variable: _Values, own: _Values, shares: Sequence[float]) -> Iterator[dict[str, Any]]:
    names = _OF_NUMBERS if variable["kind"] == "number" else ("n", "missing")
    yield from ({"level": "", "statistic": name, "value": own[name]} for name in names)
    if variable["kind"] == "number":
        quantiles = own["quantiles"] or [None] * len(shares)
        for share, value in zip(shares, quantiles, strict=True):
            yield {"level": "", "statistic": f"quantile {share:g}", "value": value}
        return
    for place, (code, _) in enumerate(variable["levels"]):
        for name, series in (
            ("count", "counts"),
            ("proportion", "proportions"),
            ("lower", "lower"),
            ("upper", "upper"),
        ):
            yield {"level": code, "statistic": name, "value": own[series][place]}


def _of_groups(variable: _Values) -> Iterator[dict[str, Any]]:
    if test := variable["test"]:
        for name in ("statistic", "p", *(["cramers_v"] if "cramers_v" in test else [])):
            yield {"level": "", "statistic": f"test {name}", "value": test[name]}
    if differences := variable["smd"]:
        for pair in differences["pairs"]:
            yield {"level": "", "statistic": f"smd {' vs '.join(pair['groups'])}", "value": pair["value"]}


def _named(column: _Values) -> str:
    return str(column["label"] or column["column"])


def _headings(values: _Values) -> list[str]:
    about = "≈" if values["private"] else "="
    heads = [("Overall", values["patients"]), *((_group(group), group["patients"]) for group in values["groups"])]
    return [f"{label} (n {about} {patients:,})" for label, patients in heads]


def _group(group: _Values) -> str:
    return str(group["label"] or group["code"])


def _rows(variable: _Values, values: _Values, *, tested: bool, compared: bool) -> list[list[str]]:
    cells = [variable["overall"], *variable["groups"]]
    end = [
        *([p_value(variable["test"]["p"] if variable["test"] else None)] if tested else []),
        *([number(abs(_largest(variable)), 3) if _largest(variable) is not None else _NOTHING] if compared else []),
    ]
    if variable["kind"] == "number":
        return _number_rows(variable, values["quantiles"], cells, end)
    label = _named(variable)
    if variable["boolean"]:
        rows = [[f"{label}, n (%)", *(_share(own, 1) for own in cells), *end]]
    else:
        blank = [""] * len(cells)
        rows = [[f"{label}, n (%)", *blank, *end]]
        rows += [
            [f"{_INDENT}{level or code}", *(_share(own, place) for own in cells)]
            for place, (code, level) in enumerate(variable["levels"])
        ]
    return [*rows, *_missing(cells)]


def _largest(variable: _Values) -> Any:
    return variable["smd"]["largest"] if variable["smd"] else None


def _number_rows(
    variable: _Values, shares: Sequence[float], cells: Sequence[_Values], end: Sequence[str]
) -> list[list[str]]:
    unit = f" ({variable['unit']})" if variable["unit"] else ""
    rows = [[f"{_named(variable)}{unit}, mean (SD)", *map(_mean, cells), *end]]
    if any(any(value is not None for value in own["quantiles"] or ()) for own in cells):
        rows.append([f"{_INDENT}{quantile_heading(shares)}", *(_quantiles(own, shares) for own in cells)])
    return [*rows, *_missing(cells)]


def _mean(own: _Values) -> str:
    if own["mean"] is None:
        return _NOTHING
    if own["sd"] is None:
        return significant(own["mean"], own["upper"] - own["lower"]) if own["upper"] is not None else plain(own["mean"])
    spread = own["sd"]
    return f"{significant(own['mean'], spread)} ({significant(spread, spread or own['mean'])})"


def quantile_heading(shares: Sequence[float]) -> str:
    """``median [q1, q3]``, or the shares."""
    if list(shares) == [0.25, 0.5, 0.75]:
        return "median [Q1, Q3]"
    if list(shares) == [0.5]:
        return "median"
    return "quantiles " + ", ".join(f"{share:g}" for share in shares)


def _quantiles(own: _Values, shares: Sequence[float]) -> str:
    told = [_NOTHING if value is None else plain(value) for value in own["quantiles"] or [None] * len(shares)]
    if list(shares) == [0.25, 0.5, 0.75]:
        return _NOTHING if set(told) == {_NOTHING} else f"{told[1]} [{told[0]}, {told[2]}]"
    return ", ".join(told)


def _share(own: _Values, place: int) -> str:
    count, share = own["counts"][place], own["proportions"][place]
    if count is None:
        return _NOTHING
    return f"{count:,}" if share is None else f"{count:,} ({share * 100:.0f} %)"


def _missing(cells: Sequence[_Values]) -> list[list[str]]:
    """Where a value is missing, or it is not told whether."""
    if all(own["missing"] == 0 for own in cells):
        return []
    return [[f"{_INDENT}missing, n", *(_NOTHING if own["missing"] is None else f"{own['missing']:,}" for own in cells)]]
