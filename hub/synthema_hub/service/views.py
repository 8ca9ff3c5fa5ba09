"""What people and notebooks are shown of Requests and sites: plain JSON, made from records."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

from synthema_core.analyses import find
from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB
from synthema_core.canonical import Json
from synthema_core.code.shapes import shape_of
from synthema_core.request import UNDER_WAY, Event, Status, Verb
from synthema_core.request_record import RequestRecord
from synthema_hub.service.mirror import runs_before_sum
from synthema_hub.service.records import SiteRecord


def request_view(record: RequestRecord, progress: Mapping[str, Json] | None, logs: int = 0) -> dict[str, Json]:
    """One Request, as the tracker and the queue show it.

    Parameters
    ----------
    progress
        What a Job has told last.
    logs
        How many logs stewards have shared with its author.
    """
    request, plan = record.request, record.plan
    failed, released = record.last(Verb.FAIL), record.released
    release: Mapping[str, Any] = released.detail if released else {}
    return {
        "id": request.id,
        "name": record.name,
        "status": request.status.value,
        "analysis": plan.analysis,
        "shape": shape_of(plan.analysis),
        "title": find(plan.analysis).title,
        "mode": plan.mode.value,
        "purpose": plan.purpose,
        "requester": plan.requester,
        "plan_digest": plan.digest,
        "supersedes": plan.supersedes,
        "datasets": list[Json](sorted({participant.dataset for participant in plan.participants})),
        "sites": [_site_in_request(record, site) for site in plan.sites],
        "thread": thread_view(record),
        "logs": logs,
        "progress": _progress(record, progress),
        "failure": failed.detail["failure"] if failed else None,
        "submitted_at": record.events[0].at,
        "updated_at": record.events[-1].at,
        "expires_at": request.expires_at,
        "release": release["release"]["id"] if release else None,
        "reused_from": release["release"].get("reused_from", "") if release else "",
    }


def _progress(record: RequestRecord, told: Mapping[str, Json] | None) -> Json:
    """What the Request waits for: what a Job tells, and before the sum of code, what the sites have done."""
    status, request = record.request.status, record.request
    text = ""
    if status is Status.STAGED:
        text = f"Waits for the release decision of {_those(record, request.cleared)}."
    elif status is Status.RUNNING and runs_before_sum(record.plan):
        what = "The model is fitted" if record.plan.analysis == DIFFPRIVLIB else "The code runs"
        text = f"{what} at {_those(record, request.staged)}."
    if text:
        return {"round": 0, "max_rounds": 0, "text": text}
    under_way = status in UNDER_WAY or status in (Status.APPROVED, Status.CLEARED)
    return dict(told) if told and under_way else None


def _those(record: RequestRecord, done: Collection[str]) -> str:
    return ", ".join(site for site in record.plan.sites if site not in done)


def _site_in_request(record: RequestRecord, site: str) -> dict[str, Json]:
    """What a site has said of the Plan and, of code with a release decision, of what it put out there."""
    reviews = [event for event in record.events if event.verb is Verb.REVIEW and event.site == site]
    verdict = record.request.verdicts.get(site)
    return {
        "site": site,
        "verdict": "waiting" if verdict is None else "approved" if verdict else "rejected",
        "without": _kept(reviews, "without"),
        "reading": any(event.detail.get("answered_by") for event in reviews),
        **_said(reviews),
        "output": _output_view(record, site),
    }


def _output_view(record: RequestRecord, site: str) -> Json:
    """The state of what waits at the site: `staged`, `cleared` or `withheld`; None while nothing does."""
    if site not in record.request.staged:
        return None
    decisions = [event for event in record.events if event.verb is Verb.CLEAR and event.site == site]
    withheld = any(not event.verdict for event in decisions)
    state = "withheld" if withheld else "cleared" if site in record.request.cleared else "staged"
    return {"state": state, "left_out": _kept(decisions, "redacted"), **_said(decisions)}


def _said(decisions: Sequence[Event]) -> dict[str, Json]:
    """By whom, when, and the reason that was given last; empty while nobody has decided."""
    reasons = [str(event.detail["reason"]) for event in decisions if event.detail.get("reason")]
    return {
        "reason": reasons[-1] if reasons else "",
        "by": ", ".join(event.actor for event in decisions),
        "at": decisions[-1].at if decisions else None,
    }


def _kept(decisions: Sequence[Event], part: str) -> list[Json]:
    names: list[Any] = [event.detail.get(part) or [] for event in decisions]
    return list[Json](dict.fromkeys(chain.from_iterable(names)))


def thread_view(record: RequestRecord) -> list[Json]:
    """What stewards asked and the author answered, in order; `site` is empty for the author's words."""
    return [
        {"who": event.actor, "site": event.site, "text": str(event.detail["text"]), "at": event.at}
        for event in record.events
        if event.verb in (Verb.ASK, Verb.ANSWER)
    ]


def waiting_view(record: RequestRecord, pages: Mapping[str, str]) -> list[Json]:
    """Where stewards must decide on an output: the site, and its page for it, empty if it has none to link to."""
    request = record.request
    waits = request.staged - request.cleared if request.status in (Status.RUNNING, Status.STAGED) else frozenset()
    return [{"site": site, "page": page_of(pages.get(site, ""), request.id)} for site in sorted(waits)]


def page_of(page: str, request: str) -> str:
    """Where a datasite shows that Request; empty unless it announced an address that a browser may follow."""
    return f"{page}requests/{request}" if page.startswith(("https://", "http://")) else ""


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
