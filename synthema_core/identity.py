"""Ed25519 identities: who says so.

A signature is made over a domain (what kind of statement this is) and the canonical JSON of the statement, so that
a signature over one kind of statement can never be shown as one over another.
"""

from __future__ import annotations

from typing import NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from synthema_core.canonical import canonical, digest
from synthema_core.errors import IntegrityFailure

PublicKey = NewType("PublicKey", str)
"""An Ed25519 public key, 64 hexadecimal digits."""


def public_key(private: Ed25519PrivateKey) -> PublicKey:
    return PublicKey(private.public_key().public_bytes_raw().hex())


def fingerprint(key: str) -> str:
    """A short form for people to compare: 16 hexadecimal digits in groups of four."""
    short = digest({"key": key})[:16]
    return ":".join(short[i : i + 4] for i in range(0, 16, 4))


def _message(domain: str, statement: object) -> bytes:
    return b"synthema/" + domain.encode() + b"\0" + canonical(statement)


def sign(private: Ed25519PrivateKey, domain: str, statement: object) -> str:
    """The signature over `statement` in `domain`, in hexadecimal."""
    return private.sign(_message(domain, statement)).hex()


def verify(key: str, domain: str, statement: object, signature: str) -> None:
    """Raise IntegrityFailure unless `signature` is `key`'s over `statement` in `domain`."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(signature), _message(domain, statement)
        )
    except (InvalidSignature, TypeError, ValueError):
        raise IntegrityFailure(
            f"A signature of kind '{domain}' does not hold.", f"Expected the key {fingerprint(key)}."
        ) from None
