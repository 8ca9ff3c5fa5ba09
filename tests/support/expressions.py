"""Random expressions over a small schema, rows for them, and what DuckDB says of the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from hypothesis import strategies as st

from synthema_core.analyses.base import Rows
from synthema_core.cohort.reading import spelled
from synthema_core.cohort.tree import (
    Arithmetic,
    Call,
    Comparison,
    Joined,
    Membership,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Text,
    Truth,
)
from synthema_core.schemas import Schema

SCHEMA = Schema.from_dict(
    {
        "name": "leukaemia",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "age", "type": "number", "title": "Age", "unit": "years", "minimum": 18, "maximum": 90},
            {"name": "wbc", "type": "number", "unit": "10^9/L", "minimum": 0, "maximum": 400, "required": False},
            {"name": "blasts", "type": "integer", "unit": "%", "minimum": 0, "maximum": 100, "required": False},
            {"name": "died", "type": "boolean", "required": False},
            {"name": "relapsed", "type": "boolean"},
            {
                "name": "flt3",
                "type": "category",
                "title": "FLT3-ITD",
                "codes": {"0": "negative", "1": "positive"},
                "required": False,
            },
            {"name": "eln", "type": "category", "title": "ELN risk", "codes": ["good", "middle", "poor"]},
        ],
    }
)
_NUMBERS, _CONDITIONS = ("age", "wbc", "blasts"), ("died", "relapsed")
_CODES = {"flt3": ("0", "1"), "eln": ("good", "middle", "poor")}


def rows_of(count: int, seed: int = 1) -> Rows:
    """Every third value of what may be missing is."""
    dice = np.random.default_rng(seed)

    def some(values: Any, gone: Any) -> Any:
        return np.where(dice.random(count) < 1 / 3, gone, values)

    return {
        "age": np.round(dice.uniform(18, 90, count), 1),
        "wbc": some(np.round(dice.uniform(0, 400, count), 1), np.nan),
        "blasts": some(dice.integers(0, 101, count).astype(float), np.nan),
        "died": some(dice.integers(0, 2, count).astype(float), np.nan),
        "relapsed": dice.integers(0, 2, count).astype(float),
        "flt3": some(np.array(["0", "1"], dtype=object)[dice.integers(0, 2, count)], "").astype(object),
        "eln": np.array(_CODES["eln"], dtype=object)[dice.integers(0, 3, count)],
    }


def numbers() -> st.SearchStrategy[Node]:
    """Arithmetic without division, and functions, each with a value on all rows."""
    literal = st.integers(0, 400).map(lambda value: Number(value / 4))
    leaves = st.sampled_from(_NUMBERS).map(Name) | literal

    def larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        return st.one_of(
            st.builds(Arithmetic, st.sampled_from("+-*"), inner, inner),
            st.builds(Negative, inner),
            st.builds(lambda x, y: Arithmetic("/", x, Arithmetic("+", Call("abs", (y,)), Number(1.0))), inner, inner),
            st.builds(lambda name, x: Call(name, (x,)), st.sampled_from(["abs", "round"]), inner),
            st.builds(lambda name, x, y: Call(name, (x, y)), st.sampled_from(["min", "max"]), inner, inner),
            st.builds(lambda x: Call("clip", (x, Number(10.0), Number(60.0))), inner),
            st.builds(lambda x: Call("log1p", (Call("abs", (x,)),)), inner),
            st.builds(lambda c, x, y: Call("where", (c, x, y)), st.sampled_from(_CONDITIONS).map(Name), inner, inner),
        )

    return st.recursive(leaves, larger, max_leaves=4)


def conditions() -> st.SearchStrategy[Node]:
    """Every kind of condition, nested."""
    signs = ["==", "!=", "<", "<=", ">", ">="]
    category = st.sampled_from(sorted(_CODES))
    leaves = st.one_of(
        st.sampled_from(_CONDITIONS).map(Name),
        st.builds(Comparison, st.sampled_from(signs), numbers(), numbers()),
        category.flatmap(
            lambda name: st.builds(
                lambda sign, code: Comparison(sign, Name(name), Text(code)),
                st.sampled_from(["==", "!="]),
                st.sampled_from(_CODES[name]),
            )
        ),
        category.flatmap(
            lambda name: st.builds(
                lambda codes, negated: Membership(Name(name), tuple(Text(code) for code in codes), negated),
                st.lists(st.sampled_from(_CODES[name]), min_size=1, unique=True),
                st.booleans(),
            )
        ),
        st.builds(
            lambda name, told: Comparison("==", Name(name), Truth(told)), st.sampled_from(_CONDITIONS), st.booleans()
        ),
        st.builds(
            lambda name, function: Call(function, (Name(name),)),
            st.sampled_from([*_NUMBERS, *_CODES, "died"]),
            st.sampled_from(["missing", "present"]),
        ),
    )

    def larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        several = st.lists(inner, min_size=2, max_size=3)
        return st.builds(Not, inner) | st.builds(_flat, st.sampled_from(["and", "or"]), several)

    return st.recursive(leaves, larger, max_leaves=6)


def _flat(word: str, parts: list[Node]) -> Node:
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Joined) and part.word == word else [part])
    return Joined(word, tuple(flat))


def asked_of_duckdb(node: Node, rows: Rows) -> list[Any]:
    """What DuckDB computes; None where it says NULL."""
    table = pd.DataFrame(
        {
            name: pd.array(
                [None if (value != value or value == "") else _plain(name, value) for value in values],
                dtype={"f": "Float64"}.get(values.dtype.kind, "string") if name not in _CONDITIONS else "boolean",
            )
            for name, values in rows.items()
        }
    )
    with duckdb.connect() as connection:
        connection.register("patients", table)
        return [row[0] for row in connection.execute(f"select {_sql(node)} from patients").fetchall()]


def _plain(name: str, value: Any) -> Any:
    return bool(value) if name in _CONDITIONS else value


_FUNCTIONS: Mapping[str, str] = {"abs": "abs", "round": "round_even({}, 0)", "min": "least", "max": "greatest"}


def _sql(node: Node) -> str:  # noqa: C901  one case a node
    match node:
        case Name(name):
            return f'"{name}"'
        case Number(value):
            return f"{spelled(value)}::double"
        case Text(value):
            return f"'{value}'"
        case Truth(value):
            return str(value).lower()
        case Negative(operand):
            return f"(-{_sql(operand)})"
        case Not(operand):
            return f"(not {_sql(operand)})"
        case Arithmetic(sign, left, right):
            return f"({_sql(left)} {sign} {_sql(right)})"
        case Comparison(sign, left, right):
            return f"({_sql(left)} {'=' if sign == '==' else sign} {_sql(right)})"
        case Membership(operand, values, negated):
            listed = ", ".join(map(_sql, values))
            return f"({_sql(operand)} {'not in' if negated else 'in'} ({listed}))"
        case Joined(word, parts):
            return f"({f' {word} '.join(map(_sql, parts))})"
        case Call(function, arguments):
            return _function(function, [_sql(argument) for argument in arguments])


def _function(name: str, given: list[str]) -> str:
    """SQL's least and greatest pass missing values over, which we do not."""
    x = given[0]
    match name:
        case "missing" | "present":
            return f"({x} is {'not ' if name == 'present' else ''}null)"
        case "where":
            return f"(case when {x} is null then null when {x} then {given[1]} else {given[2]} end)"
        case "clip":
            return f"(case when {x} is null then null else greatest(least({x}, {given[2]}), {given[1]}) end)"
        case "min" | "max":
            gone = " or ".join(f"{part} is null" for part in given)
            return f"(case when {gone} then null else {_FUNCTIONS[name]}({', '.join(given)}) end)"
        case "round":
            return f"round_even({x}, 0)"
        case "log1p":
            return f"ln(1 + {x})"
    return f"{name}({x})"
