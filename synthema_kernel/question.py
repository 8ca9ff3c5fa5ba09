"""A researcher's question, from a ``%fed run`` line, a ``%%remote`` cell, or an earlier Request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synthema_core.errors import InvalidInput
from synthema_kernel.line import Line

if TYPE_CHECKING:
    from synthema_core.analyses.base import Analysis
    from synthema_core.card import Card

DRY_RUN, AGAIN = "dry-run", "again"
COST = ("epsilon", "delta", "insiders", "standard-error")
COMMON = ("dataset", "sites", "purpose", *COST, "name", "supersedes", DRY_RUN, AGAIN)
OF_ANALYSES = ("where", "derive", "exact")
"""What every analysis has besides, and code has not: it chooses and derives by itself."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True)
class Question:
    """What a researcher typed.

    Parameters
    ----------
    analysis
        Its name; of code, the function's.
    options
        The analysis's own options, as text.
    sites
        The sites to ask; empty for all that offer the dataset.
    epsilon, delta
        The cost of a private question; None for its defaults.
    insiders, standard_error
        Sites that may know their own noise; and the noise that is wanted, instead of `epsilon`. None: see `plan_of`.
    name
        What to call the Request; empty for ``ANALYSIS-DATASET``.
    supersedes
        Name or id of the Request this one replaces; reviewers are shown what changed.
    exact
        Whether the exact form is asked for of an analysis whose usual form is private.
    where, derive
        Who is asked about, and columns derived from others: see `synthema_core.cohort`.
    ask
        Makes the question from the Cards, where it is none of options: code, or an earlier Plan's once more.
    """

    analysis: str
    dataset: str
    purpose: str
    options: Mapping[str, str] = field(default_factory=dict)
    sites: tuple[str, ...] = ()
    epsilon: float | None = None
    delta: float | None = None
    insiders: int | None = None
    standard_error: float | None = None
    name: str = ""
    supersedes: str = ""
    exact: bool = False
    where: str = ""
    derive: tuple[str, ...] = ()
    ask: Callable[[Sequence[Card]], Analysis] | None = None

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise InvalidInput(
                f"'{self.name}' cannot name a request.", "Use up to 80 letters, digits, dots, hyphens and underscores."
            )

    @property
    def request_name(self) -> str:
        return self.name or f"{self.analysis}-{self.dataset}"


def common(line: Line) -> dict[str, Any]:
    """What every question has besides what it asks, from a line's options; as Question takes it."""
    return {
        "dataset": line.required("dataset", "NAME"),
        "purpose": line.required("purpose", '"a sentence for the data owners"'),
        "sites": line.names("sites"),
        **cost(line),
        "name": given(line, "name"),
        "supersedes": given(line, "supersedes"),
    }


def of_analysis(line: Line) -> dict[str, Any]:
    """What every analysis has besides; as Question takes it."""
    derived = given(line, "derive", '"old = age >= 60"')
    return {
        "exact": line.flag("exact"),
        "where": given(line, "where", '"age >= 60"'),
        "derive": tuple(part.strip() for part in derived.split(";") if part.strip()),
    }


def cost(line: Line) -> dict[str, Any]:
    """What is typed of the privacy cost; None where nothing is."""
    return {
        "epsilon": line.number("epsilon"),
        "delta": line.number("delta"),
        "insiders": line.whole("insiders", least=0, usual=1),
        "standard_error": line.number("standard-error"),
    }


def given(line: Line, option: str, example: str = "my-study") -> str:
    """The value of an option that may be left out, but not be empty."""
    return line.required(option, example) if option in line.options else ""
