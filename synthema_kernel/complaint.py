"""How an error reaches the notebook: one sentence and a hint instead of a traceback."""

from __future__ import annotations

from synthema_core.errors import SynthemaError

_RED, _END = "\x1b[31;1m", "\x1b[0m"


class FederationError(SynthemaError):
    """A SynthemaError on its way to the notebook; ``__cause__`` is the error itself.

    IPython and papermill print what `_render_traceback_` returns. IPython's own ``UsageError`` would do in a
    notebook, but papermill shows it empty.
    """

    def __init__(self, error: SynthemaError) -> None:
        super().__init__(error.message, error.hint)
        self.code_of_cause = error.code

    def _render_traceback_(self) -> list[str]:
        return [f"{_RED}{self.message}{_END}", *([self.hint] if self.hint else [])]
