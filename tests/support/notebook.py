"""A notebook: a real IPython shell with the magics loaded, against a federation inside the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from support.builders import NOW
from support.federation import TOKEN, URL, FakeFederation
from synthema_kernel.client import FederationClient
from synthema_kernel.magics import FederationMagics
from synthema_kernel.session import Session


class Notebook:
    """A shell with the magic loaded, and what was displayed."""

    def __init__(self, federation: FakeFederation, **parts: Any) -> None:
        self.federation = federation
        self.session = Session(FederationClient(URL, TOKEN, transport=federation), lambda: NOW, **parts)
        self.shell = InteractiveShell.instance()
        self.shell.register_magics(FederationMagics(self.shell, lambda: self.session))
        self.displayed: list[dict[str, Any]] = []
        self.shell.display_pub.publish = self._keep

    def _keep(self, data: dict[str, Any], metadata: Any = None, **_: Any) -> None:
        self.displayed.append(data)

    def fed(self, line: str) -> str:
        """Run the line; the plain text of what it displayed."""
        self.displayed.clear()
        self.shell.run_line_magic("fed", line)
        return self._text()

    def cell(self, text: str) -> str:
        """Run a cell as a notebook does; the plain text of what it displayed."""
        self.displayed.clear()
        self.shell.run_cell(text).raise_error()
        return self._text()

    def _text(self) -> str:
        return "\n".join(item["text/plain"] for item in self.displayed)

    @property
    def html(self) -> str:
        return "".join(item["text/html"] for item in self.displayed)

    def variable(self, name: str) -> Any:
        return self.shell.user_ns[name]


@contextmanager
def opened(federation: FakeFederation, **parts: Any) -> Iterator[Notebook]:
    """A Notebook, and its end; `parts` are the session's own."""
    made = Notebook(federation, **parts)
    try:
        yield made
    finally:
        made.session.client.close()
        made.shell.history_manager.end_session()
        InteractiveShell.clear_instance()
