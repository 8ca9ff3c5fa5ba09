"""The federation service over a real Journal: who may do what, and that no verdict enters but a site's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from support.builders import KEYS, SITES, at, card, days_later, plan
from support.hub import OUTCOME, PEOPLE, PREFIX, STEWARDS, TrialHub
from support.listening import listening
from synthema_core.errors import (
    BudgetSpent,
    IntegrityFailure,
    InvalidInput,
    InvalidPlan,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    RoundFailed,
    SynthemaError,
    TransitionDenied,
    Unavailable,
    to_wire,
)
from synthema_core.plan import Plan
from synthema_core.release import Release
from synthema_core.request import Role, Status, Verb
from synthema_core.review import Verdict

MARKUP = "<script>alert('x')</script><b onclick=x>\"bold\"&amp;"
HTML = {"accept": "text/html"}


@pytest.fixture
def hub(tmp_path: Path) -> TrialHub:
    return TrialHub(tmp_path)


def error(response: httpx.Response, status: int) -> str:
    """The sentence of an answer that has that status and is an error of ours."""
    body = response.json()
    assert response.status_code == status, body
    assert set(body) >= {"error", "message", "hint"}
    return str(body["message"])


# Submitting.


def submit(hub: TrialHub, made: Plan, author: str = "rosalind") -> httpx.Response:
    return hub.person(author, "POST", "api/requests", json={"plan": made.to_dict(), "name": "km"})


def test_a_submitted_plan_becomes_a_request_of_its_author(hub: TrialHub) -> None:
    response = submit(hub, plan())
    assert response.status_code == 201
    view = response.json()
    assert (view["name"], view["status"], view["requester"]) == ("km", "submitted", "rosalind")
    assert hub.record(view["id"]).plan == plan()
    assert {site["verdict"] for site in view["sites"]} == {"waiting"}


def stranger(made: Plan, **changes: Any) -> Plan:
    first, *others = made.participants
    return replace(made, participants=(replace(first, **changes), *others))


@pytest.mark.parametrize(
    ("made", "status", "said"),
    [
        (plan(requester="john"), 403, "names 'john' as its requester"),
        (stranger(plan(), dataset="other"), 422, "does not offer version 1 of 'other'"),
        (stranger(plan(), version=2), 422, "does not offer version 2 of 'trial'"),
        (stranger(plan(), site="elm"), 422, "'elm' does not offer"),
        (stranger(plan(), commitment="0" * 64), 422, "another key or content for 'alder'"),
        (stranger(plan(), identity="0" * 64), 422, "another key or content for 'alder'"),
        (plan(schema="0" * 64), 422, "another key or content for 'alder'"),
        (plan(engine="0" * 64), 422, "now runs another engine version"),
        (replace(plan(), analysis="t-test"), 404, "no analysis 't-test'"),
        (plan(parameters={}), 422, ""),
    ],
)
def test_a_plan_that_no_site_could_accept_is_sent_back(hub: TrialHub, made: Plan, status: int, said: str) -> None:
    assert said in error(submit(hub, made), status)
    assert hub.federation.requests.all() == []


@pytest.mark.parametrize("body", [{}, {"plan": 5}, {"plan": {}}, {"plan": {**plan().to_dict(), "more": 1}}])
def test_what_is_not_a_plan_is_no_request(hub: TrialHub, body: dict[str, Any]) -> None:
    error(hub.person("rosalind", "POST", "api/requests", json=body), 422)
    assert hub.federation.requests.all() == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe"])
def test_a_body_that_is_not_an_object_is_refused(hub: TrialHub, content: bytes) -> None:
    assert "JSON object" in error(hub.person("rosalind", "POST", "api/requests", content=content), 422)


# Who sees and does what.


@pytest.mark.parametrize(
    ("name", "sees"), [("rosalind", True), ("john", False), ("maria", True), ("olga", True), ("guest", None)]
)
def test_a_request_is_seen_by_its_author_the_owners_and_the_operator(
    hub: TrialHub, name: str, sees: bool | None
) -> None:
    request, _ = hub.running()
    listed = hub.person(name, "GET", "api/requests")
    parts = ["", "/release", "/events"] if not sees else [""]
    if sees is None:
        assert "custom:federation:read" in error(listed, 403)
    else:
        assert [view["id"] for view in listed.json()] == [request] * sees
    expected = {True: 200, False: 404, None: 403}[sees]
    for part in parts:
        assert hub.person(name, "GET", f"api/requests/{request}{part}").status_code == expected
    assert hub.browser(name, f"requests/{request}").status_code == expected


@pytest.mark.parametrize("name", ["maria", "olga", "guest"])
def test_without_the_scope_nobody_submits_or_withdraws(hub: TrialHub, name: str) -> None:
    request = hub.submitted()
    assert "custom:federation:submit" in error(submit(hub, plan(requester=name), name), 403)
    error(hub.person(name, "POST", f"api/requests/{request}/withdrawal"), 403)
    assert [record.request.id for record in hub.federation.requests.all()] == [request]
    assert hub.status(request) is Status.UNDER_REVIEW


PERSONAL = ["api/me", "api/sites", "api/catalogue", "api/requests", "api/requests/r1", ""]


@pytest.mark.parametrize("path", PERSONAL)
@pytest.mark.parametrize(("token", "status"), [("", 401), ("forged", 401), ("outsider", 403)])
def test_every_route_of_people_needs_a_token_that_may_reach_the_service(
    hub: TrialHub, path: str, token: str, status: int
) -> None:
    error(hub.person(token, "GET", path), status)


def test_nobody_is_let_in_while_the_hub_does_not_say_who_they_are(hub: TrialHub) -> None:
    hub.oauth.is_away = True
    assert "does not say who calls" in error(hub.person("rosalind", "GET", "api/requests"), 503)


def test_only_its_author_withdraws_a_request(hub: TrialHub) -> None:
    request = hub.submitted()
    assert "Only its author" in error(hub.person("john", "POST", f"api/requests/{request}/withdrawal"), 403)
    assert hub.status(request) is Status.UNDER_REVIEW
    assert hub.person("rosalind", "POST", f"api/requests/{request}/withdrawal").json()["status"] == "withdrawn"
    error(hub.person("rosalind", "POST", f"api/requests/{request}/withdrawal"), 409)


def test_the_newest_requests_come_first(hub: TrialHub) -> None:
    first, second, third = (hub.submitted(plan(purpose=f"Number {number}")) for number in range(3))
    views = hub.person("rosalind", "GET", "api/requests?limit=2").json()
    assert [view["id"] for view in views] == [third, second]
    assert first in {view["id"] for view in hub.person("rosalind", "GET", "api/requests").json()}


def test_there_is_no_route_but_these(hub: TrialHub) -> None:
    """Whoever adds a route comes by here: the hub has none that approves."""
    reading, changing = set(), set()
    for found in iter_route_contexts(hub.app.routes):
        methods = {method for method in found.methods or () if method != "HEAD"}
        (reading if methods == {"GET"} else changing).add(str(found.path).removeprefix(PREFIX.rstrip("/")))
    assert changing == {
        "/api/requests",
        "/api/requests/{identifier}/withdrawal",
        "/api/requests/{identifier}/answer",
        "/internal/jobs/{job}/progress",
        "/internal/jobs/{job}/result",
        "/internal/jobs/{job}/failure",
        "/sites/join",
        "/sites/announce",
        "/sites/budgets",
        "/sites/requests/{identifier}/receipt",
        "/sites/requests/{identifier}/question",
        "/sites/reviews",
        "/sites/requests/{identifier}/revocation",
        "/sites/requests/{identifier}/staged",
        "/sites/clearances",
        "/sites/requests/{identifier}/failure",
        "/sites/requests/{identifier}/log",
        "/sites/heads",
    }
    assert reading == {
        "/",
        "/login",
        "/oauth_callback",
        "/openapi.json",
        "/requests/{identifier}",
        "/api/me",
        "/api/sites",
        "/api/catalogue",
        "/api/answers/{question_digest}",
        "/api/budgets",
        "/api/requests",
        "/api/requests/{identifier}",
        "/api/requests/{identifier}/plan",
        "/api/requests/{identifier}/log",
        "/api/requests/{identifier}/release",
        "/api/requests/{identifier}/events",
        "/internal/jobs/{job}",
        "/sites/ca",
        "/sites/feed",
    }


# Reviews come from the sites.


def test_a_review_of_each_steward_approves_the_request(hub: TrialHub) -> None:
    request = hub.submitted()
    for site in SITES:
        assert hub.status(request) is Status.UNDER_REVIEW
        assert hub.reviewed(request, site).status_code == 200
    assert hub.status(request) is Status.APPROVED
    assert hub.record(request).last(Verb.REVIEW).role is Role.STEWARD
    assert {site["by"] for site in hub.view(request)["sites"]} == {f"steward-{site}" for site in SITES}


def test_the_site_itself_approves_by_policy_with_its_identity(hub: TrialHub) -> None:
    request = hub.submitted()
    assert hub.reviewed(request, "alder", steward="policy:0000", key=KEYS["alder"]).status_code == 200
    assert hub.record(request).last(Verb.REVIEW).role is Role.SITE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": STEWARDS["birch"]}, "signature"),
        ({"key": KEYS["alder"]}, "signature"),
        ({"steward": "policy:0000"}, "signature"),
        ({"steward": "policy:0000", "key": KEYS["birch"]}, "signature"),
        ({"steward": "eve"}, "not a steward of 'alder'"),
        ({"steward": "steward-birch", "key": STEWARDS["birch"]}, "not a steward of 'alder'"),
        ({"site": "birch"}, "another site"),
        ({"site": "birch", "steward": "steward-birch", "key": STEWARDS["birch"]}, "another site"),
        ({"plan_digest": plan(purpose="Sell it").digest}, "another Plan"),
    ],
)
def test_a_review_that_is_not_this_sites_stewards_over_this_plan_does_not_enter(
    hub: TrialHub, changes: dict[str, Any], said: str
) -> None:
    request = hub.submitted()
    forged = hub.review(request, "alder", **changes).to_dict()
    before = hub.journal.head()
    assert said in error(hub.site("alder", "POST", "/sites/reviews", forged), 422)
    assert hub.journal.head() == before


@pytest.mark.parametrize("change", [{"verdict": "rejected"}, {"reason": "No."}, {"expires_at": at(25)}])
def test_a_review_changed_after_it_was_signed_does_not_enter(hub: TrialHub, change: dict[str, str]) -> None:
    request = hub.submitted()
    true = {**hub.review(request, "alder", reason="Fine.").to_dict(), **change}
    assert "signature" in error(hub.site("alder", "POST", "/sites/reviews", true), 422)
    assert hub.record(request).request.verdicts == {}


def test_a_review_of_another_request_for_the_same_question_does_not_count_twice(hub: TrialHub) -> None:
    """The same Plan submitted twice: each Request needs its own Review."""
    first, second = hub.submitted(), hub.submitted()
    moved = {**hub.review(first, "alder").to_dict(), "request": second}
    assert "signature" in error(hub.site("alder", "POST", "/sites/reviews", moved), 422)
    assert hub.record(second).request.verdicts == {}


def test_a_steward_who_asked_does_not_approve(hub: TrialHub) -> None:
    hub.announce("alder", stewards={"rosalind": card("alder").identity})
    request = hub.submitted()
    assert "own request" in error(hub.reviewed(request, "alder", steward="rosalind", key=KEYS["alder"]), 409)
    assert hub.record(request).request.verdicts == {}


def test_a_site_that_is_not_asked_has_no_say(tmp_path: Path) -> None:
    hub = TrialHub(tmp_path, (*SITES, "douglas"))
    request = hub.submitted()
    assert "not asked" in error(hub.reviewed(request, "douglas"), 409)
    error(hub.site("douglas", "POST", f"/sites/requests/{request}/receipt"), 409)
    body = {"steward": "steward-douglas", "at": at()}
    error(hub.site("douglas", "POST", f"/sites/requests/{request}/revocation", body), 409)
    assert hub.record(request).request.verdicts == {}
    assert hub.status(request) is Status.UNDER_REVIEW


def test_what_a_site_sends_twice_is_recorded_once(hub: TrialHub) -> None:
    request = hub.submitted()
    revocation = {"steward": "steward-alder", "at": at()}
    for path, body in (
        (f"/sites/requests/{request}/receipt", None),
        ("/sites/reviews", hub.review(request, "alder").to_dict()),
        (f"/sites/requests/{request}/revocation", revocation),
    ):
        assert hub.site("alder", "POST", path, body).status_code == 200
        before = hub.journal.head()
        assert hub.site("alder", "POST", path, body).status_code == 200
        assert hub.journal.head() == before


def test_a_sites_second_verdict_changes_nothing(hub: TrialHub) -> None:
    request = hub.submitted()
    hub.reviewed(request, "alder")
    hub.reviewed(request, "alder", verdict=Verdict.REJECTED, reason="On second thoughts.")
    assert hub.record(request).request.verdicts == {"alder": True}
    assert hub.status(request) is Status.UNDER_REVIEW


def test_one_rejection_ends_the_request(hub: TrialHub) -> None:
    request = hub.submitted()
    hub.reviewed(request, "alder")
    assert hub.reviewed(request, "birch", verdict=Verdict.REJECTED, reason="Too fine.").status_code == 200
    assert hub.status(request) is Status.REJECTED
    assert [site["reason"] for site in hub.view(request)["sites"]] == ["", "Too fine.", ""]
    hub.reviewed(request, "cedar")
    hub.federation.jobs.tend()
    assert (hub.status(request), hub.flower.runs) == (Status.REJECTED, {})


def test_a_revoked_approval_ends_the_request_before_it_runs(hub: TrialHub) -> None:
    request = hub.approved()
    body = {"steward": "steward-birch", "at": at()}
    assert hub.site("birch", "POST", f"/sites/requests/{request}/revocation", body).status_code == 200
    hub.federation.jobs.tend()
    assert (hub.status(request), hub.flower.runs) == (Status.REVOKED, {})


def test_a_running_job_is_not_revoked(hub: TrialHub) -> None:
    request, _ = hub.running()
    body = {"steward": "steward-birch", "at": at()}
    error(hub.site("birch", "POST", f"/sites/requests/{request}/revocation", body), 409)
    assert hub.status(request) is Status.RUNNING


@pytest.mark.parametrize("body", [{}, {"steward": "maria"}, {"at": at()}, {"steward": "maria", "at": "yesterday"}])
def test_a_revocation_says_who_and_when(hub: TrialHub, body: dict[str, str]) -> None:
    request = hub.approved()
    error(hub.site("birch", "POST", f"/sites/requests/{request}/revocation", body), 422)
    assert hub.status(request) is Status.APPROVED


# Jobs.


def test_nothing_starts_before_the_last_site_has_approved(hub: TrialHub) -> None:
    request = hub.submitted()
    for site in SITES[:-1]:
        hub.reviewed(request, site)
        hub.federation.jobs.tend()
        assert (hub.status(request), hub.flower.runs) == (Status.UNDER_REVIEW, {})
    hub.reviewed(request, SITES[-1])
    hub.federation.jobs.tend()
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING
    assert hub.flower.runs == {1: {"job": hub.record(request).job, "service": "http://service"}}, "and once"


def waits(hub: TrialHub, request: str) -> str:
    """What people read while an approved Request waits."""
    hub.federation.jobs.tend()
    assert (hub.status(request), hub.flower.runs) == (Status.APPROVED, {})
    return str(hub.view(request)["progress"]["text"])


def test_an_approved_request_waits_until_every_node_is_connected(hub: TrialHub) -> None:
    request = hub.approved()
    hub.flower.asleep = {"node-birch", "node-cedar"}
    assert waits(hub, request) == "Approved. Waiting for birch, cedar to come online."
    hub.flower.asleep = {"node-cedar"}
    assert waits(hub, request) == "Approved. Waiting for cedar to come online."
    assert "Waiting for cedar" in hub.browser("rosalind", f"requests/{request}").text
    hub.flower.asleep = set()
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING
    assert hub.view(request)["progress"] is None, "nobody is waited for any more"


def test_an_approved_request_waits_for_a_site_that_has_not_called_lately(hub: TrialHub) -> None:
    request = hub.approved()
    hub.clock.now = days_later(1)
    hub.federation.membership.saw("alder")
    assert waits(hub, request) == "Approved. Waiting for birch, cedar to come online."
    online = {site["site"]: site["online"] for site in hub.person("rosalind", "GET", "api/sites").json()}
    assert online == {"alder": True, "birch": False, "cedar": False}


def test_an_approved_request_waits_for_the_superlink(hub: TrialHub) -> None:
    request = hub.approved()
    hub.flower.is_away = True
    assert waits(hub, request) == "Approved. Waiting for the SuperLink to come online."


@pytest.mark.parametrize("token", ["", "x" * 43, "Bearer", "é"])
def test_the_coordinators_routes_take_the_job_token_only(hub: TrialHub, token: str) -> None:
    request, job = hub.running()
    calls = [("GET", job, None), *(("POST", f"{job}/{what}", {}) for what in ("progress", "result", "failure"))]
    for method, path, body in calls:
        headers = {"authorization": f"Bearer {token}".encode()}
        error(hub.call(method, f"/internal/jobs/{path}", headers=headers, json=body), 401)
        error(hub.call(method, f"/internal/jobs/{path}", json=body), 401)
    error(hub.call("GET", f"/internal/jobs/{job}", headers={"authorization": "Bearer rosalind"}), 401)
    assert hub.status(request) is Status.RUNNING


def test_a_ticket_is_handed_out_while_the_job_runs(hub: TrialHub) -> None:
    request, job = hub.running()
    ticket = hub.coordinator("GET", job).json()
    assert (ticket["job"], ticket["request"]) == (job, request)
    assert Plan.from_dict(ticket["plan"]) == hub.record(request).plan
    assert ticket["nodes"] == {site: str(hub.flower.nodes[f"node-{site}"]) for site in SITES}
    error(hub.coordinator("GET", "another"), 404)
    hub.coordinator("POST", f"{job}/failure", json=to_wire(RoundFailed("A site was missing.")))
    error(hub.coordinator("GET", job), 404)
    error(hub.coordinator("POST", f"{job}/progress", json={"text": "Still here."}), 404)


def test_a_ticket_is_handed_out_after_a_restart_of_the_service(hub: TrialHub, tmp_path: Path) -> None:
    request, job = hub.running()
    again = TrialHub(tmp_path, ())
    assert again.coordinator("GET", job).json()["request"] == request


def test_progress_is_shown(hub: TrialHub) -> None:
    request, job = hub.running()
    progress = {"round": 1, "max_rounds": 4, "text": "Round 1 of at most 4."}
    assert hub.coordinator("POST", f"{job}/progress", json=progress).json() == {"job": job}
    assert hub.view(request)["progress"] == progress
    assert "Round 1 of at most 4." in hub.browser("rosalind", f"requests/{request}").text


def test_a_result_becomes_a_release_signed_by_the_hub(hub: TrialHub) -> None:
    request, job = hub.running()
    hub.clock.now = days_later(1 / 86400)
    assert "no result yet: it is running" in error(
        hub.person("rosalind", "GET", f"api/requests/{request}/release"), 404
    )
    assert hub.coordinator("POST", f"{job}/result", json=OUTCOME).status_code == 200
    release = Release.from_dict(hub.person("rosalind", "GET", f"api/requests/{request}/release").json())
    release.check_signature(hub.federation.hub_key)
    with pytest.raises(IntegrityFailure):
        replace(release, result={}).check_signature(hub.federation.hub_key)
    record = hub.record(request)
    assert record.request.status is Status.RELEASED
    assert (release.request, release.job, release.plan_digest) == (request, job, record.plan.digest)
    assert (release.sites, release.datasets, release.seconds) == (SITES, ("trial",), 1.0)
    assert release.guarantee.kind == "exact"
    assert hub.view(request)["release"] == release.id


def test_a_job_keeps_its_first_outcome(hub: TrialHub) -> None:
    request, job = hub.running()
    hub.coordinator("POST", f"{job}/result", json=OUTCOME)
    before = hub.journal.head()
    for path, body in (("result", {**OUTCOME, "rounds": 9}), ("failure", to_wire(RoundFailed("Late.")))):
        assert hub.coordinator("POST", f"{job}/{path}", json=body).status_code == 200
    assert (hub.journal.head(), hub.status(request)) == (before, Status.RELEASED)


def test_a_private_release_after_an_exact_one_promises_nothing_end_to_end(hub: TrialHub) -> None:
    def guarantee() -> str:
        request, job = hub.running(plan("histogram", epsilon=0.5))
        hub.coordinator("POST", f"{job}/result", json={**OUTCOME, "noise_standard_deviation": 3.0})
        return str(hub.person("rosalind", "GET", f"api/requests/{request}/release").json()["guarantee"]["statement"])

    assert "No end-to-end" not in guarantee()
    _, job = hub.running()
    hub.coordinator("POST", f"{job}/result", json=OUTCOME)
    assert "No end-to-end DP guarantee" in guarantee()


def test_a_failure_is_recorded_and_shown(hub: TrialHub) -> None:
    request, job = hub.running()
    failure = to_wire(Refused("A rule of 'birch' says no.", "Ask there.", rule="min_patients"))
    hub.coordinator("POST", f"{job}/failure", json=failure)
    assert (hub.status(request), hub.view(request)["failure"]) == (Status.FAILED, failure)
    page = hub.browser("rosalind", f"requests/{request}").text
    assert "A rule of &#39;birch&#39; says no." in page and "Ask there." in page


def test_a_run_that_ended_without_a_result_has_failed(hub: TrialHub) -> None:
    request, job = hub.running()
    hub.flower.ended = {1}
    hub.flower.is_away = True
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING, "a dead SuperLink says nothing about the run"
    hub.flower.is_away = False
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.FAILED
    assert "ended without a result" in hub.view(request)["failure"]["message"]
    error(hub.coordinator("GET", job), 404)


def test_a_request_expires_when_its_first_approval_does(hub: TrialHub) -> None:
    request = hub.submitted()
    for site in SITES:
        hub.reviewed(request, site, expires_at=at(5 if site == "birch" else 20))
    hub.flower.asleep = {"node-cedar"}
    hub.later(4.9)
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.APPROVED
    hub.flower.asleep = set()
    hub.later(5)
    hub.federation.jobs.tend()
    assert (hub.status(request), hub.flower.runs) == (Status.EXPIRED, {})


def test_a_running_job_does_not_expire(hub: TrialHub) -> None:
    request, _ = hub.running()
    hub.later(31)
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING


# The stream of events.


def test_the_stream_tells_every_change_and_ends_with_the_request(hub: TrialHub) -> None:
    request = hub.submitted()
    record = hub.record(request)
    steps: list[Callable[[], Any]] = [
        *(
            lambda site=site: hub.federation.mirror.review(
                hub.review(request, site), hub.federation.membership.site(site)
            )
            for site in SITES
        ),
        lambda: hub.federation.requests.withdraw(request, record.request.author),
    ]
    views = asyncio.run(listening(hub, request, steps))
    approvals = [sum(site["verdict"] == "approved" for site in view["sites"]) for view in views]
    assert approvals == [0, 1, 2, 3, 3]
    assert [view["status"] for view in views] == ["under_review"] * 3 + ["approved", "withdrawn"]


def test_the_stream_of_an_ended_request_tells_its_end_and_closes(hub: TrialHub) -> None:
    request = hub.submitted()
    hub.federation.requests.withdraw(request, "rosalind")
    assert [view["status"] for view in asyncio.run(listening(hub, request, []))] == ["withdrawn"]


# Logins in the browser.


@pytest.mark.parametrize("header", [None, "XMLHttpRequest"])
def test_a_change_by_cookie_alone_is_refused(hub: TrialHub, header: str | None) -> None:
    """Another web page can make a browser send its cookie, and cannot make it send this header."""
    request = hub.submitted()
    headers = {"x-requested-with": header} if header else {}
    error(hub.browser("rosalind", f"api/requests/{request}/withdrawal", "POST", **headers), 403)
    assert hub.status(request) is Status.UNDER_REVIEW
    headers = {"x-requested-with": "synthema"}
    assert hub.browser("rosalind", f"api/requests/{request}/withdrawal", "POST", **headers).status_code == 200


def test_a_page_without_a_login_leads_to_it_and_back(hub: TrialHub) -> None:
    response = hub.call("GET", f"{PREFIX}requests/r1", headers=HTML)
    assert response.status_code == 307
    assert response.headers["location"] == f"{PREFIX}login?target=%2Fservices%2Ffederation%2Frequests%2Fr1"
    begun = hub.call("GET", response.headers["location"])
    url = httpx.URL(begun.headers["location"])
    assert (begun.status_code, url.path) == (307, hub.oauth.oauth_authorization_url)
    assert dict(url.params) | {"state": ""} == {
        "client_id": "service-federation",
        "redirect_uri": hub.oauth.oauth_redirect_uri,
        "response_type": "code",
        "state": "",
    }
    hub.oauth.codes["good"] = "rosalind"
    cookie = begun.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and f"Path={PREFIX}" in cookie
    done = finish(hub, cookie.partition(";")[0], code="good", state=url.params["state"])
    assert (done.status_code, done.headers["location"]) == (307, f"{PREFIX}requests/r1")
    login, forgotten = done.headers.get_list("set-cookie")
    assert login.startswith("synthema-federation=rosalind;") and "HttpOnly" in login and "SameSite=lax" in login
    assert forgotten.startswith('synthema-federation-login="";')


def finish(hub: TrialHub, cookie: str, **query: str) -> httpx.Response:
    headers = {"cookie": cookie} if cookie else {}
    return hub.call("GET", f"{PREFIX}oauth_callback", params=query, headers=headers)


BEGUN = f'synthema-federation-login="right {PREFIX}"'


@pytest.mark.parametrize(
    ("cookie", "code", "state", "said"),
    [
        (BEGUN, "good", "wrong", "not begun here"),
        (BEGUN, "good", "", "not begun here"),
        (BEGUN, "good", "rïght", "not begun here"),
        ("", "good", "right", "not begun here"),
        ("", "good", "", "not begun here"),
        (BEGUN, "forged", "right", "does not confirm"),
    ],
)
def test_a_login_that_was_not_begun_here_sets_no_cookie(
    hub: TrialHub, cookie: str, code: str, state: str, said: str
) -> None:
    hub.oauth.codes["good"] = "mallory"
    response = finish(hub, cookie, code=code, state=state)
    assert said in error(response, 401)
    assert "set-cookie" not in response.headers


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
    "/hub/logout",
    "services/federation/",
]


@pytest.mark.parametrize("target", [*ELSEWHERE, f"{PREFIX}€"])
def test_a_login_leads_back_into_the_service_only(hub: TrialHub, target: str) -> None:
    hub.oauth.codes["good"] = "rosalind"
    begun = hub.call("GET", f"{PREFIX}login", params={"target": target})
    state = httpx.URL(begun.headers["location"]).params["state"]
    cookie = begun.headers["set-cookie"].partition(";")[0]
    assert "evil" not in cookie
    assert finish(hub, cookie, code="good", state=state).headers["location"] == PREFIX


@pytest.mark.parametrize("target", ELSEWHERE)
def test_a_cookie_from_elsewhere_leads_nowhere_else(hub: TrialHub, target: str) -> None:
    hub.oauth.codes["good"] = "rosalind"
    done = finish(hub, f'synthema-federation-login="right {target}"', code="good", state="right")
    assert done.headers["location"] == PREFIX


# Errors at the edge.


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (NotAuthenticated("Who?", "Log in."), 401),
        (NotPermitted("No.", "Ask."), 403),
        (NotFound("None.", "Look."), 404),
        (TransitionDenied("Over.", "Submit again."), 409),
        (Refused("No.", "Ask.", rule="min_patients"), 409),
        (BudgetSpent("Spent.", "Ask."), 409),
        (IntegrityFailure("Broken.", "Restore."), 422),
        (InvalidInput("Bad.", "Mend."), 422),
        (InvalidPlan("Bad.", "Mend."), 422),
        (Unavailable("Away.", "Wait."), 503),
        (RoundFailed("Ended.", "Again."), 500),
        (SynthemaError("Something.", "Somewhere."), 500),
    ],
)
def test_an_error_of_ours_keeps_its_words_and_has_its_status(hub: TrialHub, raised: SynthemaError, status: int) -> None:
    async def refuse() -> None:
        raise raised

    hub.app.add_api_route("/refuse", refuse)
    response = hub.call("GET", "/refuse")
    assert (response.status_code, response.json()) == (status, to_wire(raised))


def test_an_error_that_is_not_ours_tells_nothing(hub: TrialHub) -> None:
    async def fall() -> None:
        raise ValueError("a row's value")

    hub.app.add_api_route("/fall", fall)
    response = hub.call("GET", "/fall")
    assert (response.status_code, response.text) == (500, "Internal Server Error")


# The pages.


def pages_of(hub: TrialHub, request: str, name: str = "rosalind") -> list[httpx.Response]:
    return [hub.browser(name, path) for path in ("", f"requests/{request}")]


def hostile(hub: TrialHub) -> str:
    """A Request in which everything that somebody types is markup."""
    hub.announce("birch", page=f'javascript:alert(1)//"{MARKUP}')
    hub.announce("cedar", page=f'https://x"{MARKUP}/')
    hub.announce("alder", stewards={MARKUP: card("alder").identity})
    request = hub.submitted(plan(purpose=MARKUP), name=MARKUP)
    response = hub.reviewed(
        request, "alder", steward=MARKUP, key=KEYS["alder"], verdict=Verdict.REJECTED, reason=MARKUP
    )
    assert response.status_code == 200
    return request


def test_the_pages_show_hostile_text_as_text(hub: TrialHub) -> None:
    request = hostile(hub)
    overview, one = (page.text for page in pages_of(hub, request))
    for page in (overview, one):
        assert "&lt;script&gt;" in page
        assert "<script" not in page and "<b onclick" not in page and "javascript:alert(1)//&#34;" not in page.lower()
        assert 'href="javascript:' not in page
    assert one.count("&lt;b onclick=x&gt;") >= 4, "purpose, steward, reason, history"


def test_a_failures_text_is_escaped(hub: TrialHub) -> None:
    request, job = hub.running()
    hub.coordinator("POST", f"{job}/progress", json={"text": MARKUP})
    assert "<b onclick" not in hub.browser("rosalind", f"requests/{request}").text
    hub.coordinator("POST", f"{job}/failure", json=to_wire(RoundFailed(MARKUP, MARKUP)))
    page = hub.browser("rosalind", f"requests/{request}").text
    assert "<b onclick" not in page and page.count("&lt;b onclick=x&gt;") == 2


def test_the_pages_forbid_scripts_and_storing(hub: TrialHub) -> None:
    for page in pages_of(hub, hub.submitted()):
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src" not in policy and "frame-ancestors 'self'" in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["rosalind", "maria", "olga"])
def test_there_is_nothing_to_press_on_the_pages(hub: TrialHub, name: str) -> None:
    for page in pages_of(hub, hub.submitted(), name):
        assert page.status_code == 200
        assert not any(f"<{element}" in page.text for element in ("form", "button", "input", "script", "iframe"))


def test_a_steward_is_led_to_the_datasite(hub: TrialHub) -> None:
    request = hub.submitted()
    hub.reviewed(request, "alder")
    page = hub.browser("maria", f"requests/{request}").text
    assert f'href="https://birch.example/requests/{request}"' in page
    assert f'href="https://alder.example/requests/{request}"' not in page, "it has decided"
    assert "steward-alder" in page


def test_the_overview_shows_what_the_caller_may_see(hub: TrialHub) -> None:
    hub.submitted(plan(purpose="Rosalind's question"))
    hub.submitted(plan(purpose="John's question", requester="john"))
    seen = {name: hub.browser(name, "").text for name in PEOPLE if name not in ("guest", "outsider")}
    for name, text in seen.items():
        assert ("Rosalind&#39;s question" in text) is (name != "john")
        assert ("John&#39;s question" in text) is (name != "rosalind")
        assert "Alder Hospital" in text and "trial (version 1)" in text


# The loop that tends the jobs.


def test_the_service_starts_an_approved_job_by_itself_and_survives_a_failure(
    hub: TrialHub, caplog: pytest.LogCaptureFixture
) -> None:
    request = hub.submitted()
    for site in SITES[:-1]:
        hub.reviewed(request, site)
    last = hub.review(request, SITES[-1]), hub.federation.membership.site(SITES[-1])
    hub.flower.troubles = [ValueError("once")]

    async def serve() -> None:
        async with hub.app.router.lifespan_context(hub.app):
            await asyncio.to_thread(hub.federation.mirror.review, *last)
            await until(lambda: not hub.flower.troubles)
            hub.federation.changes.ring()
            await until(lambda: hub.status(request) is Status.RUNNING)

    asyncio.run(serve())
    assert "Tending the jobs failed" in caplog.text


async def until(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")
