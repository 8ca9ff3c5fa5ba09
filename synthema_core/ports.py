"""Seams to the outside world, as small Protocols. Adapters implement them; fakes in tests do too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from synthema_core.analyses.base import Rows
from synthema_core.canonical import Json
from synthema_core.journal import Draft, Entry, Head
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.secure_sum.roster import Announcement
from synthema_core.secure_sum.survivors import Survivors


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

    def grown(self, sequence: int, prefixes: Sequence[str]) -> Sequence[Entry]:
        """The entries after `sequence` in streams that begin with one of `prefixes`, in order."""
        ...

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
    """The process that alone sees rows, contributions and keys of one Job at one site: `secure_sum.Member`'s steps.

    Each may be asked for again in the same words, and gives the same answer, also in a process that was started anew.
    """

    def announce(self) -> Announcement:
        """The Job's keys, for the site to sign."""
        ...

    def deal(self, roster: Mapping[str, Any]) -> Mapping[str, Json]:
        """Take part under this Roster; the sealed shares of each other site."""
        ...

    def answer(
        self,
        round_index: int,
        values: Floats,
        roster: Mapping[str, Any] | None,
        dealt: Mapping[str, Any] | None,
    ) -> Ring:
        """The masked Contribution to this Round; before the first one come the Roster and everybody's shares."""
        ...

    def choose(self, round_index: int, survivors: Sequence[str]) -> tuple[Survivors, bool]:
        """Agree to these survivors and to no others; whether nobody is missing, and all may be revealed at once."""
        ...

    def reveal(self, round_index: int, signatures: Mapping[str, str]) -> Mapping[str, Json]:
        """This site's shares, for the survivors it has agreed to and enough others have signed."""
        ...

    def close(self) -> None: ...
