"""The service's own pages in the browser: the queue and each Request, to read. Verdicts are given at the datasites."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from synthema_hub.service.login import OPERATE, REVIEW
from synthema_hub.service.routes_people import LoginHere, Reader, Visible, may_see, view_of
from synthema_hub.service.routes_sites import Fed
from synthema_hub.service.views import page_of, site_view, trail_view, waiting_view

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NEWEST = 100
_templates = Environment(loader=PackageLoader("synthema_hub.service"), autoescape=True, undefined=StrictUndefined)
_templates.filters["moment"] = lambda text: str(text)[:16].replace("T", " ") + " UTC"
_templates.filters["spoken"] = lambda text: str(text).replace("_", " ")
routes = APIRouter(include_in_schema=False)


def _render(template: str, login: LoginHere, **values: Any) -> HTMLResponse:
    text = _templates.get_template(template).render(prefix=login.prefix, **values)
    return HTMLResponse(text, headers=_HEADERS)


@routes.get("/")
def overview(user: Reader, federation: Fed, login: LoginHere) -> HTMLResponse:
    """The sites, the Requests that the caller may see, newest first, and for owners what waits for their decisions."""
    sites, owner = federation.membership.sites(), login.may(REVIEW, user) or login.may(OPERATE, user)
    seen = [record for record in reversed(federation.requests.all()) if may_see(record, user, login)]
    pages = {site.name: site.page for site in sites}
    queue = [(record, waiting_view(record, pages)) for record in seen if owner]
    return _render(
        "overview.html",
        login,
        user=user,
        owner=owner,
        sites=[site_view(site, online=federation.membership.is_online(site.name)) for site in sites],
        requests=[view_of(record, federation) for record in seen[:_NEWEST]],
        queue=[{"request": view_of(record, federation), "waits": waits} for record, waits in queue if waits],
    )


@routes.get("/requests/{identifier}")
def one_request(user: Reader, record: Visible, federation: Fed, login: LoginHere) -> HTMLResponse:
    is_author = record.plan.requester == user["name"]
    return _render(
        "request.html",
        login,
        user=user,
        request=view_of(record, federation),
        trail=trail_view(record),
        pages={site.name: page_of(site.page, record.request.id) for site in federation.membership.sites()},
        logs=[log.to_dict() for log in federation.logs.of(record.request.id)] if is_author else [],
    )
