"""The researcher's code as a child meets it: modules that exist in memory only."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

MAIN = "study"
_LIBRARIES = frozenset({"lifelines", "numpy", "pandas", "patsy", "scipy", "sklearn", "statsmodels"})
#: Of Python's own modules, those that do something when they are imported, or open a window.
_LEFT_OUT = frozenset({"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"})


@dataclass(frozen=True, slots=True)
class Program:
    """Sources by module name, with those that compile compiled once for all evaluations."""

    sources: Mapping[str, str]
    compiled: Mapping[str, CodeType]
    packages: frozenset[str]
    function: str

    @classmethod
    def of(cls, files: Mapping[str, str], function: str) -> Program:
        sources = {_module(path): text for path, text in files.items()}
        compiled = {}
        for name, text in sources.items():
            with suppress(Exception):  # what does not compile raises in the child, where it is the code's own failure
                compiled[name] = compile(text, _path(name), "exec", dont_inherit=True)
        packages = frozenset(_module(path) for path in files if path.endswith("/__init__.py"))
        return cls(sources, compiled, packages, function)

    def load(self) -> Any:
        """Execute the main module; its function."""
        loader = Modules(self)
        for name in self.sources:
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, loader)
        return getattr(importlib.import_module(MAIN), self.function)


class Modules:
    """Finds and loads the code's modules: no folder is ever searched for them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        parts = [name.split(".") for name in program.sources]
        above = {".".join(part[:depth]) for part in parts for depth in range(1, len(part))}
        self._packages = above | program.packages

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name not in self._program.sources and name not in self._packages:
            return None
        spec = ModuleSpec(name, self, origin=_path(name), is_package=name in self._packages)  # type: ignore[arg-type]
        spec.has_location = True
        return spec

    def create_module(self, _: ModuleSpec) -> None:
        """A common one."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        code = self._program.compiled.get(name) or compile(self.get_source(name), _path(name), "exec")
        exec(code, module.__dict__)  # noqa: S102  what this process is for

    def get_source(self, name: str) -> str:
        """Also for tracebacks, which ask for the lines."""
        return self._program.sources.get(name, "")


def preload(sources: Iterable[str]) -> None:
    """Import the libraries that the code names, once instead of in every child. Runs nothing of the code."""
    for name in sorted(set(_imported(sources))):
        if name.partition(".")[0] in _LIBRARIES | (sys.stdlib_module_names - _LEFT_OUT):
            with suppress(Exception):  # an attribute, or a module that is not here: the child will say so
                importlib.import_module(name)


def _imported(sources: Iterable[str]) -> Iterable[str]:
    for source in sources:
        with suppress(Exception):
            for node in ast.walk(ast.parse(source)):
                yield from _names(node)


def _names(node: ast.AST) -> Sequence[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def _path(module: str) -> str:
    return module.replace(".", "/") + ".py"
