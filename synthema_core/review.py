"""A Review: one steward's signed verdict on one Plan, for one site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidInput, NotPermitted
from synthema_core.identity import sign, verify

_DOMAIN = "review"


class Verdict(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Review:
    """What was decided, by whom, until when. `signature` is the steward's, or the site's for `policy:<digest>`."""

    request: str
    plan_digest: str
    site: str
    steward: str
    verdict: Verdict
    reason: str
    decided_at: str
    expires_at: str
    signature: str = ""

    def __post_init__(self) -> None:
        if self.verdict is Verdict.REJECTED and not self.reason.strip():
            raise InvalidInput("A rejection needs a reason.", "Give --reason 'a sentence the researcher can act on'.")
        if moments.read(self.expires_at) <= moments.read(self.decided_at):
            raise InvalidInput("An approval must end after it begins.")

    @property
    def by_policy(self) -> bool:
        return self.steward.startswith("policy:")

    def statement(self) -> dict[str, Json]:
        """Everything but the signature: what is signed."""
        return {key: value for key, value in self.to_dict().items() if key != "signature"}

    def to_dict(self) -> dict[str, Json]:
        return {**asdict(self), "verdict": self.verdict.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            review = cls(**{**data, "verdict": Verdict(data["verdict"])})
        except (TypeError, ValueError, KeyError, AttributeError, InvalidInput):
            raise IntegrityFailure("A Review cannot be read.") from None
        if not all(isinstance(part, str) for part in asdict(review).values()):
            raise IntegrityFailure("A Review cannot be read.")
        return review

    def signed(self, key: Ed25519PrivateKey) -> Review:
        statement = self.statement()
        return Review(**{**statement, "verdict": self.verdict, "signature": sign(key, _DOMAIN, statement)})  # type: ignore[arg-type]

    def check_signature(self, public_key: str) -> None:
        """Raise IntegrityFailure unless `public_key` signed exactly this."""
        verify(public_key, _DOMAIN, self.statement(), self.signature)


def check_not_own_request(steward: str, requester: str) -> None:
    """Nobody reviews their own Request."""
    if steward == requester:
        raise NotPermitted("Nobody reviews their own request.", "Ask another steward of the site.")
