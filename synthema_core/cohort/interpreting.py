"""A tree and a schema, to its meaning."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.cohort.functions import FUNCTIONS
from synthema_core.cohort.meaning import (
    Meaning,
    Values,
    absent,
    condition,
    length_of,
    number,
    of_code,
    of_column,
    of_constant,
)
from synthema_core.cohort.reading import spelled
from synthema_core.cohort.spelling import spell
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
from synthema_core.errors import InvalidInput
from synthema_core.schemas import Kind, Schema

_COMPARE: Mapping[str, Callable[[Values, Values], Values]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPUTE: Mapping[str, Callable[[Values, Values], Values]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_KEEPS_UNIT = frozenset("+-")


def meaning_of(node: Node, schema: Schema) -> Meaning:  # noqa: C901  one case a node
    """What the expression is.

    Raises
    ------
    InvalidInput, NotFound
        For a column that is not there, and for what has no value on every row the schema allows.
    """
    match node:
        case Name(name):
            return of_column(schema.field(name))
        case Number(value):
            return of_constant(value)
        case Text(value):
            return of_code(value)
        case Truth(value):
            return condition(lambda rows: np.full(length_of(rows), float(value)), ()).as_constant()
        case Negative(operand):
            return _negative(meaning_of(operand, schema), node)
        case Not(operand):
            inner = _condition(operand, schema)
            return condition(lambda rows: 1.0 - inner.compute(rows), (inner,))
        case Arithmetic():
            return _arithmetic(node, schema)
        case Comparison():
            return _comparison(node, schema)
        case Membership():
            return _membership(node, schema)
        case Joined(word, parts):
            return _joined(word, [_condition(part, schema) for part in parts])
        case Call():
            return _called(node, schema)


def _called(node: Call, schema: Schema) -> Meaning:
    function = FUNCTIONS.get(node.function)
    if function is None:
        raise InvalidInput(f"There is no function '{node.function}'.", f"There are {', '.join(FUNCTIONS)}.")
    if node.groups and node.function != "recode":
        raise InvalidInput(f"'{node.function}' takes no names with '='.", "Only recode does.")
    arguments = tuple(meaning_of(argument, schema) for argument in node.arguments)
    return function(node.function, arguments, node.groups)


def _condition(node: Node, schema: Schema) -> Meaning:
    found = meaning_of(node, schema)
    if not found.is_condition:
        raise InvalidInput(f"'{spell(node)}' is no condition.", "Compare it with something.")
    return found


def _numeric(node: Node, schema: Schema) -> Meaning:
    found = meaning_of(node, schema)
    if not found.is_number:
        raise InvalidInput(f"'{spell(node)}' is no number, and one is needed here.", "Use where(condition, 1, 0).")
    return found


def _negative(inner: Meaning, node: Node) -> Meaning:
    if not inner.is_number:
        raise InvalidInput(f"'{spell(node)}': there is no minus of what is no number.", "Write 'not'.")
    whole = inner.kind is Kind.INTEGER
    return number(lambda rows: -inner.compute(rows), -inner.high, -inner.low, (inner,), whole=whole, unit=inner.unit)


def _arithmetic(node: Arithmetic, schema: Schema) -> Meaning:
    left, right = _numeric(node.left, schema), _numeric(node.right, schema)
    if node.sign == "/" and right.low <= 0 <= right.high:
        raise InvalidInput(
            f"'{spell(node)}' divides by what may be 0: '{spell(node.right)}' is from {right.low:g} to {right.high:g}.",
            "Divide by clip(x, low, high) with a low above 0.",
        )
    apply = _COMPUTE[node.sign]
    corners = np.array(list(product((left.low, left.high), (right.low, right.high))))
    ends = apply(corners[:, 0], corners[:, 1])
    whole = node.sign != "/" and left.kind is right.kind is Kind.INTEGER
    units = {part.unit for part in (left, right) if not part.constant}
    unit = units.pop() if node.sign in _KEEPS_UNIT and len(units) == 1 else ""

    def compute(rows: Rows) -> Values:
        return apply(left.compute(rows), right.compute(rows))

    return number(compute, float(ends.min()), float(ends.max()), (left, right), whole=whole, unit=unit)


def _comparison(node: Comparison, schema: Schema) -> Meaning:
    left, right = (_comparable(side, other, schema) for side, other in _sides(node))
    compare = _COMPARE[node.sign]
    if left.kind is Kind.CATEGORY or right.kind is Kind.CATEGORY:
        _check_codes(node, left, right)
    elif left.is_condition or right.is_condition:
        _check_truths(node, left, right)

    def compute(rows: Rows) -> Values:
        one, other = left.compute(rows), right.compute(rows)
        gone = absent(one) | absent(other)
        return np.where(gone, np.nan, np.where(compare(one, other), 1.0, 0.0))

    return condition(compute, (left, right))


def _sides(node: Comparison) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
    return (node.left, node.right), (node.right, node.left)


def _comparable(side: Node, other: Node, schema: Schema) -> Meaning:
    """A number beside a category is the code that is spelled so."""
    found = meaning_of(side, schema)
    if found.is_number and found.constant and meaning_of(other, schema).kind is Kind.CATEGORY:
        return of_code(spelled(found.low))
    return found


def _check_codes(node: Comparison, left: Meaning, right: Meaning) -> None:
    category, code = (left, right) if not left.constant else (right, left)
    if node.sign not in ("==", "!="):
        raise InvalidInput(f"'{spell(node)}': codes have no order.", "Use == or in (...).")
    if category.kind is not Kind.CATEGORY or code.kind is not Kind.CATEGORY or not code.constant:
        raise InvalidInput(f"'{spell(node)}' compares a category with what is no code of it.", "Name one of its codes.")
    _check_known(category, [code.codes[0][0]])


def _check_known(category: Meaning, wanted: Sequence[str]) -> None:
    known = [code for code, _ in category.codes]
    for code in wanted:
        if code not in known:
            raise InvalidInput(f"No patient can have the code '{code}'.", f"The codes are {', '.join(known)}.")


def _check_truths(node: Comparison, left: Meaning, right: Meaning) -> None:
    """A condition may be compared with another one, with True or False, and with 0 or 1."""
    for side in (left, right):
        digit = side.is_number and side.constant and side.low in (0, 1)
        if node.sign not in ("==", "!=") or not (side.is_condition or digit):
            raise InvalidInput(f"'{spell(node)}' compares yes or no with a number.", "Compare it with 0 or 1.")


def _membership(node: Membership, schema: Schema) -> Meaning:
    found = meaning_of(node.operand, schema)
    if found.kind is Kind.CATEGORY:
        codes = [value.value if isinstance(value, Text) else spelled(value.value) for value in node.values]
        _check_known(found, codes)
        wanted: list[str] | list[float] = codes
    elif found.is_number and all(isinstance(value, Number) for value in node.values):
        wanted = [value.value for value in node.values if isinstance(value, Number)]
    else:
        raise InvalidInput(f"'{spell(node)}' looks for what the values cannot be.", "Name codes or numbers.")

    def compute(rows: Rows) -> Values:
        values = found.compute(rows)
        among = np.isin(values, wanted) if values.dtype.kind == "f" else np.isin(values.astype(str), wanted)
        return np.where(absent(values), np.nan, np.where(among ^ node.negated, 1.0, 0.0))

    return condition(compute, (found,))


def _joined(word: str, parts: Sequence[Meaning]) -> Meaning:
    """Kleene: one that decides does so whatever is missing of the others."""
    decides = 0.0 if word == "and" else 1.0

    def compute(rows: Rows) -> Values:
        values = np.stack([part.compute(rows) for part in parts])
        decided = (values == decides).any(axis=0)
        return np.where(decided, decides, np.where(np.isnan(values).any(axis=0), np.nan, 1.0 - decides))

    return condition(compute, tuple(parts))
