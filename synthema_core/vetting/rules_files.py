"""Rules on the files of the code together: helpers that nobody imports."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from synthema_core.code.source import MAIN
from synthema_core.vetting.finding import Kind, Severity
from synthema_core.vetting.reading import Reading
from synthema_core.vetting.remark import Concern, Remark

_HELPER = Concern(Kind.UNUSED_HELPER, Severity.NOTE, "The helper module '{}' is never imported", "ask why it is sent")


def module_name(path: str) -> str:
    """``helpers.scores`` of ``helpers/scores.py``."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def unused_helpers(readings: Iterable[Reading]) -> Iterator[tuple[str, Remark]]:
    files = list(readings)
    imported = {name for reading in files for name in _imported(reading)}
    for reading in files:
        name = module_name(reading.path)
        package = reading.path.endswith("__init__.py")
        if reading.path != MAIN and not package and name not in imported:
            yield reading.path, _HELPER.on(1, name)


def _imported(reading: Reading) -> Iterator[str]:
    """Names of modules that a file imports, with what it takes from them: either may be the module."""
    package = module_name(reading.path).split(".")
    for visit in reading.each(ast.Import, ast.ImportFrom):
        node = visit.node
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        assert isinstance(node, ast.ImportFrom)
        levels = node.level - reading.path.endswith("__init__.py")
        above = package[: len(package) - levels] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
