"""Shares on their way: each sealed for one receiver, carried by a hub that can neither read nor exchange them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from synthema_core.canonical import Json, canonical
from synthema_core.errors import IntegrityFailure
from synthema_core.secure_sum.keys import agree, derive
from synthema_core.secure_sum.roster import Roster

_NONCE = bytes(12)
"""Every key is of one sender, receiver and Roster, and seals one text: the same shares whenever they are dealt."""


def seal(shares: bytes, key: X25519PrivateKey, roster: Roster, sender: str, receiver: str) -> bytes:
    """The sender's shares of all Rounds, in their order, for one receiver."""
    context = _context(roster, sender, receiver)
    return _cipher(key, roster, receiver, context).encrypt(_NONCE, shares, canonical(context))


def unseal(sealed: bytes, key: X25519PrivateKey, roster: Roster, sender: str, receiver: str) -> bytes:
    """Raises IntegrityFailure unless `sender` sealed exactly this for `receiver`, under this Roster."""
    context = _context(roster, sender, receiver)
    try:
        return _cipher(key, roster, sender, context).decrypt(_NONCE, sealed, canonical(context))
    except InvalidTag:
        raise IntegrityFailure(f"The shares of '{sender}' were altered on their way.") from None


def _context(roster: Roster, sender: str, receiver: str) -> dict[str, Json]:
    return {"protocol": "synthema/shares/1", "roster": roster.digest, "sender": sender, "receiver": receiver}


def _cipher(key: X25519PrivateKey, roster: Roster, other: str, context: dict[str, Json]) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derive(agree(key, roster.of(other).share_key), context))


def to_wire(sealed: Mapping[str, bytes]) -> dict[str, Json]:
    """Sealed shares as JSON: hexadecimal by site."""
    return {site: content.hex() for site, content in sealed.items()}


def from_wire(data: Any) -> dict[str, bytes]:
    """Raises IntegrityFailure for anything that `to_wire` does not make."""
    try:
        return {str(site): bytes.fromhex(content) for site, content in data.items()}
    except (AttributeError, TypeError, ValueError):
        raise IntegrityFailure("Sealed shares cannot be read.") from None
