"""A Card: the public metadata of one Dataset version, signed by its site. Says nothing that depends on rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure
from synthema_core.identity import sign, verify
from synthema_core.schemas import Schema

_DOMAIN = "card"


@dataclass(frozen=True, slots=True)
class Card:
    """What a researcher may know of a Dataset before asking.

    Parameters
    ----------
    policy
        The site's public limits for this Dataset (`DatasetPolicy.public`).
    engine
        Digest of the engine that would compute on it; Plans carry it.
    """

    site: str
    identity: str
    dataset: str
    version: int
    schema: Schema
    commitment: str
    policy: Mapping[str, Json]
    engine: str
    signature: str = ""

    def statement(self) -> dict[str, Json]:
        return {key: value for key, value in self.to_dict().items() if key != "signature"}

    def to_dict(self) -> dict[str, Json]:
        return {
            "site": self.site,
            "identity": self.identity,
            "dataset": self.dataset,
            "version": self.version,
            "schema": self.schema.to_dict(),
            "commitment": self.commitment,
            "policy": dict(self.policy),
            "engine": self.engine,
            "signature": self.signature,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            card = cls(**{**data, "schema": Schema.from_dict(data["schema"]), "policy": dict(data["policy"])})
        except (TypeError, ValueError, KeyError):
            raise IntegrityFailure("A Card cannot be read.") from None
        if type(card.version) is not int:  # the newest of them is looked for
            raise IntegrityFailure("A Card cannot be read.")
        return card

    def signed(self, key: Ed25519PrivateKey) -> Card:
        return Card.from_dict({**self.to_dict(), "signature": sign(key, _DOMAIN, self.statement())})

    def check_signature(self) -> None:
        """Raise IntegrityFailure unless the key the Card itself names signed it."""
        verify(self.identity, _DOMAIN, self.statement(), self.signature)
