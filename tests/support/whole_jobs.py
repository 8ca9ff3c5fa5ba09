"""Whole Jobs inside the test: rows at every site, real Contributors, and the hub's real exchange, to the result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from support.builders import NOW, SCHEMA, card
from support.code import InMemory
from support.sums import Away, ContributorSite, InProcessLine, Remembered, SumSite
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Rows
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.schemas import Schema
from synthema_core.wire import Kind
from synthema_datasite.worker.contributions import OfEngine
from synthema_datasite.worker.contributor import Contributor
from synthema_hub.federated.coordinator import Coordinator
from synthema_hub.federated.secure_rounds import SecureRounds

KEY = b"a site's secret"


@cache
def key_of(site: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(site.encode().ljust(32, b"0"))


def plan_for(sites: int, schema: Schema, analysis: str, options: Mapping[str, str], **cost: Any) -> Plan:
    """A Plan to so many sites."""
    names = [f"site-{number:02}" for number in range(1, sites + 1)]
    cards = [replace(card("alder", schema=schema), site=name, identity=public_key(key_of(name))) for name in names]
    return make_plan(analysis, options, cards, requester="rosalind", purpose="An audit", now=NOW, **cost)


class Silent:
    """Implements what the coordinator uses of JobService."""

    def report(self, *told: Any) -> None:
        """Nobody reads it."""


@dataclass(frozen=True)
class WholeJob:
    """A Plan with the rows of its sites, which can be run any number of times.

    Parameters
    ----------
    rows
        By site; those that are not named have no patients.
    insiders
        Sites that add nothing, no noise either: what they know is taken off the sum.
    lost
        Sites that are gone when the Round begins.
    """

    plan: Plan
    rows: Mapping[str, Rows]
    insiders: Collection[str] = ()
    lost: Collection[str] = ()

    def hub_view(self) -> NDArray[np.int64]:
        """The sum of the first Round, (layout.length,), in signed ring steps."""
        line = InProcessLine(self._sites(), self._away)
        analysis = from_plan(self.plan.analysis, self.plan.parameters)
        rounds = SecureRounds("j1", "r1", self.plan, analysis.max_rounds, analysis.answer_seconds, line.exchange())
        rounds.open()
        return rounds.sum(1, analysis.begin().input).total.view(np.int64)  # type: ignore[union-attr]

    def outcome(self) -> dict[str, Any]:
        """What the coordinator gives the hub's service to release."""
        line = InProcessLine(self._sites(), self._away)
        return Coordinator("j1", "r1", self.plan, line.exchange(), Silent()).run()  # type: ignore[arg-type]

    @property
    def _away(self) -> Away:
        gone = {Kind.ROUND, Kind.UNMASK, Kind.CERTIFIED}
        return lambda site, message: "silent" if site in self.lost and message.kind in gone else ""

    def _sites(self) -> Sequence[SumSite | ContributorSite]:
        return [self._insider(site) if site in self.insiders else self._honest(site) for site in self.plan.sites]

    def _honest(self, site: str) -> ContributorSite:
        analysis = from_plan(self.plan.analysis, self.plan.parameters)
        empty = {name: np.array([], dtype=object if name == "id" else np.float64) for name in ("id", *analysis.columns)}
        rows = InMemory(self.rows.get(site, empty))
        engine = OfEngine(self.plan, analysis, rows, SCHEMA, KEY)
        return ContributorSite(Contributor("j1", site, self.plan, analysis, engine, Remembered()), site, key_of(site))

    def _insider(self, site: str) -> SumSite:
        return SumSite(self.plan, site, key_of(site), np.zeros(self.plan.layout.length, dtype=np.uint64))
