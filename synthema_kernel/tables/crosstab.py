"""A table of two categories with its sums and shares, its tests, and its effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.markup import Table, number, p_value

_Values = Mapping[str, Any]
_GONE = "·"
_EFFECTS = {
    "odds_ratio": "Odds ratio",
    "risk_ratio": "Ratio of risks",
    "risk_difference": "Difference of risks",
}


def tables(values: _Values) -> list[Table]:
    found = [_counts(values)]
    if values["tests"] and values["tests"]["chi_square"]:
        found.append(_noisy_tests(values["tests"]) if values.get("private") else _tests(values["tests"]))
    if values["effects"]:
        found.append(_effects(values))
    return [*found, Table(("To read with these numbers",), [(note,) for note in notes(values)])]


def label(side: _Values) -> str:
    return str(side["label"] or side["column"])


def _counts(values: _Values) -> Table:
    rows, columns = values["rows"], values["columns"]
    totals = [level["patients"] for level in rows["levels"]]
    lines = [
        (level["label"], *(_cell(count, total) for count in line), _plain(total))
        for level, line, total in zip(rows["levels"], values["counts"], totals, strict=True)
    ]
    lines.append(
        ("All", *(_cell(level["patients"], values["total"]) for level in columns["levels"]), _plain(values["total"]))
    )
    heads = (label(rows), *(level["label"] for level in columns["levels"]), "All")
    return Table(heads, lines, f"{label(rows)} by {label(columns)}", frozenset(range(1, len(heads))))


def _cell(count: int | None, total: int | None) -> str:
    if count is None:
        return _GONE
    return f"{count:,} ({100 * count / total:.1f} %)" if total else f"{count:,}"


def _plain(count: int | None) -> str:
    return _GONE if count is None else f"{count:,}"


def _tests(tests: _Values) -> Table:
    plain, corrected, fisher, trend = (tests[name] for name in ("chi_square", "corrected", "fisher", "trend"))
    rows = [("Chi-square", number(plain["statistic"], 2), f"{plain['degrees'][0]:.0f}", p_value(plain["p"]))]
    if corrected:
        rows.append(("with Yates' correction", number(corrected["statistic"], 2), "1", p_value(corrected["p"])))
    if fisher:
        drawn = f" ({fisher['draws']:,} tables drawn)" if fisher["draws"] else ""
        rows.append((f"Fisher's exact test{drawn}", "", "", p_value(fisher["p"])))
    if trend:
        rows.append(("Trend over the levels (Cochran-Armitage), z", number(trend["z"], 2), "", p_value(trend["p"])))
    rows.append(("Cramer's V", number(plain["cramers_v"]), "", ""))
    return Table(("Test", "Statistic", "df", "p"), rows, "Are they independent?", frozenset({1, 2, 3}))


def _noisy_tests(tests: _Values) -> Table:
    told = (("Chi-square, weighed by noise", "chi_square", "statistic"), ("Trend over the levels, z", "trend", "z"))
    rows = [(name, number(tests[key][what], 2), p_value(tests[key]["p"])) for name, key, what in told if tests[key]]
    caption = f"Are they independent? By {tests['draws']:,} tables drawn with noise"
    return Table(("Test", "Statistic", "p"), rows, caption, frozenset({1, 2}))


def _effects(values: _Values) -> Table:
    rows = [
        (name, number(told["value"]), f"{number(told['lower'])} to {number(told['upper'])}")
        for key, name in _EFFECTS.items()
        for told in (values["effects"][key],)
    ]
    (first, second), (_, outcome) = (values[side]["levels"] for side in ("rows", "columns"))
    against = f"{label(values['rows'])}, {second['label']} against {first['label']}"
    caption = f"{against}; outcome: {label(values['columns'])}, {outcome['label']}"
    return Table(("Effect", "Estimate", f"{values['confidence'] * 100:g} % interval"), rows, caption, frozenset({1, 2}))


def notes(values: _Values) -> list[str]:
    said = ["Shares are of the patients of a row."]
    if values["suppressed"]:
        said.append(
            f"{_GONE} stands for a number of patients from 1 to below {values['min_patients']}, or for one that would "
            "give such a number back. No test is given: its exact value could, too."
        )
    tests = values["tests"]
    if values.get("private"):
        said.append(_of_noise(values))
    elif tests and tests["chi_square"] and tests["chi_square"]["smallest_expected"] < 5:
        said.append("The least expected count is below 5: Fisher's test is the one to read.")
    if values["left_out"] != 0:
        count = values["left_out"]
        left_out = "A few" if count is None else f"{count:,}"
        if values.get("private"):
            left_out = f"About {count:,} (± {number(values['reach'], 0)})"
        said.append(f"{left_out} patients lack one of the two and are left out.")
    return said


def _of_noise(values: _Values) -> str:
    within = (
        f"within {number(values['reach'], 1)} of the true one with a confidence of {values['confidence'] * 100:g} %"
    )
    hidden = "" if values["tests"] else " So few patients may be all noise: there is no test."
    return f"Each count has noise and is {within}; tests and intervals contain it.{hidden}"


def records(values: _Values) -> Iterator[dict[str, Any]]:
    """One a cell."""
    for row, line in zip(values["rows"]["levels"], values["counts"], strict=True):
        for column, count in zip(values["columns"]["levels"], line, strict=True):
            yield {"row": row["code"], "column": column["code"], "count": count}
