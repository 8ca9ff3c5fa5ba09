"""One line of work for each Job: in order within it, beside the others; and the node that fills them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flwr.app import Message

from synthema_core.errors import IntegrityFailure, NotAuthenticated, SynthemaError, Unavailable
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.federated.fleet_link import RunOver
from synthema_datasite.federated.job_lines import JobLines
from synthema_datasite.federated.node import Node

PATIENCE = 20.0


def job_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("job-")]


def left() -> list[threading.Thread]:
    """Those that do not end by themselves."""
    for thread in job_threads():
        thread.join(PATIENCE)
    return job_threads()


@pytest.fixture
def lines() -> Iterator[JobLines]:
    made = JobLines()
    yield made
    made.close()
    assert left() == []


def done(lines: JobLines, *jobs: str) -> None:
    """Wait until all that these Jobs were given is done."""
    for job in jobs:
        last = threading.Event()
        lines.do(job, last.set)
        assert last.wait(PATIENCE)


def test_a_jobs_work_is_done_in_its_order(lines: JobLines) -> None:
    did: list[int] = []
    for number in range(200):
        lines.do("j1", lambda n=number: did.append(n))  # type: ignore[misc]
    done(lines, "j1")
    assert did == list(range(200))


def test_a_jobs_work_is_never_done_by_two_at_a_time(lines: JobLines) -> None:
    at_it, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_it, most
        with lock:
            at_it += 1
            most = max(most, at_it)
        threading.Event().wait(0.001)
        with lock:
            at_it -= 1

    givers = [threading.Thread(target=lambda: [lines.do("j1", work) for _ in range(20)]) for _ in range(4)]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    done(lines, "j1")
    assert most == 1


def test_a_job_that_takes_its_time_keeps_no_other_waiting(lines: JobLines) -> None:
    begun, go, did = threading.Event(), threading.Event(), list[str]()

    def slow() -> None:
        begun.set()
        assert go.wait(PATIENCE)
        did.append("slow")

    lines.do("j1", slow)
    lines.do("j1", lambda: did.append("after it"))
    assert begun.wait(PATIENCE)
    lines.do("j2", lambda: did.append("quick"))
    done(lines, "j2")
    assert did == ["quick"]
    go.set()
    done(lines, "j1")
    assert did == ["quick", "slow", "after it"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), MemoryError(), SynthemaError("x")], ids=repr)
def test_an_error_does_not_end_the_line(lines: JobLines, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    did: list[str] = []

    def breaks() -> None:
        raise error

    lines.do("j1", breaks)
    lines.do("j1", lambda: did.append("after it"))
    done(lines, "j1")
    assert did == ["after it"]
    assert "j1 was not answered" in caplog.text
    lines.do("j1", breaks)
    done(lines, "j1")


def test_work_may_give_more_work_of_its_own_job(lines: JobLines) -> None:
    did = threading.Event()
    lines.do("j1", lambda: lines.do("j1", did.set))
    assert did.wait(PATIENCE)


def test_a_job_without_work_has_no_thread(lines: JobLines) -> None:
    for number in range(50):
        lines.do(f"j{number}", lambda: None)
    done(lines, *(f"j{number}" for number in range(50)))
    assert left() == []


def test_closing_gives_what_is_in_hand_some_time_and_no_more(lines: JobLines) -> None:
    go = threading.Event()
    lines.do("j1", lambda: go.wait(PATIENCE) and None)
    lines.close(seconds=0.05)
    assert len(job_threads()) == 1
    go.set()


# The node


class FakeLink:
    """Implements what a Node uses of a FleetLink. Hands out messages; keeps what was pushed."""

    def __init__(self) -> None:
        self.messages: deque[JobMessage | Exception] = deque()
        self.pushed: list[JobMessage] = []
        self.failures: deque[Exception] = deque()
        self.arrived = threading.Condition()

    @contextmanager
    def open(self) -> Iterator[FakeLink]:
        yield self

    def beat(self) -> None: ...

    def pull(self) -> tuple[Any, JobMessage] | None:
        if not self.messages:
            return None
        message = self.messages.popleft()
        if isinstance(message, Exception):
            raise message
        return None, message

    def push(self, envelope: Message | None, answer: JobMessage) -> None:
        if self.failures:
            raise self.failures.popleft()
        with self.arrived:
            self.pushed.append(answer)
            self.arrived.notify_all()

    def wait_for(self, count: int) -> list[JobMessage]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.pushed) >= count, PATIENCE)
        return self.pushed


class FakeDesk:
    """Implements JobDesk."""

    def __init__(self, answer: Callable[[JobMessage], JobMessage | None]) -> None:
        self._answer = answer
        self.tended, self.closed = threading.Event(), 0

    def answer(self, message: JobMessage) -> JobMessage | None:
        return self._answer(message)

    def expects_work(self) -> bool:
        return True

    def tend(self) -> None:
        self.tended.set()

    def close_all(self) -> None:
        self.closed += 1


def round_of(job: str, index: int) -> JobMessage:
    return JobMessage(Kind.ROUND, {"job": job, "round": index})


def masked(message: JobMessage) -> JobMessage:
    return JobMessage(Kind.MASKED, dict(message.body))


@contextmanager
def node(link: FakeLink, desk: FakeDesk) -> Iterator[None]:
    served = Node(link.open, desk)  # type: ignore[arg-type]
    thread = threading.Thread(target=served.run)
    thread.start()
    try:
        yield
    finally:
        served.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert desk.closed == 1
        assert left() == []


def test_a_slow_job_keeps_no_other_jobs_answer() -> None:
    begun, go = threading.Event(), threading.Event()

    def answer(message: JobMessage) -> JobMessage:
        if message.body["job"] == "slow":
            begun.set()
            assert go.wait(PATIENCE)
        return masked(message)

    link = FakeLink()
    link.messages += [round_of("slow", 1), round_of("quick", 1), round_of("quick", 2)]
    with node(link, FakeDesk(answer)):
        assert begun.wait(PATIENCE)
        assert [answer.body for answer in link.wait_for(2)] == [{"job": "quick", "round": n} for n in (1, 2)]
        go.set()
        assert link.wait_for(3)[2].body["job"] == "slow"


def test_a_jobs_answers_come_in_the_order_of_its_messages() -> None:
    link = FakeLink()
    link.messages += [round_of("j1", index) for index in range(1, 6)]
    with node(link, FakeDesk(masked)):
        assert [answer.body["round"] for answer in link.wait_for(5)] == [1, 2, 3, 4, 5]


def test_an_answer_waits_for_a_superlink_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthema_datasite.federated.node._RETRY_SECONDS", (0.01, 0.01, 0.01, 0.01))
    link = FakeLink()
    link.failures += [Unavailable("Away."), Unavailable("Away.")]
    link.messages += [round_of("j1", 1)]
    with node(link, FakeDesk(masked)):
        assert len(link.wait_for(1)) == 1


@pytest.mark.parametrize(
    "failure", [RunOver("Over."), NotAuthenticated("Who?"), ValueError("x"), RuntimeError("closed")], ids=repr
)
def test_an_answer_that_cannot_be_sent_ends_neither_node_nor_job(failure: Exception) -> None:
    link = FakeLink()
    link.failures.append(failure)
    link.messages += [round_of("j1", 1), round_of("j1", 2)]
    with node(link, FakeDesk(masked)):
        assert link.wait_for(1)[0].body["round"] == 2


@pytest.mark.parametrize("failure", [IntegrityFailure("x"), RunOver("Over."), Unavailable("Away.")], ids=repr)
def test_a_message_that_cannot_be_read_keeps_no_other(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    link = FakeLink()
    link.messages += [failure, round_of("j1", 1)]
    with caplog.at_level(logging.INFO), node(link, FakeDesk(masked)):
        assert len(link.wait_for(1)) == 1


def test_what_needs_no_answer_gets_none_and_the_desk_is_tended() -> None:
    link = FakeLink()
    link.messages += [JobMessage(Kind.CLOSE, {}), round_of("j1", 1)]
    desk = FakeDesk(lambda message: None if message.kind is Kind.CLOSE else masked(message))
    with node(link, desk):
        assert len(link.wait_for(1)) == 1
        assert desk.tended.wait(PATIENCE)
