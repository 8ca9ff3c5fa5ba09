"""Rules on how code behaves: what it tells besides its result, what it keeps, how it is built and called."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from synthema_core.vetting.finding import Kind, Severity
from synthema_core.vetting.origins import Origins
from synthema_core.vetting.reading import OWN, Reading
from synthema_core.vetting.remark import Concern, Remark, words

_NOT_KEPT = "nothing is kept between two evaluations; what is meant by it"
_RAISED = Concern(
    Kind.LEAK,
    Severity.LOOK,
    "Raises an error whose text or kind is computed",
    "it can carry patients' values; texts of errors go to you and never to the researcher",
)
_CONDITIONAL = Concern(
    Kind.LEAK, Severity.NOTE, "Can end the run with an error", "whether a run fails can carry a bit about a patient"
)
_PRINTED = Concern(
    Kind.OUTPUT,
    Severity.LOOK,
    "Prints computed values with '{}'",
    "they can be patients' values; what is printed goes to you and never to the researcher",
)
_SAID = Concern(Kind.OUTPUT, Severity.NOTE, "Prints with '{}'", "what is printed goes to you, not to the researcher")
_SWALLOWS = Concern(
    Kind.SWALLOWS,
    Severity.LOOK,
    "Goes on silently after any error",
    "then neither you nor the researcher learn that something went wrong",
)
_GLOBAL = Concern(Kind.STATE, Severity.LOOK, "Changes '{}', which outlives the call", _NOT_KEPT)
_DEFAULT = Concern(Kind.STATE, Severity.LOOK, "Keeps a changeable default in '{}'", _NOT_KEPT)
_LOADING = Concern(
    Kind.LOADING, Severity.NOTE, "Runs when it is loaded, before the function is called", "read it as part of the code"
)
_METACLASS = Concern(
    Kind.CLASSES, Severity.DANGER, "Changes how classes are made, with '{}'", "it runs where nobody reads a call"
)
_MADE = Concern(Kind.CLASSES, Severity.DANGER, "Makes a class while it runs, with 'type'", "its parts are not written")
_DECORATOR = Concern(
    Kind.CLASSES, Severity.LOOK, "Replaces a function by what '{}' makes of it", "read both; the name is the same"
)
_UNNAMED = Concern(
    Kind.UNREADABLE, Severity.LOOK, "Calls an unnamed function where it stands", "ask for a function with a name"
)
_COMPREHENSION = Concern(Kind.UNREADABLE, Severity.LOOK, "Does its work inside a comprehension", "ask for a plain loop")
_ARGUMENTS = Concern(
    Kind.SIGNATURE,
    Severity.LOOK,
    "The function takes {}",
    "it is called with exactly one thing, the rows, so it may fail or not do what it seems to",
)
_GENERATOR = Concern(
    Kind.SIGNATURE, Severity.LOOK, "The function yields instead of returning", "its result cannot be used"
)
_TWICE = Concern(
    Kind.SIGNATURE, Severity.DANGER, "The name '{}' is given more than once", "the last one is called, not the first"
)
_UNUSED = Concern(Kind.UNUSED, Severity.NOTE, "The function '{}' is not used", "ask why it is sent")
_HARMLESS_DECORATORS = (
    "dataclasses.", "functools.", "builtins.staticmethod", "builtins.classmethod", "builtins.property",
    "abc.", "typing.", "numpy.vectorize", "numpy.errstate",
)  # fmt: skip
_CHANGING = words("append extend add update insert setdefault pop popitem clear remove discard write")
_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.Call, ast.ListComp, ast.DictComp, ast.SetComp)
_SILENT = (ast.Pass, ast.Continue, ast.Break, ast.Expr, ast.Return, ast.Assign)


def errors(reading: Reading) -> Iterator[Remark]:
    for visit in reading.each(ast.Raise, ast.Assert, ast.ExceptHandler):
        node = visit.node
        if isinstance(node, ast.ExceptHandler):
            if _catches_all(node) and all(isinstance(line, _SILENT) for line in node.body):
                yield _SWALLOWS.at(node)
        elif isinstance(node, ast.Raise):
            yield (_RAISED if _computed_error(node.exc) else _CONDITIONAL).at(node)
        elif isinstance(node, ast.Assert):
            plain = node.msg is None or isinstance(node.msg, ast.Constant)
            yield (_CONDITIONAL if plain else _RAISED).at(node)


def _catches_all(node: ast.ExceptHandler) -> bool:
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in caught)


def _computed_error(error: ast.expr | None) -> bool:
    if error is None or isinstance(error, ast.Name):
        return False
    if not isinstance(error, ast.Call) or not isinstance(error.func, ast.Name):
        return True
    values = [*error.args, *(keyword.value for keyword in error.keywords)]
    return not all(isinstance(value, ast.Constant) for value in values)


def prints(reading: Reading, origins: Origins) -> Iterator[Remark]:
    for visit in reading.each(ast.Call):
        call = visit.node
        assert isinstance(call, ast.Call)
        for name in origins.dotted(call.func):
            if name in ("builtins.print", "warnings.warn", "sys.stdout.write", "sys.stderr.write") or name.startswith(
                ("logging.", "IPython.display")
            ):
                plain = all(isinstance(value, ast.Constant) for value in call.args)
                yield (_SAID if plain else _PRINTED).at(call, name.removeprefix("builtins."))


def state(reading: Reading, origins: Origins) -> Iterator[Remark]:
    for visit in reading.visits:
        node = visit.node
        if isinstance(node, ast.Global):
            yield _GLOBAL.at(node, ", ".join(node.names))
        elif isinstance(node, ast.arguments):
            for default in (*node.defaults, *(value for value in node.kw_defaults if value is not None)):
                if isinstance(default, _MUTABLE):
                    yield _DEFAULT.at(default, type(default).__name__.lower())
        elif visit.scope is not reading.module:
            target = _changed(node)
            if target is not None and _outlives(target, reading, origins):
                yield _GLOBAL.at(node, target.id)


def _changed(node: ast.AST) -> ast.Name | None:
    """The name at the root of what a node changes in place."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        root: ast.expr = node.func.value
    elif isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
        root = node.value
    else:
        return None
    while isinstance(root, ast.Subscript | ast.Attribute):
        root = root.value
    return root if isinstance(root, ast.Name) else None


def _outlives(target: ast.Name, reading: Reading, origins: Origins) -> bool:
    """Whether it is a thing of the module: one made there, a function, a class, or a helper's."""
    given = origins.given(target)
    if given is not reading.module.given.get(target.id):
        return False
    return any(not isinstance(value, str) or value.startswith(OWN) for value in given)


def loading(reading: Reading) -> Iterator[Remark]:
    for line in reading.tree.body:
        called = isinstance(line, ast.Expr) and isinstance(line.value, ast.Call)
        if called or isinstance(line, ast.For | ast.While | ast.With | ast.Try | ast.Match | ast.Delete):
            yield _LOADING.at(line)


def classes(reading: Reading, origins: Origins) -> Iterator[Remark]:
    for visit in reading.each(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Call):
        node = visit.node
        if isinstance(node, ast.Call):
            if len(node.args) > 1 and "builtins.type" in origins.of(node.func):
                yield _MADE.at(node)
            continue
        if isinstance(node, ast.ClassDef):
            for keyword in node.keywords:
                yield _METACLASS.at(node, keyword.arg or "**")
            if any("builtins.type" in origins.of(base) for base in node.bases):
                yield _METACLASS.at(node, "type")
        assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if not any(name.startswith(_HARMLESS_DECORATORS) for name in origins.of(called)):
                yield _DECORATOR.at(decorator, getattr(called, "id", getattr(called, "attr", "an expression")))


def unreadable(reading: Reading) -> Iterator[Remark]:
    for visit in reading.each(ast.Call, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp):
        node = visit.node
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Lambda):
                yield _UNNAMED.at(node)
            continue
        generators = getattr(node, "generators", [])
        if isinstance(visit.parent, ast.Expr) or len(generators) > 2 or any(g.is_async for g in generators):
            yield _COMPREHENSION.at(node)


def signature(reading: Reading) -> Iterator[Remark]:
    nodes = reading.entry_nodes
    if not nodes:
        return
    node = nodes[-1]
    if len(reading.module.given.get(reading.entry, [])) > 1:
        yield _TWICE.at(node, reading.entry)
    placed = len(node.args.posonlyargs) + len(node.args.args)
    more = [name for name, part in _other_arguments(node.args) if part]
    if placed != 1 or more:
        count = f"{placed} argument{'' if placed == 1 else 's'}"
        yield _ARGUMENTS.at(node, " and ".join([count, *more]))
    for visit in reading.each(ast.Yield, ast.YieldFrom):
        if visit.scope.node is node:
            yield _GENERATOR.at(visit.node)


def _other_arguments(arguments: ast.arguments) -> list[tuple[str, bool]]:
    return [
        ("any number more", arguments.vararg is not None),
        ("some by name", bool(arguments.kwonlyargs) or arguments.kwarg is not None),
    ]


def unused(reading: Reading, mentioned: frozenset[str]) -> Iterator[Remark]:
    """Functions that no file of the code mentions."""
    for node in reading.tree.body:
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ""
        if name and name != reading.entry and name not in mentioned:
            yield _UNUSED.at(node, name)


def mentions(reading: Reading) -> Iterator[str]:
    """Every name that is read, imported or reached in a file."""
    for visit in reading.each(ast.Name, ast.Attribute, ast.alias):
        node = visit.node
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]
