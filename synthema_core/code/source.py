"""The code of a Plan: every byte that a site executes for it, as text, under the Plan's digest."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from synthema_core.canonical import Json, digest
from synthema_core.errors import InvalidPlan

MAIN = "study.py"
"""The file that holds the cell. All others are the researcher's helper modules."""
_PATH = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,62}/){0,4}[A-Za-z_][A-Za-z0-9_]{0,62}\.py")
_MOST_FILES = 40
_MOST_BYTES = 400_000


@dataclass(frozen=True, slots=True)
class Code:
    """Python source and the function in it that is called.

    Parameters
    ----------
    files
        Source by path: ``study.py``, and helper modules such as ``helpers/scores.py``, imported as ``helpers.scores``.
    function
        The function of ``study.py`` that gets rows and returns what was declared.
    """

    files: Mapping[str, str]
    function: str

    def __post_init__(self) -> None:
        if MAIN not in self.files or len(self.files) > _MOST_FILES:
            raise InvalidPlan(f"The code of a Plan is {MAIN} and at most {_MOST_FILES - 1} helper modules.")
        for path, text in self.files.items():
            if not _PATH.fullmatch(path) or not isinstance(text, str):
                raise InvalidPlan(f"'{path}' cannot be a file of a Plan's code.", "Use names like helpers/scores.py.")
        if len({_module(path) for path in self.files}) < len(self.files):  # which of them runs could not be seen
            raise InvalidPlan(
                "Two files of the Plan's code are one module.", "Use one of module.py and module/__init__.py."
            )
        if sum(len(text.encode(errors="replace")) for text in self.files.values()) > _MOST_BYTES:
            raise InvalidPlan(f"The code of a Plan is larger than {_MOST_BYTES:,} bytes.", "Leave out what is unused.")
        for path, text in self.files.items():
            _parse(path, text)
        if self.function not in functions(self.files[MAIN]):
            raise InvalidPlan(f"The cell defines no function '{self.function}'.", "Name one that it defines.")

    @property
    def digest(self) -> str:
        return digest(self.to_dict())

    @property
    def modules(self) -> dict[str, str]:
        """Import name of each helper module: ``helpers.scores`` of ``helpers/scores.py``."""
        return {_module(path): path for path in self.files if path != MAIN}

    def to_dict(self) -> dict[str, Json]:
        return {"files": dict(sorted(self.files.items())), "function": self.function}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            return cls({str(path): text for path, text in data["files"].items()}, str(data["function"]))
        except (KeyError, TypeError, AttributeError):
            raise InvalidPlan("The Plan's code cannot be read.") from None


def functions(source: str) -> tuple[str, ...]:
    """Names of the functions that a source defines at its top level."""
    return tuple(node.name for node in _parse(MAIN, source).body if isinstance(node, ast.FunctionDef))


def _parse(path: str, text: str) -> ast.Module:
    try:
        return ast.parse(text, path)
    except SyntaxError as error:
        raise InvalidPlan(f"{path}, line {error.lineno}: {error.msg}.", "Nothing was sent.") from None
    except (ValueError, RecursionError, MemoryError):
        raise InvalidPlan(f"{path} is not Python source.", "Nothing was sent.") from None


def _module(path: str) -> str:
    name = path.removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")
