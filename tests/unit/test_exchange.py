"""One exchange by itself: what counts as an answer, whom it asks again, and when it stops waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from synthema_core.errors import RoundFailed
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.exchange import Patience, Replies, SiteExchange
from synthema_hub.federated.flower_messages import Parcel, pack

QUESTION = JobMessage(Kind.ROUND, {"job": "j1"})
MASKED = JobMessage(Kind.MASKED, {"job": "j1"})
NODES = {"alder": 1, "birch": 2, "cedar": 3}
Script = Callable[[float, int], JobMessage | str]
"""(now, how often it was asked before) -> its answer, "silent", or "unreached"."""


class ScriptedLine:
    """Implements GridLine; every message is answered, or not, by its node's script. Time passes in `sleep` only."""

    def __init__(self, **scripts: Script) -> None:
        self.scripts = {NODES[site]: script for site, script in scripts.items()}
        self.now = 0.0
        self.asked: dict[int, list[float]] = {node: [] for node in NODES.values()}
        self._open: dict[str, tuple[int, int]] = {}

    def push(self, parcel: Parcel, node: int) -> str:
        name = f"{node}-{len(self.asked[node])}"
        self._open[name] = node, len(self.asked[node])
        self.asked[node].append(self.now)
        return name

    def pull(self, names: Iterable[str]) -> list[tuple[str, Parcel | None]]:
        found = [(name, self._said(name)) for name in names]
        return [(name, None if said == "unreached" else pack(said)) for name, said in found if said != "silent"]  # type: ignore[arg-type]

    def _said(self, name: str) -> JobMessage | str:
        node, before = self._open[name]
        return self.scripts.get(node, lambda *_: MASKED)(self.now, before)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def ask(line: ScriptedLine, enough: int = 3, seconds: float = 120.0) -> Replies:
    exchange = SiteExchange(line, NODES, lambda: line.now, line.sleep)  # type: ignore[arg-type]
    return exchange.ask(dict.fromkeys(NODES, QUESTION), (Kind.MASKED,), Patience(seconds, enough), "round 1")


def test_an_answer_of_another_kind_is_none() -> None:
    line = ScriptedLine(birch=lambda *_: JobMessage(Kind.ANNOUNCED, {"job": "j1"}))
    replies = ask(line, enough=2)
    assert replies.answers.keys() == {"alder", "cedar"}
    assert "answered 'announced'" in replies.missing["birch"]
    with pytest.raises(RoundFailed, match="'birch' answered 'announced'"):
        ask(line)


def test_of_a_site_that_was_asked_twice_the_first_answer_counts() -> None:
    """The second is the same where the site is honest; and where it is not, it is too late."""
    first, second = (JobMessage(Kind.MASKED, {"job": "j1", "of": of}) for of in ("first", "second"))

    def slow(now: float, before: int) -> JobMessage | str:
        if now < 25:
            return "silent"
        return second if before else first

    line = ScriptedLine(birch=slow, cedar=lambda now, _: "silent" if now < 30 else MASKED)
    replies = ask(line)
    assert len(line.asked[NODES["birch"]]) == 2
    assert replies.answers["birch"].body["of"] == "first"
    assert replies.answers.keys() == NODES.keys()


def test_a_site_out_of_reach_is_asked_again_soon_and_may_be_back() -> None:
    line = ScriptedLine(birch=lambda now, before: MASKED if before and now >= 10 else "unreached")
    replies = ask(line)
    assert replies.missing == {}
    assert 10 <= line.now < 12


def test_one_that_stays_out_of_reach_is_given_up_before_the_time_is_over() -> None:
    line = ScriptedLine(birch=lambda *_: "unreached")
    with pytest.raises(RoundFailed, match="'birch' could not be reached"):
        ask(line)
    assert 45 <= line.now < 60


def test_who_is_silent_is_asked_again_ever_more_seldom() -> None:
    line = ScriptedLine(birch=lambda *_: "silent")
    with pytest.raises(RoundFailed, match="'birch' gave no answer within 120 seconds"):
        ask(line)
    times = line.asked[NODES["birch"]]
    assert [round(time) for time in times] == [0, 20, 40, 80]
    assert [len(line.asked[node]) for node in (1, 3)] == [1, 1]


def test_the_others_have_their_grace_once_enough_have_answered() -> None:
    line = ScriptedLine(birch=lambda *_: "silent")
    assert ask(line, enough=2).answers.keys() == {"alder", "cedar"}
    assert 10 <= line.now < 11
    just = ScriptedLine(birch=lambda now, _: "silent" if now < 9 else MASKED)
    assert ask(just, enough=2).answers.keys() == NODES.keys()


def test_where_those_who_answered_took_long_the_grace_is_longer() -> None:
    line = ScriptedLine(alder=lambda now, _: "silent" if now < 15 else MASKED, birch=lambda *_: "silent")
    assert ask(line, enough=2).missing.keys() == {"birch"}
    assert 45 <= line.now < 46


def test_when_enough_cannot_come_any_more_nobody_is_waited_for() -> None:
    refusal = JobMessage(Kind.REFUSED, {"error": {"error": "refused", "message": "No.", "hint": "", "rule": "budget"}})
    line = ScriptedLine(birch=lambda *_: refusal, cedar=lambda *_: "silent")
    with pytest.raises(RoundFailed, match="'birch' refused by its rule 'budget'"):
        ask(line)
    assert line.now < 1
