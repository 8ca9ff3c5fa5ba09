"""What a site sends to join a federation: its keys and its one-time code, signed by the identity it shows."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput
from synthema_core.identity import sign, verify

_DOMAIN = "join"


@dataclass(frozen=True, slots=True)
class Joining:
    """
    Parameters
    ----------
    identity
        The site's Ed25519 public key, 64 hexadecimal digits.
    node_key
        The public half of its Flower node's P-384 key, in OpenSSH form.
    code
        From the invitation.
    """

    site: str
    title: str
    identity: str
    node_key: str
    code: str
    signature: str = ""

    def __post_init__(self) -> None:
        if not all(isinstance(part, str) for part in astuple(self)):
            raise InvalidInput("What a joining site sends is text.")

    def _statement(self) -> dict[str, Json]:
        return {"site": self.site, "title": self.title, "node_key": self.node_key, "code": self.code}

    def signed(self, key: Ed25519PrivateKey) -> Self:
        return replace(self, signature=sign(key, _DOMAIN, self._statement()))

    def check_signature(self) -> None:
        """Raise IntegrityFailure unless the holder of the identity key signed the rest."""
        verify(self.identity, _DOMAIN, self._statement(), self.signature)
