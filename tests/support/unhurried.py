"""The real sandbox with more time than was asked for: a busy machine must not fail a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Outputs
from synthema_core.code.source import Code
from synthema_core.sandbox.port import Backend, Limits, Outcome, Sandbox

_CPU_SECONDS = 10.0


@dataclass(frozen=True)
class Unhurried:
    """Implements Backend over another one."""

    backend: Backend

    @property
    def name(self) -> str:
        return self.backend.name

    def missing(self) -> str:
        return self.backend.missing()

    @contextmanager
    def open(self, code: Code, outputs: Outputs) -> Iterator[Sandbox]:
        with self.backend.open(code, outputs) as sandbox:
            yield _Unhurried(sandbox)


@dataclass(frozen=True)
class _Unhurried:
    sandbox: Sandbox

    def evaluate(self, rows: Rows, limits: Limits) -> Outcome:
        return self.sandbox.evaluate(rows, _more(limits))

    def evaluate_all(self, groups: Iterable[Rows], limits: Limits) -> Iterator[Outcome]:
        return self.sandbox.evaluate_all(groups, _more(limits))


def _more(limits: Limits) -> Limits:
    return replace(limits, cpu_seconds=max(limits.cpu_seconds, _CPU_SECONDS))
