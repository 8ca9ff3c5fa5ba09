"""The service's own pages in the browser: the queue and each Request, to read. Verdicts are given at the datasites."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from synthema_hub.service.login import OPERATE, REVIEW
from synthema_hub.service.routes_people import LoginHere, Reader, Visible, may_see
from synthema_hub.service.routes_sites import Fed
from synthema_hub.service.views import request_view, site_view, trail_view

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
    """The sites, and the Requests that the caller may see, newest first."""
    members = federation.membership
    seen = [record for record in reversed(federation.requests.all()) if may_see(record, user, login)]
    return _render(
        "overview.html",
        login,
        user=user,
        owner=login.may(REVIEW, user) or login.may(OPERATE, user),
        sites=[site_view(site, online=members.is_online(site.name)) for site in members.sites()],
        requests=[request_view(record, federation.jobs.progress(record.request.id)) for record in seen[:_NEWEST]],
    )


@routes.get("/requests/{identifier}")
def one_request(user: Reader, record: Visible, federation: Fed, login: LoginHere) -> HTMLResponse:
    pages = {site.name: site.page for site in federation.membership.sites()}
    view = request_view(record, federation.jobs.progress(record.request.id))
    return _render("request.html", login, user=user, request=view, trail=trail_view(record), pages=pages)
