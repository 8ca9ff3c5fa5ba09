"""Who takes part in a Job, and under which keys: each signed by the identity that the Plan names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json, digest
from synthema_core.errors import IntegrityFailure, RoundFailed
from synthema_core.identity import sign, verify
from synthema_core.secure_sum.keys import JobKeys, commitment_to, public_half
from synthema_core.secure_sum.terms import Terms

_DOMAIN = "mask-keys"
_HEX64 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[0-9a-f]{62}[0-7][0-9a-f]")
"""An X25519 key in one spelling, so that one that is there twice shows: RFC 7748 does not read the top bit."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One site's public keys for one Job.

    Parameters
    ----------
    mask_keys
        An X25519 key for each Round, 64 hexadecimal digits each; made for this Job alone.
    share_key, self_masks
        Where a Round can do without some sites: an X25519 key for shares, and a commitment to each Round's self-mask
        seed. Otherwise empty.
    signature
        The site's identity over everything else.
    """

    site: str
    job: str
    plan_digest: str
    mask_keys: tuple[str, ...]
    share_key: str = ""
    self_masks: tuple[str, ...] = ()
    signature: str = ""

    @classmethod
    def of(cls, site: str, job: str, plan_digest: str, keys: JobKeys, rounds: int, *, recovers: bool) -> Self:
        """Not signed yet."""
        indices = range(1, rounds + 1)
        mask_keys = tuple(public_half(keys.mask_key(index)) for index in indices)
        if not recovers:
            return cls(site, job, plan_digest, mask_keys)
        self_masks = tuple(commitment_to(keys.self_seed(index)) for index in indices)
        return cls(site, job, plan_digest, mask_keys, public_half(keys.share_key), self_masks)

    def _statement(self) -> dict[str, Json]:
        return {key: value for key, value in self.to_dict().items() if key != "signature"}

    def signed(self, identity: Ed25519PrivateKey) -> Self:
        return replace(self, signature=sign(identity, _DOMAIN, self._statement()))

    def check_signature(self, identity: str) -> None:
        verify(identity, _DOMAIN, self._statement(), self.signature)

    def check_keys(self, rounds: int, *, recovers: bool) -> None:
        """Raise IntegrityFailure unless there is a key, and a commitment, for each Round."""
        counts = (len(self.mask_keys), len(self.self_masks), bool(self.share_key))
        if counts != (rounds, rounds if recovers else 0, recovers):
            raise IntegrityFailure(f"'{self.site}' does not show one key for each round.")
        keys = (*self.mask_keys, self.share_key) if recovers else self.mask_keys
        if not all(map(_KEY.fullmatch, keys)) or not all(map(_HEX64.fullmatch, self.self_masks)):
            raise IntegrityFailure(f"'{self.site}' shows a key that is none.")

    def to_dict(self) -> dict[str, Json]:
        return {
            "site": self.site,
            "job": self.job,
            "plan_digest": self.plan_digest,
            "mask_keys": list(self.mask_keys),
            "share_key": self.share_key,
            "self_masks": list(self.self_masks),
            "signature": self.signature,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            mask_keys, self_masks = data["mask_keys"], data["self_masks"]
            announcement = cls(**{**data, "mask_keys": tuple(mask_keys), "self_masks": tuple(self_masks)})
        except (TypeError, KeyError):
            raise IntegrityFailure("A site's announced keys cannot be read.") from None
        single = (announcement.site, announcement.job, announcement.plan_digest, announcement.share_key)
        texts = (*single, announcement.signature, *announcement.mask_keys, *announcement.self_masks)
        if not all(isinstance(text, str) for text in texts) or not isinstance(mask_keys, list):
            raise IntegrityFailure("A site's announced keys cannot be read.")
        return announcement


@dataclass(frozen=True, slots=True)
class Roster:
    """The Announcements of the sites that take part, in the order of their names. Made by `gather` only.

    Attributes
    ----------
    digest
        Over plan, job and all keys: every mask depends on it.
    """

    job: str
    plan_digest: str
    announcements: tuple[Announcement, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest(self.to_dict()))  # once: it may be large, and is asked for often

    @classmethod
    def gather(
        cls,
        job: str,
        plan_digest: str,
        announcements: Iterable[Announcement],
        identities: Mapping[str, str],
        terms: Terms,
        rounds: int,
    ) -> Self:
        """The Roster of this Job, checked against the identities in the Plan. Hub and sites each check for themselves.

        Raises
        ------
        RoundFailed
            If too few of the Plan's sites are there.
        IntegrityFailure
            If one is there that should not be, or twice, or a key is not signed by its site for this Job and Plan.
        """
        ordered = sorted(announcements, key=lambda announcement: announcement.site)
        names = [announcement.site for announcement in ordered]
        if len(set(names)) != len(names) or not set(names) <= identities.keys():
            raise IntegrityFailure("The roster is not over the Plan's sites.")
        if len(names) < terms.least:
            missing = ", ".join(sorted(set(identities) - set(names)))
            raise RoundFailed(f"No keys from {missing}.", "Submit again when all sites are online.")
        for announcement in ordered:
            if (announcement.job, announcement.plan_digest) != (job, plan_digest):
                raise IntegrityFailure(f"The keys of '{announcement.site}' are for another job.")
            announcement.check_signature(identities[announcement.site])
            announcement.check_keys(rounds, recovers=terms.recovers)
        keys = [key for announcement in ordered for key in (*announcement.mask_keys, announcement.share_key) if key]
        if len(set(keys)) != len(keys):
            raise IntegrityFailure("The roster shows a key twice.")
        return cls(job, plan_digest, tuple(ordered))

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(announcement.site for announcement in self.announcements)

    def of(self, site: str) -> Announcement:
        for announcement in self.announcements:
            if announcement.site == site:
                return announcement
        raise IntegrityFailure(f"The roster does not show '{site}'.")

    def mask_key(self, site: str, round_index: int) -> str:
        return self.of(site).mask_keys[round_index - 1]

    def to_dict(self) -> dict[str, Json]:
        return {
            "job": self.job,
            "plan_digest": self.plan_digest,
            "announcements": [announcement.to_dict() for announcement in self.announcements],
        }

    @staticmethod
    def announced(data: Mapping[str, Any]) -> tuple[Announcement, ...]:
        """What a Roster shows, unchecked: for `gather`."""
        try:
            return tuple(Announcement.from_dict(announcement) for announcement in data["announcements"])
        except (KeyError, TypeError, AttributeError):
            raise IntegrityFailure("A roster cannot be read.") from None
