"""What a site keeps secret during one Job: derived from one random seed, so that a restarted site has it again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from synthema_core.canonical import Json, canonical
from synthema_core.errors import IntegrityFailure

SECRET_BYTES = 32


def derive(secret: bytes, context: dict[str, Json]) -> bytes:
    """32 bytes by HKDF-SHA256 (RFC 5869), bound to `context`. Other contexts tell nothing about them."""
    return HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=None, info=canonical(context)).derive(secret)


def keystream(seed: bytes, length: int) -> bytes:
    """`length` uniform bytes: ChaCha20 under a key that is used once, so that its nonce may be zero.

    Measured against AES-256 in counter mode: 1.7 ms and 2.8 ms for eight million bytes.
    """
    return Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor().update(bytes(length))


def agree(own: X25519PrivateKey, other: str) -> bytes:
    """The secret of a pair, from one's private key and the other's public one (hexadecimal).

    Raises
    ------
    IntegrityFailure
        If that is no key, or one of the few with which every secret is zero.
    """
    try:
        return own.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(other)))
    except ValueError:
        raise IntegrityFailure("The roster shows a key that is none.") from None


def public_half(key: X25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def commitment_to(seed: bytes) -> str:
    """What a site announces of a self-mask seed: whoever puts its shares together sees whether they are right."""
    return hashlib.sha256(b"synthema/self-mask\0" + seed).hexdigest()


@dataclass(frozen=True, slots=True)
class JobKeys:
    """One site's secrets for one Job.

    Parameters
    ----------
    seed
        32 random bytes, of which nothing else is made.
    """

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SECRET_BYTES:
            raise IntegrityFailure("A job's seed was lost: its keys cannot be made again.")

    def mask_key(self, round_index: int) -> X25519PrivateKey:
        """Of one Round alone: when a site is missing in it, the others give this key away."""
        return X25519PrivateKey.from_private_bytes(self._part("mask-key", round_index))

    def self_seed(self, round_index: int) -> bytes:
        """Of the mask that stays on a Contribution until the others give this seed away."""
        return self._part("self-mask", round_index)

    @property
    def share_key(self) -> X25519PrivateKey:
        """For the shares that sites send each other through the hub."""
        return X25519PrivateKey.from_private_bytes(self._part("share-key"))

    def coefficients(self, length: int) -> bytes:
        """`length` bytes of randomness for the sharing: always the same, so that nobody is dealt two of them."""
        return keystream(self._part("coefficients"), length)

    def round_secrets(self, round_index: int) -> bytes:
        """What is shared of one Round: the self-mask seed, then the private mask key."""
        return self.self_seed(round_index) + self.mask_key(round_index).private_bytes_raw()

    def _part(self, what: str, round_index: int = 0) -> bytes:
        return derive(self.seed, {"protocol": "synthema/job-keys/1", "what": what, "round": round_index})
