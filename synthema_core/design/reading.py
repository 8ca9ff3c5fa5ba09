"""From the text of one factor of a formula to the factor. No text is ever evaluated: it is parsed and looked at."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from synthema_core.cohort.reading import parsed
from synthema_core.design.factors import Groups, Part, Plain, Powers, Spline
from synthema_core.design.quantities import Quantity
from synthema_core.design.splines import even_knots
from synthema_core.errors import InvalidInput
from synthema_core.schemas import Schema

_BASES = frozenset({"bs", "cr", "ns"})
_BOUNDS = ("lower_bound", "upper_bound")
_LARGEST_DF = 20


def read_factor(text: str, schema: Schema) -> Part:
    """Raises InvalidInput or NotFound for what is no factor."""
    text = text.strip()
    call = parsed(text)
    name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
    if not isinstance(call, ast.Call) or name not in _BASES | {"C", "I", "poly"}:
        return _bare(Quantity.read(text, schema))
    if not call.args:
        raise InvalidInput(f"'{text}' names no column.", f"For example {name}(age).")
    inner, *more = call.args
    if name == "I":
        return read_factor(_source(text, inner), schema)
    quantity = Quantity.read(_source(text, inner), schema)
    if name == "C":
        return Groups.of(quantity, _reference(text, more, call.keywords))
    values = [_literal(text, part) for part in more]
    named = {str(keyword.arg): _literal(text, keyword.value) for keyword in call.keywords}
    return _powers(text, quantity, values, named) if name == "poly" else _spline(name, text, quantity, values, named)


def _source(text: str, node: ast.expr) -> str:
    return ast.get_source_segment(text, node) or ""


def _bare(quantity: Quantity) -> Part:
    return Plain(quantity) if quantity.is_number else Groups.of(quantity)


def _literal(text: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise InvalidInput(f"'{text}' has an argument that is no number.", "Write numbers out.") from None


def _reference(text: str, more: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> str | None:
    """The code in ``Treatment('code')``, if there is one."""
    if not more and not keywords:
        return None
    given = more[0] if len(more) == 1 and not keywords else None
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Name) and given.func.id == "Treatment":
        codes = [*given.args, *(keyword.value for keyword in given.keywords if keyword.arg == "reference")]
        if len(codes) == 1 == len(given.args) + len(given.keywords):
            code = _literal(text, codes[0])
            return str(int(code)) if isinstance(code, bool) else str(code)
    raise InvalidInput(f"'{text}' cannot be read.", "Groups are C(arm) or C(arm, Treatment('b')).")


def _powers(text: str, quantity: Quantity, values: Sequence[Any], named: Mapping[str, Any]) -> Powers:
    given = {**dict(zip(("degree",), values, strict=False)), **named}
    if len(values) > 1 or not set(given) <= {"degree", "raw"}:
        raise InvalidInput(f"'{text}' has an argument that is not known.", "Write poly(age, 2).")
    if given.get("raw", True) is not True:
        raise InvalidInput("poly() gives powers: orthogonal polynomials follow from data.", "Write poly(age, 2).")
    return Powers(quantity, _whole(text, "degree", given.get("degree")))


def _spline(name: str, text: str, quantity: Quantity, values: Sequence[Any], named: Mapping[str, Any]) -> Spline:
    given = {**dict(zip(("df",), values, strict=False)), **named}
    known = {"df", "knots", *_BOUNDS} | ({"degree"} if name == "bs" else set())
    if len(values) > 1 or not set(given) <= known or ("df" in given) == ("knots" in given):
        raise InvalidInput(f"'{text}' needs df or knots, and one of them.", f"For example {name}(age, df=4).")
    least, largest = quantity.range
    low, high = (
        float(_number(text, given.get(bound, end))) for bound, end in zip(_BOUNDS, (least, largest), strict=True)
    )
    degree = _whole(text, "degree", given.get("degree", 3)) if name == "bs" else None
    if not 1 <= (degree or 1) <= 5:
        raise InvalidInput(f"'{text}' has no degree from 1 to 5.", "Usual is 3.")
    if "df" in given:
        df = _whole(text, "df", given["df"])
        if not (degree or 2) <= df <= _LARGEST_DF:
            raise InvalidInput(f"'{text}' needs a df from {degree or 2} to {_LARGEST_DF}.", "Usual are 3 to 5.")
        inner, spelled = even_knots(df - (degree or 1), low, high), f"df={df}"
    else:
        inner = tuple(float(_number(text, knot)) for knot in _several(text, given["knots"]))
        spelled = f"knots=({', '.join(_short(knot) for knot in inner)}{',' if len(inner) == 1 else ''})"
    told = [spelled, *([f"degree={degree}"] if degree not in (None, 3) else [])]
    told += [f"{bound}={_short(end)}" for bound, end in zip(_BOUNDS, (low, high), strict=True) if bound in given]
    canonical = "bs" if degree else "cr"
    return Spline(f"{canonical}({quantity.text}, {', '.join(told)})", quantity, inner, degree, low, high)


def _several(text: str, knots: Any) -> Sequence[Any]:
    if isinstance(knots, (tuple, list)):
        return knots
    return (_number(text, knots),)


def _number(text: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < float("inf"):
        raise InvalidInput(f"'{text}' has an argument that is no number.", "Write numbers out.")
    return float(value)


def _whole(text: str, name: str, value: Any) -> int:
    if type(value) is not int:
        raise InvalidInput(f"'{text}' needs a whole number as its {name}.", "For example 3.")
    return value


def _short(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
