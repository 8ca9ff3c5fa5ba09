"""Eight processes claim from one ledger and are killed as they do: nothing is overspent, and nothing told is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import selectors
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from support.builders import Ticking
from support.spending import approved, spending_site
from synthema_core.analyses import from_plan
from synthema_core.charging import mechanism_of
from synthema_core.errors import Refused
from synthema_core.ledger import Spent, Standing
from synthema_core.request import Verb
from synthema_core.request_record import request_ids, request_record
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.records import charges
from synthema_datasite.service.site import Site
from synthema_datasite.state import SiteState

PROCESSES = 8
FORK = multiprocessing.get_context("fork")


def claim_all(folder: Path, digests: dict[str, str], number: int, told: Connection) -> None:
    """One process of a datasite: claims whatever is approved, and says so once it is on disk."""
    site, mine = Site.open(SiteState(folder), Ticking()), sorted(digests)
    random.Random(number).shuffle(mine)
    for request in mine:
        try:
            claim = Claims(site).claim(f"{request}-{number}", request, digests[request])
        except Refused as error:
            if error.rule not in ("budget", "approval"):
                raise
        else:
            told.send((request, claim.spent))
    told.close()


@dataclass
class Crowd:
    """The processes of one site, and what they have acknowledged."""

    folder: Path
    digests: dict[str, str]
    kills: int
    dice: random.Random
    begun: int = 0
    alive: dict[Connection, BaseProcess] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Until all have ended; now and then one is killed where it stands, and another takes its place."""
        with selectors.DefaultSelector() as selector:
            for _ in range(PROCESSES):
                self._begin(selector)
            while self.alive:
                for key, _ in selector.select(60) or pytest.fail("nothing happened for a minute"):
                    self._hear(selector, key.fileobj)  # type: ignore[arg-type]

    def _begin(self, selector: selectors.BaseSelector) -> None:
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=claim_all, args=(self.folder, self.digests, self.begun, theirs))
        process.start()
        theirs.close()
        self.begun += 1
        self.alive[ours] = process
        selector.register(ours, selectors.EVENT_READ)

    def _hear(self, selector: selectors.BaseSelector, pipe: Connection) -> None:
        if pipe not in self.alive:
            return
        try:
            request, _ = pipe.recv()
        except (EOFError, OSError):
            self._end(selector, pipe)
            return
        self.acknowledged.append(request)
        if self.kills and self.dice.random() < 0.5:
            self.kills -= 1
            victim = self.dice.choice(list(self.alive.values()))
            os.kill(victim.pid or 0, signal.SIGKILL)
            self._begin(selector)

    def _end(self, selector: selectors.BaseSelector, pipe: Connection) -> None:
        selector.unregister(pipe)
        process = self.alive.pop(pipe)
        process.join(30)
        assert process.exitcode in (0, -signal.SIGKILL)


def hammer(folder: Path, requests: int, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    here = spending_site(folder, "[defaults.budget]\nepsilon = 4.0\n")
    digests = {}
    for number in range(requests):
        epsilon = round(dice.uniform(0.3, 1.5), 2)
        digests[f"r{number}"] = approved(here, f"r{number}", epsilon, purpose=f"Question {number}").digest
    here.site.journal.close()  # SQLite must not be carried over a fork
    crowd = Crowd(here.state.folder, digests, kills, dice)
    crowd.run()
    check(Site.open(here.state, here.clock), crowd.acknowledged, kills - crowd.kills)


def check(site: Site, acknowledged: Sequence[str], killed: int) -> None:
    site.journal.verify()
    made = charges(site.journal, "trial")
    charged = [charge.request for charge in made]
    assert len(charged) == len(set(charged)), "an approval is good for one run"
    assert set(acknowledged) <= set(charged), "what was acknowledged is on disk"
    assert killed and len(charged) - len(set(acknowledged)) <= killed, "only who was killed kept it to himself"
    records = [request_record(site.journal, identifier, site.name) for identifier in request_ids(site.journal)]
    assert {one.request.id for one in records if one.last(Verb.START)} == set(charged), "both are there, or none"
    standing = Standing.of(site.state.policy().budget("trial"), made)
    assert standing.share <= 1
    assert standing.spent_epsilon <= 4.0
    kept = site.ledger.account(site.journal, site.state.policy(), "all").standing
    assert kept.spent.rdp == pytest.approx(standing.spent.rdp)
    refused = [one for one in records if not one.last(Verb.START)]
    assert refused, "more was asked than there was"
    for record in refused:
        mechanism = mechanism_of(record.plan, from_plan(record.plan.analysis, record.plan.parameters))
        assert mechanism is not None and not standing.has_room(Spent.of(mechanism)), "nothing was refused that fits"


def test_killed_processes_neither_overspend_nor_lose_a_charge(tmp_path: Path) -> None:
    hammer(tmp_path, requests=24, kills=5, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_the_same_for_longer(tmp_path: Path, seed: int) -> None:
    hammer(tmp_path, requests=120, kills=30, seed=seed)
