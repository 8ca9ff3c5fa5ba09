"""What is known of code before it is sent: what vetting finds in it, and how it fared on Mocks in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synthema_core.errors import SynthemaError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from synthema_core.code.declaration import AnyShape
    from synthema_core.sandbox.port import Backend
    from synthema_core.sandbox.trial import Trial
    from synthema_core.schemas import Schema
    from synthema_core.vetting import Finding


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a researcher is shown before reviewers are, of the same code.

    Parameters
    ----------
    trial
        None where this machine has no sandbox, or it broke; `untried` then says so. Code never runs without one.
    """

    question: AnyShape
    findings: tuple[Finding, ...]
    trial: Trial | None
    untried: SynthemaError | None = None


def gather(question: AnyShape, schema: Schema, sites: int, choose: Callable[[], Backend]) -> Evidence:
    """Vet the code and try it on a Mock of each site. Takes half a minute at most, and one evaluation."""
    from synthema_core.sandbox.trial import try_out
    from synthema_core.vetting import vet

    findings = vet(question.code, question.shape)
    try:
        return Evidence(question, findings, try_out(question, schema, choose(), sites=sites))
    except Unavailable as error:
        return Evidence(question, findings, None, error)
