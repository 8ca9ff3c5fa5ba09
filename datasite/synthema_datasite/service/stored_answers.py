"""Questions this site helped to answer before: when the stored Release may be handed on, and what a reading costs.

A Release says nothing new about a patient when somebody else reads it. So an approval of a repeated question is for
that Release alone: nothing may run on it, the patients' Budget is not charged, and the reader's own limit is. This
site's own Journal decides what was answered with its help, never the hub's word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure
from synthema_core.plan import question_digest
from synthema_core.ports import JournalReader
from synthema_core.release import Release
from synthema_core.request import Status, Verb
from synthema_core.request_record import REQUESTS, RequestRecord, request_ids, request_record


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A Release that this site took part in.

    Parameters
    ----------
    record
        The Request that it was made for.
    release, digest
        Its id and digest, as journalled here when the hub showed it.
    """

    record: RequestRecord
    release: str
    digest: str

    @property
    def request(self) -> str:
        return self.record.request.id

    @property
    def released_at(self) -> str:
        fact = self.record.last(Verb.RELEASE)
        return fact.at if fact else ""


def stored_answer(journal: JournalReader, site: str, record: RequestRecord) -> StoredAnswer | None:
    """The newest answer to the Request's question that its author has not had; None if it must be computed.

    None also for an author who has had an answer: who asks again wants another one, and that is charged.
    """
    asked_before = list(_same_question(journal, site, record))
    author = record.request.author
    if any(other.released and other.request.author == author for other in asked_before):
        return None
    answers = [answer for other in asked_before if (answer := _answer(other))]
    return answers[-1] if answers else None


def answer_in_question(journal: JournalReader, site: str, record: RequestRecord) -> StoredAnswer | None:
    """The stored answer that the stewards decide on or have decided on; None where they decide on a run."""
    if record.request.status is Status.UNDER_REVIEW:
        return stored_answer(journal, site, record)
    approved = _answered_by(record)
    return _answer(request_record(journal, approved, site)) if approved else None


def is_reading(record: RequestRecord) -> bool:
    """Whether a steward here approved that a stored answer is read, and so that nothing runs."""
    return bool(_answered_by(record))


def answer_handed_on(
    journal: JournalReader, site: str, record: RequestRecord, release: Release, digest: str
) -> StoredAnswer | None:
    """The stored answer, of that digest, that `release` hands on; None if this site took no part in it.

    Raises
    ------
    IntegrityFailure
        If this site is in its sum and knows nothing of it, or knows another one under that id.
    """
    for other in _same_question(journal, site, record):
        answer = _answer(other)
        if answer is not None and (answer.release, answer.digest) == (release.reused_from, digest):
            return answer
    if site not in release.missing:
        raise IntegrityFailure(f"The hub handed on an answer to {record.request.id} that this site knows nothing of.")
    return None


def has_read(journal: JournalReader, site: str, record: RequestRecord, answer: StoredAnswer) -> bool:
    """Whether the Request's author has the very same Release already: to read it twice tells nothing more."""
    author = record.request.author
    for other in _same_question(journal, site, record):
        fact = other.last(Verb.REUSE)
        read = other.request.id == answer.request or (fact and fact.detail.get("reused_from") == answer.release)
        if read and other.request.author == author:
            return True
    return False


def _answer(record: RequestRecord) -> StoredAnswer | None:
    """What its own Job came to; what was handed on to it is no answer to hand on."""
    fact = record.last(Verb.RELEASE)
    if fact is None:
        return None
    return StoredAnswer(record, str(fact.detail["release"]), str(fact.detail["release_digest"]))


def _answered_by(record: RequestRecord) -> str:
    reviews = (event.detail for event in record.events if event.verb is Verb.REVIEW)
    return next((str(review["answered_by"]) for review in reviews if review.get("answered_by")), "")


def _same_question(journal: JournalReader, site: str, record: RequestRecord) -> Iterator[RequestRecord]:
    """The other Requests with this one's question digest, oldest first."""
    asked = record.plan.question_digest
    for identifier in request_ids(journal):
        if identifier != record.request.id and question_digest(_plan(journal, identifier)) == asked:
            yield request_record(journal, identifier, site)


def _plan(journal: JournalReader, identifier: str) -> dict[str, Json]:
    """As it was recorded, after every check: reading it as JSON alone is ten times faster than making the Plan."""
    detail: Any = journal.entries(REQUESTS + identifier)[0].body["detail"]
    return dict(detail["plan"])
