"""Rules on what code reaches for: modules, builtins, methods, internals; and on changing what others mean."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from synthema_core.vetting.finding import Kind, Severity
from synthema_core.vetting.folding import folded
from synthema_core.vetting.known_modules import ALLOWED, HIDDEN_MODULES, MODULES, SHADOWS, STAR, concern_of
from synthema_core.vetting.known_names import (
    BUILTINS,
    HARMLESS_DUNDERS,
    METHODS,
    PARALLEL_ARGUMENTS,
    PLAIN_SPECIAL_METHODS,
    SEED_ARGUMENTS,
    STRING_METHODS,
    TAKES_NAMES,
)
from synthema_core.vetting.origins import Origins
from synthema_core.vetting.reading import OWN, Reading
from synthema_core.vetting.remark import Concern, Remark, words

_DUNDER = re.compile(r"__\w+__")
_REACHES_IN = re.compile(r"\{[^{}:!]{0,200}[.\[][^{}]{0,200}\}")
_NO_ROWS_NEEDED = "an analysis of rows does not need it"

_COMPUTED = Concern(
    Kind.DYNAMIC,
    Severity.DANGER,
    "Reads a name that is made while it runs with '{}'",
    "you cannot read here what is reached",
)
_WITHIN = Concern(
    Kind.DYNAMIC, Severity.DANGER, "Reaches the module '{}' through a library", "it is one that code has no use for"
)
_PRIVATE = Concern(Kind.DUNDER, Severity.LOOK, "Uses '{}', an internal part of a library", _NO_ROWS_NEEDED)
_INTERNAL = Concern(
    Kind.DUNDER, Severity.DANGER, "Uses '{}', an internal of Python", f"{_NO_ROWS_NEEDED}, and it leads anywhere"
)
_SPECIAL = Concern(
    Kind.DUNDER, Severity.DANGER, "Defines '{}', which Python calls by itself", "it runs where nobody reads a call"
)
_FORMAT = Concern(
    Kind.DYNAMIC, Severity.DANGER, "A text pattern reads parts of objects ('{}')", "it reaches what is not written here"
)
_PATCH = Concern(
    Kind.PATCHING,
    Severity.DANGER,
    "Changes '{}', which belongs to a library",
    "later lines that look harmless may do something else",
)
_OPTION = Concern(Kind.PATCHING, Severity.NOTE, "Sets an option of a library ('{}')", "as a rule for printing only")
_BUILTIN_NAME = Concern(
    Kind.PATCHING,
    Severity.LOOK,
    "Gives the name '{}' another meaning than Python's",
    "lines that use it do not do what they seem to",
)
_SEED = Concern(Kind.NOISE, Severity.LOOK, "Sets a seed with '{}='", "noise from a known seed can be taken off again")
_PARALLEL = Concern(Kind.PROCESS, Severity.NOTE, "Asks for several processes with '{}='", "the sandbox gives one")
_AS_TEXT = Concern(
    Kind.EXTREME, Severity.LOOK, "Takes single values by the method name '{}'", "it is the value of one patient"
)
_METHOD_COMPUTED = Concern(
    Kind.DYNAMIC, Severity.LOOK, "Calls a method whose name is made while it runs, with '.{}'", "ask which it can be"
)
_GUARDED_BUILTINS = words(
    "abs all any dict enumerate filter float getattr int isinstance len list map max min open print range round set "
    "sorted sum tuple zip type str super"
)


def imports(reading: Reading) -> Iterator[Remark]:
    for visit in reading.each(ast.Import, ast.ImportFrom):
        node = visit.node
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.name) for alias in node.names]
        else:
            assert isinstance(node, ast.ImportFrom)
            module = node.module or ""
            names = [(f"{module}.{alias.name}", module) for alias in node.names]
            if any(alias.name == "*" for alias in node.names):
                yield STAR.at(node, module)
        for name, module in names:
            yield from _import(reading, node, name, module)


def _import(reading: Reading, node: ast.Import | ast.ImportFrom, name: str, module: str) -> Iterator[Remark]:
    if (isinstance(node, ast.ImportFrom) and node.level) or module.partition(".")[0] in reading.own:
        return
    concern = concern_of(name)
    if concern:
        yield concern.at(node, name if name in MODULES else module)
    elif any(part.startswith("_") and not _DUNDER.fullmatch(part) for part in name.split(".")):
        yield _PRIVATE.at(node, name)
    member = name.rpartition(".")[2]
    if isinstance(node, ast.ImportFrom) and not concern:
        listed = METHODS.get(member)
        if listed and listed.severity is not Severity.NOTE:
            yield listed.at(node, member)
        if member in HIDDEN_MODULES:
            yield _WITHIN.at(node, member)


def names(reading: Reading, origins: Origins) -> Iterator[Remark]:
    """Mentions, not calls: what is named can be called elsewhere under another name."""
    for visit in reading.each(ast.Name):
        node = visit.node
        assert isinstance(node, ast.Name)
        if isinstance(node.ctx, ast.Load) and node.id in BUILTINS:
            ours = not any(given == f"builtins.{node.id}" for given in origins.given(node))
            concern = BUILTINS[node.id]
            if not ours or concern.severity is Severity.DANGER:
                yield concern.at(node, node.id)
            if node.id == "getattr" and not (isinstance(visit.parent, ast.Call) and visit.parent.func is node):
                yield _COMPUTED.at(node, node.id)  # handed on: to `reduce`, `map`, another name
        elif isinstance(node.ctx, ast.Store | ast.Del) and node.id in _GUARDED_BUILTINS:
            yield _BUILTIN_NAME.at(node, node.id)
    for visit in reading.each(ast.FunctionDef, ast.ClassDef, ast.alias):
        name = str(getattr(visit.node, "asname", None) or getattr(visit.node, "name", ""))
        if name in _GUARDED_BUILTINS and visit.scope is reading.module:
            yield _BUILTIN_NAME.at(visit.node, name)


def attributes(reading: Reading, origins: Origins) -> Iterator[Remark]:
    for visit in reading.each(ast.Attribute):
        node = visit.node
        assert isinstance(node, ast.Attribute)
        dotted = list(origins.dotted(node))
        if not isinstance(node.ctx, ast.Load):
            yield from _patched(node, dotted)
        if any(name.startswith("pandas.options") for name in dotted):
            continue
        ours = bool(dotted) and all(name.startswith(OWN) for name in dotted)
        if node.attr in METHODS and not ours:
            yield METHODS[node.attr].at(node, node.attr)
        if node.attr.lstrip("_") in HIDDEN_MODULES and not ours:
            yield _WITHIN.at(node, node.attr)
        if dotted and not ours and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield _PRIVATE.at(node, node.attr)
        yield from _by_origin(node, dotted)


def _by_origin(node: ast.Attribute, dotted: list[str]) -> Iterator[Remark]:
    """What a listed module offers, reached by attributes and any alias."""
    for name in dotted:
        if name.partition(".")[0] not in ALLOWED and name.partition(".")[0] != "builtins":
            continue
        parent, _, member = name.rpartition(".")
        if name in MODULES or (parent in MODULES and member not in METHODS):
            yield MODULES[name if name in MODULES else parent].at(node, name)
        if parent == "builtins" and member in BUILTINS:
            yield BUILTINS[member].at(node, member)


def _patched(node: ast.Attribute, dotted: list[str]) -> Iterator[Remark]:
    for name in dotted:
        if name.startswith("pandas.options"):
            yield _OPTION.at(node, name)
        elif "." in name and not name.startswith(OWN):
            yield _PATCH.at(node, name)


def lookups(reading: Reading, origins: Origins) -> Iterator[Remark]:
    """Names as text: in `getattr`, in pandas' ``agg("max")``, in format patterns, in loaders of modules."""
    for visit in reading.each(ast.Call):
        call = visit.node
        assert isinstance(call, ast.Call)
        called = origins.of(call.func)
        if called & {"builtins.getattr", "builtins.setattr", "builtins.delattr", "operator.attrgetter"}:
            yield from _named(call)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method in TAKES_NAMES:
            yield from _methods_as_text(call, method)
        if method in ("format", "format_map") and isinstance(call.func, ast.Attribute):
            pattern = folded(call.func.value)
            if pattern and _REACHES_IN.search(pattern):
                yield _FORMAT.at(call, pattern)
        for origin in sorted(origins.of(call)):
            if called & {"builtins.__import__", "importlib.import_module"} and (concern := concern_of(origin)):
                yield concern.at(call, origin)


def _named(call: ast.Call) -> Iterator[Remark]:
    place = 1 if len(call.args) > 1 else 0
    text = folded(call.args[place]) if len(call.args) > place else None
    literal = len(call.args) > place and isinstance(call.args[place], ast.Constant)
    if text is None or not literal:
        yield _COMPUTED.at(call, text or "getattr")
    elif text in METHODS:
        yield METHODS[text].at(call, text)
    if text in HIDDEN_MODULES:
        yield _WITHIN.at(call, str(text))


def _methods_as_text(call: ast.Call, method: str) -> Iterator[Remark]:
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        stack: list[ast.expr | None] = [argument]
        while stack:
            part = stack.pop()
            if isinstance(part, ast.List | ast.Tuple):
                stack.extend(part.elts)
            elif isinstance(part, ast.Dict):
                stack.extend(part.values)
            elif part is not None and (text := folded(part)) is not None:
                if text in STRING_METHODS:
                    yield _AS_TEXT.at(part, text)
                elif not isinstance(part, ast.Constant):
                    yield _METHOD_COMPUTED.at(part, method)
            elif isinstance(part, ast.Subscript | ast.JoinedStr | ast.BinOp):
                yield _METHOD_COMPUTED.at(part, method)


def internals(reading: Reading) -> Iterator[Remark]:
    """Names with two underscores, wherever a node holds a name: also in patterns, keywords and texts."""
    for visit in reading.visits:
        node = visit.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if _DUNDER.fullmatch(node.name) and node.name not in PLAIN_SPECIAL_METHODS:
                yield _SPECIAL.at(node, node.name)
            continue
        if isinstance(node, ast.Constant):
            described = isinstance(visit.parent, ast.Expr)
            found = _DUNDER.search(node.value) if isinstance(node.value, str) and not described else None
            if found and found[0] not in HARMLESS_DUNDERS:
                yield _INTERNAL.at(node, found[0])
            continue
        for name in _names_in(node):
            if name.startswith("__") and name not in HARMLESS_DUNDERS and not _constructs(name, visit.parent):
                yield _INTERNAL.at(node, name)


def _names_in(node: ast.AST) -> Iterator[str]:
    for field, value in ast.iter_fields(node):
        if field not in ("type_comment", "kind"):
            values = value if isinstance(value, list) else [value]
            yield from (item for item in values if isinstance(item, str))


def _constructs(name: str, parent: ast.AST | None) -> bool:
    """``super().__init__(...)`` is how a class is written, and ``__slots__`` in its body."""
    return name in ("__init__", "__slots__", "__post_init__") and isinstance(parent, ast.Call | ast.Assign)


def arguments(reading: Reading) -> Iterator[Remark]:
    for visit in reading.each(ast.keyword):
        name = str(getattr(visit.node, "arg", None) or "")
        if name in SEED_ARGUMENTS:
            yield _SEED.at(visit.node, name)
        elif name in PARALLEL_ARGUMENTS:
            yield _PARALLEL.at(visit.node, name)


def shadowed(reading: Reading) -> Iterator[Remark]:
    """A helper that takes a library's name."""
    root = reading.path.removesuffix(".py").partition("/")[0]
    if root in ALLOWED or concern_of(root) in MODULES.values() or root in ("lifelines", "statsmodels", "torch"):
        yield SHADOWS.on(1, root)
