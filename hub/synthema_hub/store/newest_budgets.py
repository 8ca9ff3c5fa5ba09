"""The newest standing of each site's Budgets, as the site told it: for showing, kept beside the Journal.

Not in it: a standing replaces the one before, and the Charges that it follows from are in the sites' own Journals.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from synthema_core.errors import InvalidInput, Unavailable
from synthema_core.public_budget import PublicBudget


class NewestBudgets:
    """One file a site; read once, and safe for several threads.

    Parameters
    ----------
    folder
        Made if it is not there. A file that cannot be read counts as none: the site tells its standing again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._newest: dict[str, tuple[PublicBudget, ...]] = {}
        for path in sorted(folder.glob("*.json")):
            with suppress(OSError, ValueError, TypeError, InvalidInput):
                self._newest[path.stem] = tuple(map(PublicBudget.from_dict, json.loads(path.read_text())))

    def keep(self, site: str, told: Sequence[Any]) -> None:
        """In the place of what the site told before.

        Raises
        ------
        InvalidInput
            For what is no standing. What was told before stays.
        """
        budgets = tuple(map(PublicBudget.from_dict, told))
        with self._lock:
            self._newest[site] = budgets
            fresh = self._folder / f"{site}.new"
            try:
                self._folder.mkdir(exist_ok=True, mode=0o700)
                fresh.write_text(json.dumps([budget.to_dict() for budget in budgets]))
                fresh.replace(self._folder / f"{site}.json")
            except OSError as error:
                raise Unavailable(f"The budgets of '{site}' cannot be kept: {error.strerror}.") from None

    def of(self, site: str) -> tuple[PublicBudget, ...]:
        with self._lock:
            return self._newest.get(site, ())
