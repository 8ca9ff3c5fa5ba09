"""One file of the code, taken apart once: its nodes in order, the scope each is in, and what each name was given.

Every walk is a loop over a stack. Source that `ast` can parse may still be nested deeper than Python can recurse.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from synthema_core.vetting.remark import words

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
ROWS, SORTED = "<rows>", "<sorted>"
"""Origins of values that are patients' rows, one by one, and of such that were put in order."""
OWN = "<own>"
"""Root of names that come from the researcher's helper modules."""

_BUILTINS = frozenset(dir(builtins))
_LINE_ENDS = re.compile(r"\r\n|\r|\n")  # those of the parser; str.splitlines knows others
_NEW_SYNTAX = words("TypeAlias TypeVar ParamSpec TypeVarTuple TemplateStr Interpolation")

Given = ast.expr | str | FunctionNode | ast.ClassDef
"""What a name was given: an expression, a definition, or an origin that is known already."""


@dataclass(slots=True, eq=False)
class Scope:
    """A module, function or class, and everything that any line of it gives each name. Order is not looked at."""

    parent: Scope | None
    node: ast.AST
    given: dict[str, list[Given]] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    """Names that `global` or `nonlocal` make another scope's."""

    def give(self, name: str, value: Given) -> None:
        scope = self
        while name in scope.elsewhere and scope.parent is not None:
            scope = scope.parent
        scope.given.setdefault(name, []).append(value)

    def lookup(self, name: str) -> list[Given]:
        """What it may be, by the nearest scope that gives it anything; a builtin if none does."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.given:
                return scope.given[name]
            scope = scope.parent
        return [f"builtins.{name}"] if name in _BUILTINS else []


@dataclass(frozen=True, slots=True)
class Visit:
    """A node, where it stands, and how deep."""

    node: ast.AST
    parent: ast.AST | None
    scope: Scope
    depth: int
    """Of expressions within each other, from 0."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A file, taken apart.

    Parameters
    ----------
    entry
        The name of the function that is called, if this is its file; else empty.
    own
        First parts of the names of the researcher's helper modules.
    visits
        Every node, in the order of the text as far as nesting allows.
    """

    path: str
    text: str
    lines: tuple[str, ...]
    tree: ast.Module
    entry: str
    own: frozenset[str]
    visits: tuple[Visit, ...]
    by_type: Mapping[type[ast.AST], list[Visit]]
    module: Scope
    scopes: dict[int, Scope]
    """By id of the node: `tree` keeps them alive."""

    @property
    def entry_nodes(self) -> list[ast.FunctionDef]:
        """The definitions of the function that is called; more than one is a finding."""
        return [node for node in self.tree.body if isinstance(node, ast.FunctionDef) and node.name == self.entry]

    def each(self, *types: type[ast.AST]) -> Iterator[Visit]:
        """The nodes of exactly these types, type by type."""
        return (visit for one in types for visit in self.by_type.get(one, ()))


def split_lines(text: str) -> tuple[str, ...]:
    return tuple(_LINE_ENDS.split(text))


def read_file(path: str, text: str, entry: str, own: frozenset[str]) -> Reading:
    """Raises what `ast.parse` raises."""
    tree = ast.parse(text, path)
    module = Scope(None, tree)
    by_type: dict[type[ast.AST], list[Visit]] = defaultdict(list)
    visits, scopes = _walk(tree, module)
    for visit in visits:
        by_type[type(visit.node)].append(visit)
        _give_names(visit, own)
    reading = Reading(path, text, split_lines(text), tree, entry, own, tuple(visits), by_type, module, scopes)
    _give_rows(reading)
    return reading


def _walk(tree: ast.Module, module: Scope) -> tuple[list[Visit], dict[int, Scope]]:
    visits: list[Visit] = []
    scopes: dict[int, Scope] = {}
    stack = [Visit(tree, None, module, 0)]
    while stack:
        visit = stack.pop()
        node, scope = visit.node, visit.scope
        visits.append(visit)
        scopes[id(node)] = scope
        inner = scope
        if isinstance(node, FunctionNode | ast.ClassDef):
            inner = Scope(scope, node)
        if isinstance(node, ast.Global | ast.Nonlocal):
            scope.elsewhere.update(node.names)
        children = []
        for name, child in _children(node):
            depth = visit.depth + 1 if isinstance(child, ast.expr) else 0
            outside = name in ("decorator_list", "bases", "keywords", "returns") or inner is scope
            children.append(Visit(child, node, scope if outside else inner, depth))
        stack.extend(reversed(children))
    return visits, scopes


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield name, value
        elif isinstance(value, list):
            yield from ((name, item) for item in value if isinstance(item, ast.AST))


def _give_names(visit: Visit, own: frozenset[str]) -> None:
    node, scope = visit.node, visit.scope
    if isinstance(node, ast.Import | ast.ImportFrom):
        for name, origin in _imported(node, own):
            scope.give(name, origin)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope.give(node.name, node)
    elif isinstance(node, ast.arguments):
        for argument, default in _defaults(node):
            scope.give(argument, default)
    elif isinstance(node, ast.arg):
        scope.give(node.arg, "")
    else:
        for target, value in _assigned(node):
            for name, part in _unpacked(target, value):
                scope.give(name, part)


def _imported(node: ast.Import | ast.ImportFrom, own: frozenset[str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            origin = f"{OWN}.{alias.name}" if root in own else alias.name
            yield (alias.asname, origin) if alias.asname else (root, f"{OWN}.{root}" if root in own else root)
        return
    module = node.module or ""
    ours = node.level or module.partition(".")[0] in own
    for alias in node.names:
        yield alias.asname or alias.name, f"{OWN}.{module}.{alias.name}" if ours else f"{module}.{alias.name}"


def _defaults(node: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    placed = [*node.posonlyargs, *node.args]
    for argument, default in zip(reversed(placed), reversed(node.defaults), strict=False):
        yield argument.arg, default
    for argument, keyword_default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
        if keyword_default is not None:
            yield argument.arg, keyword_default


def _assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """(target, value) of whatever gives names something."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.NamedExpr | ast.AugAssign | ast.AnnAssign):
        if node.value is not None:
            yield node.target, node.value
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        items = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List | ast.Set) else [node.iter]
        yield from ((node.target, item) for item in items)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, node.context_expr


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The names in a target, each with its part of the value where both are written out, else with all of it."""
    stack = [(target, value)]
    while stack:
        goal, part = stack.pop()
        if isinstance(goal, ast.Name):
            yield goal.id, part
        elif isinstance(goal, ast.Starred):
            stack.append((goal.value, part))
        elif isinstance(goal, ast.Tuple | ast.List):
            same = isinstance(part, ast.Tuple | ast.List) and len(part.elts) == len(goal.elts)
            parts = part.elts if same else [part] * len(goal.elts)  # type: ignore[attr-defined]
            stack.extend(zip(goal.elts, parts, strict=True))


def _give_rows(reading: Reading) -> None:
    """What holds rows: the argument of the function that is called; in a helper module, that of any function."""
    for node in reading.entry_nodes if reading.entry else reading.tree.body:
        if isinstance(node, ast.FunctionDef):
            first = [*node.args.posonlyargs, *node.args.args, *([node.args.vararg] if node.args.vararg else [])][:1]
            for argument in first:
                reading.scopes[id(argument)].give(argument.arg, ROWS)


def newer_syntax(visit: Visit) -> str:
    """The name of a node that Python 3.11 does not have, or empty."""
    name = type(visit.node).__name__
    return name if name in _NEW_SYNTAX else ""
