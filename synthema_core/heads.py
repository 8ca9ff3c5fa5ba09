"""Countersigned heads: each side keeps the other's newest, so that neither can forget what it recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.errors import IntegrityFailure
from synthema_core.identity import sign, verify
from synthema_core.journal import Head

OWN = "hub"
"""The owner's name in statements about the hub's own head."""
_DOMAIN = "journal-head"


def head_of(data: Any) -> Head:
    """The Head of that JSON; the empty one for None."""
    if data is None:
        return Head()
    try:
        return Head(int(data["sequence"]), str(data["digest"]))
    except (TypeError, KeyError, ValueError):
        raise IntegrityFailure("A journal's head cannot be read.") from None


def countersign(key: Ed25519PrivateKey, owner: str, head: Head) -> str:
    """A signature that `owner`'s Journal had this head."""
    return sign(key, _DOMAIN, {"owner": owner, **head.to_dict()})


def check_countersigned(public_key: str, owner: str, head: Head, signature: str) -> None:
    verify(public_key, _DOMAIN, {"owner": owner, **head.to_dict()}, signature)


def check_head_statement(statement: Mapping[str, Any], public_key: str, owner: str) -> Head:
    """The head in ``{"head", "signature"}``, if `public_key` signed it for `owner`."""
    head = head_of(statement.get("head"))
    check_countersigned(public_key, owner, head, str(statement.get("signature", "")))
    return head
