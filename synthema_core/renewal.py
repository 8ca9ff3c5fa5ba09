"""A Renewal: stewards begin the Budget of a group of patients anew, with a reason, and sign for it.

It lets more be told about the same patients than their Budget promised: a decision of people, which no rule can take.
The filter begins anew with the Policy's present Budget. What was spent before is not forgotten: the epsilon shown as
cumulative goes on, and after n Renewals no more is promised than n + 1 Budgets together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, InvalidInput, SynthemaError
from synthema_core.identity import sign, verify
from synthema_core.ledger import Opened

_DOMAIN = "renewal"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What was decided, by whom. All its stewards sign the same words.

    Parameters
    ----------
    patients
        The group's name in the Policy.
    number
        Which Renewal of this group it is, from 1: a signature is good for one.
    datasets
        Those of the group when it was signed. It frees the Charges to them and to no others, so that a Dataset that the
        Policy moves into the group later brings what was spent on it.
    opened
        The Budget that begins.
    stewards_needed
        How many must sign, by the Policy when the first did.
    decided_at
        When the first steward signed.
    signatures
        By the steward's name.
    """

    site: str
    patients: str
    number: int
    datasets: tuple[str, ...]
    opened: Opened
    reason: str
    decided_at: str
    stewards_needed: int = 1
    signatures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise InvalidInput("A renewal needs a reason.", "Give --reason 'a sentence that stays with it'.")
        if self.number < 1 or self.stewards_needed < 1 or not self.datasets:
            raise InvalidInput("A renewal counts from 1, needs a steward, and is about a dataset.")
        moments.read(self.decided_at)

    @property
    def complete(self) -> bool:
        """Whether as many have signed as must."""
        return len(self.signatures) >= self.stewards_needed

    def statement(self) -> dict[str, Json]:
        """Everything but the signatures: what each steward signs."""
        return {key: value for key, value in self.to_dict().items() if key != "signatures"}

    def to_dict(self) -> dict[str, Json]:
        return {
            "site": self.site,
            "patients": self.patients,
            "number": self.number,
            "datasets": list(self.datasets),
            "opened": self.opened.to_dict(),
            "reason": self.reason,
            "decided_at": self.decided_at,
            "stewards_needed": self.stewards_needed,
            "signatures": dict(self.signatures),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            exact = {"datasets": tuple(data["datasets"]), "opened": Opened.from_dict(data["opened"])}
            renewal = cls(**{**data, **exact, "signatures": dict(data["signatures"])})
        except (TypeError, ValueError, KeyError, AttributeError, SynthemaError):
            raise IntegrityFailure("A Renewal cannot be read.") from None
        texts = [renewal.site, renewal.patients, renewal.reason, renewal.decided_at, *renewal.datasets]
        texts += [*renewal.signatures, *renewal.signatures.values()]
        counts = (renewal.number, renewal.stewards_needed)
        if not all(isinstance(text, str) for text in texts) or not all(type(count) is int for count in counts):
            raise IntegrityFailure("A Renewal cannot be read.")
        return renewal

    def signed(self, steward: str, key: Ed25519PrivateKey) -> Self:
        return replace(self, signatures={**self.signatures, steward: sign(key, _DOMAIN, self.statement())})

    def check_signatures(self, keys: Mapping[str, str]) -> None:
        """Raise IntegrityFailure unless each signature is by a steward of the site over exactly this.

        Parameters
        ----------
        keys
            Ed25519 public key of each steward, by name.
        """
        for steward, signature in self.signatures.items():
            if steward not in keys:
                raise IntegrityFailure("A budget was renewed by somebody who is not a steward of this site.")
            verify(keys[steward], _DOMAIN, self.statement(), signature)
