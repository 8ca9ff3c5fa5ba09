"""What every decision of a steward has in common, whether about a Plan or about what its code put out."""

from __future__ import annotations

from enum import StrEnum

from synthema_core import moments
from synthema_core.errors import IntegrityFailure, InvalidInput, TransitionDenied
from synthema_core.policy import DatasetPolicy
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord
from synthema_datasite.service.site import Site

_LONGEST_TEXT = 4_000


class Wait(StrEnum):
    """What a Request waits for at this site."""

    NOTHING = ""
    REVIEW = "review"
    RELEASE = "release decision"


_WAITS = {Status.UNDER_REVIEW: Wait.REVIEW, Status.STAGED: Wait.RELEASE}


def waits_for(record: RequestRecord) -> Wait:
    return _WAITS.get(record.request.status, Wait.NOTHING)


def said_yes(record: RequestRecord, site: str) -> frozenset[str]:
    """The stewards who have agreed to the step that waits now."""
    request = record.request
    by = request.cleared_by if request.status is Status.STAGED else request.approved_by
    return by.get(site, frozenset())


def limits_of(site: Site, record: RequestRecord) -> DatasetPolicy:
    """The Policy, as it is now, for the Dataset that the Plan asks this site about."""
    return site.state.policy().for_dataset(record.plan.participant(site.name).dataset)


def check_shown(record: RequestRecord, plan_digest: str) -> None:
    """Raise IntegrityFailure if a decision was made looking at another Plan; empty: not compared."""
    if plan_digest and plan_digest != record.plan.digest:
        raise IntegrityFailure("This is not the Plan you were shown.", "Open the request again and read it.")


def check_not_expired(record: RequestRecord, now: str) -> None:
    if moments.read(record.request.expires_at) <= moments.read(now):
        raise TransitionDenied(
            f"The request {record.request.id} expired at {record.request.expires_at}.",
            "The researcher can submit it again.",
        )


def check_text(text: str, what: str) -> str:
    """The text as it is recorded, if it is not too long for a journal that keeps it for ever."""
    if len(text) > _LONGEST_TEXT:
        raise InvalidInput(
            f"{what} has {len(text):,} characters, and at most {_LONGEST_TEXT:,} are kept.", "Shorten it."
        )
    return text
