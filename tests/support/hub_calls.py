"""What sites and people send to a TrialHub about code, and what sites are told."""

from __future__ import annotations

import json
from typing import Any

import httpx

from support.builders import at
from support.hub import TrialHub
from synthema_core.request import Status


def error(response: httpx.Response, status: int) -> str:
    """The sentence of an answer that has that status and is an error of ours."""
    body = response.json()
    assert response.status_code == status, body
    return f"{body['message']} {body['hint']}"


def told(hub: TrialHub, site: str = "alder") -> list[tuple[str, dict[str, Any]]]:
    """(verb, detail) of every fact in that site's feed."""
    facts = hub.site(site, "GET", "/sites/feed?after=0").json()["facts"]
    return [(fact["verb"], fact["detail"]) for fact in facts]


def verbs(hub: TrialHub, site: str = "alder") -> list[str]:
    return [verb for verb, _ in told(hub, site)]


def fails(hub: TrialHub, request: str, site: str, kind: str = "timeout", **more: Any) -> httpx.Response:
    body = {"kind": kind, "at": at(), **more}
    return hub.site(site, "POST", f"/sites/requests/{request}/failure", body)


def revokes(hub: TrialHub, request: str, site: str) -> httpx.Response:
    body = {"steward": f"steward-{site}", "at": at()}
    return hub.site(site, "POST", f"/sites/requests/{request}/revocation", body)


def summing(hub: TrialHub, request: str) -> str:
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.SUMMING
    job = hub.record(request).job
    assert job is not None
    return job


def asks(hub: TrialHub, request: str, site: str, text: str = "Why a hundred days?", **changes: Any) -> httpx.Response:
    body = {"steward": f"steward-{site}", "text": text, "at": at(), **changes}
    return hub.site(site, "POST", f"/sites/requests/{request}/question", body)


def answers(hub: TrialHub, request: str, text: Any = "Thirty would do.", name: str = "rosalind") -> httpx.Response:
    content = json.dumps({"text": text})  # httpx would not spell half a surrogate pair
    return hub.person(name, "POST", f"api/requests/{request}/answer", content=content)


def shares(hub: TrialHub, request: str, site: str, text: str = "ZeroDivisionError", **changes: Any) -> httpx.Response:
    body = {"steward": f"steward-{site}", "text": text, "at": at(), **changes}
    return hub.site(site, "POST", f"/sites/requests/{request}/log", body)
