"""The numbers on which a secure sum rests: how many sites must be there, agree, and may be insiders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from synthema_core.errors import InvalidPlan

SMALLEST_FEDERATION = 3
"""With two sites, each knows the other's sum: it is the total less its own."""
MOST_SITES = 100


@dataclass(frozen=True, slots=True)
class Terms:
    """What sites and hub compute alike from a Plan, before anything runs.

    Parameters
    ----------
    sites
        All that the Plan names, in the order of their names.
    threshold
        t: so many sites must sign the same survivors, and so many shares give a secret.
    least
        m: a sum is over at least this many sites.
    insiders
        c: so many sites may know or leave out their own noise, and the cost that was declared still holds. They and a
        hostile hub together learn sums over at least ``least - insiders`` honest sites only.
    """

    sites: tuple[str, ...]
    threshold: int
    least: int
    insiders: int = 0

    @classmethod
    def for_noisy_sum(cls, sites: tuple[str, ...], min_sites: int, insiders: int) -> Self:
        """Of a Plan whose sums carry noise: a sum without some of its sites is as private as the whole.

        Raises
        ------
        InvalidPlan
            If so many insiders could split the survivors in two, or leave one honest site alone.
        """
        if len(sites) == 1:
            return cls._alone(sites, insiders)
        threshold = 2 * len(sites) // 3 + 1
        terms = cls(sites, threshold, max(threshold, min_sites, SMALLEST_FEDERATION), insiders)
        if not 0 <= insiders <= terms.most_insiders:
            raise InvalidPlan(
                f"With {len(sites)} sites a Plan can allow for 0 to {terms.most_insiders} insiders, not {insiders}.",
                "Insiders are sites that may know their own noise; usual is 1.",
            )
        return terms

    @classmethod
    def for_exact_sum(cls, sites: tuple[str, ...]) -> Self:
        """Of an exact Plan: every site takes part to the end. The sum without one would give that one's numbers."""
        return cls(sites, len(sites), len(sites))

    @classmethod
    def _alone(cls, sites: tuple[str, ...], insiders: int) -> Self:
        if insiders:
            raise InvalidPlan("A single site is nobody's insider: all its noise protects it.", "Use --insiders 0.")
        return cls(sites, 1, 1)

    @property
    def most_insiders(self) -> int:
        """The largest c for which the claims hold: ``min(2t - K - 1, m - 2)``."""
        return min(2 * self.threshold - len(self.sites) - 1, self.least - 2)

    @property
    def recovers(self) -> bool:
        """Whether a Round can do without some sites. If not, nothing of a missing one is ever reconstructed."""
        return self.least < len(self.sites)

    @property
    def contributors(self) -> int:
        """Sites whose noise is counted on: ``least - insiders``, of which each adds as large a part."""
        return self.least - self.insiders

    def point(self, site: str) -> int:
        """Where a site's shares lie, from 1; the same for every roster of the Plan's sites."""
        return self.sites.index(site) + 1
