"""The Journal on SQLite: one file, append-only by triggers, one writer at a time, synchronous to disk.

One of core's three rooms that touch the world.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from synthema_core.canonical import canonical
from synthema_core.errors import IntegrityFailure, Unavailable
from synthema_core.journal import Draft, Entry, Head, seal, verify_chain

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    sequence INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, kind TEXT NOT NULL,
    actor TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL UNIQUE, UNIQUE (stream, version));
CREATE TRIGGER IF NOT EXISTS journal_no_update BEFORE UPDATE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS journal_no_delete BEFORE DELETE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- INSERT OR REPLACE deletes without firing the delete trigger, so it needs a guard of its own.
CREATE TRIGGER IF NOT EXISTS journal_no_replace BEFORE INSERT ON journal
    WHEN EXISTS (SELECT 1 FROM journal WHERE sequence = NEW.sequence OR digest = NEW.digest
                 OR previous = NEW.previous OR (stream = NEW.stream AND version = NEW.version))
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- Heads signed by the other side. Not facts of this journal: recording them in the chain would move the head again.
CREATE TABLE IF NOT EXISTS anchor (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, digest TEXT NOT NULL,
    signature TEXT NOT NULL);
"""
_COLUMNS = "sequence, stream, version, kind, actor, at, body, previous, digest"
_BUSY_SECONDS = 30.0


def _entry(row: Sequence[object]) -> Entry:
    sequence, stream, version, kind, actor, at, body, previous, digest = row
    try:
        return Entry(sequence, stream, version, kind, actor, at, json.loads(str(body)), previous, digest)  # type: ignore[arg-type]
    except ValueError:
        raise IntegrityFailure(f"The journal was tampered with at entry {sequence}: it cannot be read.") from None


class _Reader:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def entries(self, stream: str) -> list[Entry]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM journal WHERE stream = ? ORDER BY version", (stream,))  # noqa: S608
        return [_entry(row) for row in rows]

    def streams(self, prefix: str) -> list[str]:
        rows = self._db.execute(
            "SELECT stream, MIN(sequence) FROM journal WHERE substr(stream, 1, ?) = ? GROUP BY stream ORDER BY 2",
            (len(prefix), prefix),
        )
        return [row[0] for row in rows]

    def after(self, sequence: int, limit: int = 1000) -> list[Entry]:
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?",  # noqa: S608
            (sequence, limit),
        )
        return [_entry(row) for row in rows]

    def grown(self, sequence: int, prefixes: Sequence[str]) -> list[Entry]:
        named = " OR ".join("substr(stream, 1, ?) = ?" for _ in prefixes)
        parts = [part for prefix in prefixes for part in (len(prefix), prefix)]
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM journal WHERE sequence > ? AND ({named}) ORDER BY sequence",  # noqa: S608
            (sequence, *parts),
        )
        return [_entry(row) for row in rows]

    def head(self) -> Head:
        row = self._db.execute("SELECT sequence, digest FROM journal ORDER BY sequence DESC LIMIT 1").fetchone()
        return Head(*row) if row else Head()

    def digest_at(self, sequence: int) -> str | None:
        row = self._db.execute("SELECT digest FROM journal WHERE sequence = ?", (sequence,)).fetchone()
        return row[0] if row else None


class _Writer(_Reader):
    def append(self, draft: Draft) -> Entry:
        row = self._db.execute("SELECT MAX(version) FROM journal WHERE stream = ?", (draft.stream,)).fetchone()
        entry = seal(draft, self.head(), (row[0] or 0) + 1)
        self._db.execute(
            f"INSERT INTO journal ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)",  # noqa: S608
            (
                entry.sequence,
                entry.stream,
                entry.version,
                entry.kind,
                entry.actor,
                entry.at,
                canonical(dict(entry.body)).decode(),
                entry.previous,
                entry.digest,
            ),
        )
        return entry


class SqliteJournal:
    """A Journal in one file. Safe for several threads and several processes; each thread has its own connection.

    Parameters
    ----------
    path
        The file; made with mode 0600 if absent.

    Raises
    ------
    Unavailable
        If the file cannot be opened, read or written (disk full, read-only, locked for long).
    IntegrityFailure
        If it is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = threading.local()
        with self._mapped_errors():
            try:
                path.touch(mode=0o600)
            except OSError as error:
                raise Unavailable(f"The journal {path} cannot be made: {error.strerror}.") from None
            self._connection.executescript(_SCHEMA)

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._threads.connection = connection
        return connection

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise IntegrityFailure(f"The journal {self.path} refused a change: {error}.") from error
            if isinstance(error, sqlite3.OperationalError):
                raise Unavailable(
                    f"The journal {self.path} cannot be used: {error}.",
                    "Nothing was recorded and nothing ran. Make room on the disk or end the other writer.",
                ) from error
            raise IntegrityFailure(f"The file {self.path} is not a journal: {error}.") from error

    @contextmanager
    def writing(self) -> Iterator[_Writer]:
        """A transaction that excludes every other writer; rolled back if the block raises."""
        connection = self._connection
        with self._mapped_errors():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield _Writer(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def entries(self, stream: str) -> list[Entry]:
        with self._mapped_errors():
            return _Reader(self._connection).entries(stream)

    def streams(self, prefix: str) -> list[str]:
        with self._mapped_errors():
            return _Reader(self._connection).streams(prefix)

    def after(self, sequence: int, limit: int = 1000) -> list[Entry]:
        with self._mapped_errors():
            return _Reader(self._connection).after(sequence, limit)

    def grown(self, sequence: int, prefixes: Sequence[str]) -> list[Entry]:
        with self._mapped_errors():
            return _Reader(self._connection).grown(sequence, prefixes)

    def head(self) -> Head:
        with self._mapped_errors():
            return _Reader(self._connection).head()

    def digest_at(self, sequence: int) -> str | None:
        with self._mapped_errors():
            return _Reader(self._connection).digest_at(sequence)

    def all_entries(self) -> Iterator[Entry]:
        sequence = 0
        while batch := self.after(sequence):
            yield from batch
            sequence = batch[-1].sequence

    def anchor(self, name: str) -> tuple[Head, str]:
        """The countersigned head kept under `name` and its signature; the empty head if there is none."""
        with self._mapped_errors():
            row = self._connection.execute(
                "SELECT sequence, digest, signature FROM anchor WHERE name = ?", (name,)
            ).fetchone()
        return (Head(row[0], row[1]), row[2]) if row else (Head(), "")

    def set_anchor(self, name: str, head: Head, signature: str) -> None:
        """Keep the newest countersigned head of `name`. An older one never replaces it."""
        with self._mapped_errors():
            self._connection.execute(
                "INSERT INTO anchor (name, sequence, digest, signature) VALUES (?,?,?,?) ON CONFLICT (name) DO UPDATE "
                "SET sequence = excluded.sequence, digest = excluded.digest, signature = excluded.signature "
                "WHERE excluded.sequence >= anchor.sequence",
                (name, head.sequence, head.digest, signature),
            )

    def verify(self) -> Head:
        """Check the whole chain and the guards; return the head."""
        with self._mapped_errors():
            guards = self._connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0]
        head = verify_chain(self.all_entries())
        if guards < 3:
            raise IntegrityFailure(f"The journal {self.path} has lost a guard trigger: somebody altered the file.")
        return head

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is not None:
            connection.close()
            del self._threads.connection
