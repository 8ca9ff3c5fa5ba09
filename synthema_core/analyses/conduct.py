"""The one loop that turns an analysis and a way to ask all sites into a result. Real Jobs and rehearsals share it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from synthema_core.analyses.base import Analysis, Done, Sums
from synthema_core.errors import RoundFailed
from synthema_core.secure_sum.layout import Floats

AskAllSites: TypeAlias = Callable[[int, Floats], Sums]
"""(round index from 1, the Round's input) -> the sum of all sites' contributions."""


def conduct(analysis: Analysis, ask: AskAllSites) -> tuple[Done, int]:
    """Run the analysis to its end; return the result and the number of Rounds it took.

    Raises
    ------
    RoundFailed
        If the declared number of Rounds is used up without an answer, or the analysis or a Round fails.
    """
    step = analysis.begin()
    for round_index in range(1, analysis.max_rounds + 1):
        outcome = analysis.advance(step.memory, ask(round_index, step.input))
        if isinstance(outcome, Done):
            return outcome, round_index
        step = outcome
    raise RoundFailed(
        f"The analysis found no answer in the {analysis.max_rounds} rounds its Plan allows.",
        "Simplify the model, or plan again with more rounds.",
    )
