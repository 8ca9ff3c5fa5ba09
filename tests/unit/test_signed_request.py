"""A call to the hub counts once, lately, and exactly as its site signed it."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import pytest

from support.builders import KEYS, NOW
from synthema_core.errors import NotAuthenticated
from synthema_core.identity import public_key, sign
from synthema_core.signed_request import NONCE, SIGNATURE, SITE, TIME, TOLERANCE, RequestVerifier, headers_for

IDENTITY = public_key(KEYS["alder"])
CALL: dict[str, Any] = {"method": "POST", "path": "/sites/reviews?after=3", "body": b'{"verdict":"approved"}'}
SECOND = timedelta(seconds=1)


def signed(key: str = "alder", at: datetime = NOW, nonce: str = "n1", **call: Any) -> dict[str, str]:
    return headers_for(KEYS[key], "alder", **{**CALL, **call}, now=at, nonce=nonce)


def check(
    headers: dict[str, str],
    at: datetime = NOW,
    verifier: RequestVerifier | None = None,
    identity: str = IDENTITY,
    **call: Any,
) -> None:
    (verifier or RequestVerifier()).check(identity, headers, **{**CALL, **call}, now=at)


def test_what_the_site_signed_passes() -> None:
    check(signed())
    check(signed(method="post"))
    check(signed(method="GET", body=b""), method="GET", body=b"")


@pytest.mark.parametrize(
    "received",
    [
        {"method": "PUT"},
        {"path": "/sites/announce?after=3"},
        {"path": "/sites/reviews?after=4"},
        {"path": "/sites/reviews"},
        {"body": b'{"verdict":"rejected"}'},
        {"body": b""},
    ],
    ids=str,
)
def test_another_request_than_the_signed_one_is_refused(received: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="not signed"):
        check(signed(), **received)


@pytest.mark.parametrize("header", [SITE, TIME, NONCE, SIGNATURE])
def test_an_altered_or_missing_header_is_refused(header: str) -> None:
    other = {SITE: "birch", TIME: "2026-03-02T09:00:00.001Z", NONCE: "n2", SIGNATURE: "00" * 64}
    for value in (other[header], "", "é"):
        with pytest.raises(NotAuthenticated):
            check({**signed(), header: value})
    without = signed()
    del without[header]
    with pytest.raises(NotAuthenticated):
        check(without)


def test_another_sites_key_is_refused() -> None:
    with pytest.raises(NotAuthenticated, match="not signed"):
        check(signed(key="birch"))
    with pytest.raises(NotAuthenticated, match="not signed"):
        check(signed(), identity=public_key(KEYS["birch"]))


def test_a_signature_of_another_kind_is_refused() -> None:
    """The same statement, signed by the same key as something else than a request."""
    headers = signed()
    body = hashlib.sha256(CALL["body"]).hexdigest()
    told = {"site": headers[SITE], "time": headers[TIME], "nonce": headers[NONCE]}
    statement = {"method": CALL["method"], "path": CALL["path"], "body": body, **told}
    assert sign(KEYS["alder"], "site-request", statement) == headers[SIGNATURE]
    with pytest.raises(NotAuthenticated):
        check({**headers, SIGNATURE: sign(KEYS["alder"], "review", statement)})


@pytest.mark.parametrize("offset", [-TOLERANCE, TOLERANCE], ids=["old", "from a fast clock"])
def test_a_request_counts_for_two_minutes(offset: timedelta) -> None:
    check(signed(at=NOW + offset))
    with pytest.raises(NotAuthenticated, match="two minutes"):
        check(signed(at=NOW + offset * 1.01))


def test_a_replay_is_refused_for_as_long_as_its_time_counts() -> None:
    """From the first moment at which its time is accepted to the last."""
    verifier, sent = RequestVerifier(), NOW + TOLERANCE
    check(signed(at=sent), NOW, verifier)
    for seconds in range(0, 241, 30):
        with pytest.raises(NotAuthenticated, match="sent before"):
            check(signed(at=sent), NOW + seconds * SECOND, verifier)
    with pytest.raises(NotAuthenticated, match="two minutes"):
        check(signed(at=sent), NOW + 241 * SECOND, verifier)


def test_a_new_nonce_is_a_new_request() -> None:
    verifier = RequestVerifier()
    check(signed(nonce="n1"), NOW, verifier)
    check(signed(nonce="n2"), NOW, verifier)


def test_a_nonce_is_a_sites_own() -> None:
    """One site cannot use up another's."""
    verifier = RequestVerifier()
    birch = headers_for(KEYS["birch"], "birch", **CALL, now=NOW, nonce="n1")
    check(birch, NOW, verifier, public_key(KEYS["birch"]))
    check(signed(), NOW, verifier)


def test_a_refused_request_uses_up_no_nonce() -> None:
    verifier = RequestVerifier()
    with pytest.raises(NotAuthenticated):
        check(signed(), NOW, verifier, body=b"forged")
    with pytest.raises(NotAuthenticated):
        check(signed(), NOW + 2 * TOLERANCE, verifier)
    check(signed(), NOW, verifier)
