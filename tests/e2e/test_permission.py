"""Nothing runs without every hospital's own approval, whoever asks and whatever the hub says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from support.running import KAPLAN_MEIER, Running, wait_for
from synthema_core.errors import Refused, Unavailable
from synthema_core.plan import Plan
from synthema_core.request import Status, Verb
from synthema_hub.state import HubState

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]


def never_started(federation: Running, request: str) -> bool:
    return all(federation.record(site, request).last(Verb.START) is None for site in federation.sites)


def test_one_rejection_ends_the_request_everywhere_and_nothing_runs(federation: Running) -> None:
    request = federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="unwanted")
    first, second, *others = federation.sites
    federation.approve(request, [first])
    federation.review(second, "reject", request, "--reason", "Too fine a grid for us.")
    view = federation.wait_until_ended(request)
    assert view["status"] == "rejected" and view["release"] is None
    with pytest.raises(Refused, match="Too fine a grid"):
        federation.session().release(request)
    for site in (first, *others):
        wait_for(lambda site=site: federation.record(site, request).request.status is Status.REJECTED, f"{site} knew")
    assert never_started(federation, request)
    with pytest.raises(Unavailable, match="cannot review"):
        federation.review(others[0], "approve", request)


def test_a_request_that_one_site_has_not_approved_waits(federation: Running) -> None:
    request = federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="waiting")
    federation.approve(request, federation.sites[1:])
    wait_for(lambda: _approvals(federation, request) == len(federation.sites) - 1, "the hub knew of the approvals")
    assert federation.status(request) == "under_review"
    assert never_started(federation, request)
    federation.session().withdraw(request)
    assert federation.wait_until_ended(request)["status"] == "withdrawn"


def _approvals(federation: Running, request: str) -> int:
    return sum(site["verdict"] == "approved" for site in federation.session().client.request(request)["sites"])


@contextmanager
def lying_service(ticket: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What a hostile hub tells its coordinator; and the outcomes the coordinator delivers."""
    outcomes: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(ticket)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if not self.path.endswith("/progress"):
                outcomes.append({"path": self.path, **body})
            self._answer({})

        def _answer(self, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", outcomes
    finally:
        server.shutdown()
        server.server_close()


def run_as_hostile_hub(federation: Running, request: str, plan: Plan, job: str) -> dict[str, Any]:
    """Start a Job past the federation service, with the hub's own keys; its outcome."""
    members = httpx.get(
        f"{federation.service}/api/sites", headers={"authorization": f"Bearer {federation.token()}"}
    ).json()
    assert {member["site"] for member in members} >= set(plan.sites)
    nodes = _nodes(federation)
    ticket = {"job": job, "request": request, "plan": plan.to_dict(), "nodes": nodes}
    with lying_service(ticket) as (url, outcomes):
        federation.flower().start_run({"job": job, "service": url})
        wait_for(lambda: outcomes, "the coordinator had delivered an outcome")
    return outcomes[0]


def _nodes(federation: Running) -> dict[str, str]:
    from synthema_core.sqlite_journal import SqliteJournal
    from synthema_hub.service.records import site_record

    journal = SqliteJournal(HubState(federation.local.hub_state).journal_path)
    return {site: str(site_record(journal, site).node) for site in federation.sites}


def plan_of(federation: Running, request: str) -> Plan:
    return Plan.from_dict(federation.session().client.request(request)["plan"])


def test_a_hostile_hub_cannot_run_what_nobody_approved(federation: Running) -> None:
    request = federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="unapproved")
    for site in federation.sites:
        wait_for(lambda site=site: federation.has_received(site, request), f"{site} had it")
    outcome = run_as_hostile_hub(federation, request, plan_of(federation, request), "hostile-1")
    assert outcome["path"].endswith("/failure") and "'approval'" in outcome["message"]
    assert never_started(federation, request)
    federation.session().withdraw(request)


def test_a_plan_changed_after_its_approval_is_refused_at_the_site(federation: Running) -> None:
    request = federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="changed")
    federation.approve(request, federation.sites[1:])  # the last one keeps the honest hub from starting it
    changed = replace(plan_of(federation, request), purpose="Something else altogether")
    outcome = run_as_hostile_hub(federation, request, changed, "hostile-2")
    assert outcome["path"].endswith("/failure") and "'plan-digest'" in outcome["message"]
    assert never_started(federation, request)
    federation.session().withdraw(request)


def test_a_lone_site_of_a_job_reveals_nothing_although_it_approved(federation: Running) -> None:
    """The hub starts the Job although one site has not approved: those that have open it, and no Round comes about."""
    request = federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="alone")
    federation.approve(request, federation.sites[1:])
    outcome = run_as_hostile_hub(federation, request, plan_of(federation, request), "hostile-3")
    assert outcome["path"].endswith("/failure") and "'approval'" in outcome["message"]
    consumed = [federation.record(site, request).request.status for site in federation.sites[1:]]
    assert set(consumed) <= {Status.RUNNING, Status.APPROVED, Status.WITHDRAWN}
    federation.session().withdraw(request)
