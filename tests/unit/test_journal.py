"""The Journal on disk: what is recorded can be neither changed nor lost without being noticed."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema_core.errors import IntegrityFailure, Unavailable
from synthema_core.journal import Draft, Head, check_contains, seal, verify_chain
from synthema_core.sqlite_journal import SqliteJournal


def draft(number: int, stream: str = "request/a") -> Draft:
    return Draft(stream, "note", "sam", "2026-03-02T09:00:00.000Z", {"number": number})


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    with journal.writing() as writer:
        for number in range(6):
            writer.append(draft(number, f"request/{number % 2}"))
    return journal


def unguarded(journal: SqliteJournal) -> sqlite3.Connection:
    """What somebody with the file and a tool can do: the triggers are gone."""
    connection = sqlite3.connect(journal.path)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def restore_guards(journal: SqliteJournal) -> None:
    SqliteJournal(journal.path)


def test_an_intact_journal_holds(journal: SqliteJournal) -> None:
    assert journal.verify() == journal.head()
    assert [entry.body["number"] for entry in journal.entries("request/1")] == [1, 3, 5]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE journal SET body = '{\"number\":9}' WHERE sequence = 3",
        "UPDATE journal SET actor = 'eve' WHERE sequence = 3",
        "UPDATE journal SET at = '2027-03-02T09:00:00.000Z' WHERE sequence = 6",
        "UPDATE journal SET stream = 'request/7' WHERE sequence = 6",
        "UPDATE journal SET kind = 'approve' WHERE sequence = 1",
        "DELETE FROM journal WHERE sequence = 1",
        "DELETE FROM journal WHERE sequence = 3",
        "UPDATE journal SET body = 'not json' WHERE sequence = 2",
        "UPDATE journal SET sequence = 40 WHERE sequence = 4",
    ],
)
def test_an_edited_or_removed_entry_shows(journal: SqliteJournal, tampering: str) -> None:
    with unguarded(journal) as connection:
        connection.execute(tampering)
    connection.close()
    restore_guards(journal)
    with pytest.raises(IntegrityFailure, match="tampered"):
        journal.verify()


def test_an_entry_replaced_together_with_its_digest_shows(journal: SqliteJournal) -> None:
    """Whoever recomputes one digest would have to recompute all that follow."""
    entries = list(journal.all_entries())
    forged = seal(draft(99, "request/0"), Head(2, entries[1].digest), 2)
    with unguarded(journal) as connection:
        connection.execute(
            "UPDATE journal SET body = ?, digest = ? WHERE sequence = 3", ('{"number":99}', forged.digest)
        )
    connection.close()
    restore_guards(journal)
    with pytest.raises(IntegrityFailure, match="entry 4"):
        journal.verify()


def test_a_cut_tail_shows_by_the_countersigned_head(journal: SqliteJournal) -> None:
    anchored = journal.head()
    with unguarded(journal) as connection:
        connection.execute("DELETE FROM journal WHERE sequence > 4")
    connection.close()
    restore_guards(journal)
    journal.verify()  # the chain alone does not notice
    with pytest.raises(IntegrityFailure, match="older than its countersigned head"):
        check_contains(anchored, journal.digest_at(anchored.sequence))


def test_a_chain_rewritten_from_the_start_shows_by_the_countersigned_head(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    anchored = journal.head()
    other = SqliteJournal(tmp_path / "other.sqlite")
    with other.writing() as writer:
        for number in range(8):
            writer.append(draft(number))
    other.verify()
    with pytest.raises(IntegrityFailure):
        check_contains(anchored, other.digest_at(anchored.sequence))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET actor = 'eve'",
        "DELETE FROM journal",
        (
            "INSERT OR REPLACE INTO journal SELECT sequence, stream, version, kind, 'eve', at, body, previous, digest "
            "FROM journal WHERE sequence = 2"
        ),
        (
            "INSERT OR REPLACE INTO journal SELECT 77, stream, version, kind, 'eve', at, body, 'x', 'y' "
            "FROM journal WHERE sequence = 2"
        ),
        (
            "REPLACE INTO journal SELECT sequence + 50, 'other', 9, kind, 'eve', at, body, 'z', digest "
            "FROM journal WHERE sequence = 2"
        ),
    ],
)
def test_triggers_stop_an_ordinary_writer(journal: SqliteJournal, statement: str) -> None:
    connection = sqlite3.connect(journal.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    journal.verify()


def test_a_lost_trigger_shows(journal: SqliteJournal) -> None:
    unguarded(journal).close()
    with pytest.raises(IntegrityFailure, match="guard"):
        journal.verify()


def test_a_transaction_is_all_or_nothing(journal: SqliteJournal) -> None:
    before = journal.head()
    with pytest.raises(RuntimeError), journal.writing() as writer:
        writer.append(draft(7))
        raise RuntimeError
    assert journal.head() == before


def test_many_writers_make_one_chain(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")

    def write(stream: str) -> None:
        for number in range(15):
            with journal.writing() as writer:
                writer.append(draft(number, stream))
        journal.close()

    threads = [threading.Thread(target=write, args=(f"s{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.verify().sequence == 60


def test_no_room_on_the_disk_is_said_and_harms_nothing(journal: SqliteJournal) -> None:
    before = journal.head()
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="full") as told, journal.writing() as writer:
        for number in range(500):
            writer.append(Draft("big", "note", "sam", "2026-03-02T09:00:00.000Z", {"text": "x" * 2000, "n": number}))
    assert "disk" in told.value.hint
    assert journal.head() == before
    journal.verify()


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database, but long enough to look at" * 40)
    with pytest.raises(IntegrityFailure, match="not a journal"):
        SqliteJournal(path)
    assert path.read_bytes().startswith(b"not a database")


def test_only_the_owner_can_read_it(journal: SqliteJournal) -> None:
    assert journal.path.stat().st_mode & 0o077 == 0


def test_an_older_head_never_replaces_a_newer_one(journal: SqliteJournal) -> None:
    journal.set_anchor("own", Head(5, "a" * 64), "s5")
    journal.set_anchor("own", Head(3, "b" * 64), "s3")
    assert journal.anchor("own") == (Head(5, "a" * 64), "s5")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), min_size=1, max_size=12), st.data())
def test_no_entry_can_leave_change_or_move(facts: list[tuple[str, int]], data: st.DataObject) -> None:
    head, versions, entries = Head(), dict[str, int](), []
    for stream, number in facts:
        versions[stream] = versions.get(stream, 0) + 1
        entries.append(seal(draft(number, stream), head, versions[stream]))
        head = Head(entries[-1].sequence, entries[-1].digest)
    assert verify_chain(entries) == head
    place = data.draw(st.integers(0, len(entries) - 1))
    shorter = entries[:place] + entries[place + 1 :]
    if place < len(entries) - 1:
        with pytest.raises(IntegrityFailure):
            verify_chain(shorter)
        with pytest.raises(IntegrityFailure):
            verify_chain([*entries[:place], entries[place + 1], entries[place], *entries[place + 2 :]])
