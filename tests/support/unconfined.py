"""A backend that confines nothing, or leaves out one step of what a real one does: it shows that attacks can succeed.

For tests only. No program of ours can choose it: it starts a template with a `confine` of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from synthema_core.code.outputs import Outputs
from synthema_core.code.source import Code
from synthema_core.sandbox.backends import landlock_start
from synthema_core.sandbox.port import Sandbox
from synthema_core.sandbox.runtime import Runtime
from synthema_core.sandbox.seccomp_filter import seccomp_filter
from synthema_core.sandbox.template_sandbox import TemplateSandbox

_BOOT = (
    "import sys; sys.modules['pyarrow'] = None; sys.path[:0] = [{root!r}, {tests!r}]; sys.path += {libraries!r}; "
    "from support.unconfined_template import main; main({control}, {steps!r})"
)
EVERY_STEP = (
    "take_files",
    "fresh_namespaces",
    "limit_resources",
    "become_nobody",
    "restrict_files",
    "restrict_time",
    "restrict_calls",
)


@dataclass(frozen=True, slots=True)
class Unconfined:
    """The Landlock backend with only these steps of `confine`; its template has this process's environment.

    Parameters
    ----------
    files
        Whether the filter of system calls is the one of a backend that shows files.
    """

    steps: tuple[str, ...] = ()
    files: bool = False
    name: str = "unconfined"

    def missing(self) -> str:
        return ""

    def open(self, code: Code, outputs: Outputs) -> AbstractContextManager[Sandbox]:
        runtime = Runtime.of_this_process()

        def command(control: int) -> Sequence[str]:
            text = _BOOT.format(
                root=runtime.root,
                tests=str(Path(__file__).parents[1]),
                libraries=list(runtime.libraries),
                control=control,
                steps=self.steps,
            )
            return [runtime.program, "-B", "-X", "utf8", "-c", text]

        start = replace(
            landlock_start(runtime),
            command=command,
            environment={**os.environ, **runtime.environment},
            filter=partial(seccomp_filter, files=self.files),
        )
        return TemplateSandbox(start, code, outputs)


def without(*left_out: str) -> Unconfined:
    """A backend that takes every step but these."""
    return Unconfined(tuple(step for step in EVERY_STEP if step not in left_out), f"without {', '.join(left_out)}")
