"""Who gets in where: nobody without a key, a token or an invitation, and nobody further than his door."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from support.running import KAPLAN_MEIER, Running
from synthema_core.errors import NotAuthenticated, NotPermitted, Unavailable
from synthema_datasite.federated.fleet_link import FleetLink
from synthema_datasite.hub_client import HubClient, join_federation
from synthema_datasite.state import SiteState
from synthema_hub.certificates import ensure
from synthema_hub.state import HubState
from synthema_kernel.client import FederationClient
from synthema_kernel.session import Question

pytestmark = [pytest.mark.federation, pytest.mark.timeout(120)]


@pytest.fixture
def site(federation: Running) -> SiteState:
    return SiteState(federation.state(federation.sites[0]))


@pytest.fixture
def gateway(site: SiteState) -> Iterator[httpx.Client]:
    trusted = ssl.create_default_context(cafile=str(site.ca_path))
    with httpx.Client(base_url=f"https://{site.contact().gateway}", verify=trusted, trust_env=False) as client:
        yield client


def test_a_site_talks_to_no_hub_with_another_ca(site: SiteState, tmp_path: Path) -> None:
    other = ensure(tmp_path, ()).ca
    gateway = site.contact().gateway
    with (
        pytest.raises(Unavailable, match="cannot be reached"),
        HubClient(gateway, other.read_text(), site.name, site.identity()) as client,
    ):
        client.feed(0, 0)
    with pytest.raises(Unavailable, match="cannot be reached"), FleetLink(gateway, other.read_bytes(), site.node_key()):
        pass


def test_a_node_that_is_not_registered_is_not_let_in(site: SiteState) -> None:
    stranger = ec.generate_private_key(ec.SECP384R1())
    with (
        pytest.raises(NotAuthenticated),
        FleetLink(site.contact().gateway, site.ca_path.read_bytes(), stranger),
    ):
        pass


def test_joining_takes_the_right_fingerprint_and_an_open_invitation(site: SiteState, tmp_path: Path) -> None:
    newcomer = SiteState.initialise(tmp_path / "eve", "eve", "Eve's hospital")
    gateway = site.contact().gateway
    with pytest.raises(NotAuthenticated, match="certificate authority"):
        join_federation(newcomer, gateway, "code", "0" * 64)
    fingerprint = ensure(tmp_path / "unused", ()).fingerprint()
    with pytest.raises(NotAuthenticated):
        join_federation(newcomer, gateway, "code", fingerprint)


def test_joining_without_an_invitation_is_refused(federation: Running, site: SiteState, tmp_path: Path) -> None:
    newcomer = SiteState.initialise(tmp_path / "eve", "eve", "Eve's hospital")
    fingerprint = HubState(federation.local.hub_state).certificates.fingerprint()
    with pytest.raises(NotAuthenticated, match="no open invitation"):
        join_federation(newcomer, site.contact().gateway, "guessed", fingerprint)
    assert not (newcomer.folder / "hub.json").exists()


def test_a_call_that_a_site_did_not_sign_is_refused(gateway: httpx.Client) -> None:
    assert gateway.get("/sites/feed").status_code == 401
    assert gateway.post("/sites/reviews", json={}).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/hub/login",
        "/internal/jobs/j1",
        "/sites/../internal/jobs/j1",
        "/sites/%2e%2e/internal/jobs/j1",
        "/sites//../internal/jobs/j1",
        "/services/federation/api/me",
        "/v1/control/list-runs",
        "/v1/runtime/acquire-task",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "/V1/fleet/pull-messages",
    ],
)
def test_the_gateway_leads_nowhere_else(site: SiteState, path: str) -> None:
    """Sent byte for byte: other clients tidy such paths up before anybody sees them."""
    trusted = ssl.create_default_context(cafile=str(site.ca_path))
    with closing(HTTPSConnection(site.contact().gateway, context=trusted, timeout=10)) as connection:
        connection.request("POST", path, body=b"")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]) == (404, "not-found")


def test_the_superlinks_control_takes_the_hubs_token_only(federation: Running) -> None:
    assert isinstance(federation.flower().online_nodes(), frozenset)
    with pytest.raises(Unavailable):
        federation.flower("x" * 43).online_nodes()
    with pytest.raises(Unavailable):
        federation.flower("x" * 43).start_run({"job": "j", "service": "http://127.0.0.1:9"})


def test_the_service_wants_a_token_and_each_group_has_its_own_scopes(federation: Running) -> None:
    assert httpx.get(f"{federation.service}/api/me").status_code == 401
    with closing(FederationClient(federation.service, "not-a-token")) as forged, pytest.raises(NotAuthenticated):
        forged.me()
    owner = f"owner-{federation.sites[0]}"
    read = ("custom:federation:read", "access:services!service=federation")
    reading = federation.session(owner, read)
    assert reading.client.me() == owner
    question = Question("kaplan-meier", "bmt", "May a data owner ask?", KAPLAN_MEIER)
    with pytest.raises(NotPermitted, match="custom:federation:submit"):
        reading.submit(reading.plan(question))


def test_the_hub_has_no_way_to_approve(federation: Running) -> None:
    headers = {"authorization": f"Bearer {federation.token()}"}
    routes = httpx.get(f"{federation.service}/openapi.json", headers=headers).json()["paths"]
    changing = {path for path, verbs in routes.items() if set(verbs) - {"get"}}
    assert {path.removeprefix("/services/federation") for path in changing} == {
        "/api/requests",
        "/api/requests/{identifier}/withdrawal",
        "/api/requests/{identifier}/answer",
    }
