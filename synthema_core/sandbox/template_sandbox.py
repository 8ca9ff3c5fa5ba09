"""The Sandbox of every backend that starts a template on this machine."""

from __future__ import annotations

import math
import os
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Self

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Outputs
from synthema_core.code.source import Code
from synthema_core.errors import Unavailable
from synthema_core.sandbox.evaluation import Evaluation
from synthema_core.sandbox.frames import encode_rows
from synthema_core.sandbox.port import LANES, Limits, Outcome
from synthema_core.sandbox.process import Start, TemplateProcess

_PATIENCE_SECONDS = 30.0
"""For a child to announce itself, or to be gone after it was killed. Beyond it, the template is broken."""
_MOMENT_SECONDS = 0.01
_LAST_MOMENT_SECONDS = 0.1


class TemplateSandbox:
    """Implements Sandbox: orders children from a template, which it replaces once if it breaks, and watches them.

    For one thread. The template ends when that thread does.
    """

    def __init__(self, start: Start, code: Code, outputs: Outputs) -> None:
        self._start, self._code, self._outputs = start, code, outputs
        self._replaced = False
        self._running: dict[int, Evaluation] = {}
        self._files: dict[int, Evaluation] = {}
        self._ended: list[int] = []
        self._bring_up()

    def _bring_up(self) -> None:
        self._template = TemplateProcess(self._start, self._code, self._outputs)
        self._pipes, self._ends = select.poll(), select.poll()
        for poll in (self._pipes, self._ends):
            poll.register(self._template.control, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        self._template.close()

    @property
    def template_pid(self) -> int:
        """Of what was started: the template, or what confines it."""
        return self._template.pid

    def evaluate(self, rows: Rows, limits: Limits) -> Outcome:
        (outcome,) = self.evaluate_all([rows], limits)
        return outcome

    def evaluate_all(self, groups: Iterable[Rows], limits: Limits) -> Iterator[Outcome]:
        """As the port says. Take the outcomes promptly: a child whose output nobody reads waits, and its time runs."""
        ordered: deque[Evaluation] = deque()
        try:
            for rows in groups:
                while len(self._running) >= LANES:
                    self._turn()
                ordered.append(self._begin(encode_rows(rows), limits))
                while ordered and ordered[0].done:
                    yield ordered.popleft().outcome()
            while ordered:
                while not ordered[0].done:
                    self._turn()
                yield ordered.popleft().outcome()
        finally:
            self._abandon()

    def _begin(self, content: bytes, limits: Limits) -> Evaluation:
        lane = next(lane for lane in range(LANES) if lane not in self._running)
        evaluation = self._running[lane] = Evaluation(lane, content, limits)
        self._hand_over(evaluation)
        return evaluation

    def _hand_over(self, evaluation: Evaluation) -> None:
        try:
            self._template.send(evaluation.order, (*evaluation.theirs, *self._ended))
        except OSError:
            self._replace()
            return
        evaluation.handed_over()
        self._forget_ended()
        for file in (evaluation.result, evaluation.log):
            self._watch(file, evaluation, select.POLLIN)

    def _watch(self, file: int, evaluation: Evaluation, event: int) -> None:
        self._files[file] = evaluation
        self._pipes.register(file, event)

    def _ignore(self, file: int) -> None:
        if self._files.pop(file, None):
            self._pipes.unregister(file)

    def _turn(self) -> None:
        """Wait until something happens, take note of it, and see to it that nobody takes longer than they may."""
        running = self._running.values()
        now = time.monotonic()
        latest = min(evaluation.began + evaluation.limits.wall_seconds for evaluation in running) + _PATIENCE_SECONDS
        soonest = min(evaluation.look_at for evaluation in running)
        for file in self._wait(max(0.0, min(latest, soonest) - now)):
            if file == self._template.control.fileno():
                self._hear()
            elif evaluation := self._files.get(file):
                self._move(file, evaluation)
        now = time.monotonic()
        for evaluation in self._running.values():
            if evaluation.look_at <= now:
                evaluation.look()
        if self._running and latest < now:
            self._replace()

    def _wait(self, seconds: float) -> list[int]:
        """Files with something to tell. Most children end in a moment: to be woken for all they write costs more."""
        if not any(evaluation.streaming for evaluation in self._running.values()):
            happened = self._ends.poll(_milliseconds(min(seconds, _MOMENT_SECONDS)))
            if happened or seconds <= _MOMENT_SECONDS:
                return [file for file, _ in happened]
        return [file for file, _ in self._pipes.poll(_milliseconds(seconds))]

    def _hear(self) -> None:
        """A child waits for its rows."""
        announced = self._template.announced()
        if announced is None:
            self._replace()
            return
        lane, pid = announced
        evaluation = self._running[lane]
        try:
            evaluation.started(pid)
        except ProcessLookupError:  # the kernel may kill any process
            self._finish(evaluation)
            return
        self._watch(evaluation.process, evaluation, select.POLLIN)
        self._ends.register(evaluation.process, select.POLLIN)
        if evaluation.write():
            self._watch(evaluation.rows, evaluation, select.POLLOUT)

    def _move(self, file: int, evaluation: Evaluation) -> None:
        if file == evaluation.process:
            self._finish(evaluation)
        elif not (evaluation.write() if file == evaluation.rows else evaluation.read(file)):
            self._ignore(file)

    def _finish(self, evaluation: Evaluation) -> None:
        self._lose_sight_of(evaluation)
        evaluation.finish()
        if evaluation.unexplained and self._broke():
            self._replace()  # it ended with its template
            return
        del self._running[evaluation.order.lane]
        if evaluation.process >= 0:
            self._ended.append(evaluation.process)

    def _broke(self) -> bool:
        """Whether the template is gone, or goes in this moment."""
        broken = select.poll()
        broken.register(self._template.control, 0)
        return bool(broken.poll(_milliseconds(_LAST_MOMENT_SECONDS)))

    def _lose_sight_of(self, evaluation: Evaluation) -> None:
        if evaluation.process in self._files:
            self._ends.unregister(evaluation.process)
        for file in (evaluation.process, evaluation.rows, evaluation.result, evaluation.log):
            self._ignore(file)

    def _forget_ended(self) -> None:
        for handle in self._ended:
            os.close(handle)
        self._ended.clear()

    def _let_go(self) -> None:
        """End what still runs; nobody waits for it."""
        for evaluation in self._running.values():
            self._lose_sight_of(evaluation)
            evaluation.kill()
            evaluation.close()
            if evaluation.process >= 0:
                self._ended.append(evaluation.process)
        self._running.clear()
        self._forget_ended()

    def _replace(self) -> None:
        """A new template, once, which begins again what was running: nothing of that has been told to anybody."""
        running = list(self._running.values())
        self._let_go()
        self._template.close()
        if self._replaced:
            raise Unavailable("The sandbox broke twice.", "Run `synthema datasite doctor`.")
        self._replaced = True
        self._bring_up()
        for evaluation in running:
            evaluation.restart()
            self._running[evaluation.order.lane] = evaluation
            self._hand_over(evaluation)

    def _abandon(self) -> None:
        """End what still runs, and see it end."""
        for evaluation in self._running.values():
            evaluation.give_up()
        while self._running:
            self._turn()


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)
