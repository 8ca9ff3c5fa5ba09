"""A Round's survivors as pure combinatorics: what a hub can have sites tell it, by the rules that Member enforces.

A site's story is (D, S): whose shares it accepted, and the survivors it agreed to. Insiders sign everything and give
all their shares. Nothing here is computed with keys; tests compare it with real Members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import TypeAlias

from synthema_core.secure_sum import Terms

Sites: TypeAlias = frozenset[str]
Story: TypeAlias = tuple[Sites, Sites]


def subsets(of: Sites, least: int) -> Iterator[Sites]:
    for size in range(least, len(of) + 1):
        yield from map(frozenset, combinations(sorted(of), size))


def stories(terms: Terms, site: str) -> list[Story]:
    """All that one site may be told and go along with."""
    dealers = [dealers for dealers in subsets(frozenset(terms.sites), terms.least) if site in dealers]
    return [(told, agreed) for told in dealers for agreed in subsets(told, terms.least) if site in agreed]


def courses(terms: Terms, insiders: Sites) -> Iterator[Course]:
    """Every way in which the honest sites may each be told one story."""
    honest = [site for site in terms.sites if site not in insiders]
    for told in product(*(stories(terms, site) for site in honest)):
        yield Course(terms, insiders, dict(zip(honest, told, strict=True)))


@dataclass(frozen=True)
class Course:
    """Parameters
    ----------
    told
        The story of each honest site.
    """

    terms: Terms
    insiders: Sites
    told: Mapping[str, Story]

    @cached_property
    def certified(self) -> set[Story]:
        """Stories for which there are signatures of enough survivors."""
        signers = Counter(self.told.values())
        enough = self.terms.threshold
        return {story for story, count in signers.items() if count + len(self.insiders & story[1]) >= enough}

    @cached_property
    def answering(self) -> dict[str, Story]:
        """Who reveals shares, and for which story: at once where nobody is missing, else if it is certified."""
        return {site: told for site, told in self.told.items() if told[0] == told[1] or told in self.certified}

    @cached_property
    def seeds(self) -> set[str]:
        """Honest sites of whose self mask there are enough shares."""
        shares = Counter(site for _, agreed in self.answering.values() for site in agreed)
        return self._enough(shares)

    @cached_property
    def keys(self) -> set[str]:
        """Honest sites of whose mask key there are enough shares."""
        shares = Counter(site for dealers, agreed in self.answering.values() for site in dealers - agreed)
        return self._enough(shares)

    def _enough(self, shares: Counter[str]) -> set[str]:
        """The insiders have a share of everything that was dealt to them."""
        return {site for site in self.told if shares[site] + len(self.insiders) >= self.terms.threshold}

    @cached_property
    def sums(self) -> set[Sites]:
        """The smallest sets of honest sites over which a sum can be computed."""
        found, left = set[Sites](), set(self.seeds)
        while left:
            group, open_ = self._connected(left.pop())
            left -= group
            if not open_:
                found.add(frozenset(group))
        return found

    def _connected(self, first: str) -> tuple[set[str], bool]:
        """All whose masks must be summed with this site's, and whether one is left that nobody can take off."""
        group, todo, open_ = {first}, [first], False
        while todo:
            site = todo.pop()
            dealers, _ = self.told[site]
            for other in (dealers - self.insiders) - {site}:
                if site in self.keys or other in self.keys:
                    continue
                if self.told[other][0] != dealers or other not in self.seeds:
                    open_ = True
                elif other not in group:
                    group.add(other)
                    todo.append(other)
        return group, open_
