"""From text to the tree. Python's own parser reads the grammar; what it found is looked at node by node, never run."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping

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

_LONGEST = 2_000
_DEEPEST = 25
_MOST_NODES = 300
_ARITHMETIC: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
#: Signs of Python that mean something else than whoever typed them thinks, or that we have no need for.
_INSTEAD: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.BitAnd: ("&", "Write 'and'."),
    ast.BitOr: ("|", "Write 'or'."),
    ast.Invert: ("~", "Write 'not'."),
    ast.Pow: ("**", "Write x * x."),
    ast.Mod: ("%", "Use + - * /."),
    ast.FloorDiv: ("//", "Use + - * /."),
    ast.Is: ("is", "Write ==."),
    ast.IsNot: ("is not", "Write !=."),
}


def read_tree(text: str) -> Node:
    """The tree of an expression.

    Raises
    ------
    InvalidInput
        For what is no expression of the language; one sentence that quotes the part.
    """
    text = text.strip()
    return _Reader(text).node(parsed(text), 0)


def parsed(text: str) -> ast.expr:
    """What Python's parser makes of a text of limited length and depth. Raises InvalidInput."""
    _check_size(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _no_expression(text, error) from None


def _check_size(text: str) -> None:
    if not text:
        raise InvalidInput("An expression is empty.", "For example age >= 60.")
    if len(text) > _LONGEST:
        raise InvalidInput(f"An expression is longer than {_LONGEST:,} characters.", "Derive parts of it first.")
    if not text.isprintable() or "\\" in text:
        raise InvalidInput("An expression holds a backslash or a sign that cannot be seen.", "Leave it out.")
    depth = deepest = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        raise InvalidInput(f"An expression has more than {_DEEPEST} brackets in each other.", "Derive parts first.")


def _no_expression(text: str, error: Exception) -> InvalidInput:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    at = getattr(error, "offset", None)
    near = f" near its sign {at}" if isinstance(at, int) and 0 < at <= len(text) else ""
    single = "=" in text.replace("==", "").replace("<=", "").replace(">=", "").replace("!=", "")
    hint = "Equality is written ==." if single else "For example age >= 60 and flt3 == '1'."
    return InvalidInput(f"'{shown}' cannot be read{near}.", hint)


class _Reader:
    """Turns Python's nodes into ours; refuses all it does not know."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = 0

    def node(self, found: ast.expr, depth: int) -> Node:  # noqa: C901  one case a node
        self._count += 1
        if self._count > _MOST_NODES or depth > 2 * _DEEPEST:
            raise InvalidInput("An expression has too many parts.", "Derive parts of it first.")
        match found:
            case ast.Name(id=name):
                return Name(name)
            case ast.Constant(value=value):
                return self._constant(value, found)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self.node(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.node(operand, depth + 1)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.node(operand, depth + 1))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return Arithmetic(_ARITHMETIC[type(op)], self.node(left, depth + 1), self.node(right, depth + 1))
            case ast.BoolOp(op=op, values=values):
                return _joined("and" if isinstance(op, ast.And) else "or", [self.node(v, depth + 1) for v in values])
            case ast.Compare():
                return self._compared(found, depth)
            case ast.Call():
                return self._called(found, depth)
        raise self._refused(found)

    def _constant(self, value: object, found: ast.expr) -> Node:
        if isinstance(value, bool):
            return Truth(value)
        if isinstance(value, int | float):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return Number(number)
        if isinstance(value, str) and not ("'" in value and '"' in value):  # which has no spelling without escapes
            return Text(value)
        raise self._refused(found)

    def _compared(self, found: ast.Compare, depth: int) -> Node:
        """A chain is its comparisons, joined by ``and``."""
        operands = [found.left, *found.comparators]
        parts: list[Node] = []
        for left, op, right in zip(operands[:-1], found.ops, operands[1:], strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                values = self._values(right)
                parts.append(Membership(self.node(left, depth + 1), values, isinstance(op, ast.NotIn)))
            elif type(op) in _COMPARISONS:
                sides = self.node(left, depth + 1), self.node(right, depth + 1)
                parts.append(Comparison(_COMPARISONS[type(op)], *sides))
            else:
                raise self._refused(op)
        return parts[0] if len(parts) == 1 else _joined("and", parts)

    def _values(self, found: ast.expr) -> tuple[Text | Number, ...]:
        if not isinstance(found, ast.Tuple | ast.List | ast.Set) or not found.elts:
            raise InvalidInput("After 'in' stand values in brackets.", "For example arm in ('a', 'b').")
        values = [self._signed(value) for value in found.elts]
        kept = tuple(value for value in values if isinstance(value, Text | Number))
        if len(kept) != len(values) or len(set(kept)) != len(kept):
            raise InvalidInput("After 'in' stand different codes or numbers.", "For example arm in ('a', 'b').")
        return kept

    def _signed(self, found: ast.expr) -> Node:
        """A constant, which may have a minus before it."""
        read = self.node(found, 1)
        match read:
            case Negative(Number(value)):
                return Number(-value)
        return read

    def _called(self, found: ast.Call, depth: int) -> Node:
        if not isinstance(found.func, ast.Name):
            raise self._refused(found.func)
        if any(keyword.arg is None for keyword in found.keywords):
            raise self._refused(found)
        groups = tuple((str(keyword.arg), self._codes(keyword.value)) for keyword in found.keywords)
        if any(isinstance(argument, ast.Starred) for argument in found.args):
            raise self._refused(found)
        return Call(found.func.id, tuple(self.node(argument, depth + 1) for argument in found.args), groups)

    def _codes(self, found: ast.expr) -> tuple[str, ...]:
        values = found.elts if isinstance(found, ast.Tuple | ast.List) else [found]
        codes = []
        for value in values:
            match self.node(value, 1):
                case Text(code):
                    codes.append(code)
                case Number(number):
                    codes.append(spelled(number))
                case _:
                    raise InvalidInput("A new code stands for codes.", "For example recode(arm, low=('a', 'b')).")
        return tuple(codes)

    def _refused(self, found: ast.AST) -> InvalidInput:
        op = getattr(found, "op", found)
        if type(op) in _INSTEAD:
            sign, hint = _INSTEAD[type(op)]
            return InvalidInput(f"The language has no '{sign}'.", hint)
        part = ast.get_source_segment(self._text, found) if isinstance(found, ast.expr) else None
        shown = part if part and len(part) <= 60 else f"{(part or self._text)[:57]}..."
        return InvalidInput(f"'{shown}' is no part of the language.", "See the reference of cohorts for what is.")


def _joined(word: str, parts: list[Node]) -> Node:
    """Without brackets that say nothing: ``a and (b and c)`` is one row of conditions."""
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Joined) and part.word == word else [part])
    return Joined(word, tuple(flat))


def spelled(number: float) -> str:
    """As short as it reads back to the same."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
