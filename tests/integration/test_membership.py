"""Who belongs to the federation, and what a member is told: invited, joined, announced, then signed call by call."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.builders import KEYS, SITES, card, days_later, plan
from support.hub import CODE, OUTCOME, STEWARDS, TrialHub, joining
from synthema_core.errors import InvalidInput, NotAuthenticated, NotFound, NotPermitted
from synthema_core.identity import public_key, sign
from synthema_core.joining import Joining
from synthema_core.request import Status
from synthema_core.review import Verdict
from synthema_core.signed_request import NONCE, SIGNATURE, SITE, TIME, headers_for
from synthema_hub.service.records import site_names


@pytest.fixture
def hub(tmp_path: Path) -> TrialHub:
    """Nobody has joined yet; `douglas` is invited."""
    hub = TrialHub(tmp_path, ())
    hub.invite("douglas")
    return hub


@pytest.fixture
def federation(tmp_path: Path) -> TrialHub:
    """All four sites have joined."""
    return TrialHub(tmp_path, (*SITES, "douglas"))


def join(hub: TrialHub, sent: Joining) -> httpx.Response:
    return hub.call("POST", "/sites/join", json=asdict(sent))


def refused(hub: TrialHub, sent: Joining, said: str) -> None:
    before, nodes = hub.journal.head(), dict(hub.flower.nodes)
    with pytest.raises(NotAuthenticated, match=said):
        hub.federation.membership.join(sent)
    assert (hub.journal.head(), hub.flower.nodes) == (before, nodes), "no node is let in, nothing is recorded"


# Joining.


def test_who_shows_the_code_and_its_key_joins(hub: TrialHub) -> None:
    response = join(hub, joining("douglas"))
    assert response.status_code == 201
    node = hub.flower.nodes["node-douglas"]
    assert response.json() == {"site": "douglas", "node": str(node), "hub_key": hub.federation.hub_key}
    site = hub.federation.membership.site("douglas")
    assert (site.title, site.identity, site.node) == ("Douglas Hospital", public_key(KEYS["douglas"]), node)
    assert not hub.federation.membership.is_online("douglas")


def test_joining_needs_no_more_than_the_ca_first(hub: TrialHub) -> None:
    response = hub.call("GET", "/sites/ca")
    assert (response.status_code, response.text) == (200, hub.state.certificates.ca.read_text())


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (joining("douglas", "0" * 32), "code is wrong"),
        (joining("douglas", ""), "code is wrong"),
        (joining("alder"), "no open invitation for 'alder'"),
        (joining("douglas", identity=public_key(KEYS["alder"])), "does not hold the identity key"),
        (joining("douglas", identity="short"), "does not hold the identity key"),
        (joining("douglas", signature=""), "does not hold the identity key"),
        (joining("douglas", title="Another Hospital"), "does not hold the identity key"),
        (joining("douglas", node_key="node-of-mallory"), "does not hold the identity key"),
        (replace(joining("alder"), site="douglas"), "does not hold the identity key"),
    ],
)
def test_who_does_not_stays_outside_and_the_code_stays_good(hub: TrialHub, sent: Joining, said: str) -> None:
    refused(hub, sent, said)
    assert join(hub, joining("douglas")).status_code == 201


def test_a_code_is_good_once(hub: TrialHub) -> None:
    hub.federation.membership.join(joining("douglas"))
    refused(hub, joining("douglas"), "no open invitation")
    assert join(hub, joining("douglas")).status_code == 401


@pytest.mark.parametrize(("days", "good"), [(7.0, True), (7.001, False)])
def test_a_code_is_good_for_a_week(hub: TrialHub, days: float, good: bool) -> None:
    hub.clock.now = days_later(days)
    if good:
        hub.federation.membership.join(joining("douglas"))
    else:
        refused(hub, joining("douglas"), "too old")
    assert site_names(hub.journal) == ["douglas"] * good


def test_a_second_invitation_replaces_the_first(hub: TrialHub) -> None:
    hub.invite("douglas", "5ec0" * 8)
    refused(hub, joining("douglas"), "code is wrong")
    assert join(hub, joining("douglas", "5ec0" * 8)).status_code == 201


def test_an_invitation_is_for_one_name(hub: TrialHub) -> None:
    hub.invite("alder", "a1de" * 8)
    refused(hub, joining("alder"), "code is wrong")


def test_a_member_is_not_invited_again(hub: TrialHub) -> None:
    hub.federation.membership.join(joining("douglas"))
    before = hub.journal.head()
    with pytest.raises(InvalidInput, match="joined already"):
        hub.invite("douglas")
    assert hub.journal.head() == before


@pytest.mark.parametrize("name", ["", "Douglas", "../douglas", "a b", "-douglas", "d" * 64, "ñandú", "douglas\n"])
def test_a_bad_name_is_not_invited(hub: TrialHub, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a site"):
        hub.invite(name)


def test_the_code_itself_is_kept_nowhere(hub: TrialHub) -> None:
    hub.federation.membership.join(joining("douglas"))
    kept = b"".join(path.read_bytes() for path in hub.state.folder.rglob("*") if path.is_file())
    assert b"douglas" in kept
    assert CODE.encode() not in kept


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**asdict(joining("douglas")), "more": "x"},
        *(
            {**asdict(joining("douglas")), part: value}
            for part in asdict(joining("douglas"))
            for value in (5, None, [])
        ),
    ],
)
def test_what_a_joining_site_sends_is_checked_before_it_is_used(hub: TrialHub, body: dict[str, Any]) -> None:
    response = hub.call("POST", "/sites/join", json=body)
    assert (response.status_code, response.json()["error"]) == (422, "invalid-input")
    assert site_names(hub.journal) == []


def test_a_signature_over_the_same_words_of_another_kind_is_none(hub: TrialHub) -> None:
    sent = joining("douglas")
    words = {"site": sent.site, "title": sent.title, "node_key": sent.node_key, "code": sent.code}
    moved = replace(sent, signature=sign(KEYS["douglas"], "card", words))
    refused(hub, moved, "does not hold the identity key")


# Announcing.


def test_what_a_site_announces_is_offered(federation: TrialHub) -> None:
    cards = federation.person("rosalind", "GET", "api/catalogue").json()
    assert [offered["site"] for offered in cards] == [*SITES, "douglas"]
    sites = federation.person("rosalind", "GET", "api/sites").json()
    assert sites[0] == {
        "site": "alder",
        "title": "Alder Hospital",
        "identity": public_key(KEYS["alder"]),
        "online": True,
        "datasets": ["trial (version 1)"],
        "page": "https://alder.example/",
    }


def test_only_a_change_is_recorded(federation: TrialHub) -> None:
    before = federation.journal.head()
    federation.announce("alder")
    assert federation.journal.head() == before
    federation.announce("alder", stewards={})
    assert federation.federation.membership.site("alder").stewards == {}


@pytest.mark.parametrize(
    ("forged", "error"),
    [
        (card("birch").to_dict(), "not-permitted"),
        ({**card("birch").to_dict(), "site": "alder"}, "integrity-failure"),
        ({**card("alder").to_dict(), "version": 2}, "integrity-failure"),
        ({**card("alder").to_dict(), "signature": ""}, "integrity-failure"),
        # Its own site's name, properly signed by another key:
        (replace(card("alder"), identity=public_key(KEYS["birch"])).signed(KEYS["birch"]).to_dict(), "not-permitted"),
    ],
)
def test_a_card_that_is_not_the_sites_own_is_refused(federation: TrialHub, forged: dict[str, Any], error: str) -> None:
    before = federation.journal.head()
    body = {"cards": [card("alder").to_dict(), forged], "stewards": {}, "page": ""}
    response = federation.site("alder", "POST", "/sites/announce", body)
    assert response.json()["error"] == error
    assert federation.journal.head() == before


@pytest.mark.parametrize(
    "body", [{"cards": 5}, {"cards": {"a": 1}}, {"cards": [5]}, {"cards": [{}]}, {"stewards": [1]}, {"stewards": "x"}]
)
def test_what_a_site_announces_is_checked_before_it_is_used(federation: TrialHub, body: dict[str, Any]) -> None:
    before = federation.journal.head()
    assert federation.site("alder", "POST", "/sites/announce", body).status_code == 422
    assert federation.journal.head() == before


def test_a_steward_whom_the_site_no_longer_announces_has_no_say(federation: TrialHub) -> None:
    request = federation.submitted()
    federation.announce("alder", stewards={})
    assert federation.reviewed(request, "alder").status_code == 422
    assert federation.record(request).request.verdicts == {}


def test_who_never_joined_announces_nothing(hub: TrialHub) -> None:
    with pytest.raises(NotFound):
        hub.announce("douglas")
    response = hub.site("douglas", "POST", "/sites/announce", {"cards": []})
    assert (response.status_code, response.json()["error"]) == (401, "not-authenticated")
    assert site_names(hub.journal) == []


def test_the_use_case_itself_refuses_anothers_card(federation: TrialHub) -> None:
    with pytest.raises(NotPermitted, match="not its own"):
        federation.announce("alder", cards=[card("birch").to_dict()])


def test_a_site_is_online_for_as_long_as_it_calls(federation: TrialHub) -> None:
    seconds = 1 / 86400
    members = federation.federation.membership
    federation.clock.now = days_later(45 * seconds)
    assert members.is_online("alder")
    federation.clock.now = days_later(46 * seconds)
    assert not members.is_online("alder")
    assert federation.site("alder", "GET", "/sites/feed").status_code == 200
    assert members.is_online("alder") and not members.is_online("birch")


# The feed.


def feed(hub: TrialHub, site: str, after: int = 0) -> dict[str, Any]:
    response = hub.site(site, "GET", f"/sites/feed?after={after}")
    assert response.status_code == 200
    return dict(response.json())


def facts(hub: TrialHub, site: str, after: int = 0) -> list[tuple[str, str]]:
    return [(fact["request"], fact["verb"]) for fact in feed(hub, site, after)["facts"]]


def test_a_site_is_told_of_the_requests_it_is_asked_and_no_others(federation: TrialHub) -> None:
    ours = federation.submitted()
    theirs = federation.submitted(plan(sites=("birch", "cedar", "douglas")))
    assert facts(federation, "alder") == [(ours, "submit")]
    assert facts(federation, "birch") == [(ours, "submit"), (theirs, "submit")]
    assert facts(federation, "douglas") == [(theirs, "submit")]
    fact = feed(federation, "alder")["facts"][0]
    assert fact["detail"]["plan"] == federation.record(ours).plan.to_dict()
    assert (fact["actor"], fact["role"]) == ("rosalind", "researcher")


def test_the_place_to_go_on_from_moves_past_what_is_not_told(federation: TrialHub) -> None:
    federation.submitted(plan(sites=("birch", "cedar", "douglas")))
    page = feed(federation, "alder")
    assert page == {"facts": [], "next": federation.journal.head().sequence}
    assert feed(federation, "alder", page["next"]) == {"facts": [], "next": page["next"]}
    ours = federation.submitted()
    assert facts(federation, "alder", page["next"]) == [(ours, "submit")]


def test_a_long_history_is_told_page_by_page(federation: TrialHub) -> None:
    asked = []
    for number in range(45):  # five entries each
        asked.append(federation.submitted(plan(purpose=f"Number {number}")))
        federation.federation.requests.withdraw(asked[-1], "rosalind")
    told, pages, page = list[tuple[str, str]](), 0, feed(federation, "alder")
    while page["facts"]:
        told += [(fact["request"], fact["verb"]) for fact in page["facts"]]
        pages, page = pages + 1, feed(federation, "alder", page["next"])
    assert told == [(request, verb) for request in asked for verb in ("submit", "withdraw")]
    assert pages > 1


@pytest.mark.parametrize(
    ("verbs", "end"), [(["submit", "reject"], Status.REJECTED), (["submit", "release"], Status.RELEASED)]
)
def test_a_site_is_told_how_a_request_ended_but_no_other_sites_verdict(
    federation: TrialHub, verbs: list[str], end: Status
) -> None:
    if end is Status.REJECTED:
        request = federation.submitted()
        federation.reviewed(request, "birch", verdict=Verdict.REJECTED, reason="Too fine.")
    else:
        request, job = federation.running()
        federation.coordinator("POST", f"{job}/result", json=OUTCOME)
    assert federation.status(request) is end
    assert facts(federation, "alder") == [(request, verb) for verb in verbs]


# Signed calls.

CALLS = [
    ("POST", "/sites/announce", {"cards": []}),
    ("GET", "/sites/feed", None),
    ("POST", "/sites/requests/r1/receipt", None),
    ("POST", "/sites/reviews", {}),
    ("POST", "/sites/requests/r1/question", {}),
    ("POST", "/sites/requests/r1/revocation", {}),
    ("POST", "/sites/requests/r1/staged", {}),
    ("POST", "/sites/clearances", {}),
    ("POST", "/sites/requests/r1/failure", {}),
    ("POST", "/sites/requests/r1/log", {}),
    ("POST", "/sites/heads", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_a_call_counts_only_as_its_site_signed_it(
    federation: TrialHub, method: str, path: str, body: dict[str, Any] | None
) -> None:
    for changes in (
        {SIGNATURE: "00" * 64},
        {SIGNATURE: ""},
        {SITE: "birch"},
        {SITE: "elm"},
        {NONCE: "another"},
        {TIME: "2026-03-02T09:00:01.000Z"},
    ):
        response = federation.site("alder", method, path, body, **changes)
        assert (response.status_code, response.json()["error"]) == (401, "not-authenticated"), changes
    unsigned = federation.call(method, path, json=body)
    assert (unsigned.status_code, unsigned.json()["error"]) == (401, "not-authenticated")


def test_a_steward_does_not_sign_for_the_site(federation: TrialHub) -> None:
    headers = headers_for(STEWARDS["alder"], "alder", "GET", "/sites/feed", b"", federation.clock(), "n")
    assert federation.call("GET", "/sites/feed", headers=headers).status_code == 401


def test_the_query_and_the_body_are_signed_too(federation: TrialHub) -> None:
    def headers(method: str, path: str, body: bytes, nonce: str) -> dict[str, str]:
        return headers_for(KEYS["alder"], "alder", method, path, body, federation.clock(), nonce)

    feed_headers = headers("GET", "/sites/feed?after=0", b"", "n1")
    assert federation.call("GET", "/sites/feed?after=1", headers=feed_headers).status_code == 401
    assert federation.call("GET", "/sites/feed?after=0", headers=feed_headers).status_code == 200
    announcing = headers("POST", "/sites/announce", b'{"cards":[]}', "n2")
    assert federation.call("POST", "/sites/announce", content=b'{"cards": []}', headers=announcing).status_code == 401
    assert federation.call("POST", "/sites/announce", content=b'{"cards":[]}', headers=announcing).status_code == 200


def test_a_call_sent_twice_counts_once(federation: TrialHub) -> None:
    headers = headers_for(KEYS["alder"], "alder", "GET", "/sites/feed", b"", federation.clock(), "n")
    assert federation.call("GET", "/sites/feed", headers=headers).status_code == 200
    again = federation.call("GET", "/sites/feed", headers=headers)
    assert (again.status_code, again.json()["message"]) == (401, "This request was sent before.")


@pytest.mark.parametrize("minutes", [-3, 3])
def test_a_call_of_another_time_is_refused(federation: TrialHub, minutes: float) -> None:
    headers = headers_for(KEYS["alder"], "alder", "GET", "/sites/feed", b"", federation.clock(), "n")
    federation.clock.now = days_later(minutes / 1440)
    assert "two minutes" in federation.call("GET", "/sites/feed", headers=headers).json()["message"]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "seconds=26", "seconds=-1"])
def test_a_feed_is_asked_for_sensibly(federation: TrialHub, query: str) -> None:
    assert federation.site("alder", "GET", f"/sites/feed?{query}").status_code == 422
