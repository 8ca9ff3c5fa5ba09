"""Jobs that a researcher might well send. Vetting finds no danger in any, and few things to look at."""

from __future__ import annotations

from pathlib import Path

from support.job_tables import Job

_FOLDER = Path(__file__).parent


def _job(name: str, shape: str, does: str, columns: str, *outputs: tuple[str, tuple[int, ...], float, str]) -> Job:
    return Job(_FOLDER / f"{name}.py", shape, does, tuple(columns.split()), outputs)


JOBS = (
    _job(
        "mean_age",
        "aggregate",
        "mean age by group",
        "z1 group",
        ("patients", (3,), 1000.0, "counts"),
        ("mean_age", (3,), 60.0, "numbers"),
    ),
    _job(
        "kaplan_meier",
        "aggregate",
        "risk sets on a grid",
        "t2 d3",
        ("at_risk", (16,), 1000.0, "counts"),
        ("deaths", (16,), 1000.0, "counts"),
    ),
    _job("logistic", "per-block", "a logistic regression", "t2 d3 z1", ("coefficients", (3,), 5.0, "numbers")),
    _job(
        "correlations",
        "aggregate",
        "correlations",
        "t2 d3 z1",
        ("pearson", (3, 3), 1.0, "numbers"),
        ("spearman", (3, 3), 1.0, "numbers"),
    ),
    _job(
        "contingency",
        "aggregate",
        "death by group",
        "d3 group",
        ("counts", (3, 2), 1000.0, "counts"),
        ("chi_squared", (2,), 1000.0, "numbers"),
    ),
    _job("quantiles", "per-block", "quartiles of the age", "z1", ("quartiles", (3,), 60.0, "numbers")),
    _job(
        "risk_score",
        "per-patient",
        "points of a score",
        "t2 d3 z1 group",
        ("points", (), 3.0, "numbers"),
        ("early_death", (), 1.0, "counts"),
    ),
    _job(
        "poisson_rates",
        "aggregate",
        "deaths and years by age",
        "t2 d3 z1",
        ("deaths", (7,), 1000.0, "counts"),
        ("years", (7,), 1e5, "numbers"),
    ),
    _job(
        "normal_equations",
        "aggregate",
        "sums for a regression",
        "t2 z1 group",
        ("xtx", (4, 4), 1e6, "numbers"),
        ("xty", (4,), 1e6, "numbers"),
        ("patients", (), 1000.0, "counts"),
    ),
    _job(
        "bootstrap",
        "per-block",
        "a mean and its error",
        "z1",
        ("mean_age", (), 60.0, "numbers"),
        ("standard_error", (), 60.0, "numbers"),
    ),
)
