"""syft's packages, or the sentence that says how to get them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from synthema_core.errors import Unavailable


def syft_package(name: str) -> Any:
    """The package of syft 0.10 of that name, imported now; Unavailable where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        raise Unavailable(f"The package {name} is not installed here.", "Install synthema[syft].") from None
