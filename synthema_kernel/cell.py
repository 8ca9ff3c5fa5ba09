"""A ``%%remote`` cell: its options and its code, read but never run here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthema_core.card import Card
from synthema_core.code.declaration import (
    AnyShape,
    check_taken,
    choose_function,
    make_question,
    read_outputs,
    usual_seconds,
)
from synthema_core.code.shapes import SHAPES
from synthema_core.code.source import MAIN, Code
from synthema_core.errors import InvalidInput
from synthema_core.planning import capacity_of
from synthema_kernel.helpers import read_helpers
from synthema_kernel.line import Line
from synthema_kernel.question import COMMON, Question, common, given

_OPTIONS = (
    *("shape", "columns", "returns", "function", "helpers", "clip", "blocks", "cpu-seconds", "counts", "default"),
    *COMMON,
)


def read_cell(line: Line, source: str, folder: Path) -> Question:
    """The question of a cell.

    Parameters
    ----------
    source
        The cell below its options; it defines the function, and must be Python.
    folder
        Where helper modules are named from.

    Raises
    ------
    InvalidInput, InvalidPlan, NotFound
        What is wrong with an option, the code, or a helper.
    """
    line.allow(*_OPTIONS)
    shape = line.required("shape", "per-patient")
    if shape not in SHAPES:
        raise InvalidInput(f"There is no shape '{shape}'.", f"There are {', '.join(SHAPES)}.")
    code = _code(line, source, shape, folder)
    line.required("columns", "t2,d3")
    returns = line.required("returns", '"age=100, curve[10]=1"')
    outputs = read_outputs(returns, line.names("counts"), given(line, "default", "x=0"))

    def question(cards: Sequence[Card]) -> AnyShape:
        check_taken(shape, cards)
        return make_question(
            shape,
            code,
            outputs,
            line.names("columns"),
            patients=capacity_of(cards),
            cpu_seconds=line.number("cpu-seconds") or usual_seconds(shape, cards),
            clip=line.number("clip"),
            blocks=line.whole("blocks"),
        )

    return Question(code.function, **common(line), ask=question)


def _code(line: Line, source: str, shape: str, folder: Path) -> Code:
    helpers = read_helpers(line.names("helpers"), folder)
    if MAIN in helpers:
        raise InvalidInput(f"A helper cannot be called {MAIN}: that is the cell.", "Rename it.")
    files = {MAIN: source, **helpers}
    return Code(files, choose_function(source, shape, given(line, "function", "patient")))
