"""The three shapes in which code may be asked; see `synthema_core.code.questions`."""

from __future__ import annotations

PER_PATIENT, PER_BLOCK, AGGREGATE = "per-patient", "per-block", "aggregate"
SHAPES = (PER_PATIENT, PER_BLOCK, AGGREGATE)
_PREFIX = "code-"


def analysis_name(shape: str) -> str:
    """What a Plan calls a question of that shape."""
    return _PREFIX + shape


def shape_of(analysis: str) -> str:
    """The shape of the code that a Plan of this analysis asks; empty for a built-in analysis."""
    return next((shape for shape in SHAPES if analysis == analysis_name(shape)), "")
