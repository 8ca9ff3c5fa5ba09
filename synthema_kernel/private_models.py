"""Models of diffprivlib on mock data: what ``%fed run diffprivlib`` asks the sites to fit, fitted in a notebook.

::

    from synthema_kernel import private_models as models

    mock = models.mock(card)                                      # made from the schema alone
    fitted = models.fit("logistic-regression", card, rows=mock, columns=["age"], target="died", epsilon=1.0)
    fitted["coefficients"], fitted["intercepts"]                  # in the columns' units

Bounds come from the schema, and there is no seed, as at a site; the same code fits. The epsilon is diffprivlib's own
word, here as there: no guarantee.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthema_core.analyses.base import Rows
from synthema_core.analyses.diffprivlib_model import NO_GUARANTEE, DiffprivlibModel
from synthema_core.card import Card
from synthema_core.errors import InvalidRows, NotFound
from synthema_core.mock import mock_rows
from synthema_core.private_models.kinds import KINDS
from synthema_core.private_models.scale import Components, components_of
from synthema_core.schemas import Kind, Schema
from synthema_core.secure_sum.layout import Floats
from synthema_kernel import markup, model_tables

if TYPE_CHECKING:
    import pandas as pd

MODELS = tuple(KINDS)
_MOCK_PATIENTS, _MOCK_SEED = 200, 1


@dataclass(frozen=True, slots=True)
class Fitted(Mapping[str, "Floats"]):
    """A fitted model: its arrays by name, in the columns' units.

    Parameters
    ----------
    on_scale
        The same as they were fitted, and as a site stages them: each number column from -1 to 1 over its range.
    """

    question: DiffprivlibModel
    on_scale: Mapping[str, Floats]

    def __getitem__(self, name: str) -> Floats:
        if name not in self.on_scale:
            raise NotFound(f"The model has no array '{name}'.", f"It has {', '.join(self.on_scale)}.")
        return self.question.scale.in_units(self.on_scale)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.on_scale)

    def __len__(self) -> int:
        return len(self.on_scale)

    def places(self, name: str) -> tuple[tuple[str, ...], ...]:
        """What the places of an array stand for, axis by axis."""
        return self.question.places(name)

    @property
    def components(self) -> Components:
        """Of ``pca``: the principal components, on the scale of the fit."""
        if "covariance" not in self.on_scale:
            raise NotFound("Only 'pca' has components.")
        return components_of(self.on_scale["covariance"])

    def to_frame(self) -> pd.DataFrame:
        """One row a number."""
        import pandas as pd

        return pd.DataFrame.from_records(list(model_tables.records_of(self.question, self.on_scale)))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        caption = f"{self.question.model}, nominal epsilon {self.question.epsilon:g}"
        tables = model_tables.tables_of(self.question, self.on_scale, caption)
        html = markup.block(*(table.html() for table in tables), markup.paragraph(NO_GUARANTEE))
        return {"text/html": html, "text/plain": "\n\n".join([*(table.text() for table in tables), NO_GUARANTEE])}

    def __repr__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]


def mock(about: Card | Schema, patients: int = _MOCK_PATIENTS, seed: int = _MOCK_SEED) -> Rows:
    """Rows of invented patients, from the schema alone. The seed is theirs; no model takes one."""
    return mock_rows(_schema_of(about), patients, seed)


def fit(
    model: str,
    about: Card | Schema,
    *,
    columns: Sequence[str],
    rows: Rows | pd.DataFrame | None = None,
    target: str = "",
    epsilon: float = 1.0,
    **settings: float,
) -> Fitted:
    """The model of these rows, under the terms of a site.

    Parameters
    ----------
    model
        One of MODELS.
    about
        Whose ranges and codes bound everything; nothing is taken from rows.
    rows
        Columns by name, or a DataFrame; `mock(about)` if left out.
    settings
        Of the model; ``c`` of a logistic regression.

    Raises
    ------
    InvalidInput, NotFound
        As `%fed run diffprivlib` would.
    RoundFailed, Refused, Unavailable
        See `synthema_core.private_models.fitting.fit`.
    """
    schema = _schema_of(about)
    typed = {"model": model, "columns": ",".join(columns), "epsilon": repr(epsilon)}
    typed |= {name: repr(value) for name, value in settings.items()} | ({"target": target} if target else {})
    question = DiffprivlibModel.from_options(typed, schema)
    given = mock(about) if rows is None else rows
    return Fitted(question, question.fitted({name: _column(given, schema, name) for name in question.columns}))


def _schema_of(about: Card | Schema) -> Schema:
    return about.schema if isinstance(about, Card) else about


def _column(rows: Any, schema: Schema, name: str) -> Any:
    """As a site's store gives it: numbers with NaN for missing, codes as text with '' for missing."""
    if name not in rows:
        raise InvalidRows(f"The rows have no column '{name}'.", "Give every column of the model, and its target.")
    import pandas as pd

    values = np.asarray(rows[name], dtype=object)
    missing = pd.isna(values)
    try:
        if schema.field(name).kind is Kind.CATEGORY:
            return np.array(["" if gone else str(value) for value, gone in zip(values, missing, strict=True)], object)
        numbers = np.array([np.nan if gone else float(value) for value, gone in zip(values, missing, strict=True)])
    except (TypeError, ValueError):
        raise InvalidRows(f"The column '{name}' holds something that is no number.", "Missing is NaN.") from None
    return numbers
