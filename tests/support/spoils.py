"""What a hub that keeps all it ever saw can compute, together with its insiders: every sum, and every difference.

The masks that it cannot compute are unknowns; a combination of masked Contributions in which all unknowns cancel is
one that it learns. Each unknown is in at most two of them with opposite signs, so that the matrix is totally
unimodular and combinations with coefficients -1, 0 and 1 span all that there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from support.protocol import Site
from synthema_core.secure_sum import Announcement, Moment, Reveal, Session, Terms
from synthema_core.secure_sum.keys import SECRET_BYTES, JobKeys, agree, commitment_to, public_half
from synthema_core.secure_sum.layout import Ring
from synthema_core.secure_sum.masking import add_signed, pairwise_mask, self_mask
from synthema_core.secure_sum.shamir import join


@dataclass(frozen=True)
class Heard:
    """A masked Contribution of a site that is no insider, with what the hub had told it."""

    site: str
    session: Session
    moment: Moment
    ring: Ring


@dataclass(frozen=True)
class Learnt:
    """What comes out: by site, with signs; twice the same site where it was heard twice."""

    terms: tuple[tuple[str, int], ...]
    value: Ring

    @property
    def sites(self) -> frozenset[str]:
        return frozenset(site for site, _ in self.terms)

    @property
    def is_sum(self) -> bool:
        return all(sign > 0 for _, sign in self.terms)


@dataclass
class Spoils:
    """Parameters
    ----------
    self_masked, bound
        Whether the sites that are attacked have masks of their own, and pairs' masks that depend on the input.
    """

    terms: Terms
    announcements: Mapping[str, Announcement]
    self_masked: bool = True
    bound: bool = True
    heard: list[Heard] = field(default_factory=list)
    insiders: dict[str, JobKeys] = field(default_factory=dict)
    seeds: dict[tuple[str, int], dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    keys: dict[tuple[str, int], dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, sites: Mapping[str, Site], insiders: Iterable[str] = (), **weak: bool) -> Spoils:
        """Of a Job whose sites have begun; the insiders hand over their seeds and the shares they were dealt."""
        one = next(iter(sites.values()))
        spoils = cls(one.terms, {name: site.announce() for name, site in sites.items()}, **weak)
        for name in insiders:
            spoils.hand_over(sites[name])
        return spoils

    def hand_over(self, insider: Site) -> None:
        self.insiders[insider.name] = JobKeys(insider.memory["seed"])
        point = self.terms.point(insider.name)
        for owner, shares in insider.member._shares.items():
            for index in range(1, insider.rounds + 1):
                part = shares[2 * SECRET_BYTES * (index - 1) :][: 2 * SECRET_BYTES]
                self.seeds[owner, index][point], self.keys[owner, index][point] = (
                    part[:SECRET_BYTES],
                    part[SECRET_BYTES:],
                )

    def hear(self, site: Site, index: int, seen: str, session: Session) -> None:
        ring = site.mask(index, seen)
        if site.name not in self.insiders:
            self.heard.append(Heard(site.name, session, Moment(session.digest, index, seen), ring))

    def see(self, by: str, index: int, reveal: Reveal) -> None:
        for kept, shares in ((self.seeds, reveal.seeds), (self.keys, reveal.keys)):
            for owner, share in shares.items():
                kept[owner, index][self.terms.point(by)] = share

    def seed(self, owner: str, index: int) -> bytes | None:
        if owner in self.insiders:
            return self.insiders[owner].self_seed(index)
        announced = self.announcements[owner].self_masks[index - 1]
        return self._joined(self.seeds[owner, index], lambda seed: commitment_to(seed) == announced)

    def key(self, owner: str, index: int) -> X25519PrivateKey | None:
        if owner in self.insiders:
            return self.insiders[owner].mask_key(index)
        announced, read = self.announcements[owner].mask_keys[index - 1], X25519PrivateKey.from_private_bytes
        key = self._joined(self.keys[owner, index], lambda key: public_half(read(key)) == announced)
        return None if key is None else read(key)

    def _joined(self, shares: Mapping[int, bytes], fits: object) -> bytes | None:
        if len(shares) < self.terms.threshold:
            return None
        found = join(dict(list(shares.items())[: self.terms.threshold]))
        assert fits(found), "shares that do not fit"  # type: ignore[operator]
        return found

    def learnt(self, index: int) -> list[Learnt]:
        """Everything about this Round's Contributions that follows from what is known, up to sign."""
        heard = [one for one in self.heard if one.moment.round_index == index]
        stripped, unknown = zip(*map(self._strip, heard), strict=True) if heard else ((), ())
        names = sorted({name for masks in unknown for name in masks})
        matrix = np.array([[masks.get(name, 0) for name in names] for masks in unknown]).reshape(len(heard), len(names))
        ways = np.array(list(product((1, 0, -1), repeat=len(heard))))[
            : 3 ** len(heard) // 2
        ]  # the others are negatives
        found = ways[~(ways @ matrix).any(axis=1)]
        return [self._learnt(heard, stripped, way) for way in found]

    @staticmethod
    def _learnt(heard: list[Heard], stripped: tuple[Ring, ...], way: np.ndarray) -> Learnt:
        value = np.zeros_like(stripped[0])
        for sign, ring in zip(way, stripped, strict=True):
            if sign:
                add_signed(value, (sign, ring))
        return Learnt(tuple((one.site, int(sign)) for one, sign in zip(heard, way, strict=True) if sign), value)

    def sums(self, index: int = 1) -> dict[frozenset[str], Ring]:
        """Plain sums over several sites, by the sites."""
        return {learnt.sites: learnt.value for learnt in self.learnt(index) if learnt.is_sum}

    def fewest(self, index: int = 1) -> int:
        """Of how many sites the smallest thing is that is learnt; many where nothing is."""
        return min((len(learnt.sites) for learnt in self.learnt(index)), default=len(self.terms.sites))

    def _strip(self, one: Heard) -> tuple[Ring, dict[str, int]]:
        """Without the masks that are known; the others by name, with their signs."""
        ring, index, unknown = one.ring.copy(), one.moment.round_index, dict[str, int]()
        if self.self_masked:
            seed = self.seed(one.site, index)
            if seed is None:
                unknown[f"self {one.site}"] = 1
            else:
                add_signed(ring, (-1, self_mask(seed, len(ring))))
        for other in one.session.dealers:
            if other != one.site:
                self._strip_pair(one, other, ring, unknown)
        return ring, unknown

    def _strip_pair(self, one: Heard, other: str, ring: Ring, unknown: dict[str, int]) -> None:
        index, moment = one.moment.round_index, one.moment
        for holder, peer in ((one.site, other), (other, one.site)):
            key = self.key(holder, index)
            if key is not None:
                secret = agree(key, self.announcements[peer].mask_keys[index - 1])
                sign, stream = pairwise_mask(secret, one.site, other, moment, len(ring))
                return add_signed(ring, (-sign, stream))
        pair, seen = " ".join(sorted((one.site, other))), moment.seen if self.bound else ""
        unknown[f"{pair} {moment.session} {seen}"] = 1 if one.site < other else -1
        return None
