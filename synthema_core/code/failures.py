"""How a run of code with a release decision can fail: the kind, which is all that its author is told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from synthema_core.errors import RoundFailed, to_wire


class RunFailure(StrEnum):
    RAISED = "raised"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    KILLED = "killed"
    OUTPUT = "output"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    ENGINE = "engine"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]

    def told(self, site: str) -> dict[str, str]:
        """In the wire form of an error."""
        return to_wire(RoundFailed(f"At '{site}' {self.sentence}; nothing was released.", _HINT))


_HINT = "Try it on mock data; the site's stewards can read what it printed, and share it with you."
_SENTENCES: Mapping[RunFailure, str] = {
    RunFailure.RAISED: "the code raised an error",
    RunFailure.TIMEOUT: "the code took too long",
    RunFailure.MEMORY: "the code took too much memory",
    RunFailure.KILLED: "the code was ended by the sandbox",
    RunFailure.OUTPUT: "the code did not return what the Plan declares",
    RunFailure.REFUSED: "a rule forbade the run",
    RunFailure.INTERRUPTED: "the run was interrupted",
    RunFailure.ENGINE: "the run broke",
}
