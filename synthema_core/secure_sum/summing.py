"""The hub's side of a secure sum: from masked Contributions, and what sites reveal, to the sum and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from synthema_core.errors import IntegrityFailure, RoundFailed
from synthema_core.secure_sum.keys import agree, commitment_to, public_half
from synthema_core.secure_sum.layout import Ring
from synthema_core.secure_sum.masking import add_signed, pairwise_mask, self_mask
from synthema_core.secure_sum.session import Session
from synthema_core.secure_sum.shamir import join
from synthema_core.secure_sum.survivors import Reveal, Survivors
from synthema_core.secure_sum.terms import Terms


def add(masked: Mapping[str, Ring], sites: Sequence[str], length: int) -> Ring:
    """The sum over exactly these sites: of pairs' masks, those between them cancel.

    Raises
    ------
    RoundFailed
        If a contribution is missing, too many or of the wrong length. What is there is not summed: a partial sum
        is uniform noise, and worth nothing to anybody.
    """
    if sorted(masked) != sorted(sites) or not sites:
        missing = ", ".join(sorted(set(sites) - set(masked))) or "none"
        raise RoundFailed(f"The contributions are not those of the sum's sites (missing: {missing}).")
    if any(ring.shape != (length,) or ring.dtype != np.uint64 for ring in masked.values()):
        raise RoundFailed("A contribution does not have the declared length.")
    total = np.zeros(length, dtype=np.uint64)
    for ring in masked.values():
        total += ring
    return total


def unmask(total: Ring, session: Session, terms: Terms, chosen: Survivors, reveals: Mapping[str, Reveal]) -> Ring:
    """The survivors' sum, exactly, from their masked total: without their own masks, and without those that they
    share with sites that are missing.

    Parameters
    ----------
    reveals
        By site, each checked for the Round's sites; at least the threshold.

    Raises
    ------
    RoundFailed
        If too few sites revealed their shares, or some revealed wrong ones.
    """
    if len(reveals) < terms.threshold:
        raise RoundFailed(
            f"{len(reveals)} sites revealed shares and {terms.threshold} are needed; nothing can be read.",
            "Submit again when more sites are online.",
        )
    points = {site: terms.point(site) for site in sorted(reveals)[: terms.threshold]}
    unmasked = total.copy()
    for site in chosen.sites:
        seed = join({point: reveals[by].seeds[site] for by, point in points.items()})
        _check_same(commitment_to(seed), session.roster.of(site).self_masks[chosen.moment.round_index - 1], site)
        add_signed(unmasked, (-1, self_mask(seed, len(total))))
    for site in _missing(session, chosen):
        key = join({point: reveals[by].keys[site] for by, point in points.items()})
        for signed in _masks_with_missing(session, chosen, site, key, len(total)):
            add_signed(unmasked, signed)
    return unmasked


def _missing(session: Session, chosen: Survivors) -> list[str]:
    return [site for site in session.dealers if site not in chosen.sites]


def _masks_with_missing(
    session: Session, chosen: Survivors, missing: str, key: bytes, length: int
) -> Iterable[tuple[int, Ring]]:
    """What `missing` would have added for its pairs with the survivors."""
    index = chosen.moment.round_index
    private = X25519PrivateKey.from_private_bytes(key)
    _check_same(public_half(private), session.roster.mask_key(missing, index), missing)
    for site in chosen.sites:
        secret = agree(private, session.roster.mask_key(site, index))
        yield pairwise_mask(secret, missing, site, chosen.moment, length)


def _check_same(found: str, announced: str, site: str) -> None:
    if found != announced:
        raise RoundFailed(f"The shares of '{site}' do not fit together: a site revealed a wrong one.", "Submit again.")


def check_sealed(sealed: Mapping[str, bytes], roster_sites: Sequence[str], sender: str) -> None:
    """Raise IntegrityFailure unless a site dealt to every other one."""
    if sealed.keys() != set(roster_sites) - {sender}:
        raise IntegrityFailure(f"'{sender}' did not deal shares to each of the others.")
