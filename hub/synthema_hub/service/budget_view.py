"""What one researcher is shown of the sites' Budgets: the whole, their own part by Request, and others' as one sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synthema_core.canonical import Json
from synthema_core.ledger import folded_purpose
from synthema_core.public_budget import PublicBudget
from synthema_core.request_record import RequestRecord


def budget_view(
    site: str, told: PublicBudget, researcher: str, purpose: str, mine: Mapping[str, RequestRecord]
) -> dict[str, Json]:
    """One group of patients of one site, in the form of `PublicBudget`, with `site`, `mine` and `others`.

    Parameters
    ----------
    purpose
        For which the researcher plans; its sum over all researchers is told, as its limit is over all of them.
    mine
        The researcher's own Requests, by id.
    """
    words = folded_purpose(purpose)
    own = {name: taken for name, taken in told.requests.items() if name in mine}
    whole: dict[str, Any] = told.to_dict()
    return {
        **whole,
        "site": site,
        "requests": {name: whole["requests"][name] for name in own},
        "requesters": _only(whole["requesters"], researcher),
        "purposes": _only(whole["purposes"], words),
        "mine": [_line(mine[name], taken.epsilon, taken.share) for name, taken in own.items()],
        "others": {
            "share": sum(taken.share for name, taken in told.requests.items() if name not in mine),
            "requests": len(told.requests) - len(own),
        },
    }


def own_requests(records: Iterable[RequestRecord], researcher: str) -> dict[str, RequestRecord]:
    return {record.request.id: record for record in records if record.plan.requester == researcher}


def _line(record: RequestRecord, epsilon: float, share: float) -> dict[str, Json]:
    return {
        "request": record.request.id,
        "name": record.name,
        "purpose": record.plan.purpose,
        "at": record.begun.at if record.begun else record.events[-1].at,
        "epsilon": epsilon,
        "share": share,
    }


def _only(parts: Mapping[str, Any], name: str) -> dict[str, Json]:
    return {name: parts[name]} if name in parts else {}
