"""Masks: streams of uniform ring elements that hide a Contribution until, and unless, they are taken off again."""

from __future__ import annotations

import hashlib

import numpy as np

from synthema_core.canonical import canonical
from synthema_core.secure_sum.keys import derive, keystream
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.secure_sum.session import Moment


def input_digest(values: Floats) -> str:
    """Digest of a Round's input. Part of every pair's mask: sites that were told different stories do not cancel."""
    content = np.ascontiguousarray(values, dtype="<f8")
    return hashlib.sha256(canonical({"shape": list(content.shape)}) + content.tobytes()).hexdigest()


def pairwise_mask(secret: bytes, site: str, other: str, moment: Moment, length: int) -> tuple[int, Ring]:
    """What `site` adds for the pair: (+1, stream) or (-1, stream). `other` adds the same with the other sign.

    Parameters
    ----------
    secret
        Of the pair, from the two keys of this Round.
    """
    context = {
        "protocol": "synthema/pairwise-mask/2",
        "session": moment.session,
        "round": moment.round_index,
        "input": moment.seen,
        "pair": sorted((site, other)),
    }
    return 1 if site < other else -1, _stream(derive(secret, context), length)  # type: ignore[arg-type]


def self_mask(seed: bytes, length: int) -> Ring:
    """A site's own mask of one Round, on top of those of pairs.

    With it, a Contribution that comes after the others took its site for missing, and gave away its mask key, still
    tells nothing.
    """
    return _stream(derive(seed, {"protocol": "synthema/self-mask/1"}), length)


def add_signed(ring: Ring, signed: tuple[int, Ring]) -> None:
    """Add in place."""
    sign, stream = signed
    if sign > 0:
        np.add(ring, stream, out=ring)
    else:
        np.subtract(ring, stream, out=ring)


def _stream(seed: bytes, length: int) -> Ring:
    return np.frombuffer(keystream(seed, 8 * length), dtype="<u8")
