"""The Journal's chain, as pure functions: what an entry is, how entries hang together, and how tampering shows.

A chain by itself misses a cut tail: the entries that are left still hold. Heads are therefore countersigned by the
other side (a site's by the hub, the hub's by its sites) and compared at every start; see `check_contains`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from synthema_core.canonical import Json, digest
from synthema_core.errors import IntegrityFailure

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact about to be recorded.

    Parameters
    ----------
    stream
        What it is about, such as ``request/4f1c`` or ``budget/myeloid``.
    kind
        Which kind of fact, such as ``submit`` or ``charge``.
    actor
        Who caused it.
    at
        When, ISO 8601.
    """

    stream: str
    kind: str
    actor: str
    at: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded fact: `version` counts within its stream, `sequence` within the journal, both from 1."""

    sequence: int
    stream: str
    version: int
    kind: str
    actor: str
    at: str
    body: Mapping[str, Json]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Head:
    """The journal's last entry: what is countersigned."""

    sequence: int = 0
    digest: str = GENESIS

    def to_dict(self) -> dict[str, Json]:
        return {"sequence": self.sequence, "digest": self.digest}


def seal(draft: Draft, head: Head, version: int) -> Entry:
    """The entry that `draft` becomes after `head`."""
    sequence = head.sequence + 1
    covered = {
        "sequence": sequence,
        "stream": draft.stream,
        "version": version,
        "kind": draft.kind,
        "actor": draft.actor,
        "at": draft.at,
        "body": dict(draft.body),
        "previous": head.digest,
    }
    return Entry(
        sequence, draft.stream, version, draft.kind, draft.actor, draft.at, draft.body, head.digest, digest(covered)
    )


def verify_chain(entries: Iterable[Entry]) -> Head:
    """Recompute every digest from the first entry on; return the head.

    Raises
    ------
    IntegrityFailure
        Naming the first entry that was edited, removed, inserted or replaced.
    """
    head, versions = Head(), dict[str, int]()
    for entry in entries:
        version = versions.get(entry.stream, 0) + 1
        expected = seal(Draft(entry.stream, entry.kind, entry.actor, entry.at, entry.body), head, version)
        if asdict(expected) != asdict(entry):
            raise IntegrityFailure(
                f"The journal was tampered with at entry {head.sequence + 1}.",
                "Restore it from a backup that is at least as new as its countersigned head.",
            )
        versions[entry.stream] = version
        head = Head(entry.sequence, entry.digest)
    return head


def check_contains(anchored: Head, found: str | None) -> None:
    """Raise unless the journal's digest at `anchored.sequence` is the countersigned one.

    Parameters
    ----------
    found
        The digest at that place now, None where the journal is shorter.
    """
    if anchored.sequence and found != anchored.digest:
        raise IntegrityFailure(
            f"The journal is older than its countersigned head, entry {anchored.sequence}, or another one.",
            "Restore a backup that contains that entry; an older one would forget approvals and charges.",
        )
