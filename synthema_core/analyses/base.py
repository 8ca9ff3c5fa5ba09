"""What an analysis is to the rest of Synthema: a frozen question that can be answered from sums.

An instance holds the parameters of one question. The site calls `contribution`, the hub calls `begin` and
`advance`; neither does any I/O, and only sums over all sites ever reach `advance`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.canonical import Json
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

Rows: TypeAlias = Mapping[str, NDArray[Any]]
"""Columns by name, each (n,).

Numbers and booleans are float64 with NaN for missing; categories are codes (str, '' for missing).
"""


@dataclass(frozen=True, slots=True)
class Patients:
    """Who each row is about: what private analyses need to bound what one patient adds.

    Parameters
    ----------
    ids
        (n,) str: the patient of each row.
    key
        A secret of the site's, by which it chooses among the rows of a patient who has more than a Plan uses.
    """

    ids: NDArray[np.object_]
    key: bytes

    @classmethod
    def one_a_row(cls, rows: Rows) -> Self:
        """As where no patient has a second row; then nothing is chosen, and no key is needed."""
        length = len(next(iter(rows.values())))
        return cls(np.array([str(place) for place in range(length)], dtype=object), b"")


@dataclass(frozen=True, slots=True)
class Next:
    """Another Round is needed: send `input` to the sites; `memory` is the hub's alone."""

    input: Floats
    memory: Any = None


@dataclass(frozen=True, slots=True)
class Done:
    """The answer, as JSON. `kind` names the view that shows it."""

    result: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Sums:
    """The sum over all sites, by block name, and how many sites it is over."""

    blocks: Mapping[str, Floats]
    sites: int
    noise_variance: float = 0.0
    """Of each value of the sum, in squared ring steps, whatever its block; 0 for exact analyses."""
    min_patients: int = 0
    """Groups of fewer patients over all sites are named in the result but get no numbers."""

    def deviation(self, block: Block) -> float:
        """Standard deviation of the noise in each value of that block, in the block's own unit."""
        return math.ldexp(math.sqrt(self.noise_variance), -block.fractional_bits)


class Analysis(Protocol):
    """One question. Implementations are frozen dataclasses whose fields are the Plan's parameters."""

    name: ClassVar[str]
    title: ClassVar[str]
    private: ClassVar[bool]
    """True: the site adds noise to the contribution, charged to its Ledger. False: exact, where policy allows."""

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        """The question as a researcher typed it (`--time t2 --event d3`), completed with the schema's constants."""
        ...

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """The question as a Plan carries it. Raises InvalidPlan for anything else than `parameters` wrote."""
        ...

    def parameters(self) -> dict[str, Json]: ...

    def check_against(self, schema: Schema) -> None:
        """Raise unless every column, level and scaling constant is the schema's own."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns read at a site, and no others."""
        ...

    @property
    def layout(self) -> Layout: ...

    @property
    def max_rounds(self) -> int: ...

    @property
    def sensitivity(self) -> float:
        """L2 norm, in ring steps, by which one patient can change a contribution. Meaningful if `private`."""
        ...

    def steps_per_unit(self, sites: int) -> float | None:
        """How many ring steps of a sum over so many sites make 1 in the released numbers, where those have least.

        None where they are no plain sums, so that their noise depends on what comes out; and where there is none.
        """
        ...

    @property
    def exact_times(self) -> bool:
        """Whether times leave the sites uncoarsened; only where a site's Policy allows it."""
        ...

    @property
    def time_step(self) -> float | None:
        """Width of the time grid on which counts leave the sites; None where none do."""
        ...

    @property
    def answer_seconds(self) -> float:
        """How long after a Round's arrival a site answers, whatever happens; 0: as soon as it can."""
        ...

    def cohort_size(self, rows: Rows) -> int:
        """Patients that enter the computation: complete in all its columns."""
        ...

    def begin(self) -> Next: ...

    def check_input(self, values: Floats) -> None:
        """At a site: refuse an iterate outside the declared bounds, whoever sent it."""
        ...

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:
        """What these rows add to the sum, (layout.length,), for the Round's input `values`.

        Private analyses bound what each of the `patients` adds (see `privacy.bounding`). For exact ones, which refuse
        schemas with several rows a patient, a row is a patient.
        """
        ...

    def advance(self, memory: Any, sums: Sums) -> Next | Done: ...


def numbers_of(analysis: Analysis) -> int:
    """How many numbers leave a site in all Rounds: the whole layout in each, or what the analysis says of itself.

    One whose Rounds leave parts of the layout 0 has a property `numbers`.
    """
    own: int | None = getattr(analysis, "numbers", None)
    return analysis.layout.length * analysis.max_rounds if own is None else own


def other_form(kind: type[Analysis]) -> str:
    """The name of the private form of an exact analysis, or of the exact form of a private one; '' if it has none.

    An analysis that has one names it in `private_form` or `exact_form`.
    """
    return str(getattr(kind, "exact_form" if kind.private else "private_form", ""))
