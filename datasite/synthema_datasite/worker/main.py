"""The worker process of one Job: reads frames from stdin, answers on stdout, ends with its input.

DuckDB, Arrow and OpenDP are loaded here and nowhere else at a datasite. An error's text can hold a row's value, so
only errors of our own tree are told, and of others the type alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from synthema_core.errors import Refused, SynthemaError, to_wire
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.worker.assembly import contributor_of, run_of
from synthema_datasite.worker.contributor import Contributor
from synthema_datasite.worker.frames import Frame, read_frame, write_frame


class Worker:
    """Turns frames into calls of a Contributor, or into one run of code."""

    def __init__(self) -> None:
        self._contributor: Contributor | None = None

    def answer(self, frame: Frame) -> Frame:
        if frame.body["do"] == "run":
            run = run_of(frame.body)
            return Frame({"report": run.report}, run.values)
        if frame.body["do"] == "open":
            self._contributor = contributor_of(frame.body)
            return Frame({"announcement": self._contributor.announcement.to_dict()})
        if self._contributor is None:
            raise Refused("A round cannot come before the job is open.", rule="protocol")
        return _step(self._contributor, frame)


def _step(contributor: Contributor, frame: Frame) -> Frame:
    """One step of the secure sum; see `secure_sum.Member`."""
    told = frame.body
    if told["do"] == "deal":
        return Frame({"sealed": contributor.deal(told["roster"])})
    if told["do"] == "choose":
        chosen, whole = contributor.choose(told["round"], told["survivors"])
        return Frame({"survivors": chosen.statement(), "whole": whole})
    if told["do"] == "reveal":
        return Frame({"shares": contributor.reveal(told["round"], told["signatures"])})
    if told["do"] != "round" or frame.array is None:
        raise Refused("A worker is asked for one step of its job.", rule="protocol")
    values: Floats = frame.array  # type: ignore[assignment]
    return Frame({}, contributor.contribute(told["round"], values, told["roster"], told["dealt"]))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Until the requests end."""
    worker = Worker()
    while (frame := read_frame(requests)) is not None:
        try:
            reply = worker.answer(frame)
        except SynthemaError as error:
            reply = Frame({"error": to_wire(error)})
        except Exception as error:  # the outermost loop: told by its type alone
            failure = SynthemaError(f"The engine failed with {type(error).__name__}.", _place(error))
            reply = Frame({"error": to_wire(failure)})
        write_frame(answers, reply)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"At {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}."


def main() -> None:
    """Frames have the pipe to themselves: what a library prints goes to the log."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
