"""A Clearance: one steward's signed decision on what a Plan's code put out at one site, before anything is summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidInput
from synthema_core.identity import sign, verify

_DOMAIN = "clearance"


@dataclass(frozen=True, slots=True)
class Clearance:
    """What was decided about which staged output.

    Parameters
    ----------
    output
        Commitment to the staged numbers, under the site's salt: they are the ones the steward looked at.
    cleared
        Whether they may be summed with the other sites'.
    redacted
        Outputs (``deaths``) and cells (``deaths[2]``) that this site leaves out of the sum.
    stewards_needed
        How many stewards of the site must clear, this one included.
    """

    request: str
    plan_digest: str
    site: str
    steward: str
    output: str
    cleared: bool
    reason: str
    decided_at: str
    redacted: tuple[str, ...] = ()
    stewards_needed: int = 1
    signature: str = ""

    def __post_init__(self) -> None:
        if not self.cleared and not self.reason.strip():
            raise InvalidInput("To withhold an output takes a reason.", "Give --reason 'a sentence'.")
        moments.read(self.decided_at)

    def statement(self) -> dict[str, Json]:
        """Everything but the signature: what is signed."""
        return {key: value for key, value in self.to_dict().items() if key != "signature"}

    def to_dict(self) -> dict[str, Json]:
        return {**asdict(self), "redacted": list(self.redacted)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            exact = {"stewards_needed": data["stewards_needed"], "redacted": tuple(data["redacted"])}
            clearance = cls(**{**data, **exact})
        except (TypeError, ValueError, KeyError, AttributeError, InvalidInput):
            raise IntegrityFailure("A Clearance cannot be read.") from None
        parts = {**asdict(clearance), "cleared": "", "stewards_needed": "", "redacted": ""}
        texts = [*clearance.redacted, *parts.values()]
        if not all(isinstance(text, str) for text in texts) or (
            type(clearance.stewards_needed) is not int or type(clearance.cleared) is not bool
        ):
            raise IntegrityFailure("A Clearance cannot be read.")
        return clearance

    def signed(self, key: Ed25519PrivateKey) -> Clearance:
        return replace(self, signature=sign(key, _DOMAIN, self.statement()))

    def check_signature(self, public_key: str) -> None:
        """Raise IntegrityFailure unless `public_key` signed exactly this."""
        verify(public_key, _DOMAIN, self.statement(), self.signature)
