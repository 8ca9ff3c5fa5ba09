"""The list of requests that the page keeps: what the Journal says, at every moment, without reading it all again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.pages import logged_in
from support.scene import Scene, scene
from support.site import PASSPHRASE, STEWARD, TrialSite
from synthema_core.request import Status, Verb
from synthema_core.request_record import request_record
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.service.records import request_records
from synthema_datasite.service.register import Line, Register
from synthema_datasite.service.similar import similar_requests


@pytest.fixture
def scenery(tmp_path: Path) -> Scene:
    return scene(tmp_path)


def check_agrees(register: Register, here: TrialSite) -> list[Line]:
    """Each Line with the Request that is folded from the whole Journal."""
    lines, records = register.lines(), request_records(here.site.journal, "alder")
    assert [line.request for line in lines] == [record.request for record in records]
    for line, record in zip(lines, records, strict=True):
        plan = record.plan
        assert (line.name, line.purpose, line.analysis) == (record.name, plan.purpose, plan.analysis)
        assert (line.plan_digest, line.question_digest) == (plan.digest, plan.question_digest)
        assert (line.exact, line.dataset) == (plan.privacy is None, "trial")
        assert (line.received_at, line.changed_at) == (record.events[0].at, record.events[-1].at)
        assert bool(line.approved_at) == (record.last(Verb.APPROVE) is not None)
    return lines


def test_a_line_is_its_request_without_the_bulk(scenery: Scene) -> None:
    first, table, second = check_agrees(Register(scenery.here.site), scenery.here)
    assert (first.asked, second.asked, second.answered) == (0, 1, 1)
    assert len({first.code_digest, table.code_digest, second.code_digest}) == 3


def test_it_follows_what_happens(scenery: Scene) -> None:
    here, register = scenery.here, Register(scenery.here.site)
    check_agrees(register, here)
    here.reviewing.approve("second", STEWARD, PASSPHRASE)
    check_agrees(register, here)
    here.submitted(here.plan(purpose="Another"), "r9")
    here.told(Verb.WITHDRAW, "r9", actor="rosalind")
    lines = check_agrees(register, here)
    assert [line.status for line in lines] == [Status.RUNNING, Status.STAGED, Status.APPROVED, Status.WITHDRAWN]


def test_it_reads_a_journal_that_has_not_grown_only_once(scenery: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    register = Register(scenery.here.site)
    before = register.lines()
    asked: list[int] = []
    read = SqliteJournal.after

    def after(journal: SqliteJournal, sequence: int, limit: int = 1000) -> object:
        asked.append(sequence)
        return read(journal, sequence, limit)

    monkeypatch.setattr(SqliteJournal, "after", after)
    assert register.lines() == before
    assert asked == [scenery.here.site.journal.head().sequence], "only whether there is more"


def test_another_journal_in_the_place_of_the_one_it_read_is_read_anew(tmp_path: Path) -> None:
    here = TrialSite(tmp_path)
    kept = shutil.copy(here.state.journal_path, tmp_path / "kept.sqlite")
    here.site.journal.close()  # everything is in the file that is copied
    kept = shutil.copy(here.state.journal_path, tmp_path / "kept.sqlite")
    here.submitted(here.plan(purpose="Forgotten"), "r1")
    register = Register(here.site)
    assert [line.id for line in register.lines()] == ["r1"]
    here.site.journal.close()
    for tail in ("-wal", "-shm"):
        here.state.journal_path.with_name(here.state.journal_path.name + tail).unlink(missing_ok=True)
    shutil.copy(kept, here.state.journal_path)
    here.submitted(here.plan(purpose="Remembered"), "r2")
    assert [line.purpose for line in register.lines()] == ["Remembered"]


def test_similar_requests_are_told_by_what_they_share(scenery: Scene) -> None:
    here = scenery.here
    for number, requester in enumerate(("rosalind", "otto", "otto")):
        here.submitted(here.plan(requester=requester, purpose=f"Survival {number}"), f"r{number}")
    here.reviewing.reject("r1", STEWARD, PASSPHRASE, "No.")
    record = request_record(here.site.journal, "r2", "alder")
    said = {
        one.what: (one.outcomes, [line.id for line in one.lines])
        for one in similar_requests(record, Register(here.site).lines())
    }
    assert said == {
        "The same question, word for word": ("1 rejected, 1 under review", ["r1", "r0"]),
        "By otto": ("1 rejected", ["r1"]),
    }


def test_the_header_counts_what_waits_and_marks_what_is_new(scenery: Scene) -> None:
    here = scenery.here
    logged_in(here)
    here.clock.now = here.clock.now.replace(hour=12)
    here.submitted(here.plan(purpose="Came later"), "r9")
    page = logged_in(here).get("/").text
    assert '<b class="badge">2<span class="hidden"> wait for a decision</span></b>' in page
    assert '<b class="badge">1<span class="hidden"> wait for a release decision</span></b>' in page
    assert page.count('class="chip new"') == 1
    assert 'class="chip new"' not in logged_in(here).get("/").text, "seen at the login before"
