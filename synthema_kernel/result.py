"""A Release in a notebook: picture, tables, what protects the patients, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthema_core.errors import NotFound
from synthema_core.release import Release
from synthema_kernel import markup, model_tables, outcome, provenance, result_tables
from synthema_kernel.figures import code, forest, histogram, kaplan_meier, mean
from synthema_kernel.figures import crosstab as crosstab_figure
from synthema_kernel.figures import glm as glm_figure
from synthema_kernel.figures import incidence as incidence_figure
from synthema_kernel.figures import summary as summary_figure
from synthema_kernel.tables import cox, histogram_exact
from synthema_kernel.tables import crosstab as crosstab_tables
from synthema_kernel.tables import glm as glm_tables
from synthema_kernel.tables import incidence as incidence_tables
from synthema_kernel.tables import kaplan_meier as kaplan_meier_tables
from synthema_kernel.tables import summary as summary_tables

if TYPE_CHECKING:
    import pandas as pd

    from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class _Kind:
    """How results of one kind are shown."""

    draw: Callable[[Mapping[str, Any], Sequence[str]], str]
    tables: Callable[[Mapping[str, Any]], list[markup.Table]]
    records: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]


_OF_CODE = _Kind(code.draw, outcome.tables, outcome.records)
_KINDS: Mapping[str, _Kind] = {
    "kaplan-meier": _Kind(kaplan_meier.draw, kaplan_meier_tables.tables, kaplan_meier_tables.records),
    "cumulative-incidence": _Kind(incidence_figure.draw, incidence_tables.tables, incidence_tables.records),
    "cox": _Kind(forest.draw, cox.tables, cox.records),
    "cox-private": _Kind(glm_figure.draw, glm_tables.tables, glm_tables.records),
    "glm": _Kind(glm_figure.draw, glm_tables.tables, glm_tables.records),
    "crosstab": _Kind(crosstab_figure.draw, crosstab_tables.tables, crosstab_tables.records),
    "summary": _Kind(summary_figure.draw, summary_tables.tables, summary_tables.records),
    "histogram": _Kind(histogram.draw, result_tables.histogram, result_tables.histogram_records),
    "histogram-exact": _Kind(histogram.draw_exact, histogram_exact.tables, histogram_exact.records),
    "mean": _Kind(mean.draw, result_tables.mean, result_tables.mean_records),
    "code-per-patient": _OF_CODE,
    "code-per-block": _OF_CODE,
    "code-aggregate": _OF_CODE,
    "diffprivlib": _Kind(code.draw, model_tables.tables, model_tables.records),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What ``%fed result`` shows.

    Parameters
    ----------
    release
        The Release as the hub signed it.
    said
        A sentence above it; empty for none.

    Raises
    ------
    NotFound
        For a kind of result this version has no view of; ``release.result`` still holds its numbers.
    """

    release: Release
    said: str = ""

    @property
    def values(self) -> Mapping[str, Any]:
        """The result as JSON: everything that was released, unrounded."""
        return self.release.result

    def __getitem__(self, name: str) -> Floats:
        """An output of code as the array that was declared: the sum over all sites, NaN where a site left it out."""
        import numpy as np

        for output in self.values.get("outputs", []):
            if output["name"] == name:
                return np.array(output["values"], dtype=np.float64).reshape(output["shape"])
        known = ", ".join(output["name"] for output in self.values.get("outputs", []))
        raise NotFound(f"The result has no output '{name}'.", f"It has {known}." if known else "Read its `.values`.")

    def __iter__(self) -> Iterator[str]:
        """The names of the outputs of code."""
        return (str(output["name"]) for output in self.values.get("outputs", []))

    @property
    def _kind(self) -> _Kind:
        name = str(self.release.result.get("kind"))
        if name not in _KINDS:
            raise NotFound(f"There is no view of a result of the kind '{name}'.", "Read its `.values`.")
        return _KINDS[name]

    def to_frame(self) -> pd.DataFrame:
        """The numbers as a pandas frame: one row per arm and time, term, or cell."""
        import pandas as pd

        return pd.DataFrame.from_records(list(self._kind.records(self.values)))

    def to_svg(self) -> str:
        """The picture as the text of an SVG file, with its guarantee and its provenance under it."""
        told = {**self.values, "purpose": self.release.purpose}
        return self._kind.draw(told, provenance.lines(self.release))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        release, svg = self.release, self.to_svg()
        tables = [
            *self._kind.tables(self.values),
            provenance.protection(release, noise_differs=self._kind is _OF_CODE),
            provenance.provenance(release),
        ]
        said = [self.said] if self.said else []
        html = markup.block(*map(markup.paragraph, said), svg, *(table.html() for table in tables))
        text = "\n\n".join(
            [*map(markup.printable, [*said, str(self.values["title"])]), *(table.text() for table in tables)]
        )
        return {"text/html": html, "image/svg+xml": svg, "text/plain": text}

    def __repr__(self) -> str:
        return f"<Result {self.release.result.get('kind')} of request {self.release.request}>"
