"""The client: what the service says and what goes wrong on the way, as values and SynthemaErrors."""

from __future__ import annotations

import json
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import SITES, card, plan
from support.federation import TOKEN, URL, FakeFederation
from synthema_core.errors import (
    IntegrityFailure,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    SynthemaError,
    Unavailable,
    to_wire,
)
from synthema_kernel.client import FederationClient, read_events
from synthema_kernel.settings import Settings


def client(transport: httpx.BaseTransport, token: str = TOKEN) -> FederationClient:
    return FederationClient(URL, token, transport=transport)


def answering(response: httpx.Response) -> FederationClient:
    return client(httpx.MockTransport(lambda _: response))


def never(_: float) -> bool:
    return False


def test_a_request_is_submitted_read_listed_and_withdrawn() -> None:
    federation = client(FakeFederation())
    view = federation.submit(plan(), "survival")
    assert (view["name"], view["status"]) == ("survival", "submitted")
    assert federation.request(view["id"])["plan"] == plan().to_dict()
    assert [item["id"] for item in federation.requests()] == [view["id"]]
    assert federation.withdraw(view["id"])["status"] == "withdrawn"
    assert [item["site"] for item in federation.sites()] == list(SITES)
    assert federation.me() == "rosalind"


def test_a_release_is_there_only_after_the_run() -> None:
    fake = FakeFederation()
    identifier = client(fake).submit(plan(), "survival")["id"]
    with pytest.raises(NotFound, match="has no release"):
        client(fake).release(identifier)
    fake.run_to_release(identifier)
    assert client(fake).release(identifier).plan_digest == plan().digest


def test_a_card_changed_on_its_way_is_refused() -> None:
    fake = FakeFederation()
    changed = {**card("alder").to_dict(), "commitment": "0" * 64}
    with pytest.raises(IntegrityFailure):
        answering(httpx.Response(200, json=[changed])).cards()
    assert {offer.site for offer in client(fake).cards()} == set(SITES)


def test_the_services_errors_arrive_as_themselves() -> None:
    refusal = Refused("Too few sites.", "Ask more.", rule="min_sites")
    with pytest.raises(Refused) as caught:
        answering(httpx.Response(409, json=to_wire(refusal))).sites()
    assert (caught.value.rule, caught.value.hint) == ("min_sites", "Ask more.")
    with pytest.raises(NotAuthenticated):
        client(FakeFederation(), token="wrong").sites()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(302, headers={"location": "/hub/login"}), NotAuthenticated),
        (httpx.Response(403, text="<h1>no</h1>"), NotPermitted),
        (httpx.Response(422, json={"detail": []}), InvalidInput),
        (httpx.Response(503, text="<h1>Service Unavailable</h1>"), Unavailable),
        (httpx.Response(500, text="Internal Server Error"), SynthemaError),
        (httpx.Response(200, text="<h1>hello</h1>"), Unavailable),
    ],
)
def test_what_proxies_answer_is_one_sentence_and_a_hint(response: httpx.Response, error: type[SynthemaError]) -> None:
    with pytest.raises(error) as caught:
        answering(response).sites()
    assert caught.value.hint
    assert "<" not in str(caught.value)


def test_nobody_at_the_address_is_said_with_a_hint() -> None:
    with pytest.raises(Unavailable, match="does not answer") as caught:
        FederationClient("http://127.0.0.1:9/services/federation", TOKEN).sites()
    assert caught.value.hint


def test_an_identifier_cannot_leave_its_place_in_the_path() -> None:
    fake = FakeFederation()
    with pytest.raises(NotFound):
        client(fake).request("../sites")
    assert fake.calls == ["GET /requests/../sites"]  # as httpx shows it unquoted; the wire has %2F
    with pytest.raises(NotFound):
        client(fake).request("r1/release?x=1")


def test_the_token_is_not_shown() -> None:
    settings = Settings.from_environment({"SYNTHEMA_FEDERATION_URL": URL + "/", "JUPYTERHUB_API_TOKEN": "secret"})
    assert settings.federation_url == URL
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("missing", ["SYNTHEMA_FEDERATION_URL", "JUPYTERHUB_API_TOKEN"])
def test_a_missing_setting_is_named(missing: str) -> None:
    environment = {"SYNTHEMA_FEDERATION_URL": URL, "JUPYTERHUB_API_TOKEN": "secret", missing: ""}
    with pytest.raises(Unavailable, match=missing):
        Settings.from_environment(environment)


def test_events_go_on_over_broken_connections_until_the_end() -> None:
    fake = FakeFederation()
    identifier = client(fake).submit(plan(), "survival")["id"]
    fake.breaks = 2
    fake.script = [
        lambda: fake.approve(identifier),
        lambda: fake.start(identifier),
        lambda: fake.release(identifier),
    ]
    seen = [view["status"] for view in client(fake).events(identifier, pause=never)]
    assert seen == ["submitted", "submitted", "submitted", "approved", "running", "released"]
    assert fake.calls.count(f"GET /requests/{identifier}/events") == 3


def test_events_stop_when_nobody_listens_any_more() -> None:
    fake = FakeFederation()
    identifier = client(fake).submit(plan(), "survival")["id"]
    assert len(list(client(fake).events(identifier, pause=lambda _: True))) == 1


def test_events_give_up_when_the_service_stays_away() -> None:
    fake = FakeFederation()
    fake.away = True
    with pytest.raises(Unavailable):
        list(client(fake).events("r1", pause=never, patience_seconds=-1))


def test_events_of_no_request_are_an_error_at_once() -> None:
    with pytest.raises(NotFound):
        list(client(FakeFederation()).events("nothing"))


def test_a_quiet_stream_ends_at_the_deadline() -> None:
    fake = FakeFederation()
    identifier = client(fake).submit(plan(), "survival")["id"]
    views = client(fake).events(identifier, pause=lambda _: True, deadline=time.monotonic() - 1)
    assert list(views) == []


OBJECTS = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3)


@given(st.lists(OBJECTS))
def test_events_are_read_back_whatever_stands_between_them(objects: list[dict[str, str]]) -> None:
    lines = [":", ""]
    for item in objects:
        lines += [
            "event: change",
            *(f"data: {part}" for part in json.dumps(item, indent=1).split("\n")),
            "",
            ": beat",
            "",
        ]
    assert list(read_events([*lines, 'data: {"unfinished": 1}'])) == objects
