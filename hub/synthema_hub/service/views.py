"""What people and notebooks are shown of Requests and sites: plain JSON, made from records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthema_core.analyses import find
from synthema_core.canonical import Json
from synthema_core.request import Status, Verb
from synthema_core.request_record import RequestRecord
from synthema_hub.service.records import SiteRecord


def request_view(record: RequestRecord, progress: Mapping[str, Json] | None) -> dict[str, Json]:
    """One Request, as the tracker and the queue show it."""
    request, plan = record.request, record.plan
    failed, released = record.last(Verb.FAIL), record.last(Verb.RELEASE)
    under_way = request.status in (Status.APPROVED, Status.RUNNING)
    release: Mapping[str, Any] = released.detail if released else {}
    return {
        "id": request.id,
        "name": record.name,
        "status": request.status.value,
        "analysis": plan.analysis,
        "title": find(plan.analysis).title,
        "mode": plan.mode.value,
        "purpose": plan.purpose,
        "requester": plan.requester,
        "plan_digest": plan.digest,
        "datasets": list[Json](sorted({participant.dataset for participant in plan.participants})),
        "sites": [_verdict_view(record, site) for site in plan.sites],
        "progress": dict(progress) if progress and under_way else None,
        "failure": failed.detail["failure"] if failed else None,
        "submitted_at": record.events[0].at,
        "updated_at": record.events[-1].at,
        "expires_at": request.expires_at,
        "release": release["release"]["id"] if release else None,
    }


def _verdict_view(record: RequestRecord, site: str) -> dict[str, Json]:
    for event in record.events:
        if event.verb is Verb.REVIEW and event.site == site:
            return {
                "site": site,
                "verdict": "approved" if event.verdict else "rejected",
                "reason": str(event.detail.get("reason", "")),
                "by": event.actor,
                "at": event.at,
            }
    return {"site": site, "verdict": "waiting", "reason": "", "by": "", "at": None}


def trail_view(record: RequestRecord) -> list[Json]:
    """The Request's history: (verb, who, when, site) of each fact."""
    return [
        {"verb": event.verb.value, "actor": event.actor, "at": event.at, "site": event.site} for event in record.events
    ]


def site_view(site: SiteRecord, *, online: bool) -> dict[str, Json]:
    return {
        "site": site.name,
        "title": site.title,
        "identity": site.identity,
        "online": online,
        "datasets": [f"{card.dataset} (version {card.version})" for card in site.cards],
        "page": site.page,
    }
