"""The ``%fed`` magic: parse, call, render."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import display

from synthema_core.errors import InvalidInput, SynthemaError
from synthema_kernel.complaint import FederationError
from synthema_kernel.line import Line

if TYPE_CHECKING:
    from synthema_kernel.session import Session

Command = Callable[["Session", Line], Any]


def _open_session() -> Session:
    from synthema_kernel.session import open_session

    return open_session()


def _commands() -> Mapping[str, Command]:
    from synthema_kernel.commands import COMMANDS

    return COMMANDS


@magics_class
class FederationMagics(Magics):
    """Holds the notebook's session, opened at the first ``%fed`` line that needs it.

    Parameters
    ----------
    open_session
        Makes the session; tests give one with a transport of their own.
    """

    def __init__(self, shell: Any, open_session: Callable[[], Session] = _open_session) -> None:
        super().__init__(shell)
        self._open_session = open_session
        self._session: Session | None = None

    @line_magic
    def fed(self, line: str) -> None:
        """Ask a federation of hospitals; ``%fed help`` lists what there is."""
        try:
            typed = Line.read(line)
            answer = self._answer(typed)
        except SynthemaError as error:
            raise FederationError(error) from error
        if typed.variable:
            self.shell.user_ns[typed.variable] = answer
        if answer is not None:
            display(answer)

    def _answer(self, typed: Line) -> Any:
        if typed.verb == "help":
            from synthema_kernel.manual import manual

            return manual()
        command = _commands().get(typed.verb)
        if command is None:
            raise InvalidInput(f"There is no '%fed {typed.verb}'.", f"There is {', '.join(_commands())}, help.")
        if self._session is None:
            self._session = self._open_session()
        return command(self._session, typed)
