"""How wide the intervals of a private question would be, of how many patients, at which cost, before any is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthema_core.errors import InvalidInput, RoundFailed
from synthema_core.rehearsal import foresee
from synthema_kernel.line import Line
from synthema_kernel.markup import Table, number, significant
from synthema_kernel.session import Rehearsed

PATIENTS = "patients"
_Values = Mapping[str, Any]
_RUNS = 3
_MOST, _LEAST, _MOST_SIZES = 20_000, 30, 4
_COSTLIER = (1 / 3, 1.0, 3.0)
_HIGHEST = 100.0


def sizes(line: Line) -> tuple[int, ...]:
    """Those of --patients; none where it is left out.

    Raises
    ------
    InvalidInput
        For what is no number of patients that can be tried.
    """
    if PATIENTS not in line.options:
        return ()
    typed = [part.strip() for part in line.options[PATIENTS].split(",")]
    found = tuple(int(part) for part in typed if part.isdecimal())
    if len(found) != len(typed) or len(found) > _MOST_SIZES or not all(_LEAST <= size <= _MOST for size in found):
        raise InvalidInput(
            f"--{PATIENTS} takes up to {_MOST_SIZES} numbers of patients from {_LEAST} to {_MOST:,}.",
            f"For example --{PATIENTS} 500,1500.",
        )
    return found


def table(rehearsed: Rehearsed, patients: Sequence[int]) -> Table:
    """For each number of patients over all sites: at a third of the cost, at it, and at three times of it.

    Raises
    ------
    InvalidInput
        Of an exact question, or one whose result has no interval of which to tell.
    """
    plan = rehearsed.plan
    if plan.privacy is None or rehearsed.evidence is not None:
        raise InvalidInput("Intervals are foreseen of private analyses.", f"Leave --{PATIENTS} out, or give --epsilon.")
    costs = [min(_HIGHEST, plan.privacy.epsilon * times) for times in _COSTLIER]
    told = {(size, cost): _middle(rehearsed, size, cost) for size in patients for cost in costs}
    what = next((one.what for one in told.values() if one), "no estimate")
    cells = {place: one.spelled if one else "no estimate" for place, one in told.items()}
    heads = ("Patients", *(f"epsilon {cost:.3g}" for cost in costs))
    rows = [(f"{size:,}", *(cells[size, cost] for cost in costs)) for size in patients]
    return Table(heads, rows, f"To expect, of invented patients: {what}", frozenset({0, 1, 2, 3}))


@dataclass(frozen=True, slots=True)
class Precision:
    """How wide an interval is.

    Parameters
    ----------
    what
        What it is an interval of.
    half_width
        In the unit of that; of a ratio, of its logarithm.
    """

    what: str
    half_width: float
    spelled: str


def _middle(rehearsed: Rehearsed, patients: int, cost: float) -> Precision | None:
    """The median of some runs; None where most have no estimate."""
    told = [precision(rehearsed, patients, cost, run) for run in range(_RUNS)]
    known = sorted((one for one in told if one), key=lambda one: one.half_width)
    return known[len(known) // 2] if len(known) * 2 > _RUNS else None


def precision(rehearsed: Rehearsed, patients: int, cost: float, run: int) -> Precision | None:
    """Of a result on invented patients; None where there is none. `run` says which invented patients and noise."""
    try:
        result = foresee(rehearsed.plan, rehearsed.schema, patients, cost, run)
    except RoundFailed:
        return None
    return next(_OF_KIND[str(result["kind"])](result), None)


def _wide(what: str, interval: tuple[float | None, float | None], unit: str) -> Iterator[Precision]:
    lower, upper = interval
    if lower is not None and upper is not None:
        half = (upper - lower) / 2
        yield Precision(what, half, f"± {significant(half, half)} {unit}".rstrip())


def _factor(what: str, interval: tuple[float | None, float | None]) -> Iterator[Precision]:
    lower, upper = interval
    if lower and upper:
        half = math.log(upper / lower) / 2
        yield Precision(what, half, f"×/÷ {number(math.exp(half), 2)}")


def _of_histogram(result: _Values) -> Iterator[Precision]:
    cell = result["cells"][0]
    yield from _wide(f"the {_interval(result)} of a count", (cell["lower"], cell["upper"]), "patients")


def _of_mean(result: _Values) -> Iterator[Precision]:
    about = f"the {_interval(result)} of the mean of {result['column']['label']}"
    if result["mean"]["value"] is not None:
        yield from _wide(about, (result["mean"]["lower"], result["mean"]["upper"]), result["column"]["unit"])


def _of_summary(result: _Values) -> Iterator[Precision]:
    first = result["variables"][0]
    overall = first["overall"]
    if first["kind"] == "number":
        about = f"the {_interval(result)} of the mean of {first['label']}"
        yield from _wide(about, (overall["lower"], overall["upper"]), first["unit"])
        return
    about = f"the {_interval(result)} of a share of {first['label']}"
    yield from _wide(about, (100 * overall["lower"][0], 100 * overall["upper"][0]), "percentage points")


def _of_crosstab(result: _Values) -> Iterator[Precision]:
    if result["effects"]:
        ratio = result["effects"]["odds_ratio"]
        yield from _factor(f"the {_interval(result)} of the odds ratio", (ratio["lower"], ratio["upper"]))
        return
    yield from _wide(f"the {_interval(result)} of a count", (0.0, 2 * result["reach"]), "patients")


def _of_curves(result: _Values) -> Iterator[Precision]:
    grid, what = result["grid"], "survival"
    arm = result["arms"][0]
    if "causes" in arm:
        arm, what = arm["causes"][0], "incidence"
    place = int(np.searchsorted(np.array(grid), grid[-1] / 3))
    if arm[what][place] is not None:
        about = f"the {_interval(result)} of {what} to {grid[place]:g} {result['time']['unit']}".rstrip()
        yield from _wide(about, (100 * arm["lower"][place], 100 * arm["upper"][place]), "percentage points")


def _of_model(result: _Values) -> Iterator[Precision]:
    """Of the coefficient that is least sure."""
    term = max(result["terms"], key=lambda one: float(one["standard_error"]))
    about = f"the {_interval(result)} of the {result['effect']} of {term['label']}"
    interval = term["lower"], term["upper"]
    yield from _wide(about, interval, "") if result["effect"] == "difference" else _factor(about, interval)


def _interval(result: _Values) -> str:
    return f"{result['confidence'] * 100:g} % interval"


_OF_KIND: Mapping[str, Callable[[_Values], Iterator[Precision]]] = {
    "histogram": _of_histogram,
    "mean": _of_mean,
    "summary": _of_summary,
    "crosstab": _of_crosstab,
    "kaplan-meier": _of_curves,
    "cumulative-incidence": _of_curves,
    "cox-private": _of_model,
    "glm": _of_model,
}
