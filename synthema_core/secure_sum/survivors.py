"""Who is in a Round's sum: one set, on which enough sites agree by signature before anybody reveals anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure
from synthema_core.identity import sign, verify
from synthema_core.secure_sum.keys import SECRET_BYTES
from synthema_core.secure_sum.session import Moment

_DOMAIN = "survivors"


@dataclass(frozen=True, slots=True)
class Survivors:
    """The sites whose Contributions a Round's sum is over, in the order of their names."""

    moment: Moment
    sites: tuple[str, ...]

    def statement(self) -> dict[str, Json]:
        return {
            "session": self.moment.session,
            "round": self.moment.round_index,
            "input": self.moment.seen,
            "survivors": list(self.sites),
        }

    @classmethod
    def from_statement(cls, data: Mapping[str, Any]) -> Self:
        try:
            moment = Moment(str(data["session"]), int(data["round"]), str(data["input"]))
            return cls(moment, tuple(str(site) for site in data["survivors"]))
        except (KeyError, TypeError, ValueError):
            raise IntegrityFailure("A statement about survivors cannot be read.") from None

    def signature(self, identity: Ed25519PrivateKey) -> str:
        """Sign one of these a Round and no other: two would split the sum."""
        return sign(identity, _DOMAIN, self.statement())

    def check_signature(self, identity: str, signature: str) -> None:
        verify(identity, _DOMAIN, self.statement(), signature)

    def check_certified(self, signatures: Mapping[str, str], identities: Mapping[str, str], threshold: int) -> None:
        """Raise IntegrityFailure unless at least `threshold` of these survivors signed exactly this."""
        if len(signatures) < threshold or not signatures.keys() <= set(self.sites):
            raise IntegrityFailure(f"It takes the signatures of {threshold} survivors to reveal anything.")
        for site, signature in signatures.items():
            self.check_signature(identities[site], signature)


@dataclass(frozen=True, slots=True)
class Reveal:
    """What one site gives away after a Round: of each survivor a share of its self-mask seed, of each missing site a
    share of its mask key; never both of one site.

    Parameters
    ----------
    seeds, keys
        32 bytes by site.
    """

    seeds: Mapping[str, bytes]
    keys: Mapping[str, bytes]

    def check_for(self, survivors: Collection[str], missing: Collection[str]) -> None:
        """Raise IntegrityFailure unless it holds a share of each, and no other."""
        shares = (*self.seeds.values(), *self.keys.values())
        complete = self.seeds.keys() == set(survivors) and self.keys.keys() == set(missing)
        if not complete or any(len(share) != SECRET_BYTES for share in shares):
            raise IntegrityFailure("What was revealed is not of the round's sites.")

    def to_dict(self) -> dict[str, Json]:
        return {
            "seeds": {site: share.hex() for site, share in self.seeds.items()},
            "keys": {site: share.hex() for site, share in self.keys.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            return cls(
                *({site: bytes.fromhex(share) for site, share in data[key].items()} for key in ("seeds", "keys"))
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise IntegrityFailure("What a site revealed cannot be read.") from None
