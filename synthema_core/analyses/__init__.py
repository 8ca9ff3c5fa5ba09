"""The analyses a Plan can name, found by entry point (group `synthema.analyses`) and loaded when first asked for.

Importing this package loads none of them, so that the nouns of core can import `analyses.base` cheaply.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from synthema_core.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from synthema_core.analyses.base import Analysis

_GROUP = "synthema.analyses"


def names() -> tuple[str, ...]:
    """The analyses installed here, in alphabetical order."""
    return tuple(sorted({entry.name for entry in _offered()}))


@cache
def _offered() -> tuple[EntryPoint, ...]:
    """Read once: it takes the files of every installed package, some hundredths of a second."""
    return tuple(entry_points(group=_GROUP))


def find(name: str) -> type[Analysis]:
    """The analysis of that name.

    Raises
    ------
    NotFound
        With the names there are.
    Unavailable
        If two installed packages offer different analyses under this name: neither may shadow the other.
    """
    offers: dict[str, EntryPoint] = {entry.value: entry for entry in _offered() if entry.name == name}
    if not offers:
        raise NotFound(f"There is no analysis '{name}'.", f"There are {', '.join(names())}.")
    if len(offers) > 1:
        raise Unavailable(f"Two installed packages offer an analysis '{name}'.", "Uninstall one of them.")
    kind: type[Analysis] = next(iter(offers.values())).load()
    return kind


def from_plan(name: str, parameters: Mapping[str, Any]) -> Analysis:
    """The question a Plan carries. Raises NotFound or InvalidPlan."""
    return find(name).from_parameters(parameters)
