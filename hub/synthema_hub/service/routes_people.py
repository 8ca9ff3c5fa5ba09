"""The researchers' and owners' routes, behind JupyterHub's login. There is none that approves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from synthema_core.errors import InvalidInput, NotFound
from synthema_core.plan import Plan
from synthema_core.request import TERMINAL, Status
from synthema_core.request_record import RequestRecord
from synthema_hub.service.budget_view import budget_view, own_requests
from synthema_hub.service.changes import wait
from synthema_hub.service.login import OPERATE, READ, REVIEW, SUBMIT, Login, login_of, needs
from synthema_hub.service.routes_sites import Body, Fed, texts_of
from synthema_hub.service.stored_answers import own_answer, release_of
from synthema_hub.service.views import request_view, site_view, trail_view
from synthema_hub.service.wiring import Federation

_HEARTBEAT_SECONDS = 15.0
_LONGEST_NAME = 80

Reader = Annotated[dict[str, Any], Depends(needs(READ))]
Researcher = Annotated[dict[str, Any], Depends(needs(SUBMIT))]
LoginHere = Annotated[Login, Depends(login_of)]
routes = APIRouter(prefix="/api")


def may_see(record: RequestRecord, user: dict[str, Any], login: Login) -> bool:
    """A Request is seen by its author, and in the queue by data owners and operators."""
    return record.plan.requester == user["name"] or login.may(REVIEW, user) or login.may(OPERATE, user)


def visible_record(identifier: str, user: Reader, federation: Fed, login: LoginHere) -> RequestRecord:
    record = federation.requests.get(identifier)
    if not may_see(record, user, login):
        raise NotFound(f"There is no request '{identifier}'.", "See `%fed status` for yours.")
    return record


Visible = Annotated[RequestRecord, Depends(visible_record)]


def view_of(record: RequestRecord, federation: Federation) -> dict[str, Any]:
    identifier = record.request.id
    return request_view(record, federation.jobs.progress(identifier), len(federation.logs.of(identifier)))


@routes.get("/me")
def me(user: Reader) -> dict[str, Any]:
    return {"name": user["name"], "groups": user.get("groups", []), "scopes": user.get("scopes", [])}


@routes.get("/sites")
def sites(_: Reader, federation: Fed) -> list[dict[str, Any]]:
    members = federation.membership
    return [site_view(site, online=members.is_online(site.name)) for site in members.sites()]


@routes.get("/catalogue")
def catalogue(_: Reader, federation: Fed) -> list[dict[str, Any]]:
    return [card.to_dict() for card in federation.membership.cards()]


@routes.get("/budgets")
def budgets(user: Reader, federation: Fed, dataset: str = "", purpose: str = "") -> list[dict[str, Any]]:
    """Where each site's Budgets stand, of one dataset or all; of what was charged, the caller's own and the rest."""
    mine = own_requests(federation.requests.all(), user["name"])
    return [
        budget_view(site.name, told, user["name"], purpose, mine)
        for site in federation.membership.sites()
        for told in federation.budgets.of(site.name)
        if not dataset or dataset in told.datasets
    ]


@routes.get("/answers/{question_digest}")
def answered(question_digest: str, user: Reader, federation: Fed) -> dict[str, Any]:
    """The caller's own newest answer to the question: {"request", "name", "release"}. Nobody else's is told."""
    record = own_answer(federation.requests.all(), user["name"], question_digest)
    release = release_of(record) if record else None
    if record is None or release is None:
        raise NotFound("You have no answer to this question.", "Ask it with `%fed run`.")
    return {"request": record.request.id, "name": record.name, "release": release.to_dict()}


@routes.post("/requests", status_code=201)
def submit(user: Researcher, federation: Fed, body: Body) -> dict[str, Any]:
    name = str(body.get("name") or "")[:_LONGEST_NAME]
    if "plan" not in body:
        raise InvalidInput("A request is a Plan and a name.")
    plan = Plan.from_dict(body["plan"])
    identifier = federation.requests.submit(plan, name, user["name"], federation.membership.cards())
    return view_of(federation.requests.get(identifier), federation)


@routes.get("/requests")
def requests(
    user: Reader, federation: Fed, login: LoginHere, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> list[dict[str, Any]]:
    """The newest Requests that the caller may see, newest first."""
    seen = [record for record in federation.requests.all() if may_see(record, user, login)]
    return [view_of(record, federation) for record in reversed(seen[-limit:])]


@routes.get("/requests/{identifier}")
def one_request(record: Visible, federation: Fed) -> dict[str, Any]:
    return {**view_of(record, federation), "plan": record.plan.to_dict(), "trail": trail_view(record)}


@routes.get("/requests/{identifier}/plan")
def plan_of_request(record: Visible) -> dict[str, Any]:
    """The Plan alone, for a comparison with another one."""
    return record.plan.to_dict()


@routes.post("/requests/{identifier}/answer")
def answer(identifier: str, user: Researcher, federation: Fed, body: Body) -> dict[str, Any]:
    """The author's answer to what stewards have asked: {"text"}."""
    (text,) = texts_of(body, "text")
    federation.requests.answer(identifier, user["name"], text)
    return view_of(federation.requests.get(identifier), federation)


@routes.get("/requests/{identifier}/log")
def logs(user: Reader, record: Visible, federation: Fed) -> list[dict[str, Any]]:
    """What stewards have shared with the Request's author of its runs; nobody else reads it."""
    if record.plan.requester != user["name"]:
        raise NotFound("Only the author of a request reads what stewards shared of its runs.")
    return [log.to_dict() for log in federation.logs.of(record.request.id)]


@routes.post("/requests/{identifier}/withdrawal")
def withdraw(identifier: str, user: Researcher, federation: Fed) -> dict[str, Any]:
    federation.requests.withdraw(identifier, user["name"])
    return view_of(federation.requests.get(identifier), federation)


@routes.get("/requests/{identifier}/release")
def release(record: Visible) -> dict[str, Any]:
    for event in record.events:
        if "release" in event.detail:
            return dict(event.detail["release"])  # type: ignore[arg-type]
    raise NotFound(
        f"The request '{record.name or record.request.id}' has no result yet: it is {_spoken(record.request.status)}.",
        "Wait with `%fed follow`.",
    )


def _spoken(status: Status) -> str:
    return status.value.replace("_", " ")


@routes.get("/requests/{identifier}/events")
async def events(record: Visible, federation: Fed) -> StreamingResponse:
    """Server-sent events: the Request's view now and at every change, until it has ended."""

    async def stream() -> AsyncIterator[str]:
        last = None
        async with federation.changes.listening() as rung:
            while True:
                current = await asyncio.to_thread(federation.requests.get, record.request.id)
                view = await asyncio.to_thread(view_of, current, federation)
                yield ": still here\n\n" if view == last else f"data: {json.dumps(view)}\n\n"
                last = view
                if current.request.status in TERMINAL:
                    return
                await wait(rung, _HEARTBEAT_SECONDS)

    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )
