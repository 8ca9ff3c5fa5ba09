"""Whether what this site's Journal calls approved was: every Review and Clearance checked anew, by its signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from synthema_core import moments
from synthema_core.clearance import Clearance
from synthema_core.code.shapes import analysis_name
from synthema_core.errors import IntegrityFailure, Refused
from synthema_core.identity import public_key
from synthema_core.ports import JournalReader
from synthema_core.request import Verb
from synthema_core.request_record import RequestRecord
from synthema_core.review import Review, Verdict
from synthema_datasite.service.records import stewards
from synthema_datasite.service.site import Site


class _Signed(Protocol):
    @property
    def steward(self) -> str: ...

    @property
    def stewards_needed(self) -> int: ...

    def check_signature(self, public_key: str) -> None: ...


def reviews_of(record: RequestRecord) -> list[Review]:
    """All signed Reviews of this site, oldest first."""
    return [Review.from_dict(event.detail) for event in record.events if event.verb is Verb.REVIEW]


def clearances_of(record: RequestRecord) -> list[Clearance]:
    """All signed Clearances of this site, oldest first."""
    return [Clearance.from_dict(event.detail) for event in record.events if event.verb is Verb.CLEAR]


def check_reviews(site: Site, journal: JournalReader, record: RequestRecord) -> None:
    """The status says approved; the signatures must say so too.

    Raises
    ------
    Refused
        Unless enough stewards (or this site's policy, as it is now) have signed an approval of this Plan that has not
        ended; and where one was given for a stored answer, for then nothing may run.
    """
    reviews = reviews_of(record)
    asked = (record.request.id, record.plan.digest, site.name, Verdict.APPROVED)
    for review in reviews:
        if (review.request, review.plan_digest, review.site, review.verdict) != asked:
            raise Refused("This site's approval is not for this Plan.", rule="approval")
    if any(review.answered_by for review in reviews):
        raise Refused(
            "This site approved that a stored answer is handed on, and no run.",
            "Submit it again.",
            rule="stored-answer",
        )
    _check_signatures(site, journal, reviews, "approval")
    _check_who(site, record, reviews)
    now = moments.read(site.decided_at(journal))
    if any(moments.read(review.expires_at) <= now for review in reviews):
        raise Refused("This site's approval has expired.", "Submit the request again.", rule="expiry")


def check_clearances(site: Site, journal: JournalReader, record: RequestRecord, output: str) -> None:
    """The same for the release decision on exactly that output.

    Parameters
    ----------
    output
        Commitment to what is staged.
    """
    clearances = clearances_of(record)
    asked = (record.request.id, record.plan.digest, site.name, output, True)
    for clearance in clearances:
        said = clearance.request, clearance.plan_digest, clearance.site, clearance.output, clearance.cleared
        if said != asked:
            raise Refused("This site's release decision is not about this output.", rule="clearance")
    _check_signatures(site, journal, clearances, "release decision")
    if _people(clearances, record) < _needed(site, record, clearances):
        raise Refused("Too few of this site's stewards have cleared the output.", rule="stewards")


def left_out(record: RequestRecord) -> tuple[str, ...]:
    """The outputs and cells that this site's stewards do not give, in order and each once."""
    named = [name for review in reviews_of(record) for name in review.without]
    named += [name for clearance in clearances_of(record) for name in clearance.redacted]
    return tuple(dict.fromkeys(named))


def _check_who(site: Site, record: RequestRecord, reviews: Sequence[Review]) -> None:
    """Enough people; or the Policy alone, which speaks for nobody once it has been changed, and never about code."""
    if not any(review.by_policy for review in reviews):
        if _people(reviews, record) < _needed(site, record, reviews):
            raise Refused("Too few of this site's stewards have approved.", rule="stewards")
        return
    policy = site.state.policy().digest
    code = record.plan.analysis.startswith(analysis_name(""))
    if code or any(review.steward != f"policy:{policy}" for review in reviews):
        raise Refused(
            "This site's policy does not approve this Plan by itself any more.", "Submit it again.", rule="auto_approve"
        )


def _needed(site: Site, record: RequestRecord, signed: Iterable[_Signed]) -> int:
    """By the Policy now; but no fewer than anybody who signed was promised."""
    limits = site.state.policy().for_dataset(record.plan.participant(site.name).dataset)
    return max([limits.stewards, *(statement.stewards_needed for statement in signed)])


def _people(signed: Iterable[_Signed], record: RequestRecord) -> int:
    """How many different ones; whoever asked is none of them."""
    return len({statement.steward for statement in signed} - {record.plan.requester})


def _check_signatures(site: Site, journal: JournalReader, signed: Iterable[_Signed], what: str) -> None:
    key_of: Callable[[str], str | None] = stewards(journal).get
    for statement in signed:
        by_policy = isinstance(statement, Review) and statement.by_policy
        key = public_key(site.state.identity()) if by_policy else key_of(statement.steward)
        try:
            statement.check_signature(key or "")
        except IntegrityFailure:
            raise Refused(f"This site's {what} is not signed by its steward.", rule="signature") from None
