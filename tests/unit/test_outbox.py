"""What a site tells its hub: every fact of its own, in order, again until the hub has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.builders import at, plan
from synthema_core.canonical import Json
from synthema_core.errors import (
    IntegrityFailure,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    SynthemaError,
    TransitionDenied,
    Unavailable,
)
from synthema_core.journal import Draft
from synthema_core.request import Event, Role, Verb
from synthema_core.request_record import draft_of
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.service.hub_line import Bookmark
from synthema_datasite.service.outbox import LONGEST_LOG, Outbox


@dataclass
class ListeningHub:
    """Implements HubListener: writes down what it is told, and fails at the calls it was told to."""

    told: list[tuple[str, ...]] = field(default_factory=list)
    failures: dict[int, SynthemaError] = field(default_factory=dict)
    calls: int = 0

    def receipt(self, request: str) -> None:
        self._take("receipt", request)

    def review(self, review: dict[str, Json]) -> None:
        self._take("review", str(review["request"]), str(review["verdict"]))

    def question(self, request: str, steward: str, text: str, at: str) -> None:
        self._take("question", request, steward, text, at)

    def revocation(self, request: str, steward: str, at: str) -> None:
        self._take("revocation", request, steward, at)

    def staged(self, request: str, commitment: str, at: str) -> None:
        self._take("staged", request, commitment, at)

    def clearance(self, clearance: dict[str, Json]) -> None:
        self._take("clearance", str(clearance["request"]), str(clearance["cleared"]))

    def failure(self, request: str, kind: str, at: str) -> None:
        self._take("failure", request, kind, at)

    def log(self, request: str, steward: str, text: str, at: str) -> None:
        self._take("log", request, steward, text, at)

    def _take(self, *what: str) -> None:
        self.calls += 1
        if self.calls in self.failures:
            raise self.failures[self.calls]
        self.told.append(what)


def events(request: str) -> list[Event]:
    """All that happens to a Request at a site; what is the site's own to tell, and what is the hub's word."""
    detail = {"plan": plan().to_dict()}
    review = {"request": request, "verdict": "approved"}
    staged: dict[str, Json] = {"output": "a1" * 32, "sha256": "secret", "report": "secret", "job": "j1"}
    clearance: dict[str, Json] = {"request": request, "cleared": True}
    failure: dict[str, Json] = {"kind": "timeout", "failure": {}, "report": "secret"}
    return [
        Event(Verb.SUBMIT, "rosalind", Role.RESEARCHER, at(), detail=detail),
        Event(Verb.RECEIVE, "alder", Role.SITE, at(), "alder"),
        Event(Verb.ASK, "maria", Role.STEWARD, at(0.1), "alder", detail={"text": "Why?"}),
        Event(Verb.ANSWER, "rosalind", Role.RESEARCHER, at(), detail={"text": "So."}),
        Event(Verb.REVIEW, "maria", Role.STEWARD, at(), "alder", True, review),
        Event(Verb.APPROVE, "alder", Role.SITE, at(), "alder"),
        Event(Verb.REVOKE, "maria", Role.STEWARD, at(1), "alder"),
        Event(Verb.START, "alder", Role.SITE, at(), detail={"job": "j1"}),
        Event(Verb.STAGE, "alder", Role.SITE, at(2), "alder", detail=staged),
        Event(Verb.HOLD, "alder", Role.SITE, at(2), "alder"),
        Event(Verb.CLEAR, "maria", Role.STEWARD, at(), "alder", True, clearance),
        Event(Verb.AGREE, "maria", Role.SITE, at(), "alder"),
        Event(Verb.SUM, "alder", Role.SITE, at(), detail={"job": "j2"}),
        Event(Verb.FAIL, "alder", Role.SITE, at(3), "alder", detail=failure),
        Event(Verb.FAIL, "hub", Role.HUB, at(), detail={"failure": {}}),
        Event(Verb.EXPIRE, "hub", Role.HUB, at()),
        Event(Verb.WITHHOLD, "birch", Role.HUB, at()),
        Event(Verb.RELEASE, "hub", Role.HUB, at(), detail={"release": "x"}),
    ]


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    """Two Requests, with other facts of the site around them."""
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    with journal.writing() as writer:
        writer.append(Draft("stewards", "add", "alder", at(), {"name": "maria", "key": "ab"}))
        for request in ("r1", "r2"):
            for event in events(request):
                writer.append(draft_of(request, event))
            writer.append(Draft("budget/trial", "charge", "alder", at(), {"secret": request}))
            writer.append(Draft(f"evidence/{request}", "mock-run", "alder", at(), {"log": "secret"}))
            writer.append(Draft(f"shared-log/{request}", "agree", "maria", at(), {"steward": "maria", "log": "secret"}))
            shared = {"steward": "ann", "text": "ZeroDivisionError"}
            writer.append(Draft(f"shared-log/{request}", "share", "ann", at(4), shared))
    return journal


ALL = [
    told
    for request in ("r1", "r2")
    for told in (
        ("receipt", request),
        ("question", request, "maria", "Why?", at(0.1)),
        ("review", request, "approved"),
        ("revocation", request, "maria", at(1)),
        ("staged", request, "a1" * 32, at(2)),
        ("clearance", request, "True"),
        ("failure", request, "timeout", at(3)),
        ("log", request, "ann", "ZeroDivisionError", at(4)),
    )
]


def test_everything_of_its_own_is_told_in_order_and_nothing_else(journal: SqliteJournal) -> None:
    hub = ListeningHub()
    assert Outbox(journal, hub).deliver(0) == journal.head().sequence
    assert hub.told == ALL
    assert "secret" not in str(hub.told)


def test_of_a_long_log_its_end_is_told(journal: SqliteJournal) -> None:
    """The hub takes no more than that; and the error that ended the run is at the end."""
    place = journal.head().sequence
    text = "x" * LONGEST_LOG + "the end"
    with journal.writing() as writer:
        writer.append(Draft("shared-log/r3", "share", "ann", at(), {"steward": "ann", "text": text}))
    hub = ListeningHub()
    Outbox(journal, hub).deliver(place)
    (told,) = hub.told
    assert len(told[3]) == LONGEST_LOG and told[3].endswith("the end")


def test_what_was_told_is_not_told_again(journal: SqliteJournal) -> None:
    hub = ListeningHub()
    outbox = Outbox(journal, hub)
    place = outbox.deliver(0)
    assert outbox.deliver(place) == place
    with journal.writing() as writer:
        writer.append(draft_of("r3", events("r3")[0]))
        writer.append(draft_of("r3", events("r3")[1]))
    assert outbox.deliver(place) == place + 2
    assert hub.told == [*ALL, ("receipt", "r3")]


@pytest.mark.parametrize("call", range(1, len(ALL) + 1))
def test_after_a_failure_it_goes_on_and_leaves_nothing_out(journal: SqliteJournal, call: int) -> None:
    """Nobody moves the place when it fails; telling again what the hub has does no harm."""
    hub = ListeningHub(failures={call: Unavailable("The hub cannot be reached.")})
    outbox = Outbox(journal, hub)
    with pytest.raises(Unavailable):
        outbox.deliver(0)
    assert hub.told == ALL[: call - 1]
    assert outbox.deliver(0) == journal.head().sequence
    assert hub.told == ALL[: call - 1] + ALL


@pytest.mark.parametrize(
    "refusal",
    [
        TransitionDenied("Withdrawn."),
        NotFound("Gone."),
        IntegrityFailure("Forged."),
        InvalidInput("Too long."),
        NotPermitted("No."),
    ],
)
def test_a_refusal_for_good_does_not_stop_what_comes_behind_it(journal: SqliteJournal, refusal: SynthemaError) -> None:
    hub = ListeningHub(failures={2: refusal})
    assert Outbox(journal, hub).deliver(0) == journal.head().sequence
    assert hub.told == [ALL[0], *ALL[2:]]


def test_a_refusal_that_may_pass_is_no_refusal_for_good(journal: SqliteJournal) -> None:
    """A clock that is wrong makes every signed call look old: nothing may be skipped for it."""
    hub = ListeningHub(failures={1: NotAuthenticated("The request's time differs.")})
    with pytest.raises(NotAuthenticated):
        Outbox(journal, hub).deliver(0)
    assert hub.told == []


def test_a_bookmark_keeps_its_places_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "bookmark.json"
    Bookmark(path).set("feed", 7)
    bookmark = Bookmark(path)
    bookmark.set("outbox", 3)
    assert (Bookmark(path).get("feed"), Bookmark(path).get("outbox"), Bookmark(path).get("other")) == (7, 3, 0)
    assert [file.name for file in tmp_path.iterdir()] == ["bookmark.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"feed": "x"}', '{"feed": null}', '{"feed": [1]}', "\xff"])
def test_a_bookmark_that_cannot_be_read_costs_time_and_nothing_else(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bookmark.json"
    path.write_bytes(content.encode("latin-1"))
    assert Bookmark(path).get("feed") == 0
    Bookmark(path).set("feed", 4)
    assert Bookmark(path).get("feed") == 4


def test_a_bookmark_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(Unavailable, match="cannot be written"):
        Bookmark(folder / "bookmark.json").set("feed", 1)
