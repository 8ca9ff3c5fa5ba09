"""The template of `unconfined`: a real one, but for what its children go through."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection

from synthema_core.sandbox.inside import confine, template
from synthema_core.sandbox.inside.messages import ERRORS, LOG, RESULT, ROWS


def main(control: int, steps: Collection[str]) -> None:
    def some_steps(means: confine.Means, child: confine.Child) -> None:
        if "take_files" not in steps:
            _place(means, child)
        for step in confine.STEPS:
            if step.__name__ in steps:
                step(means, child)

    template.main(control, some_steps)


def _place(means: confine.Means, child: confine.Child) -> None:
    """The pipes where code looks for them; nothing is closed."""
    ruleset = -1 if means.ruleset is None else means.ruleset
    rows, result, log, ruleset = (fcntl.fcntl(file, fcntl.F_DUPFD, 100) for file in (*child.files, ruleset))
    for file, place in ((rows, ROWS), (log, LOG), (log, ERRORS), (result, RESULT), (ruleset, RESULT + 1)):
        os.dup2(file, place)
