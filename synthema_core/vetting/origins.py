"""Where a value comes from: ``numpy.random.default_rng`` behind any alias, or the patients' rows.

May-analysis: a name has all origins that any line of its scope gives it. Too many rather than too few; what it still
misses, it misses silently.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from synthema_core.vetting.folding import folded
from synthema_core.vetting.known_names import (
    KEEPING_FUNCTIONS,
    KEEPS_ROWS,
    SIZES,
    SORTING_FUNCTIONS,
    SORTS_ROWS,
)
from synthema_core.vetting.reading import ROWS, SORTED, FunctionNode, Given, Reading, Scope

Origin = frozenset[str]
NOWHERE: Origin = frozenset()
_DEEPEST = 40
_MOST = 16
_LONGEST = 120
_TAGS = frozenset({ROWS, SORTED})
_IMPORTERS = frozenset({"builtins.__import__", "importlib.import_module", "importlib.__import__"})


class Origins:
    """Answers, for one file, each remembered."""

    def __init__(self, reading: Reading) -> None:
        self._scopes = reading.scopes
        self._known: dict[int, Origin] = {}
        self._names: dict[tuple[int, str], Origin] = {}
        self._open: set[int | tuple[int, str]] = set()
        self._functions: dict[int, FunctionNode] = {}
        self._returned = _returns(reading)
        self._pass_arguments(reading)

    def of(self, node: ast.expr, depth: int = 0) -> Origin:
        """Dotted names that `node` may be, and whether it holds rows."""
        known = self._known.get(id(node))
        if known is not None:
            return known
        if depth > _DEEPEST or id(node) in self._open:
            return NOWHERE
        self._open.add(id(node))
        found = _bounded(self._look(node, depth + 1))
        self._open.discard(id(node))
        self._known[id(node)] = found
        return found

    def holds_rows(self, node: ast.expr) -> bool:
        return ROWS in self.of(node)

    def dotted(self, node: ast.expr) -> Iterator[str]:
        """Only the names, in order."""
        return iter(sorted(self.of(node) - _TAGS))

    def given(self, node: ast.Name) -> list[Given]:
        return self._scopes[id(node)].lookup(node.id)

    def functions(self, node: ast.expr) -> list[FunctionNode]:
        """The functions of this file that a called expression may be."""
        if isinstance(node, ast.Lambda):
            return [node]
        if not isinstance(node, ast.Name):
            return []
        return [given for given in self.given(node)[:_MOST] if isinstance(given, FunctionNode)]

    def _look(self, node: ast.expr, depth: int) -> Iterable[str]:
        if isinstance(node, ast.Name):
            return self._name(self._scopes[id(node)], node.id, depth)
        if isinstance(node, ast.Attribute):
            return _attribute(self.of(node.value, depth), node.attr)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            return NOWHERE
        if isinstance(node, ast.Subscript | ast.BinOp | ast.UnaryOp | ast.Compare | ast.BoolOp | ast.JoinedStr):
            return self._parts(_operands(node), depth) & _TAGS
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Starred | ast.IfExp | ast.NamedExpr):
            return self._parts(_operands(node), depth)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            return self.of(node.elt, depth) & _TAGS
        return NOWHERE

    def _parts(self, parts: list[ast.expr], depth: int) -> Origin:
        return NOWHERE.union(*(self.of(part, depth) for part in parts[:_MOST]))

    def _name(self, scope: Scope, name: str, depth: int) -> Origin:
        key = (id(scope), name)
        known = self._names.get(key)
        if known is not None:
            return known
        if key in self._open:
            return NOWHERE
        self._open.add(key)
        found: set[str] = set()
        for given in scope.lookup(name):
            if isinstance(given, str):
                found.add(given)
            elif isinstance(given, ast.expr) and not isinstance(given, ast.Lambda):
                found |= self.of(given, depth)
        self._open.discard(key)
        self._names[key] = _bounded(found - {""})
        return self._names[key]

    def _call(self, node: ast.Call, depth: int) -> Origin:
        called = self.of(node.func, depth)
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        found: set[str] = set()
        if "builtins.getattr" in called and len(node.args) > 1:
            found |= set(_attribute(self.of(node.args[0], depth), folded(node.args[1]) or "?"))
        if called & _IMPORTERS and node.args:
            found.add(folded(node.args[0]) or "?")
        if "functools.partial" in called and node.args:
            found |= self.of(node.args[0], depth)
        if called & KEEPING_FUNCTIONS:
            found |= self._parts(arguments, depth) & _TAGS
        if called & SORTING_FUNCTIONS and ROWS in found:
            found.add(SORTED)
        if isinstance(node.func, ast.Attribute) and ROWS in called and node.func.attr in KEEPS_ROWS:
            found |= called & _TAGS
            found |= {SORTED} if node.func.attr in SORTS_ROWS else NOWHERE
        for function in self.functions(node.func):
            found |= self._parts(self._returned.get(id(function), []), depth)
        return frozenset(found)

    def _pass_arguments(self, reading: Reading) -> None:
        """A function's parameters are what it is called with, anywhere in the file."""
        for visit in reading.each(ast.Call):
            call = visit.node
            assert isinstance(call, ast.Call)
            for function in self.functions(call.func):
                for name, value in _matched(function, call):
                    scope = reading.scopes[id(function.args)]
                    if len(scope.given.get(name, [])) < _MOST:
                        scope.give(name, value)


def _attribute(origins: Iterable[str], name: str) -> Origin:
    found = {f"{origin}.{name}" for origin in origins if origin not in _TAGS and len(origin) < _LONGEST}
    if name not in SIZES:
        found |= _TAGS & set(origins)
    return frozenset(found)


def _operands(node: ast.expr) -> list[ast.expr]:
    """The parts that make the value: not an index, nor a condition."""
    match node:
        case ast.Subscript() | ast.Starred() | ast.NamedExpr():
            return [node.value]
        case ast.BinOp():
            return [node.left, node.right]
        case ast.UnaryOp():
            return [node.operand]
        case ast.Compare():
            return [node.left, *node.comparators]
        case ast.BoolOp() | ast.JoinedStr():
            return node.values
        case ast.Tuple() | ast.List() | ast.Set():
            return node.elts
        case ast.IfExp():
            return [node.body, node.orelse]
    return []


def _matched(function: FunctionNode, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    places = [*function.args.posonlyargs, *function.args.args]
    for argument, value in zip(places, call.args, strict=False):
        yield argument.arg, value
    names = {argument.arg for argument in (*places, *function.args.kwonlyargs)}
    for keyword in call.keywords:
        if keyword.arg in names:
            yield str(keyword.arg), keyword.value


def _returns(reading: Reading) -> dict[int, list[ast.expr]]:
    """The values that each function returns, by id of its node."""
    found: dict[int, list[ast.expr]] = {}
    for visit in reading.each(ast.Return, ast.Lambda):
        if isinstance(visit.node, ast.Lambda):
            found.setdefault(id(visit.node), []).append(visit.node.body)
        elif isinstance(visit.node, ast.Return) and visit.node.value is not None:
            found.setdefault(id(visit.scope.node), []).append(visit.node.value)
    return found


def _bounded(found: Iterable[str]) -> Origin:
    """Code that gives a name a thousand origins gets the tags and some of them."""
    whole = frozenset(found)
    return whole if len(whole) <= _MOST else frozenset(sorted(whole)[:_MOST]) | (whole & _TAGS)
