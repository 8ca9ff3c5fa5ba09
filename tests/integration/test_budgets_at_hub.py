"""Where the sites' Budgets stand: told by each site of itself, kept by the hub, others' charges shown as one sum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.budgets import charge, told
from support.builders import KEYS, SITES, card, plan
from support.hub import TrialHub
from support.hub_calls import error
from support.site import TrialSite
from support.spending import spend, spending_site
from synthema_core.public_budget import PublicBudget
from synthema_core.signed_request import SITE
from synthema_datasite.hub_client import HubClient
from synthema_datasite.service.hub_line import HubLine
from synthema_datasite.state import HubContact
from synthema_hub.store.newest_budgets import NewestBudgets


@pytest.fixture
def hub(tmp_path: Path) -> TrialHub:
    return TrialHub(tmp_path)


def tells(hub: TrialHub, site: str, *budgets: PublicBudget) -> httpx.Response:
    return hub.site(site, "POST", "/sites/budgets", {"budgets": [one.to_dict() for one in budgets]})


def shown(hub: TrialHub, name: str = "rosalind", query: str = "") -> list[dict[str, Any]]:
    answer = hub.person(name, "GET", f"api/budgets{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def test_a_researcher_sees_their_own_charges_by_request_and_others_as_one_sum(hub: TrialHub) -> None:
    mine = hub.submitted(plan("histogram"))
    theirs = hub.submitted(plan("histogram", requester="john", purpose="A secret purpose"))
    made = [
        charge(mine, 1.0, "rosalind", "Does arm B live longer?"),
        charge(theirs, 0.5, "john", "A secret purpose"),
        charge("gone", 0.5, "eve", "Another purpose"),
    ]
    assert tells(hub, "alder", told(*made)).status_code == 200
    (view,) = shown(hub, query="?dataset=trial&purpose=Does%20arm%20B%20live%20LONGER%3F")
    (line,) = view["mine"]
    assert (line["request"], line["name"], line["purpose"]) == (mine, "km", "Does arm B live longer?")
    assert view["others"]["requests"] == 2
    whole = told(*made).standing
    assert line["share"] + view["others"]["share"] == pytest.approx(whole.share)
    assert (list(view["requesters"]), list(view["purposes"])) == (["rosalind"], ["does arm b live longer?"])
    text = json.dumps(view)
    for secret in ("john", "eve", "secret", theirs, "gone"):
        assert secret not in text
    assert view["spent"] == whole.spent_epsilon, "the whole is for everybody"
    assert [one["site"] for one in shown(hub, "john")] == ["alder"]
    assert shown(hub, "john")[0]["mine"][0]["request"] == theirs


@pytest.mark.parametrize("name", ["maria", "olga"])
def test_who_only_reads_sees_the_sums(hub: TrialHub, name: str) -> None:
    tells(hub, "alder", told(charge(hub.submitted(plan("histogram")), 1.0, "rosalind")))
    (view,) = shown(hub, name)
    assert (view["mine"], view["requesters"], view["others"]["requests"]) == ([], {}, 1)


@pytest.mark.parametrize(("token", "status"), [("", 401), ("forged", 401), ("guest", 403)])
def test_nobody_else_sees_anything(hub: TrialHub, token: str, status: int) -> None:
    error(hub.person(token, "GET", "api/budgets"), status)


def test_a_site_speaks_of_itself_alone_and_the_newest_counts(hub: TrialHub) -> None:
    tells(hub, "alder", told(charge("r1", 1.0, "john")))
    tells(hub, "birch", told())
    tells(hub, "alder", told(charge("r1", 2.0, "john")), told(patients="clinic", datasets=("other",)))
    assert [(one["site"], one["patients"]) for one in shown(hub)] == [
        ("alder", "all"),
        ("alder", "clinic"),
        ("birch", "all"),
    ]
    assert shown(hub)[0]["spent"] == told(charge("r1", 2.0, "john")).standing.spent_epsilon
    assert [one["site"] for one in shown(hub, query="?dataset=other")] == ["alder"]
    stranger = hub.site("alder", "POST", "/sites/budgets", {"budgets": []}, **{SITE: "birch"})
    assert stranger.status_code == 401
    assert len(shown(hub)) == 3


@pytest.mark.parametrize("body", [{}, {"budgets": {}}, {"budgets": [7]}, {"budgets": [{}]}])
def test_what_is_no_standing_leaves_the_one_before(hub: TrialHub, body: dict[str, Any]) -> None:
    tells(hub, "alder", told())
    error(hub.site("alder", "POST", "/sites/budgets", body), 422)
    assert len(shown(hub)) == 1


def test_the_newest_standing_outlives_the_service_and_a_broken_file(hub: TrialHub) -> None:
    tells(hub, "alder", told(charge("r1", 1.0, "john")))
    tells(hub, "birch", told())
    again = NewestBudgets(hub.state.budgets_folder)
    assert again.of("alder")[0].to_dict() == told(charge("r1", 1.0, "john")).to_dict()
    (hub.state.budgets_folder / "birch.json").write_text("[{")
    assert NewestBudgets(hub.state.budgets_folder).of("birch") == ()


# From a real site.


class _Routes(httpx.BaseTransport):
    """Carries a site's calls to the hub's routes, and keeps their paths."""

    def __init__(self, hub: TrialHub) -> None:
        self._hub = hub
        self.paths: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        answer = self._hub.call(request.method, path, content=request.read(), headers=dict(request.headers))
        self.paths.append(path)
        return httpx.Response(answer.status_code, content=answer.content)


def line_of(here: TrialSite, hub: TrialHub) -> tuple[HubLine, _Routes]:
    routes = _Routes(hub)
    hub.announce("alder", cards=[card("alder").to_dict()])
    client = HubClient("hub", hub.federation.ca_pem, "alder", KEYS["alder"], hub.clock, transport=routes)
    here.state.keep_contact(HubContact("hub", hub.federation.hub_key, "1"), hub.federation.ca_pem)
    return HubLine(here.site, client, "http://page/", lambda *_: None), routes


def test_a_site_tells_its_standing_when_it_changes_and_only_then(hub: TrialHub, tmp_path: Path) -> None:
    here = spending_site(tmp_path / "site")
    line, routes = line_of(here, hub)
    line._tell_budgets()
    (before,) = shown(hub)
    assert (before["datasets"], before["spent"], before["promised"]) == (["trial"], 0.0, 0.0)
    line._tell_budgets()
    assert routes.paths == ["/sites/budgets"], "nothing has changed"
    claim = spend(here, "r1", epsilon=1.0)
    line._tell_budgets()
    (after,) = shown(hub)
    assert after["cumulative"] == pytest.approx(claim.spent)
    assert after["reserved"] == pytest.approx(1.0, abs=0.01), "its Job is under way"
    assert after["others"]["requests"] == 1
    assert set(after["shares"]) == {"spent", "reserved", "promised"}
    assert [site for site in SITES if site in {one["site"] for one in shown(hub)}] == ["alder"]
