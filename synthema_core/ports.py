"""Seams to the outside world, as small Protocols. Adapters implement them; fakes in tests do too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from synthema_core.analyses.base import Rows
from synthema_core.journal import Draft, Entry, Head
from synthema_core.secure_sum.layout import Floats, Ring


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, with a time zone."""
        ...


class JournalReader(Protocol):
    """What can be asked of a Journal, inside a transaction or out of one."""

    def entries(self, stream: str) -> Sequence[Entry]:
        """The stream's entries in order; empty for an unknown one."""
        ...

    def streams(self, prefix: str) -> Sequence[str]:
        """Names of the streams that begin with `prefix`, in order of their first entry."""
        ...

    def after(self, sequence: int, limit: int = 1000) -> Sequence[Entry]: ...

    def head(self) -> Head: ...

    def digest_at(self, sequence: int) -> str | None: ...


class JournalWriter(JournalReader, Protocol):
    """Inside a transaction nobody else writes: what was read still holds when the facts are appended."""

    def append(self, draft: Draft) -> Entry: ...


class Journal(JournalReader, Protocol):
    """Append-only and hash-chained. All of a transaction's entries are on disk together, or none."""

    def writing(self) -> AbstractContextManager[JournalWriter]: ...

    def all_entries(self) -> Iterator[Entry]: ...


class RowStore(Protocol):
    def load(self, columns: Sequence[str]) -> Rows:
        """Only these columns of one Dataset version, after its content was checked against its commitment."""
        ...


class JobWorker(Protocol):
    """The process that alone sees rows, contributions and mask keys of one Job at one site."""

    def announce(self) -> str:
        """Make the Job's mask key; return its public half (hexadecimal)."""
        ...

    def answer(self, round_index: int, values: Floats, roster: Mapping[str, Any] | None) -> Ring:
        """The masked Contribution to this Round; with the first one comes the roster of all sites' mask keys."""
        ...

    def close(self) -> None: ...
