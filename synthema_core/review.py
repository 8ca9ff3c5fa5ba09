"""A Review: one steward's signed verdict on one Plan, for one site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidInput, NotPermitted
from synthema_core.identity import sign, verify

_DOMAIN = "review"
_REQUIRED = ("stewards_needed", "answered_by")


class Verdict(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Review:
    """What was decided, by whom, until when. `signature` is the steward's, or the site's for `policy:<digest>`.

    Parameters
    ----------
    stewards_needed
        How many stewards of the site must approve, this one included.
    without
        A condition of the approval: outputs of the Plan's code that this site will not contribute to.
    answered_by
        A condition of the approval: the Request here whose stored Release may be handed on, as it asked the same.
        Then nothing may run. Empty where the approval is for a run.
    """

    request: str
    plan_digest: str
    site: str
    steward: str
    verdict: Verdict
    reason: str
    decided_at: str
    expires_at: str
    stewards_needed: int = 1
    without: tuple[str, ...] = ()
    answered_by: str = ""
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
        return {**asdict(self), "verdict": self.verdict.value, "without": list(self.without)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            exact = {"verdict": Verdict(data["verdict"]), **{name: data[name] for name in _REQUIRED}}
            review = cls(**{**data, **exact, "without": tuple(data["without"])})
        except (TypeError, ValueError, KeyError, AttributeError, InvalidInput):
            raise IntegrityFailure("A Review cannot be read.") from None
        parts = {**asdict(review), "stewards_needed": ""}
        texts = [*review.without, *(part for name, part in parts.items() if name != "without")]
        if not all(isinstance(text, str) for text in texts) or type(review.stewards_needed) is not int:
            raise IntegrityFailure("A Review cannot be read.")
        return review

    def signed(self, key: Ed25519PrivateKey) -> Review:
        return replace(self, signature=sign(key, _DOMAIN, self.statement()))

    def check_signature(self, public_key: str) -> None:
        """Raise IntegrityFailure unless `public_key` signed exactly this."""
        verify(public_key, _DOMAIN, self.statement(), self.signature)


def check_not_own_request(steward: str, requester: str) -> None:
    """Nobody reviews their own Request."""
    if steward == requester:
        raise NotPermitted("Nobody reviews their own request.", "Ask another steward of the site.")
