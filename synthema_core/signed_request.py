"""How a site signs what it sends to the hub: its identity key over method, path, body hash, time and nonce."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.errors import IntegrityFailure, InvalidInput, NotAuthenticated
from synthema_core.identity import sign, verify

SITE, TIME, NONCE, SIGNATURE = "X-Synthema-Site", "X-Synthema-Time", "X-Synthema-Nonce", "X-Synthema-Signature"
TOLERANCE = timedelta(seconds=120)
_DOMAIN = "site-request"


def _statement(method: str, path: str, body: bytes, site: str, time: str, nonce: str) -> dict[str, str]:
    return {
        "method": method.upper(),
        "path": path,
        "body": hashlib.sha256(body).hexdigest(),
        "site": site,
        "time": time,
        "nonce": nonce,
    }


def headers_for(
    key: Ed25519PrivateKey, site: str, method: str, path: str, body: bytes, now: datetime, nonce: str
) -> dict[str, str]:
    """The headers that authenticate this request. `path` includes the query string."""
    time = moments.spell(now)
    signature = sign(key, _DOMAIN, _statement(method, path, body, site, time, nonce))
    return {SITE: site, TIME: time, NONCE: nonce, SIGNATURE: signature}


class RequestVerifier:
    """Checks signed requests and remembers nonces for as long as their time is accepted."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], datetime] = {}

    def check(
        self, identity: str, headers: Mapping[str, str], method: str, path: str, body: bytes, now: datetime
    ) -> None:
        """Raise NotAuthenticated unless `identity` signed exactly this request, lately, and for the first time."""
        try:
            site, time, nonce, signature = (headers[name] for name in (SITE, TIME, NONCE, SIGNATURE))
            sent = moments.read(time)
            verify(identity, _DOMAIN, _statement(method, path, body, site, time, nonce), signature)
        except (KeyError, InvalidInput, IntegrityFailure):
            raise NotAuthenticated("This request is not signed by the site's identity key.") from None
        if abs(now - sent) > TOLERANCE:
            raise NotAuthenticated(
                "The request's time differs from the hub's by more than two minutes.", "Set the site's clock."
            )
        self._seen = {key: moment for key, moment in self._seen.items() if now - moment <= 2 * TOLERANCE}
        if (site, nonce) in self._seen:
            raise NotAuthenticated("This request was sent before.")
        self._seen[site, nonce] = now
