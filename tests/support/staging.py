"""Staged outputs to try the disclosure checks on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.disclosure import Staged, gate

BOUND = 1e12


def outputs(counts: Mapping[str, Any], numbers: Mapping[str, Any]) -> Outputs:
    return Outputs(
        (
            *(Output(name, np.shape(value), BOUND, Content.COUNTS) for name, value in counts.items()),
            *(Output(name, np.shape(value), BOUND) for name, value in numbers.items()),
        )
    )


def staged(
    counts: Mapping[str, Any], numbers: Mapping[str, Any] | None = None, *, patients: int, least: int = 10, **known: Any
) -> Staged:
    """A site's output of these counts and numbers, of so many patients, where fewer than `least` are few."""
    numbers = numbers or {}
    arrays = {name: np.asarray(value) for name, value in {**counts, **numbers}.items()}
    return Staged(gate(arrays, outputs(counts, numbers)), patients, least, **known)
