"""A datasite's outbox and a hub's routes, put together: every message of the one is taken by the other, and once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.builders import KEYS, SITES, at
from support.code import aggregate, code_plan
from support.hub import STEWARDS, TrialHub, output_of
from synthema_core.canonical import Json
from synthema_core.code.failures import RunFailure
from synthema_core.journal import Draft
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import draft_of
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.hub_client import HubClient
from synthema_datasite.service.outbox import Outbox

SITE, STEWARD = "alder", "steward-alder"


class _Routes(httpx.BaseTransport):
    """Carries a site's calls to the hub's routes instead of to its gateway."""

    def __init__(self, hub: TrialHub) -> None:
        self._hub = hub

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        answer = self._hub.call(request.method, path, content=request.read(), headers=dict(request.headers))
        return httpx.Response(answer.status_code, content=answer.content)


class Line:
    """The hub, and the Journal of `alder` with its outbox."""

    def __init__(self, folder: Path) -> None:
        self.hub = TrialHub(folder)
        self.journal = SqliteJournal(folder / "alder.sqlite")
        ca, routes = self.hub.federation.ca_pem, _Routes(self.hub)
        client = HubClient("hub", ca, SITE, KEYS[SITE], self.hub.clock, transport=routes)
        self.outbox = Outbox(self.journal, client)
        self.place = 0

    def happens(self, request: str, verb: Verb, role: Role, **more: Any) -> None:
        """At the site; and the hub is told, and told again."""
        actor = SITE if role is Role.SITE else STEWARD
        with self.journal.writing() as journal:
            journal.append(draft_of(request, Event(verb, actor, role, at(), SITE, **more)))
        self.deliver()

    def deliver(self) -> None:
        before = self.place
        self.place = self.outbox.deliver(before)
        head = self.hub.journal.head()
        assert self.outbox.deliver(before) == self.place
        assert self.hub.journal.head() == head, "telling it twice does no harm"

    def others(self, what: Callable[[str], httpx.Response]) -> None:
        for site in SITES:
            if site != SITE:
                assert what(site).status_code == 200


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def computing(line: Line) -> str:
    hub = line.hub
    request = hub.submitted(code_plan(aggregate()), received=False)
    line.happens(request, Verb.RECEIVE, Role.SITE)
    assert hub.record(request).request.received == {SITE}
    line.happens(request, Verb.ASK, Role.STEWARD, detail={"text": "Why?"})
    assert [said["text"] for said in hub.view(request)["thread"]] == ["Why?"]
    line.happens(request, Verb.REVIEW, Role.STEWARD, verdict=True, detail=hub.review(request, SITE).to_dict())
    line.others(lambda site: hub.reviewed(request, site))
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING
    return request


def test_all_the_way_to_a_release_decision_and_back(line: Line) -> None:
    hub, request = line.hub, computing(line)
    line.happens(request, Verb.STAGE, Role.SITE, detail={"output": output_of(SITE), "sha256": "s", "job": "j"})
    clearance = hub.clearance(request, SITE, redacted=("years",)).to_dict()
    line.happens(request, Verb.CLEAR, Role.STEWARD, verdict=True, detail=clearance)
    assert hub.record(request).request.cleared == {SITE}
    line.others(lambda site: hub.stages(request, site))
    line.others(lambda site: hub.clears(request, site))
    assert hub.status(request) is Status.CLEARED
    line.happens(request, Verb.REVOKE, Role.STEWARD)
    assert hub.status(request) is Status.REVOKED


@pytest.mark.parametrize("kind", RunFailure)
def test_a_failure_and_the_log_that_a_steward_shares(line: Line, kind: RunFailure) -> None:
    hub, request = line.hub, computing(line)
    detail: dict[str, Json] = {"kind": kind.value, "failure": {}, "report": "secret"}
    line.happens(request, Verb.FAIL, Role.SITE, detail=detail)
    assert hub.status(request) is Status.FAILED
    with line.journal.writing() as journal:
        journal.append(
            Draft(f"shared-log/{request}", "share", STEWARD, at(), {"steward": STEWARD, "text": "x" * 30_000})
        )
    line.deliver()
    (log,) = hub.person("rosalind", "GET", f"api/requests/{request}/log").json()
    assert (log["site"], log["steward"], len(log["text"])) == (SITE, STEWARD, 20_000)
    assert "secret" not in json.dumps([dict(entry.body) for entry in hub.journal.all_entries()])


def test_an_approval_by_policy_is_signed_by_the_site(line: Line) -> None:
    request = line.hub.submitted()
    by_policy = line.hub.review(request, SITE, steward="policy:0000", key=KEYS[SITE]).to_dict()
    line.happens(request, Verb.REVIEW, Role.SITE, verdict=True, detail=by_policy)
    assert line.hub.record(request).request.verdicts == {SITE: True}
    forged = line.hub.review(request, SITE, steward="policy:0000", key=STEWARDS[SITE]).to_dict()
    other = line.hub.submitted()
    line.happens(other, Verb.REVIEW, Role.SITE, verdict=True, detail={**forged, "request": other})
    assert line.hub.record(other).request.verdicts == {}
