"""Questions that were answered before: who may read the stored Release, and how it is handed on to somebody else.

A Release stands for its question digest: the same code, parameters, versions of Datasets, sites, output policy and
privacy. Nothing new is learned about a patient when it is read once more, so no Budget is charged; but whoever has
not read it needs every site's approval, and their own sub-limit pays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from synthema_core.release import Guarantee, Release
from synthema_core.request import UNDER_WAY, Verb
from synthema_core.request_record import RequestRecord


def release_of(record: RequestRecord) -> Release | None:
    """The Release that the Request came to, if it did."""
    fact = record.released
    told: Any = fact.detail["release"] if fact else None
    return Release.from_dict(told) if told else None


def own_answer(records: Iterable[RequestRecord], researcher: str, question_digest: str) -> RequestRecord | None:
    """The researcher's newest Request that got an answer to this question."""
    return _newest(record for record in _answered(records, question_digest) if record.plan.requester == researcher)


def stored_answer(records: Iterable[RequestRecord], asking: RequestRecord) -> Release | None:
    """The Release that answers this Request without a Job; None if a Job must.

    None also for a researcher who has had an answer to the question: who asks again wants another one. But where a
    site has approved a reading, a Job would be refused there.
    """
    answered = list(_answered(records, asking.plan.question_digest))
    has_answer = any(record.plan.requester == asking.plan.requester for record in answered)
    if has_answer and not _is_reading(asking):
        return None
    releases = (release_of(record) for record in reversed(answered))
    return next((release for release in releases if release and not release.reused_from), None)


def being_answered(records: Iterable[RequestRecord], asking: RequestRecord) -> bool:
    """Whether a Job of somebody else's computes the answer to the same question now: worth waiting for."""
    return any(
        record.request.status in UNDER_WAY
        and record.plan.requester != asking.plan.requester
        and record.plan.question_digest == asking.plan.question_digest
        for record in records
    )


def handed_on(
    stored: Release, asking: RequestRecord, *, identifier: str, at: str, result: dict[str, Any], guarantee: Guarantee
) -> Release:
    """The stored Release as that of another Request; not signed.

    Parameters
    ----------
    result
        The stored one, without what any site gave to the first researcher alone.
    guarantee
        As of now: exact answers may have come between.
    """
    return replace(
        stored,
        id=identifier,
        request=asking.request.id,
        plan_digest=asking.plan.digest,
        purpose=asking.plan.purpose,
        requester=asking.plan.requester,
        result=result,
        guarantee=guarantee,
        released_at=at,
        reused_from=stored.id,
        signature="",
    )


def _is_reading(record: RequestRecord) -> bool:
    return any(event.detail.get("answered_by") for event in record.events if event.verb is Verb.REVIEW)


def _answered(records: Iterable[RequestRecord], question_digest: str) -> Iterator[RequestRecord]:
    """Oldest first."""
    return (record for record in records if record.released and record.plan.question_digest == question_digest)


def _newest(records: Iterator[RequestRecord]) -> RequestRecord | None:
    return next(iter(sorted(records, key=lambda record: record.events[-1].at, reverse=True)), None)
