"""Models of diffprivlib as tables: each number on the scale on which it was fitted, and in its columns' units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from synthema_kernel.markup import Table
from synthema_kernel.outcome import rounded

if TYPE_CHECKING:
    from synthema_core.analyses.diffprivlib_model import DiffprivlibModel
    from synthema_core.secure_sum.layout import Floats

_MOST_ROWS = 40


def tables(result: Mapping[str, Any]) -> list[Table]:
    """Of a released result: the mean of the sites' models, and what their epsilon is worth."""
    question, on_scale = _read(result)
    rows = [
        ("Epsilon of each site's model", f"{question.epsilon:g}, nominal"),
        ("What that means", str(result["statement"])),
    ]
    shown = tables_of(question, on_scale, f"Mean of the models of {result['sites']} sites")
    return [*shown, Table(("diffprivlib", ""), rows)]


def records(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every number, unrounded; None where a site left something of it out."""
    return records_of(*_read(result))


def tables_of(question: DiffprivlibModel, on_scale: Mapping[str, Floats], caption: str) -> list[Table]:
    """One row a number; and the principal components, where there are any."""
    rows = [
        (row["output"], row["of"], rounded(row["on_scale"]), rounded(row["value"]))
        for row in records_of(question, on_scale)
    ]
    if len(rows) > _MOST_ROWS:
        caption = f"{caption}, the first {_MOST_ROWS} of {len(rows):,} numbers; `to_frame()` has all"
    columns = ("Output", "Of", "On the scale of the fit", "In the columns' units")
    told = [Table(columns, rows[:_MOST_ROWS], caption, frozenset({2, 3}))]
    covariance = on_scale.get("covariance")
    return [*told, _components(question, covariance)] if covariance is not None else told


def records_of(question: DiffprivlibModel, on_scale: Mapping[str, Floats]) -> Iterator[dict[str, Any]]:
    """As `records`, of these arrays."""
    in_units = question.scale.in_units(on_scale)
    for name, array in on_scale.items():
        for place, labels in zip(np.ndindex(array.shape), product(*question.places(name)), strict=True):
            yield {
                "output": name,
                "of": " × ".join(labels),
                "on_scale": _number(array[place]),
                "value": _number(in_units[name][place]),
            }


def _components(question: DiffprivlibModel, covariance: Floats) -> Table:
    from synthema_core.private_models.scale import components_of

    terms = [term.label for term in question.terms]
    if not np.isfinite(covariance).all():
        return Table(("Component",), [("not known: a site left a part of the covariance out",)], "Components")
    found = components_of(covariance)
    rows = [
        (str(number), rounded(float(variance)), *(rounded(float(part)) for part in direction))
        for number, (variance, direction) in enumerate(zip(found.variances, found.directions, strict=True), 1)
    ]
    columns = ("Component", "Variance", *terms)
    return Table(columns, rows, "Components, on the scale of the fit", frozenset(range(1, len(columns))))


def _read(result: Mapping[str, Any]) -> tuple[DiffprivlibModel, dict[str, Floats]]:
    from synthema_core.analyses.diffprivlib_model import DiffprivlibModel

    arrays = {
        output["name"]: np.array(output["values"], dtype=np.float64).reshape(output["shape"])
        for output in result["outputs"]
    }
    return DiffprivlibModel.from_parameters(result["parameters"]), arrays


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
