"""The ``%fed`` and ``%%remote`` magics: parse, call, render."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.display import display

from synthema_core.errors import InvalidInput, SynthemaError
from synthema_kernel.complaint import FederationError
from synthema_kernel.line import Line, take_options

if TYPE_CHECKING:
    from synthema_kernel.session import Session

_USERS_FRAME = 2  # from a cell magic's: IPython's run_cell_magic is between them
Command = Callable[["Session", Line], Any]


def _open_session() -> Session:
    from synthema_kernel.session import open_session

    return open_session()


def _commands() -> Mapping[str, Command]:
    from synthema_kernel.commands import COMMANDS

    return COMMANDS


@magics_class
class FederationMagics(Magics):
    """Holds the notebook's session, opened at the first line or cell that needs it.

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
        self._show(lambda: self._fed(Line.read(line)))

    @no_var_expand  # its options may go on below the first line
    @cell_magic
    def remote(self, line: str, cell: str) -> None:
        """Send a function to a federation's sites; it is read here, and never run outside a sandbox."""
        options, source = take_options(line, cell)
        words = self.shell.var_expand(options, depth=_USERS_FRAME)
        self._show(lambda: self._remote(Line.of_cell(words), source))

    def _show(self, answer: Callable[[], tuple[Line, Any]]) -> None:
        try:
            typed, shown = answer()
        except SynthemaError as error:
            raise FederationError(error) from error
        if typed.variable:
            self.shell.user_ns[typed.variable] = shown
        if shown is not None:
            display(shown)

    def _remote(self, typed: Line, source: str) -> tuple[Line, Any]:
        from synthema_kernel.commands import remote

        return typed, remote(self._connected(), typed, source)

    def _fed(self, typed: Line) -> tuple[Line, Any]:
        if typed.verb == "help":
            from synthema_kernel.manual import manual

            return typed, manual()
        command = _commands().get(typed.verb)
        if command is None:
            raise InvalidInput(f"There is no '%fed {typed.verb}'.", f"There is {', '.join(_commands())}, help.")
        return typed, command(self._connected(), typed)

    def _connected(self) -> Session:
        if self._session is None:
            self._session = self._open_session()
        return self._session
