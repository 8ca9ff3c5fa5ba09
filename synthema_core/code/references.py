"""Naming parts of an output: ``deaths`` is all of it, ``deaths[2]`` and ``table[1,3]`` one cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.canonical import Json
from synthema_core.code.outputs import Output, Outputs
from synthema_core.errors import InvalidInput, NotFound

_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[([0-9]{1,6}(?:,[0-9]{1,6})*)\])?")


def check(references: Iterable[str], outputs: Outputs) -> tuple[str, ...]:
    """The references, each once and in order, or what is wrong with the first bad one."""
    known = tuple(dict.fromkeys(reference.strip() for reference in references))
    selected(known, outputs)
    return known


def selected(references: Iterable[str], outputs: Outputs) -> NDArray[np.bool_]:
    """(length,): which of the values they name.

    Raises
    ------
    InvalidInput, NotFound
        For what names no part of an output.
    """
    chosen = {output.name: np.zeros(output.shape, dtype=np.bool_) for output in outputs.outputs}
    shapes = {output.name: output for output in outputs.outputs}
    for reference in references:
        name, cell = _read(reference, shapes)
        chosen[name][cell] = True
    return np.concatenate([chosen[output.name].reshape(-1) for output in outputs.outputs])


def _read(reference: str, outputs: Mapping[str, Output]) -> tuple[str, tuple[int, ...]]:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise InvalidInput(f"'{reference}' names no part of an output.", "Write deaths, deaths[2] or table[1,3].")
    output = outputs.get(found[1])
    if output is None:
        raise NotFound(f"The Plan declares no output '{found[1]}'.", f"It declares {', '.join(outputs)}.")
    cell = tuple(int(index) for index in found[2].split(",")) if found[2] else ()
    inside = len(cell) == len(output.shape) and all(i < n for i, n in zip(cell, output.shape, strict=True))
    if cell and not inside:
        raise NotFound(f"'{reference}' is outside the output: its shape is {list(output.shape)}.")
    return found[1], cell


def redacted(result: Mapping[str, Any], references: Iterable[str], outputs: Outputs) -> dict[str, Json]:
    """A result of code without the values that some site left out: None in their place, and named."""
    named = check(references, outputs)
    hidden = outputs.unflatten(selected(named, outputs).astype(np.float64))
    shown: list[Json] = []
    for output in result["outputs"]:
        hide = hidden[output["name"]].reshape(-1)
        values = [None if gone else value for gone, value in zip(hide, output["values"], strict=True)]
        shown.append({**output, "values": values})
    return {**result, "outputs": shown, "left_out": list[Json](named)}
