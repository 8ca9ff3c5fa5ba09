"""What an analysis is to the rest of Synthema: a frozen question that can be answered from sums.

An instance holds the parameters of one question. The site calls `contribution`, the hub calls `begin` and
`advance`; neither does any I/O, and only sums over all sites ever reach `advance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeAlias

from numpy.typing import NDArray

from synthema_core.canonical import Json
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats, Layout

Rows: TypeAlias = Mapping[str, NDArray[Any]]
"""Columns by name, each (n,).

Numbers and booleans are float64 with NaN for missing; categories are codes (str, '' for missing).
"""


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
    """Of each value of the sum, in squared units; 0 for exact analyses."""
    min_patients: int = 0
    """Groups of fewer patients over all sites are named in the result but get no numbers."""


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

    def contribution(self, rows: Rows, values: Floats) -> Floats:
        """What these rows add to the sum, (layout.length,), for the Round's input `values`."""
        ...

    def advance(self, memory: Any, sums: Sums) -> Next | Done: ...
