"""Every leak that is planted is found, where it is; honest outputs of many patients pass in silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.staging import outputs, staged
from synthema_core.disclosure import (
    DisclosureFinding,
    Earlier,
    Kind,
    Severity,
    Staged,
    describe_checks,
    findings,
    suggest_redaction,
    summary,
)
from synthema_core.errors import InvalidInput

PATIENTS = 400
Table: TypeAlias = Mapping[str, NDArray[Any]]
Results: TypeAlias = dict[str, Any]


def ward() -> Table:
    """Invented patients."""
    draw = np.random.default_rng(7)
    return {
        "age": draw.integers(20, 90, PATIENTS).astype(np.float64),
        "marker": draw.gamma(3.0, 2.0, PATIENTS),
        "died": (draw.random(PATIENTS) < 0.4).astype(np.float64),
        "arm": np.where(np.arange(PATIENTS) % 5 < 2, "a", "b"),
        "time": np.sort(draw.exponential(300.0, PATIENTS)).round(),
    }


ROWS = ward()
LONGEST = float(ROWS["time"].max())


def of_patient(rows: Table, place: int) -> bool:
    """Whether that patient of the ward is there."""
    return bool(np.isin(ROWS["marker"][place], rows["marker"]))


def examined(
    counts: Callable[[Table], Results], numbers: Callable[[Table], Results], *, alone: bool = True, **known: Any
) -> Staged:
    """The outputs of code on the ward, with what it makes of the ward without each patient."""
    with np.errstate(all="ignore"):
        left_out = [{**counts(without(place)), **numbers(without(place))} if alone else {} for place in range(PATIENTS)]
    arrays = [{name: np.asarray(value) for name, value in one.items()} for one in left_out] if alone else None
    given_ = {"rows": ROWS, "leave_one_out": arrays, "patients": PATIENTS, **known}
    return staged(counts(ROWS), numbers(ROWS), **given_)


def without(place: int) -> Table:
    return {name: np.delete(column, place) for name, column in ROWS.items()}


def nothing(rows: Table) -> Results:
    return {}


def by_arm(rows: Table) -> Results:
    arms = [rows["arm"] == code for code in "ab"]
    return {
        "patients": [int(arm.sum()) for arm in arms],
        "deaths": [int(rows["died"][arm].sum()) for arm in arms],
    }


def moments(rows: Table) -> Results:
    arms = [rows["arm"] == code for code in "ab"]
    centred = rows["marker"] - 6.0
    return {
        "mean_age": [rows["age"][arm].mean() for arm in arms],
        "spread": rows["marker"].std(),
        "products": [(rows["age"] * centred).sum(), (centred**2).sum(), (rows["age"] * rows["marker"]).sum()],
        "slope": np.polyfit(rows["age"], rows["marker"], 1)[0],
    }


def at_risk(rows: Table) -> Results:
    return {"risk": [int((rows["time"] >= day).sum()) for day in range(0, 601, 150)]}


def hit(found: tuple[DisclosureFinding, ...], kind: Kind) -> set[str]:
    return {cell for finding in found if finding.kind is kind for cell in finding.cells}


def test_an_honest_study_passes_in_silence() -> None:
    assert findings(examined(by_arm, moments)) == ()
    assert findings(examined(at_risk, moments)) == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(30, 900), min_size=12, max_size=12), st.integers(0, 500))
def test_honest_counts_of_many_patients_pass_in_silence(cells: list[int], others: int) -> None:
    table = np.array(cells).reshape(3, 4)
    spare = 0 if others < 10 else others
    if len(set(table.sum(0))) == 1 or table.min() == table.max():
        return
    sums = {"table": table, "rows": table.sum(1), "columns": table.sum(0)}
    assert not [finding for finding in findings(staged(sums, patients=int(table.sum()) + spare)) if finding.hide]


# Planted leaks: what the code returns, what must be found in which cells

Leak: TypeAlias = tuple[Callable[[Table], Results], Callable[[Table], Results], Kind, set[str]]

LEAKS: dict[str, Leak] = {
    "a group of few": (
        lambda rows: {"old": [int((rows["age"] >= 89).sum()), int((rows["age"] < 89).sum())]},
        nothing,
        Kind.SMALL,
        {"old[0]"},
    ),
    "all but a few": (lambda rows: {"young": int((rows["age"] < 89).sum())}, nothing, Kind.ALL_BUT_FEW, {"young"}),
    "counts that call themselves numbers": (
        nothing,
        lambda rows: {"old": [int((rows["age"] >= 89).sum()), 100.0]},
        Kind.SMALL,
        {"old[0]"},
    ),
    "a curve with a point at each event": (
        lambda rows: {"risk": [int((rows["time"] >= day).sum()) for day in range(0, 600, 5)]},
        nothing,
        Kind.STEP,
        {"risk[0]", "risk[1]"},
    ),
    "nearly everybody of a group": (
        lambda rows: {"arm": [200, 200, 150, 150], "sick": [190, 195, 100, 149]},
        nothing,
        Kind.REMAINDER,
        {"arm[1]", "sick[1]", "arm[3]", "sick[3]"},
    ),
    "a patient who counts for ten": (
        lambda rows: {"n": len(rows["age"]) // 2 + 10 * of_patient(rows, 3)},
        nothing,
        Kind.WEIGHS,
        {"n"},
    ),
    "a bit about a patient": (
        nothing,
        lambda rows: {"mean": rows["age"].mean(), "constant": 0.25 + 0.5 * of_patient(rows, 3)},
        Kind.FEW,
        {"constant"},
    ),
    "a mean of one patient": (
        nothing,
        lambda rows: {"mean": rows["marker"][rows["time"] == LONGEST].sum() + 0.5},
        Kind.FEW,
        {"mean"},
    ),
    "a sum that one patient makes up": (
        nothing,
        lambda rows: {"sum": (rows["marker"] * np.where(rows["time"] == LONGEST, 1e6, 1.0)).sum()},
        Kind.DOMINATED,
        {"sum"},
    ),
    "the largest value": (nothing, lambda rows: {"largest": rows["marker"].max()}, Kind.ECHO, {"largest"}),
    "the oldest": (nothing, lambda rows: {"oldest": -rows["time"].max() / 1.0}, Kind.ECHO, {"oldest"}),
    "a value times a thousand": (nothing, lambda rows: {"x": rows["marker"][5] * 1000}, Kind.ECHO, {"x"}),
    "a value in single precision": (nothing, lambda rows: {"x": np.float32(rows["marker"][5])}, Kind.ECHO, {"x"}),
    "a value there and back": (nothing, lambda rows: {"x": inexact(rows["marker"])}, Kind.ECHO, {"x"}),
    "a value squared": (nothing, lambda rows: {"x": np.square(rows["marker"][5])}, Kind.ECHO, {"x"}),
    "a column, sorted": (nothing, lambda rows: {"x": np.sort(rows["age"])[:100] * 1.0}, Kind.COLUMN, {"x"}),
    "ages in the digits of a number": (
        nothing,
        lambda rows: {"x": float("0." + "".join(f"{int(age):02d}" for age in rows["age"][10:16]))},
        Kind.PACKED,
        {"x"},
    ),
    "ages in a whole number": (
        nothing,
        lambda rows: {"x": sum(age * 100.0**place for place, age in enumerate(rows["age"][40:45]))},
        Kind.PACKED,
        {"x"},
    ),
    "deaths in the bits of a number": (
        nothing,
        lambda rows: {"x": sum(2.0**-place for place in np.flatnonzero(rows["died"][20:68]).tolist())},
        Kind.PACKED,
        {"x"},
    ),
    "a huge number": (nothing, lambda rows: {"x": 987_654_321.0}, Kind.HUGE, {"x"}),
    "a rate of a hidden count": (
        lambda rows: {"old": [int((rows["age"] >= 89).sum()), 100], "n": [len(rows["age"]), 180]},
        lambda rows: {"rate": [int((rows["age"] >= 89).sum()) / len(rows["age"]), 100 / 180]},
        Kind.DERIVED,
        {"rate[0]"},
    ),
    "a mean over a group of few": (
        lambda rows: {"old": [int((rows["age"] >= 89).sum()), 100]},
        lambda rows: {"marker": [rows["marker"][rows["age"] >= 89].mean(), rows["marker"].mean()]},
        Kind.THIN,
        {"marker[0]"},
    ),
    "a whole group": (
        lambda rows: {"arm": [[150, 0], [90, 160]]},
        nothing,
        Kind.GROUP,
        {"arm[0,0]", "arm[1,1]"},
    ),
    "as many numbers as patients": (nothing, lambda rows: {"weights": ramp(PATIENTS)}, Kind.TOO_MANY, set()),
    "all the same": (lambda rows: {"n": [50, 50, 50]}, nothing, Kind.CONSTANT, {"n"}),
    "nothing at all": (lambda rows: {"n": [0, 0, 0]}, nothing, Kind.CONSTANT, {"n"}),
}


def inexact(values: NDArray[Any]) -> float:
    """A value that is another in its last bit after a division and a multiplication."""
    return next(float(value / 49 * 49) for value in values if value / 49 * 49 != value)


def ramp(length: int) -> NDArray[np.float64]:
    return np.sin(np.arange(length) + 0.5) * 7.1


@pytest.mark.parametrize(("counts", "numbers", "kind", "cells"), LEAKS.values(), ids=LEAKS)
def test_a_planted_leak_is_found(
    counts: Callable[[Table], Results], numbers: Callable[[Table], Results], kind: Kind, cells: set[str]
) -> None:
    found = findings(examined(counts, numbers))
    assert kind in {finding.kind for finding in found}
    assert hit(found, kind) >= cells


FOUND_ALONE = sorted(
    set(LEAKS)
    - {
        "a patient who counts for ten",
        "a bit about a patient",
        "a mean of one patient",
        "a sum that one patient makes up",
    }
)


@pytest.mark.parametrize("leak", FOUND_ALONE)
def test_most_are_found_without_running_the_code_again(leak: str) -> None:
    counts, numbers, kind, cells = LEAKS[leak]
    assert hit(findings(examined(counts, numbers, alone=False)), kind) >= cells


def test_a_small_difference_of_large_sums_is_nobodys() -> None:
    """Everybody changes it by more than half of itself: that tells of nobody."""
    runs = [{"balance": np.array(0.25 + (-1) ** place * (1 + place / 999))} for place in range(PATIENTS)]
    assert findings(staged({}, {"balance": 0.25}, patients=PATIENTS, leave_one_out=runs)) == ()


def test_code_that_fails_without_a_patient_is_named() -> None:
    runs = [None if place == 3 else {"n": np.array(100)} for place in range(PATIENTS)]
    found = findings(staged({"n": 100}, patients=PATIENTS, leave_one_out=runs))
    assert [finding.kind for finding in found] == [Kind.FAILS]
    assert "1 of 400" in found[0].message


def test_a_few_dead_are_a_step_of_a_short_curve_only_if_patients_leave_it_in_order() -> None:
    """Three groups of falling size are no curve; that they are is shown by the runs without one patient."""
    values = np.array([100, 96, 40])
    apart = [{"n": values - np.eye(3, dtype=int)[place % 3]} for place in range(PATIENTS)]
    nested = [{"n": values - (np.arange(3) <= place % 3)} for place in range(PATIENTS)]
    mixed = [{"n": values - np.array([1, place % 2, 1 - place % 2])} for place in range(PATIENTS)]
    for runs, known in ((apart, False), (mixed, False), (nested, True)):
        found = findings(staged({"n": values}, patients=PATIENTS, leave_one_out=runs))
        assert (Kind.STEP in {finding.kind for finding in found}) is known
        assert bool(suggest_redaction(found, outputs({"n": values}, {}))) is known


def test_a_curve_that_looks_like_groups_and_their_total_is_one_if_patients_leave_it_in_order() -> None:
    values = np.array([90, 52, 38, 0])
    nested = [{"n": values - (np.arange(4) <= place % 3)} for place in range(90)]
    assert Kind.STEP not in {finding.kind for finding in findings(staged({"n": values}, patients=90, least=15))}
    known = staged({"n": values}, patients=90, least=15, leave_one_out=nested)
    assert hit(findings(known), Kind.STEP) == {"n[1]", "n[2]"}


def test_a_value_of_several_rows_of_one_patient_is_that_patients() -> None:
    visits = {"marker": np.repeat([5.125, 6.5], [50, 50])}
    one = staged({}, {"x": 5.125}, patients=60, rows=visits, holders=np.array(["p"] * 50 + list(map(str, range(50)))))
    assert hit(findings(one), Kind.ECHO) == {"x"}
    many = staged({}, {"x": 5.125}, patients=60, rows=visits, holders=np.array(list(map(str, range(50))) + ["p"] * 50))
    assert hit(findings(many), Kind.ECHO) == set()


def test_a_coarse_value_may_be_one_by_chance_and_is_said_to_be() -> None:
    ages = {"age": np.array([970.0, *np.repeat(np.arange(40.0, 80.0), 12)])}
    (found,) = (f for f in findings(staged({}, {"y": [970.0, 97.5]}, patients=481, rows=ages)) if f.cells == ("y[0]",))
    assert (found.kind, found.severity) == (Kind.ECHO, Severity.SERIOUS), "one of 931 ages is rare: hardly chance"
    many = {"age": np.arange(20.0, 95.0)}
    (found,) = (f for f in findings(staged({}, {"y": [50.0, 1.5]}, patients=75, rows=many)) if f.cells == ("y[0]",))
    assert (found.kind, found.severity) == (Kind.ECHO, Severity.LOOK)
    assert "by chance" in found.message


# Next to what was released before


def before(label: str, **arrays: Any) -> Earlier:
    declared = outputs({name: np.nan_to_num(value) for name, value in arrays.items()}, {})
    return Earlier(label, {name: np.asarray(value, dtype=float) for name, value in arrays.items()}, declared)


NOW = {"deaths": [120, 80, 60]}


@pytest.mark.parametrize(
    ("then", "kind", "cells"),
    [
        ({"deaths": [120, 77, 60]}, Kind.DIFFERENCE, ["deaths[1]"]),
        ({"deaths": [129, 71, 50]}, Kind.DIFFERENCE, ["deaths[0]", "deaths[1]"]),
        ({"died": [119, 80, 60]}, Kind.DIFFERENCE, ["deaths[0]"]),
        ({"deaths": [120, 80, 60]}, Kind.REPEATED, ["deaths"]),
        ({"died": [120, 80, 60]}, Kind.REPEATED, ["deaths"]),
        ({"deaths": [20, 180, 30]}, None, []),
        ({"died": [119, 10, 10]}, None, []),
        ({"deaths": [120, 80]}, None, []),
        ({"deaths": [np.nan, 180, 30]}, None, []),
    ],
    ids=str,
)
def test_what_two_releases_tell_together(then: Results, kind: Kind | None, cells: list[str]) -> None:
    known = staged(NOW, patients=PATIENTS * 10, earlier=(before("request 7", **then),))
    found = findings(known)
    assert {finding.kind for finding in found if finding.kind is not Kind.GIVEN_BACK} == ({kind} if kind else set())
    assert all("request 7" in finding.message for finding in found)
    if kind:
        assert hit(found, kind) == set(cells)


def test_leaving_out_what_was_shown_before_does_not_help() -> None:
    known = staged({"deaths": [3, 80, 60]}, patients=4000, earlier=(before("request 7", deaths=[3, 280, 160]),))
    assert hit(findings(known), Kind.KNOWN_BEFORE) == {"deaths[0]"}


def test_a_sum_that_differs_by_one_patients_value_is_found() -> None:
    total = ROWS["marker"].sum()
    then = Earlier("request 7", {"sum": np.array(total - ROWS["marker"][9])}, outputs({}, {"sum": 1.0}))
    known = staged({}, {"sum": total}, patients=PATIENTS, rows=ROWS, earlier=(then,))
    assert hit(findings(known), Kind.DIFFERENCE) == {"sum"}


# How many numbers


def test_the_policys_numbers_a_patient_are_kept() -> None:
    many = staged({"n": np.arange(100, 350)}, patients=2000, max_numbers_per_patient=0.1)
    assert Kind.TOO_MANY in {finding.kind for finding in findings(many)}
    few = staged({"n": np.arange(100, 350, 2)}, patients=2000, max_numbers_per_patient=0.1)
    assert Kind.TOO_MANY not in {finding.kind for finding in findings(few)}


# What a steward reads


def test_findings_are_in_order_and_travel_as_json() -> None:
    found = findings(examined(LEAKS["a whole group"][0], LEAKS["the largest value"][1]))
    assert [f.severity for f in found] == sorted((f.severity for f in found), key=list(Severity).index)
    told = next(finding for finding in found if finding.kind is Kind.ECHO).to_dict()
    assert told == {
        "kind": "value-of-a-patient",
        "severity": "serious",
        "output": "largest",
        "cells": ["largest"],
        "message": told["message"],
        "hide": True,
    }


def test_the_suggestion_is_what_the_findings_hide_and_nothing_else() -> None:
    known = staged({"n": [3, 100, 90], "one": 4}, patients=1000)
    found = findings(known)
    assert suggest_redaction(found, known.outputs) == ("n[0]", "one")
    assert suggest_redaction([], known.outputs) == ()
    seen = staged({"arm": [[150, 0], [90, 160]]}, patients=400)
    assert hit(findings(seen), Kind.GROUP)
    assert suggest_redaction(findings(seen), seen.outputs) == ()


def test_the_summary_is_one_sentence() -> None:
    assert summary(()) == "The checks found nothing; they cannot see everything, so read the numbers."
    found = findings(staged({"n": [3, 100, 90]}, patients=1000))
    assert summary(found) == "1 finding (1 serious): by these checks some values should be left out."
    noted = findings(staged({"n": [100, 100, 100]}, patients=1000))
    assert summary(noted) == "1 finding (1 for information): by these checks no value need be left out."


def test_what_is_checked_and_what_is_not_is_told() -> None:
    told = describe_checks()
    assert len({name for name, _ in told}) == len(told)
    assert all(sentence.endswith(".") for _, sentence in told)
    assert "no check sees that" in " ".join(sentence for name, sentence in told if name.startswith("Not"))


@pytest.mark.parametrize(
    "change", [{"patients": 0}, {"least": 1}, {"rows": {"x": np.zeros(3)}, "holders": np.zeros(2)}]
)
def test_checks_without_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        staged({"n": 100}, **{"patients": 200, **change})


# Speed


def many_values(seed: int) -> dict[str, Staged]:
    """Ten thousand values of a thousand patients."""
    draw = np.random.default_rng(seed)
    rows = {f"x{i}": draw.normal(size=1000) for i in range(10)} | {"age": draw.integers(20, 90, 1000) * 1.0}
    model = draw.normal(size=10_000) * 50
    runs = [{"model": model - draw.normal(size=10_000) * 0.05} for _ in range(1000)]
    crowd = np.zeros((100, 98))
    np.add.at(crowd, (draw.integers(0, 100, 1000), draw.integers(0, 98, 1000)), 1)
    falling = np.sort(draw.integers(0, 1001, 10_000))[::-1]
    cube = draw.poisson(40, (20, 20, 20))
    cube[draw.random(cube.shape) < 0.002] = 3
    return {
        "model": staged({}, {"model": model}, patients=1000, rows=rows, leave_one_out=runs),
        "table": staged({"t": crowd, "rows": crowd.sum(1), "columns": crowd.sum(0)}, patients=1000),
        "curve": staged({"risk": falling}, patients=1000),
        "counts": staged({"n": draw.binomial(1000, draw.beta(0.2, 1, 10_000))}, patients=1000),
        "single values": staged({f"n{i}": draw.integers(2, 900) for i in range(2_000)}, patients=1000),
        "cube": staged({"c": cube, "xy": cube.sum(2), "xz": cube.sum(1), "yz": cube.sum(0)}, patients=int(cube.sum())),
    }


@pytest.mark.parametrize("case", many_values(0))
def test_ten_thousand_values_take_under_two_seconds(case: str) -> None:
    known = many_values(3)[case]
    started = time.process_time()
    findings(known)
    assert time.process_time() - started < 2.0
