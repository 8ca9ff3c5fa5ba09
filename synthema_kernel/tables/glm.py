"""A generalised linear model as the tables of a paper: its coefficients, its terms as wholes, and the model itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthema_kernel.figures.canvas import plain
from synthema_kernel.figures.forest import term_comparison, term_label
from synthema_kernel.markup import Table, number, p_value, significant

_Values = Mapping[str, Any]


def tables(values: _Values) -> list[Table]:
    """Those that the result has numbers for."""
    found = [_coefficients(values), _noisy_model(values) if values.get("private") else _model(values)]
    if any(len(part["terms"]) > 1 for part in values["covariates"]):
        found.append(_joint(values))
    if values.get("baseline"):
        found.append(_baseline(values))
    return [*found, Table(("To read with these numbers",), [(note,) for note in values["notes"]])]


def records(values: _Values) -> Iterator[dict[str, Any]]:
    """One a coefficient; a common intercept first."""
    if values["intercept"]:
        yield {"unit": "", "per": "", **values["intercept"]}
    yield from (dict(term) for term in values["terms"])


def spelled_effect(term: _Values, effect: str) -> tuple[str, str]:
    """A difference or ratio, and its interval: with as many decimals as the interval deserves, or three."""
    if effect != "difference":
        value, lower, upper = (number(term[name]) for name in ("effect", "lower", "upper"))
    else:
        width = term["upper"] - term["lower"]
        value, lower, upper = (significant(term[name], width) for name in ("effect", "lower", "upper"))
    return value, f"{lower} to {upper}"


def _coefficients(values: _Values) -> Table:
    """One row a term: difference or ratio with interval and test; for ratios, the coefficient with its error too."""
    effect = values["effect"]
    is_ratio = effect != "difference"
    terms = [*([values["intercept"]] if values["intercept"] else []), *values["terms"]]
    smooth = {name for part in values["covariates"] if part["smooth"] for name in part["terms"]}
    rows = []
    for term in terms:
        logs = (number(term["coefficient"], 4),) if is_ratio else ()
        error = significant(term["standard_error"], term["standard_error"] * 4)
        rows.append(
            (
                term_label(term),
                term_comparison(term) if term["name"] not in {"Intercept", *smooth} else "",
                *spelled_effect(term, effect),
                *logs,
                number(term["standard_error"], 4) if is_ratio else error,
                number(term["statistic"], 2),
                p_value(term["p"]),
            )
        )
    unit = values["outcome"]["unit"]
    columns = (
        "Covariate",
        "Comparison",
        effect.capitalize() + (f" ({unit})" if unit and not is_ratio else ""),
        f"{values['confidence'] * 100:g} % interval",
        *(["Coefficient"] if is_ratio else []),
        "Robust standard error" if values["robust"] else "Standard error",
        values["statistic"],
        "p",
    )
    return Table(columns, rows, f"{effect.capitalize()}s: {values['formula']}", frozenset(range(2, len(columns))))


def _model(values: _Values) -> Table:
    """How it was fitted, and how well it fits."""
    events = values["events"]
    counts = f"{values['patients']:,}" + (f", {events:,}" if events is not None else "")
    what = {"binomial": "Patients, with the outcome", "poisson": "Patients, with a count above 0"}
    intercepts = f"{values['sites_contributing']}, one for each site" if values["site_effects"] else "one in common"
    rows = [
        ("Family, link", f"{values['family']}, {values['link']}", ""),
        (what.get(values["family"], "Patients"), counts, ""),
        ("Intercepts", intercepts, ""),
        *([("Offset", values["offset"], "")] if values["offset"] else []),
        *([("Prior weights", values["weights"], "")] if values["weights"] else []),
        *([("Ridge penalty", plain(values["l2"]), "")] if values["l2"] else []),
        *_fit(values),
    ]
    return Table(("Model", "", ""), rows, "The model as a whole", frozenset({1}))


def _noisy_model(values: _Values) -> Table:
    """How many patients there are, and how much of each coefficient's uncertainty is noise."""
    counted = values["counted"]
    within = f"{number(counted['lower'], 0)} to {number(counted['upper'], 0)}"
    shares = [term["noise_share"] for term in values["terms"]]
    rows = [
        ("Family", values["family"], ""),
        ("Patients", f"{counted['shown']:,}", within),
        *([("Offset", values["offset"], "")] if values["offset"] else []),
        *([("Residual standard deviation", number(values["residual_sd"]), "")] if values["residual_sd"] else []),
        *([("Dispersion", number(values["dispersion"], 2), "")] if values["dispersion"] else []),
        ("Noise's part in the variances", f"{100 * min(shares):.0f} % to {100 * max(shares):.0f} %", ""),
    ]
    return Table(
        ("Model", "", f"{values['confidence'] * 100:g} % interval"), rows, "The model as a whole", frozenset({1, 2})
    )


def _baseline(values: _Values) -> Table:
    """Of a private proportional hazards model."""
    unit = values["time"]["unit"]
    rows = [
        (
            f"{plain(step['from'])} to {plain(step['to'])}",
            number(step["hazard"], 4),
            f"{number(step['lower'], 4)} to {number(step['upper'], 4)}",
        )
        for step in values["baseline"]
    ]
    columns = (
        f"Time ({unit or 'units of time'})",
        f"Events per {unit.removesuffix('s') or 'unit of time'}",
        f"{values['confidence'] * 100:g} % interval",
    )
    return Table(columns, rows, "Hazard of a patient with average covariates", frozenset({0, 1, 2}))


def _fit(values: _Values) -> Iterator[tuple[str, str, str]]:
    null, degrees = values["null_deviance"], values["residual_degrees"]
    without = "" if null is None else f"without covariates {number(null)}"
    if values["family"] == "gaussian":
        within = values["r_squared_within"]
        told = "" if within is None else f"within sites {number(within)}"
        yield "Residual standard deviation", number(values["residual_sd"], 4), f"{degrees:.6g} df"
        yield "R²", number(values["r_squared"]), told
        yield "Residual sum of squares", number(values["deviance"]), without
    else:
        yield "Deviance", number(values["deviance"]), without
        yield "Residual degrees of freedom", "–" if degrees is None else f"{degrees:.6g}", ""
    yield "Log-likelihood", number(values["log_likelihood"]), f"{values['parameters']:.4g} parameters"
    yield "AIC", number(values["aic"], 2), ""
    if test := values["overall"]:
        name = "F test" if test["test"] == "F" else "Likelihood ratio test"
        statistic, told, p = test_text(test)
        yield f"{name}, all covariates", statistic, f"{told} df, p {p if p.startswith('<') else f'= {p}'}"


def test_text(test: _Values | None) -> tuple[str, str, str]:
    """A test's statistic, degrees of freedom and p."""
    if test is None:
        return "–", "–", "–"
    residual = test.get("residual_degrees")
    degrees = f"{test['degrees']:.3g}" + (f", {residual:.6g}" if residual is not None else "")
    return number(test["statistic"], 2), degrees, p_value(test["p"])


def _joint(values: _Values) -> Table:
    rows = [(part["label"], *test_text(part["wald"])) for part in values["covariates"]]
    name = "F" if values["family"] == "gaussian" and not values.get("private") else "Wald chi-squared"
    return Table(("Term", name, "df", "p"), rows, "Each term as a whole", frozenset({1, 2, 3}))
