"""The site's calls to the hub: it dials out, over TLS that only the federation's CA vouches for, each call signed."""

from __future__ import annotations

import hashlib
import json
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, NotAuthenticated, Unavailable, from_wire
from synthema_core.identity import public_key
from synthema_core.joining import Joining
from synthema_core.signed_request import headers_for
from synthema_datasite.service.site import utc_now
from synthema_datasite.state import HubContact, SiteState

_TIMEOUT_SECONDS = 15.0
LONG_POLL_SECONDS = 20.0


class HubClient:
    """Signed calls of one site. Safe for several threads.

    Parameters
    ----------
    transport
        The seam for tests: any ``httpx.BaseTransport``.

    Raises
    ------
    Unavailable
        If the hub does not answer, or its certificate is not the federation's.
    SynthemaError
        What the hub answered, as an error of the tree.
    """

    def __init__(
        self,
        gateway: str,
        ca_pem: str,
        site: str,
        key: Ed25519PrivateKey,
        now: Callable[[], datetime] = utc_now,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._site, self._key, self._now = site, key, now
        self._client = httpx.Client(
            base_url=f"https://{gateway}",
            verify=ssl.create_default_context(cadata=ca_pem),
            timeout=_TIMEOUT_SECONDS,
            transport=transport,
            trust_env=False,
        )

    @classmethod
    def of(cls, state: SiteState) -> HubClient:
        return cls(state.contact().gateway, state.ca_path.read_text(), state.name, state.identity())

    def __enter__(self) -> HubClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def announce(self, cards: list[Json], stewards: Mapping[str, str], page: str) -> None:
        self._call("POST", "/sites/announce", {"cards": cards, "stewards": dict(stewards), "page": page})

    def budgets(self, budgets: list[Json]) -> None:
        """Where this site's Budgets stand, in the place of what was told before."""
        self._call("POST", "/sites/budgets", {"budgets": budgets})

    def feed(self, after: int, seconds: float) -> dict[str, Any]:
        """{"facts", "next"}: what the hub says happened to Requests that name this site; waits up to `seconds`."""
        return self._call("GET", f"/sites/feed?after={after}&seconds={seconds:g}", timeout=seconds + _TIMEOUT_SECONDS)

    def receipt(self, request: str) -> None:
        self._call("POST", f"/sites/requests/{request}/receipt", {})

    def question(self, request: str, steward: str, text: str, at: str) -> None:
        self._call("POST", f"/sites/requests/{request}/question", {"steward": steward, "text": text, "at": at})

    def review(self, review: dict[str, Json]) -> None:
        self._call("POST", "/sites/reviews", review)

    def revocation(self, request: str, steward: str, at: str) -> None:
        self._call("POST", f"/sites/requests/{request}/revocation", {"steward": steward, "at": at})

    def staged(self, request: str, commitment: str, at: str) -> None:
        """This site's output of the Request's code waits for its stewards."""
        self._call("POST", f"/sites/requests/{request}/staged", {"commitment": commitment, "at": at})

    def clearance(self, clearance: dict[str, Json]) -> None:
        self._call("POST", "/sites/clearances", clearance)

    def failure(self, request: str, kind: str, at: str) -> None:
        """This site's run of the Request's code failed: a `RunFailure`, and nothing more."""
        self._call("POST", f"/sites/requests/{request}/failure", {"kind": kind, "at": at})

    def log(self, request: str, steward: str, text: str, at: str) -> None:
        """What a steward shows the Request's author of the run here."""
        self._call("POST", f"/sites/requests/{request}/log", {"steward": steward, "text": text, "at": at})

    def heads(self, statement: dict[str, Json]) -> dict[str, Any]:
        return self._call("POST", "/sites/heads", statement)

    def _call(
        self, method: str, path: str, body: Mapping[str, Json] | None = None, timeout: float = _TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        content = b"" if body is None else json.dumps(body).encode()
        headers = headers_for(self._key, self._site, method, path, content, self._now(), secrets.token_hex(16))
        try:
            response = self._client.request(method, path, content=content, headers=headers, timeout=timeout)
        except httpx.HTTPError as error:
            raise _unreachable(str(self._client.base_url), error) from None
        return _answer(response)


def join_federation(state: SiteState, gateway: str, code: str, fingerprint: str) -> HubContact:
    """Register this site's keys with the hub, once, and keep the hub's CA and signing key.

    Parameters
    ----------
    gateway
        host:port or https://host:port of the hub's TLS gateway.
    code, fingerprint
        From the invitation: the one-time code, and SHA-256 of the hub's CA, by which the first connection is trusted.
    """
    gateway = gateway.removeprefix("https://").rstrip("/")
    ca = _fetch_ca(gateway)
    if _ca_fingerprint(ca) != fingerprint.replace(":", "").lower():
        raise NotAuthenticated(
            "The hub's certificate authority is not the one in the invitation.",
            "Compare the fingerprint with the hub's operator by telephone.",
        )
    key = state.identity()
    joining = Joining(state.name, state.title, public_key(key), state.node_public_key(), code).signed(key)
    try:
        with httpx.Client(verify=ssl.create_default_context(cadata=ca), timeout=60.0, trust_env=False) as client:
            answer = _answer(client.post(f"https://{gateway}/sites/join", json=asdict(joining)))
    except httpx.HTTPError as error:
        raise _unreachable(gateway, error) from None
    contact = HubContact(gateway=gateway, hub_key=str(answer["hub_key"]), node=str(answer["node"]))
    state.keep_contact(contact, ca)
    return contact


def _fetch_ca(gateway: str) -> str:
    """The CA as the hub shows it, over a connection that nothing vouches for yet: the fingerprint decides."""
    try:
        with httpx.Client(verify=False, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:  # noqa: S501
            response = client.get(f"https://{gateway}/sites/ca")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(gateway, error) from None
    if response.is_error:
        raise Unavailable(f"There is no hub at {gateway}.", "Give the gateway's host and port.")
    return response.text


def _ca_fingerprint(pem: str) -> str:
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError:
        raise InvalidInput("What the hub showed is not a certificate.", "Give the gateway's host and port.") from None


def _unreachable(where: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"The hub at {where} cannot be reached ({type(error).__name__}).", "See whether it runs, and its address."
    )


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        data = response.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Unavailable(f"The hub answered with status {response.status_code} and no JSON.")
    if response.is_error:
        raise from_wire(data)
    return data
