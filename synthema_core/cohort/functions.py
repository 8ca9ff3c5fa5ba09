"""The functions of the language: what each takes, and between which values its result lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.cohort.meaning import Meaning, Values, absent, category, condition, number
from synthema_core.cohort.reading import spelled
from synthema_core.errors import InvalidInput
from synthema_core.schemas import Kind

Arguments: TypeAlias = tuple[Meaning, ...]
Groups: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
Function: TypeAlias = Callable[[str, Arguments, Groups], Meaning]
_MOST_CUTS = 50


def _check(name: str, arguments: Arguments, least: int, most: int | None, usage: str) -> None:
    if len(arguments) < least or (most is not None and len(arguments) > most):
        raise InvalidInput(f"'{name}' takes other values than it was given.", f"Write {usage}.")


def _numbers(name: str, arguments: Arguments, usage: str) -> None:
    if not all(argument.is_number for argument in arguments):
        raise InvalidInput(f"'{name}' takes numbers.", f"Write {usage}.")


def _rising(map_one: Callable[[Values], Values], above: float = -math.inf, *, at: bool = True) -> Function:
    """A function that rises with its one argument, which has to be above (or at) a number."""

    def apply(name: str, arguments: Arguments, _: Groups) -> Meaning:
        _check(name, arguments, 1, 1, f"{name}(x)")
        _numbers(name, arguments, f"{name}(x)")
        (x,) = arguments
        if x.low < above or (x.low == above and not at):
            bound = f"{'below' if at else 'at or below'} {above:g}"
            raise InvalidInput(
                f"'{name}' has no value {bound}, and by the schema there may be {x.low:g}.",
                f"Use {name}(clip(x, low, high)) with a low{'' if at else ' above'} {above:g}.",
            )
        with np.errstate(over="ignore"):
            low, high = (float(map_one(np.array([end]))[0]) for end in (x.low, x.high))
        return number(lambda rows: map_one(x.compute(rows)), low, high, arguments)

    return apply


def _absolute(name: str, arguments: Arguments, _: Groups) -> Meaning:
    _check(name, arguments, 1, 1, "abs(x)")
    _numbers(name, arguments, "abs(x)")
    (x,) = arguments
    ends = abs(x.low), abs(x.high)
    low = 0.0 if x.low <= 0 <= x.high else min(ends)
    whole = x.kind is Kind.INTEGER
    return number(lambda rows: np.abs(x.compute(rows)), low, max(ends), arguments, whole=whole, unit=x.unit)


def _rounded(name: str, arguments: Arguments, _: Groups) -> Meaning:
    _check(name, arguments, 1, 1, "round(x)")
    _numbers(name, arguments, "round(x)")
    (x,) = arguments
    low, high = float(np.rint(x.low)), float(np.rint(x.high))
    return number(lambda rows: np.rint(x.compute(rows)), low, high, arguments, whole=True, unit=x.unit)


def _extreme(choose: Callable[[Values, Values], Values], end: Callable[[Sequence[float]], float]) -> Function:
    def apply(name: str, arguments: Arguments, _: Groups) -> Meaning:
        _check(name, arguments, 2, None, f"{name}(x, y)")
        _numbers(name, arguments, f"{name}(x, y)")
        low, high = end([x.low for x in arguments]), end([x.high for x in arguments])
        whole = all(x.kind is Kind.INTEGER for x in arguments)

        def compute(rows: Rows) -> Values:
            return reduce(choose, [x.compute(rows) for x in arguments])

        return number(compute, low, high, arguments, whole=whole, unit=_shared_unit(arguments))

    return apply


def _clipped(name: str, arguments: Arguments, _: Groups) -> Meaning:
    usage = "clip(x, low, high) with a low below its high"
    _check(name, arguments, 3, 3, usage)
    _numbers(name, arguments, usage)
    x, low, high = arguments
    if not (low.constant and high.constant and low.low < high.low):
        raise InvalidInput("'clip' takes two different numbers after what it clips.", f"Write {usage}.")
    lowest, highest = (min(max(end, low.low), high.low) for end in (x.low, x.high))
    whole = all(argument.kind is Kind.INTEGER for argument in arguments)

    def compute(rows: Rows) -> Values:
        return np.clip(x.compute(rows), low.low, high.low)

    return number(compute, lowest, highest, arguments, whole=whole, unit=x.unit)


def _is_missing(name: str, arguments: Arguments, _: Groups) -> Meaning:
    _check(name, arguments, 1, 1, f"{name}(x)")
    (x,) = arguments
    wanted = name == "missing"
    return condition(lambda rows: np.where(absent(x.compute(rows)) == wanted, 1.0, 0.0), arguments, optional=False)


def _chosen(name: str, arguments: Arguments, _: Groups) -> Meaning:
    usage = "where(condition, a, b)"
    _check(name, arguments, 3, 3, usage)
    test, one, other = arguments
    if not test.is_condition:
        raise InvalidInput("'where' takes a condition first.", f"Write {usage}.")
    alike = (one.is_number and other.is_number) or one.kind is other.kind
    if not alike:
        raise InvalidInput("'where' takes two values of one kind.", f"Write {usage}.")
    optional = any(argument.optional for argument in arguments)

    def compute(rows: Rows) -> Values:
        asked, yes, no = (argument.compute(rows) for argument in arguments)
        chosen = np.where(asked == 1, yes, no)
        return np.where(np.isnan(asked), np.nan if chosen.dtype.kind == "f" else "", chosen)

    if one.is_condition:
        return condition(compute, arguments)
    if one.is_number:
        whole = one.kind is other.kind is Kind.INTEGER
        low, high = min(one.low, other.low), max(one.high, other.high)
        return number(compute, low, high, arguments, whole=whole, unit=_shared_unit((one, other)))
    codes = tuple(dict((*one.codes, *other.codes)).items())
    return category(compute, codes, optional=optional, constant=all(argument.constant for argument in arguments))


def _cut(name: str, arguments: Arguments, _: Groups) -> Meaning:
    usage = "cut(age, 40, 60) with ascending numbers within its range"
    _check(name, arguments, 2, _MOST_CUTS + 1, usage)
    _numbers(name, arguments, usage)
    x, *marks = arguments
    edges = [mark.low for mark in marks]
    within = all(x.low < edge <= x.high for edge in edges)
    if not all(mark.constant for mark in marks) or sorted(set(edges)) != edges or not within:
        raise InvalidInput(f"'cut' takes ascending numbers above {x.low:g} and up to {x.high:g}.", f"Write {usage}.")
    codes = _cells(edges, x.unit)
    names = np.array([code for code, _ in codes], dtype=object)

    def compute(rows: Rows) -> Values:
        values = x.compute(rows)
        gone = absent(values)
        cells = np.searchsorted(edges, np.where(gone, x.low, values), side="right")
        return np.where(gone, "", names[cells])

    return category(compute, codes, optional=x.optional, constant=x.constant)


def _cells(edges: Sequence[float], unit: str) -> tuple[tuple[str, str], ...]:
    told = [spelled(edge) for edge in edges]
    between = [f"{low} to below {high}" for low, high in pairwise(told)]
    codes = [f"below {told[0]}", *between]
    labelled = [(code, f"{code} {unit}".rstrip()) for code in codes]
    return (*labelled, (f"{told[-1]} and above", f"{told[-1]} {unit}".rstrip() + " and above"))


def _recoded(name: str, arguments: Arguments, groups: Groups) -> Meaning:
    usage = "recode(arm, low=('a', 'b'), high='c')"
    _check(name, arguments, 1, 1, usage)
    (x,) = arguments
    known = [code for code, _ in x.codes]
    taken = [code for _, codes in groups for code in codes]
    if x.kind is not Kind.CATEGORY or not groups:
        raise InvalidInput("'recode' takes a category and its new codes.", f"Write {usage}.")
    unknown = [code for code in taken if code not in known]
    if unknown or len(set(taken)) != len(taken):
        raise InvalidInput(
            f"'recode' names the code '{(unknown or taken)[0]}', which the column does not have, or twice.",
            f"It has {', '.join(known)}.",
        )
    new = {code: target for target, codes in groups for code in codes}

    def compute(rows: Rows) -> Values:
        return np.array([new.get(code, "") for code in x.compute(rows)], dtype=object)

    optional = x.optional or set(taken) != set(known)
    return category(compute, tuple((target, target) for target, _ in groups), optional=optional, constant=x.constant)


def _shared_unit(parts: Arguments) -> str:
    """The unit that all parts have which are no bare numbers; none if they differ."""
    units = {part.unit for part in parts if not part.constant}
    return units.pop() if len(units) == 1 else ""


FUNCTIONS: Mapping[str, Function] = {
    "log": _rising(np.log, 0.0, at=False),
    "log2": _rising(np.log2, 0.0, at=False),
    "log10": _rising(np.log10, 0.0, at=False),
    "log1p": _rising(np.log1p, -1.0, at=False),
    "sqrt": _rising(np.sqrt, 0.0),
    "exp": _rising(np.exp),
    "abs": _absolute,
    "round": _rounded,
    "min": _extreme(np.minimum, min),
    "max": _extreme(np.maximum, max),
    "clip": _clipped,
    "missing": _is_missing,
    "present": _is_missing,
    "where": _chosen,
    "cut": _cut,
    "recode": _recoded,
}
