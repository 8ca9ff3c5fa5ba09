"""Who takes part in a Job, and under which mask keys: each signed by the identity that the Plan names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json, digest
from synthema_core.errors import IntegrityFailure, RoundFailed
from synthema_core.identity import sign, verify

_DOMAIN = "mask-key"
_SMALLEST = 3
_HEX64 = re.compile(r"[0-9a-f]{64}")  # one spelling, so that a key that is there twice shows


@dataclass(frozen=True, slots=True)
class Announcement:
    """One site's mask key for one Job.

    Parameters
    ----------
    mask_key
        X25519 public key, 64 hexadecimal digits; made for this Job alone.
    signature
        The site's identity over everything else.
    """

    site: str
    job: str
    plan_digest: str
    mask_key: str
    signature: str = ""

    def _statement(self) -> dict[str, Json]:
        return {"site": self.site, "job": self.job, "plan_digest": self.plan_digest, "mask_key": self.mask_key}

    def signed(self, identity: Ed25519PrivateKey) -> Self:
        return replace(self, signature=sign(identity, _DOMAIN, self._statement()))

    def check_signature(self, identity: str) -> None:
        verify(identity, _DOMAIN, self._statement(), self.signature)

    def to_dict(self) -> dict[str, Json]:
        return {**self._statement(), "signature": self.signature}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            announcement = cls(**data)
        except TypeError:
            raise IntegrityFailure("An announced mask key cannot be read.") from None
        if not all(isinstance(part, str) for part in asdict(announcement).values()):
            raise IntegrityFailure("An announced mask key cannot be read.")
        return announcement


@dataclass(frozen=True, slots=True)
class Roster:
    """The Announcements of all the Plan's sites, in the order of their names. Made by `gather` only."""

    job: str
    plan_digest: str
    announcements: tuple[Announcement, ...]

    @classmethod
    def gather(
        cls, job: str, plan_digest: str, announcements: Iterable[Announcement], identities: Mapping[str, str]
    ) -> Self:
        """The Roster of this Job, checked against the identities in the Plan. Hub and sites each check for themselves.

        Raises
        ------
        RoundFailed
            If a site is missing.
        IntegrityFailure
            If one is there that should not be, or twice, or a key is not signed by its site for this Job and Plan.
        """
        ordered = sorted(announcements, key=lambda announcement: announcement.site)
        names = [announcement.site for announcement in ordered]
        missing = sorted(set(identities) - set(names))
        if missing:
            raise RoundFailed(f"No mask key from {', '.join(missing)}.", "Submit again when all sites are online.")
        if names != sorted(identities) or len(names) < _SMALLEST:
            raise IntegrityFailure("The roster is not over the Plan's sites.")
        if not all(_HEX64.fullmatch(announcement.mask_key) for announcement in ordered):
            raise IntegrityFailure("The roster shows a mask key that is none.")
        if len({announcement.mask_key for announcement in ordered}) != len(ordered):
            raise IntegrityFailure("Two sites of the roster show the same mask key.")
        for announcement in ordered:
            if (announcement.job, announcement.plan_digest) != (job, plan_digest):
                raise IntegrityFailure(f"The mask key of '{announcement.site}' is for another job.")
            announcement.check_signature(identities[announcement.site])
        return cls(job, plan_digest, tuple(ordered))

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(announcement.site for announcement in self.announcements)

    @property
    def digest(self) -> str:
        """Over plan, job and all keys: every mask depends on it."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Json]:
        return {
            "job": self.job,
            "plan_digest": self.plan_digest,
            "announcements": [announcement.to_dict() for announcement in self.announcements],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The Roster as another party shows it, unchecked: pass its announcements through `gather`."""
        try:
            return cls(
                str(data["job"]),
                str(data["plan_digest"]),
                tuple(Announcement.from_dict(announcement) for announcement in data["announcements"]),
            )
        except (KeyError, TypeError):
            raise IntegrityFailure("A roster cannot be read.") from None
