"""The verbs of ``%fed``: each reads its line, calls the session, and returns what to show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthema_core.errors import InvalidInput, NotFound
from synthema_kernel import shown, shown_analyses
from synthema_kernel.client import View
from synthema_kernel.line import Line
from synthema_kernel.progress import progress_line
from synthema_kernel.provenance import answered_already
from synthema_kernel.question import AGAIN, COMMON, COST, DRY_RUN, OF_ANALYSES, Question, common, of_analysis
from synthema_kernel.session import Session

if TYPE_CHECKING:
    from synthema_kernel.magics import Command
    from synthema_kernel.result import Result

_CHANGEABLE = ("purpose", "sites", *COST, "name", DRY_RUN, AGAIN)


def sites(session: Session, line: Line) -> shown.Shown:
    line.allow()
    return shown.sites(session.client.sites())


def catalogue(session: Session, line: Line) -> shown.Shown:
    line.allow(words=1)
    name = line.word()
    cards = session.cards(name)
    return shown.dataset(cards) if name else shown.catalogue(cards)


def analyses(session: Session, line: Line) -> shown.Shown:  # noqa: ARG001  what is installed here
    line.allow()
    return shown_analyses.overview()


def describe(session: Session, line: Line) -> shown.Shown:  # noqa: ARG001
    line.allow(words=1)
    if not line.word():
        raise InvalidInput("'%fed describe' needs the name of an analysis.", "See `%fed analyses`.")
    return shown_analyses.one(line.word())


def plan(session: Session, line: Line) -> shown.Shown:
    from synthema_kernel import expected

    patients = expected.sizes(line)
    rehearsed = session.plan(question(line.without(expected.PATIENTS)))
    return shown.plan(rehearsed, [expected.table(rehearsed, patients)] if patients else [])


def run(session: Session, line: Line) -> Any:
    return submit(session, question(line), line)


def submit(session: Session, asked: Question, line: Line) -> Any:
    """Plan and try a question; submit it unless it is only to be seen, or was answered already."""
    rehearsed = session.plan(asked)
    if line.flag(DRY_RUN):
        return shown.plan(rehearsed)
    stored = None if line.flag(AGAIN) else session.answer_to(rehearsed)
    if stored is None:
        return shown.receipt(rehearsed, session.submit(rehearsed))
    from synthema_kernel.result import Result

    return Result(stored, answered_already(stored))


def remote(session: Session, line: Line, source: str) -> Any:
    """A ``%%remote`` cell; helper modules lie in the notebook's folder."""
    from synthema_kernel.cell import read_cell

    return submit(session, read_cell(line, source, Path.cwd()), line)


def budget(session: Session, line: Line) -> Any:
    line.allow("epsilon", "delta", "slider", words=1)
    if line.flag("slider"):
        from synthema_kernel.widgets.gauge import gauge

        return gauge(session, line.word())
    from synthema_core.planning import DEFAULT_DELTA
    from synthema_kernel.budget import outlook_of

    known, epsilon, delta = session.budgets(line.word()), line.number("epsilon"), line.number("delta")
    if epsilon is None and delta is not None:
        raise InvalidInput("--delta alone says no cost.", "For example --epsilon 1 --delta 1e-6.")
    if epsilon is None:
        return shown.budgets(known)
    return shown.outlook(outlook_of(known, session.client.me(), epsilon, delta or DEFAULT_DELTA), epsilon)


def status(session: Session, line: Line) -> shown.Shown:
    line.allow(words=1)
    return shown.request(session.request(line.word())) if line.word() else shown.requests(session.mine())


def follow(session: Session, line: Line) -> Any:
    line.allow("wait", words=1)
    seconds = line.seconds("wait")
    if seconds:
        session.wait(line.word(), seconds, _Printer())
        return None
    from synthema_kernel.widgets.tracker import track

    return track(session, line.word())


def result(session: Session, line: Line) -> Result:
    line.allow(words=1)
    from synthema_kernel.result import Result

    return Result(session.release(line.word()))


def withdraw(session: Session, line: Line) -> shown.Shown:
    line.allow(words=1)
    return shown.request(session.withdraw(_request_named(line)))


def diff(session: Session, line: Line) -> shown.Shown:
    line.allow(words=2)
    name, other = _request_named(line), line.word(1)
    new = session.plan_named(name)
    old = session.plan_named(other) if other else session.superseded_by(new)
    if old is None:
        raise NotFound(f"The request '{name}' supersedes none of yours.", f"Name another: %fed diff {name} OTHER.")
    return shown.compared(old, new, (other or "what it supersedes", name))


def resubmit(session: Session, line: Line) -> Any:
    line.allow(*_CHANGEABLE, words=1)
    from synthema_kernel.again import ask_again

    view = session.request(_request_named(line))
    return submit(session, ask_again(line, view, session.client.plan(view["id"])), line)


def answer(session: Session, line: Line) -> shown.Shown:
    line.allow(words=2)
    name, text = _request_named(line), line.word(1).strip()
    if not text:
        raise InvalidInput("'%fed answer' needs the answer, too.", 'For example %fed answer my-study "Age in years."')
    return shown.request(session.answer(name, text))


def logs(session: Session, line: Line) -> shown.Shown:
    line.allow(words=1)
    return shown.logs(_request_named(line), session.log(line.word()))


def _request_named(line: Line) -> str:
    if not line.word():
        raise InvalidInput(f"'{line.called}' needs the name of a request.", "See `%fed status`.")
    return line.word()


COMMANDS: Mapping[str, Command] = {
    "sites": sites,
    "catalogue": catalogue,
    "analyses": analyses,
    "describe": describe,
    "plan": plan,
    "run": run,
    "budget": budget,
    "status": status,
    "follow": follow,
    "result": result,
    "withdraw": withdraw,
    "diff": diff,
    "resubmit": resubmit,
    "answer": answer,
    "logs": logs,
}


def question(line: Line) -> Question:
    """The question in a `plan` or `run` line; options that are not common to all are the analysis's own."""
    line.allow_words(1)
    if not line.word():
        raise InvalidInput(f"'{line.called}' needs the name of an analysis.", "For example kaplan-meier.")
    own = {name: value for name, value in line.options.items() if name not in (*COMMON, *OF_ANALYSES)}
    return Question(line.word(), **common(line), **of_analysis(line), options=own)


class _Printer:
    """Prints where a Request is, each line once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, view: View) -> None:
        line = progress_line(view)
        if line != self._last:
            print(line, flush=True)  # noqa: T201  a notebook's output
        self._last = line
