"""The verbs of ``%fed``: each reads its line, calls the session, and returns what to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synthema_core.errors import InvalidInput
from synthema_kernel import shown
from synthema_kernel.client import View
from synthema_kernel.line import Line
from synthema_kernel.markup import printable
from synthema_kernel.session import Question, Session, spoken

if TYPE_CHECKING:
    from synthema_kernel.magics import Command
    from synthema_kernel.result import Result

_COMMON = frozenset({"dataset", "sites", "purpose", "epsilon", "delta", "name", "supersedes"})


def sites(session: Session, line: Line) -> shown.Shown:
    line.allow()
    return shown.sites(session.client.sites())


def catalogue(session: Session, line: Line) -> shown.Shown:
    line.allow(words=1)
    name = line.word()
    cards = session.cards(name)
    return shown.dataset(cards) if name else shown.catalogue(cards)


def plan(session: Session, line: Line) -> shown.Shown:
    return shown.plan(session.plan(question(line)))


def run(session: Session, line: Line) -> shown.Shown:
    rehearsed = session.plan(question(line))
    return shown.receipt(rehearsed, session.submit(rehearsed))


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
    if not line.word():
        raise InvalidInput("'%fed withdraw' needs the name of a request.", "See `%fed status`.")
    return shown.request(session.withdraw(line.word()))


COMMANDS: Mapping[str, Command] = {
    "sites": sites,
    "catalogue": catalogue,
    "plan": plan,
    "run": run,
    "status": status,
    "follow": follow,
    "result": result,
    "withdraw": withdraw,
}


def question(line: Line) -> Question:
    """The question in a `plan` or `run` line; options that are not common to all are the analysis's own."""
    line.allow_words(1)
    if not line.word():
        raise InvalidInput(f"'%fed {line.verb}' needs the name of an analysis.", "For example kaplan-meier.")
    return Question(
        analysis=line.word(),
        dataset=line.required("dataset", "NAME"),
        purpose=line.required("purpose", '"a sentence for the data owners"'),
        options={name: value for name, value in line.options.items() if name not in _COMMON},
        sites=line.names("sites"),
        epsilon=line.number("epsilon"),
        delta=line.number("delta"),
        name=line.required("name", "my-study") if "name" in line.options else "",
        supersedes=line.required("supersedes", "my-study") if "supersedes" in line.options else "",
    )


def progress_line(view: View) -> str:
    """One line about where a Request is."""
    verdicts = [site["verdict"] for site in view["sites"]]
    where = f"{view['name'] or view['id']}: {spoken(view['status'])}"
    if view["status"] in ("submitted", "under_review"):
        return printable(f"{where}, {verdicts.count('approved')} of {len(verdicts)} sites have approved")
    progress = view.get("progress") or {}
    return printable(f"{where}, {progress['text']}" if progress.get("text") else where)


class _Printer:
    """Prints where a Request is, each line once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, view: View) -> None:
        line = progress_line(view)
        if line != self._last:
            print(line, flush=True)  # noqa: T201  a notebook's output
        self._last = line
