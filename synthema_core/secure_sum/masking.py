"""Masks: pairwise, fresh for each Round, cancelling in the sum over all sites that saw the same input."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from synthema_core.canonical import canonical
from synthema_core.errors import IntegrityFailure, RoundFailed
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.secure_sum.roster import Roster

_PROTOCOL = "synthema/pairwise-mask/1"


def input_digest(values: Floats) -> str:
    """Digest of a Round's input. Part of every mask's seed: sites that were told different stories do not cancel."""
    content = np.ascontiguousarray(values, dtype="<f8")
    return hashlib.sha256(canonical({"shape": list(content.shape)}) + content.tobytes()).hexdigest()


class Member:
    """One site's side of the masking, for one Job.

    Parameters
    ----------
    key
        The Job's own X25519 key; never stored, gone with the process.
    """

    def __init__(self, site: str, key: X25519PrivateKey) -> None:
        self._site, self._key = site, key
        self._roster: Roster | None = None
        self._shared: dict[str, bytes] = {}
        self._last_round = 0

    @property
    def public_key(self) -> str:
        return self._key.public_key().public_bytes_raw().hex()

    def join(self, roster: Roster) -> None:
        """Agree on a secret with every other site of a checked Roster. Once.

        Raises
        ------
        IntegrityFailure
            If this site's own key is not in it, a key is no key, or the Member has joined before.
        """
        if self._roster is not None:
            raise IntegrityFailure("This job has a roster already.")
        keys = {announcement.site: announcement.mask_key for announcement in roster.announcements}
        if keys.get(self._site) != self.public_key:
            raise IntegrityFailure("The roster shows another mask key for this site than its own.")
        try:
            self._shared = {
                site: self._key.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(key)))
                for site, key in keys.items()
                if site != self._site
            }
        except ValueError:  # not a key, or one of the few with which every secret is zero
            raise IntegrityFailure("The roster shows a mask key that is none.") from None
        self._roster = roster

    def mask(self, round_index: int, seen: str, ring: Ring) -> Ring:
        """`ring` with this site's masks for that Round.

        Parameters
        ----------
        round_index
            Larger than any before: a mask used twice would show the difference of two contributions.
        seen
            `input_digest` of what this site was told in the Round.
        """
        if self._roster is None:
            raise IntegrityFailure("A round cannot come before the roster.")
        if round_index <= self._last_round:
            raise IntegrityFailure(f"Round {round_index} was masked before.")
        self._last_round = round_index
        masked = ring.copy()
        for other, shared in self._shared.items():
            stream = _keystream(self._seed(other, shared, round_index, seen), len(ring))
            masked = masked + stream if self._site < other else masked - stream
        return masked

    def _seed(self, other: str, shared: bytes, round_index: int, seen: str) -> bytes:
        """HKDF-SHA256 (RFC 5869) over the pair's secret, bound to everything the two must agree on."""
        assert self._roster is not None
        context = {
            "protocol": _PROTOCOL,
            "roster": self._roster.digest,
            "round": round_index,
            "input": seen,
            "pair": sorted((self._site, other)),
        }
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=canonical(context)).derive(shared)


def _keystream(seed: bytes, length: int) -> Ring:
    """`length` uniform elements of Z_2^64: ChaCha20 under a key that is used once, so that its nonce may be zero.

    Measured against AES-256 in counter mode: 1.7 ms and 2.8 ms for a million elements.
    """
    encryptor = Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * length)), dtype="<u8").astype(np.uint64)


def add(masked: Mapping[str, Ring], sites: Sequence[str], length: int) -> Ring:
    """The sum over exactly these sites; the masks cancel in it.

    Raises
    ------
    RoundFailed
        If a contribution is missing, too many or of the wrong length. What is there is not summed: a partial sum
        is uniform noise, and worth nothing to anybody.
    """
    if sorted(masked) != sorted(sites) or len(sites) < 2:
        missing = ", ".join(sorted(set(sites) - set(masked))) or "none"
        raise RoundFailed(f"The contributions are not those of the Plan's sites (missing: {missing}).")
    if any(ring.shape != (length,) or ring.dtype != np.uint64 for ring in masked.values()):
        raise RoundFailed("A contribution does not have the declared length.")
    total = np.zeros(length, dtype=np.uint64)
    for ring in masked.values():
        total += ring
    return total
