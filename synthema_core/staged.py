"""Questions with a release decision: what each site computes waits there until its stewards have looked at it."""

from __future__ import annotations

from typing import TypeAlias

from synthema_core.analyses.base import Analysis
from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB, DiffprivlibModel
from synthema_core.code.outputs import Outputs
from synthema_core.code.questions import Aggregate, CodeQuestion
from synthema_core.code.shapes import AGGREGATE, analysis_name

StagedQuestion: TypeAlias = Aggregate | DiffprivlibModel
_STAGED = frozenset({analysis_name(AGGREGATE), DIFFPRIVLIB})


def is_staged(analysis: str) -> bool:
    """Whether a Plan of that analysis is run apart from its sum, with a release decision in between."""
    return analysis in _STAGED


def outputs_of(analysis: Analysis) -> Outputs | None:
    """What is put out by name, of which a site can leave out parts; None of what is answered as a whole."""
    return analysis.outputs if isinstance(analysis, CodeQuestion | DiffprivlibModel) else None
