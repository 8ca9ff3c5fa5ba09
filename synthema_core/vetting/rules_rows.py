"""Rules on patients: rows returned as they are, taken by their place, or picked by a value or an identifier."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from synthema_core.vetting.finding import Kind, Severity
from synthema_core.vetting.folding import Constant, constants
from synthema_core.vetting.known_names import (
    EQUALITY_METHODS,
    IDENTIFIER_COLUMN,
    IDENTIFIER_VALUE,
    METHODS,
    RANGE_METHODS,
)
from synthema_core.vetting.origins import Origins
from synthema_core.vetting.reading import ROWS, SORTED, Reading
from synthema_core.vetting.remark import Concern, Remark

_LARGE = 999
_MOST_RETURNED = 200

_RETURNED = Concern(
    Kind.ROW_LEVEL,
    Severity.DANGER,
    "Returns patients' values one by one",
    "a result is to say something about many patients, not about each",
)
_PLACE = Concern(
    Kind.ROW_LEVEL, Severity.LOOK, "Takes rows by their place", "a place in the table is one patient; ask what is meant"
)
_SORTED_PLACE = Concern(
    Kind.SORTING,
    Severity.LOOK,
    "Takes values by their place after sorting",
    "the first and last of a sorted column are single patients' values",
)
_COLUMN = Concern(
    Kind.IDENTIFIER,
    Severity.LOOK,
    "Names '{}', which sounds like a patient's identifier",
    "code is not given identifiers; ask what it is to do with it",
)
_COMPARED = Concern(
    Kind.IDENTIFIER,
    Severity.DANGER,
    "Compares '{}', which sounds like a patient's identifier, with a value",
    "this asks for one patient",
)
_EQUAL = Concern(
    Kind.SINGLING_OUT,
    Severity.LOOK,
    "Asks for the exact value {}",
    "so exact a value can be that of one patient whom the researcher knows",
)
_EQUAL_SMALL = Concern(
    Kind.SINGLING_OUT, Severity.NOTE, "Asks for the exact value {}", "check that many patients have it"
)
_IDENTIFIER = Concern(
    Kind.SINGLING_OUT, Severity.LOOK, "Asks for '{}', which looks like an identifier", "this may ask for one patient"
)
_RANGE = Concern(
    Kind.SINGLING_OUT, Severity.NOTE, "Compares with {}", "check that many patients are on either side of it"
)
_EXTREME = "is one patient's value"
_BUILTIN_EXTREME = Concern(
    Kind.EXTREME, Severity.LOOK, "Takes an extreme with '{}'", f"the largest or smallest {_EXTREME}"
)
_BUILTIN_SORT = Concern(
    Kind.SORTING, Severity.NOTE, "Puts values in order with '{}'", "a place in the order can point at one patient"
)
_SHIFT = Concern(Kind.PACKING, Severity.LOOK, "Shifts bits", "values can be hidden in the bits of others")
_ORDERINGS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def returned(reading: Reading, origins: Origins) -> Iterator[Remark]:
    """Only from the function that is called: what others return is used within it."""
    entries = {id(node) for node in reading.entry_nodes}
    for visit in reading.each(ast.Return, ast.Yield):
        value = getattr(visit.node, "value", None)
        if value is None or id(visit.scope.node) not in entries:
            continue
        for part in _parts_of_result(reading, origins, value):
            if origins.holds_rows(part):
                yield _RETURNED.at(part)


def _parts_of_result(reading: Reading, origins: Origins, value: ast.expr) -> Iterator[ast.expr]:
    """The values in a result, also of one that is built up under a name: ``out["x"] = ...; return out``."""
    stack, seen = [value], set[int]()
    while stack and len(seen) < _MOST_RETURNED:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, ast.Dict):
            stack.extend(part.values)
        elif isinstance(part, ast.DictComp):
            stack.append(part.value)
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "dict":
            stack.extend([*part.args, *(keyword.value for keyword in part.keywords)])
        elif isinstance(part, ast.Name):
            stack.extend(
                given for given in origins.given(part) if isinstance(given, ast.Dict | ast.DictComp | ast.Call)
            )
            stack.extend(_stored_in(reading, part.id))
            yield part
        else:
            yield part


def _stored_in(reading: Reading, name: str) -> Iterator[ast.expr]:
    for visit in reading.each(ast.Assign):
        node = visit.node
        assert isinstance(node, ast.Assign)
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == name:
                yield node.value


def places(reading: Reading, origins: Origins) -> Iterator[Remark]:
    for visit in reading.each(ast.Subscript):
        node = visit.node
        assert isinstance(node, ast.Subscript)
        if not isinstance(node.ctx, ast.Load):
            continue
        found = origins.of(node.value)
        if ROWS in found and _is_place(node.slice, origins):
            yield (_SORTED_PLACE if SORTED in found else _PLACE).at(node)


def _is_place(index: ast.expr, origins: Origins) -> bool:
    """Whether an index counts rows, as opposed to naming a column or masking."""
    if isinstance(index, ast.Tuple):
        return bool(index.elts) and _is_place(index.elts[0], origins)
    if isinstance(index, ast.Slice):
        return any(part is not None for part in (index.lower, index.upper, index.step))
    if isinstance(index, ast.UnaryOp):
        return isinstance(index.op, ast.USub) and _is_place(index.operand, origins)
    if isinstance(index, ast.BinOp):
        return _is_place(index.left, origins) or _is_place(index.right, origins)
    if isinstance(index, ast.Call):
        return bool(origins.of(index.func) & {"builtins.int", "builtins.len", "builtins.range", "builtins.next"})
    if isinstance(index, ast.Name):
        return any(
            isinstance(given, ast.Constant | ast.Call) and _is_place(given, origins)
            for given in origins.given(index)[:8]
        )
    return isinstance(index, ast.Constant) and type(index.value) is int


def extremes(reading: Reading, origins: Origins) -> Iterator[Remark]:
    """Builtins, and methods as bare names: ``from statistics import mode``, or whatever a star brought in."""
    for visit in reading.each(ast.Call):
        call = visit.node
        assert isinstance(call, ast.Call)
        called = origins.of(call.func)
        clips = len(call.args) > 1 and not any(isinstance(argument, ast.Starred) for argument in call.args)
        for name in sorted(called & {"builtins.max", "builtins.min"}):
            if not clips:
                yield _BUILTIN_EXTREME.at(call, name.partition(".")[2])
        if "builtins.sorted" in called:
            yield _BUILTIN_SORT.at(call, "sorted")
        if isinstance(call.func, ast.Name):
            for name in origins.dotted(call.func):
                member = name.rpartition(".")[2]
                if "." in name and member in METHODS and not name.startswith(("builtins.", "<")):
                    yield METHODS[member].at(call, member)
            if call.func.id in METHODS and not origins.given(call.func):
                yield METHODS[call.func.id].at(call, call.func.id)


def shifts(reading: Reading) -> Iterator[Remark]:
    for visit in reading.each(ast.BinOp, ast.AugAssign):
        if isinstance(getattr(visit.node, "op", None), ast.LShift | ast.RShift):
            yield _SHIFT.at(visit.node)


def identifiers(reading: Reading, named: frozenset[str]) -> Iterator[Remark]:
    """Columns by their names: as a subscript, an attribute, or a text on its own."""
    for visit in reading.each(ast.Constant, ast.Attribute):
        node = visit.node
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
        if isinstance(name, str) and _is_identifier(name, named) and not isinstance(visit.parent, ast.Expr):
            yield _COLUMN.at(node, name)
    for visit in reading.each(ast.Compare, ast.Match, ast.Call):
        if isinstance(visit.node, ast.Call) and _method(visit.node) not in EQUALITY_METHODS | RANGE_METHODS:
            continue
        subject = visit.node.subject if isinstance(visit.node, ast.Match) else visit.node
        for name in _columns_in(subject):
            if _is_identifier(name, named):
                yield _COMPARED.at(visit.node, name)


def _is_identifier(name: str, named: frozenset[str]) -> bool:
    return name in named or IDENTIFIER_COLUMN.fullmatch(name[:80]) is not None


def _columns_in(node: ast.AST) -> Iterator[str]:
    stack, seen = [node], 0
    while stack and seen < _MOST_RETURNED:
        inner = stack.pop()
        seen += 1
        if isinstance(inner, ast.Attribute):
            yield inner.attr
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value
        stack.extend(ast.iter_child_nodes(inner))


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def exact_values(reading: Reading, origins: Origins) -> Iterator[Remark]:
    for visit in reading.each(ast.Compare, ast.Call, ast.MatchValue):
        node = visit.node
        if isinstance(node, ast.Compare):
            ordering = all(isinstance(operator, _ORDERINGS) for operator in node.ops)
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            ordering, parts = False, [node.value]
        else:
            assert isinstance(node, ast.Call)
            method = _method(node)
            if method not in EQUALITY_METHODS | RANGE_METHODS:
                continue
            ordering, parts = method in RANGE_METHODS, list(node.args)
        for part in parts:
            for value in _values(part, origins):
                yield from _about(node, value, ordering)


def _values(part: ast.expr, origins: Origins) -> Iterator[Constant]:
    yield from constants(part)
    if isinstance(part, ast.Name):
        for given in origins.given(part)[:8]:
            if isinstance(given, ast.Constant | ast.List | ast.Tuple | ast.Set | ast.UnaryOp | ast.BinOp):
                yield from constants(given)


def _about(node: ast.AST, value: Constant, ordering: bool) -> Iterator[Remark]:
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value.decode("latin-1")
        if not ordering and IDENTIFIER_VALUE.fullmatch(text[:80]):
            yield _IDENTIFIER.at(node, text)
        return
    exact = isinstance(value, float) and value != round(value, 1) if abs(value) <= _LARGE else True
    if ordering:
        if exact:
            yield _RANGE.at(node, _number(value))
    elif exact:
        yield _EQUAL.at(node, _number(value))
    elif abs(value) > 9:
        yield _EQUAL_SMALL.at(node, _number(value))


def _number(value: float) -> str:
    return "a number too long to print" if isinstance(value, int) and value.bit_length() > 64 else f"{value}"
