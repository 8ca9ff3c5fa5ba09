"""The sites' routes, behind the TLS gateway. Every call but the first is signed by the site's identity key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse

from synthema_core.clearance import Clearance
from synthema_core.errors import InvalidInput, NotAuthenticated, NotFound
from synthema_core.joining import Joining
from synthema_core.review import Review
from synthema_core.signed_request import SITE
from synthema_hub.service.changes import wait
from synthema_hub.service.records import SiteRecord
from synthema_hub.service.shared_logs import SharedLog
from synthema_hub.service.wiring import Federation

LONGEST_POLL_SECONDS = 25.0


def federation_of(request: Request) -> Federation:
    federation: Federation = request.app.state.federation
    return federation


Fed = Annotated[Federation, Depends(federation_of)]


async def json_body(request: Request) -> dict[str, Any]:
    try:
        data = json.loads(await request.body())
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.")
    return data


Body = Annotated[dict[str, Any], Depends(json_body)]


def texts_of(body: Mapping[str, Any], *names: str) -> list[str]:
    """The texts of a message under these names, and nothing else."""
    values = [body.get(name) for name in names]
    if not all(isinstance(value, str) for value in values):
        raise InvalidInput(f"The message must give {', '.join(names)} as texts.")
    return [str(value) for value in values]


async def calling_site(request: Request, federation: Fed) -> SiteRecord:
    """The member that signed this request; anything else is refused."""
    try:
        site = federation.membership.site(request.headers.get(SITE, ""))
    except NotFound:
        raise NotAuthenticated("This site is not a member of the federation.", "Join it first.") from None
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    body = await request.body()
    federation.verifier.check(site.identity, request.headers, request.method, path, body, federation.clock())
    federation.membership.saw(site.name)
    return site


Site = Annotated[SiteRecord, Depends(calling_site)]
routes = APIRouter(prefix="/sites")


@routes.get("/ca", response_class=PlainTextResponse)
def certificate_authority(federation: Fed) -> str:
    """The federation's CA, for a site that holds its fingerprint."""
    return federation.ca_pem


@routes.post("/join", status_code=201)
def join(federation: Fed, body: Body) -> dict[str, Any]:
    try:
        joining = Joining(**body)
    except TypeError:
        raise InvalidInput("A joining site sends site, title, identity, node_key, code and signature.") from None
    record = federation.membership.join(joining)
    federation.changes.ring()
    return {"site": record.name, "node": str(record.node), "hub_key": federation.hub_key}


@routes.post("/announce")
def announce(site: Site, federation: Fed, body: Body) -> dict[str, str]:
    cards, stewards = body.get("cards", []), body.get("stewards", {})
    if not isinstance(cards, list) or not isinstance(stewards, dict):
        raise InvalidInput("A site announces a list of Cards, its stewards' keys by name, and its page.")
    federation.membership.announce(site.name, cards, stewards, str(body.get("page", "")))
    federation.changes.ring()
    return {"site": site.name}


@routes.post("/budgets")
def budgets(site: Site, federation: Fed, body: Body) -> dict[str, str]:
    """Where the site's Budgets stand; in the place of what it told before."""
    told = body.get("budgets")
    if not isinstance(told, list):
        raise InvalidInput("A site tells a list of its budgets.")
    federation.budgets.keep(site.name, told)
    return {"site": site.name}


@routes.get("/feed")
async def feed(
    site: Site,
    federation: Fed,
    after: Annotated[int, Query(ge=0)] = 0,
    seconds: Annotated[float, Query(ge=0, le=LONGEST_POLL_SECONDS)] = 0,
) -> dict[str, Any]:
    """Facts for this site; waits up to `seconds` for the next one."""
    async with federation.changes.listening() as rung:
        page = federation.desk.feed(site.name, after)
        if page["next"] == after and seconds:
            await wait(rung, seconds)
            page = federation.desk.feed(site.name, after)
    return page


@routes.post("/requests/{identifier}/receipt")
def receipt(identifier: str, site: Site, federation: Fed) -> dict[str, str]:
    federation.mirror.receive(identifier, site.name)
    return {"request": identifier}


@routes.post("/requests/{identifier}/question")
def question(identifier: str, site: Site, federation: Fed, body: Body) -> dict[str, str]:
    federation.mirror.question(identifier, site, *texts_of(body, "steward", "text", "at"))
    return {"request": identifier}


@routes.post("/reviews")
def review(site: Site, federation: Fed, body: Body) -> dict[str, str]:
    signed = Review.from_dict(body)
    federation.mirror.review(signed, site)
    return {"request": signed.request}


@routes.post("/requests/{identifier}/revocation")
def revocation(identifier: str, site: Site, federation: Fed, body: Body) -> dict[str, str]:
    federation.mirror.revocation(identifier, site, *texts_of(body, "steward", "at"))
    return {"request": identifier}


@routes.post("/requests/{identifier}/staged")
def staged(identifier: str, site: Site, federation: Fed, body: Body) -> dict[str, str]:
    federation.mirror.staged(identifier, site.name, *texts_of(body, "commitment", "at"))
    return {"request": identifier}


@routes.post("/clearances")
def clearance(site: Site, federation: Fed, body: Body) -> dict[str, str]:
    signed = Clearance.from_dict(body)
    federation.mirror.clearance(signed, site)
    return {"request": signed.request}


@routes.post("/requests/{identifier}/failure")
def failure(identifier: str, site: Site, federation: Fed, body: Body) -> dict[str, str]:
    federation.mirror.failure(identifier, site.name, *texts_of(body, "kind", "at"))
    return {"request": identifier}


@routes.post("/requests/{identifier}/log")
def log(identifier: str, site: Site, federation: Fed, body: Body) -> dict[str, str]:
    federation.logs.share(identifier, site, SharedLog(site.name, *texts_of(body, "steward", "text", "at")))
    federation.changes.ring(identifier)
    return {"request": identifier}


@routes.post("/heads")
def heads(site: Site, federation: Fed, body: Body) -> dict[str, Any]:
    return federation.desk.exchange_heads(site, body)
