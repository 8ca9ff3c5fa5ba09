"""A Cox model as the tables of a paper: hazard ratios, the model as a whole, its checks, and the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.figures.canvas import plain
from synthema_kernel.figures.forest import term_comparison, term_label
from synthema_kernel.markup import Table, number, p_value

_Values = Mapping[str, Any]


def tables(values: _Values) -> list[Table]:
    """Those that the result has numbers for."""
    found = [_ratios(values), _model(values)]
    if any(len(part["terms"]) > 1 for part in values["covariates"]):
        found.append(_joint(values))
    if values["proportional_hazards"]:
        found.append(_proportional(values))
    if values["baseline"]:
        found.append(_baseline(values["baseline"], values["time"]))
    return [*found, Table(("To read with these numbers",), [(note,) for note in values["notes"]])]


def records(values: _Values) -> Iterator[dict[str, Any]]:
    """One a term."""
    yield from (dict(term) for term in values["terms"])


def test_text(test: _Values | None) -> tuple[str, str, str]:
    """A test's statistic, degrees of freedom and p."""
    if test is None:
        return "–", "–", "–"
    return number(test["statistic"], 2), f"{test['degrees']:.3g}", p_value(test["p"])


def _interval(term: _Values) -> str:
    if term["lower"] is None or term["upper"] is None:
        return "–"
    return f"{number(term['lower'])} to {number(term['upper'])}"


def _ratios(values: _Values) -> Table:
    """One row a term: its hazard ratio with interval and test, and the coefficient under it."""
    rows = [
        (
            term_label(term),
            term_comparison(term),
            number(term["hazard_ratio"]),
            _interval(term),
            number(term["coefficient"], 4),
            number(term["standard_error"], 4),
            number(term["z"], 2),
            p_value(term["p"]),
        )
        for term in values["terms"]
    ]
    columns = (
        "Covariate",
        "Comparison",
        "Hazard ratio",
        f"{values['confidence'] * 100:g} % interval",
        "Coefficient",
        "Robust standard error" if values["robust"] else "Standard error",
        "z",
        "p",
    )
    return Table(columns, rows, "Hazard ratios", frozenset(range(2, 8)))


def _model(values: _Values) -> Table:
    """How it was fitted, how well it fits, and whether it says anything."""
    tests = [
        ("Likelihood ratio test", values["likelihood_ratio"]),
        ("Wald test, robust" if values["robust"] else "Wald test", values["wald"]),
        ("Score test", values["score"]),
    ]
    rows = [
        ("Patients, events", f"{values['patients']:,}, {values['events']:,}", ""),
        ("Strata", values["stratified_by"] or "none", ""),
        *([("Time grid", f"{plain(values['step'])} {values['time']['unit']}".rstrip(), "")] if values["step"] else []),
        ("Ties", values["ties"].capitalize(), ""),
        *([("Ridge penalty", plain(values["l2"]), "")] if values["l2"] else []),
        *([("Observed from", values["entry"]["label"], "")] if values["entry"] else []),
        *_concordance(values["concordance"]),
        ("Log-likelihood", number(values["log_likelihood"]), f"without covariates {values['log_likelihood_null']:.3f}"),
        ("AIC", number(values["aic"], 2), ""),
        *((name, *_spelled(test)) for name, test in tests),
    ]
    return Table(("Model", "", ""), rows, "The model as a whole", frozenset({1}))


def _concordance(told: _Values | None) -> list[tuple[str, str, str]]:
    if told is None:
        return []
    return [("Concordance (Harrell's C) within strata", number(told["value"]), f"{told['pairs']:,} pairs")]


def _spelled(test: _Values | None) -> tuple[str, str]:
    statistic, degrees, p = test_text(test)
    return statistic, "" if test is None else f"{degrees} df, p {p if p.startswith('<') else f'= {p}'}"


def _joint(values: _Values) -> Table:
    rows = [(part["label"], *test_text(part["wald"])) for part in values["covariates"]]
    return Table(("Covariate", "Wald chi-squared", "df", "p"), rows, "Each covariate as a whole", frozenset({1, 2, 3}))


def _proportional(values: _Values) -> Table:
    checked = values["proportional_hazards"]
    rows = [(part["label"], *test_text(part["test"])) for part in checked["covariates"]]
    rows.append(("All together", *test_text(checked["global"])))
    caption = f"Proportional hazards: does a hazard ratio change with {checked['against']}?"
    return Table(("Covariate", "Chi-squared", "df", "p"), rows, caption, frozenset({1, 2, 3}))


def _baseline(baseline: _Values, time: _Values) -> Table:
    rows = [
        (plain(point["time"]), f"{point['events']:,}", number(point["cumulative_hazard"], 4))
        for point in baseline["points"]
    ]
    columns = (f"Time ({time['unit'] or 'units of time'})", "Events since the row above", "Cumulative hazard")
    return Table(columns, rows, f"Baseline, an average over sites: {baseline['at']}", frozenset({0, 1, 2}))
