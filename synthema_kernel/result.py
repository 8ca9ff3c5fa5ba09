"""A Release in a notebook: picture, tables, what protects the patients, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthema_core.errors import NotFound
from synthema_core.release import Release
from synthema_kernel import markup, outcome, result_tables
from synthema_kernel.figures import code, forest, histogram, kaplan_meier

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
    "kaplan-meier": _Kind(kaplan_meier.draw, result_tables.kaplan_meier, result_tables.kaplan_meier_records),
    "cox": _Kind(forest.draw, result_tables.cox, result_tables.cox_records),
    "histogram": _Kind(histogram.draw, result_tables.histogram, result_tables.histogram_records),
    "code-per-patient": _OF_CODE,
    "code-per-block": _OF_CODE,
    "code-aggregate": _OF_CODE,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What ``%fed result`` shows.

    Parameters
    ----------
    release
        The Release as the hub signed it.

    Raises
    ------
    NotFound
        For a kind of result this version has no view of; ``release.result`` still holds its numbers.
    """

    release: Release

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
        return self._kind.draw(told, [self.release.guarantee.statement, self._origin()])

    def _origin(self) -> str:
        release = self.release
        return (
            f"Sites: {', '.join(release.sites)}. Plan {markup.short(release.plan_digest)}, "
            f"released {markup.moment(release.released_at)}."
        )

    def _provenance(self) -> markup.Table:
        release = self.release
        guarantee = release.guarantee
        noise = None if self._kind is _OF_CODE else guarantee.noise_standard_deviation  # code: each output has its own
        rows = [
            ("Guarantee", guarantee.statement),
            ("Mechanism", guarantee.mechanism),
            *([("Noise", f"standard deviation {noise:.4g} in each released number")] if noise else []),
            ("Purpose", release.purpose),
            ("Asked by", release.requester),
            ("Sites", ", ".join(release.sites)),
            ("Datasets", ", ".join(release.datasets)),
            ("Released", markup.moment(release.released_at)),
            ("Job", f"{release.rounds} round{'' if release.rounds == 1 else 's'} in {release.seconds:g} seconds"),
            ("Rounding", f"fixed point, largest error of a sum {release.quantisation_error:.1e}"),
            ("Plan", release.plan_digest),
            ("Release", release.id),
        ]
        return markup.Table(("Provenance", ""), rows)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        svg, tables, provenance = self.to_svg(), self._kind.tables(self.values), self._provenance()
        html = markup.block(svg, *(table.html() for table in tables), provenance.html())
        text = "\n\n".join(
            [markup.printable(str(self.values["title"])), *(table.text() for table in tables), provenance.text()]
        )
        return {"text/html": html, "image/svg+xml": svg, "text/plain": text}

    def __repr__(self) -> str:
        return f"<Result {self.release.result.get('kind')} of request {self.release.request}>"
