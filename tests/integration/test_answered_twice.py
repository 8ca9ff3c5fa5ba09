"""One question, two researchers, a real hub and a real site that hears of everything by the hub's own feed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.builders import SITES
from support.hub import CODE, OUTCOME, TrialHub
from support.site import PASSPHRASE, STEWARD, TrialSite
from synthema_core.identity import public_key
from synthema_core.joining import Joining
from synthema_core.plan import Plan
from synthema_core.release import Release
from synthema_core.request import Status, Verb
from synthema_datasite.service.budget_reading import read_budgets
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.intake import Fact, Intake
from synthema_datasite.service.records import charges, stewards
from synthema_datasite.service.register import Register


class Pair:
    """The hub, and the site `alder` as it is; `birch` and `cedar` approve whatever comes."""

    def __init__(self, folder: Path) -> None:
        self.here, self.hub = TrialSite(folder / "site"), TrialHub(folder, SITES[1:])
        key = self.here.state.identity()
        self.hub.invite("alder")
        node = Joining("alder", "Alder", public_key(key), "node-alder", CODE).signed(key)
        self.hub.federation.membership.join(node)
        cards = [card.to_dict() for card in self.here.site.cards()]
        self.hub.announce("alder", cards=cards, stewards=stewards(self.here.site.journal))
        for site in SITES[1:]:
            self.hub.announce(site, cards=[self.here._other_card(site).to_dict()])
        self.hub.federation.membership.saw("alder")
        self.intake = Intake(self.here.site, self.hub.federation.hub_key, lambda *_: None)
        self._place = 0

    def hear(self) -> None:
        """The site reads the feed to its end, as it comes over the wire."""
        page: dict[str, Any] = json.loads(json.dumps(self.hub.federation.desk.feed("alder", self._place)))
        for fact in page["facts"]:
            self.intake.take(Fact.from_dict(fact))
        self._place = page["next"]

    def approved(self, plan: Plan) -> str:
        request = self.hub.submitted(plan)
        self.hear()
        review = self.here.reviewing.approve(request, STEWARD, PASSPHRASE)
        self.hub.federation.mirror.review(review, self.hub.federation.membership.site("alder"))
        for site in SITES[1:]:
            assert self.hub.reviewed(request, site).status_code == 200
        self.hub.federation.jobs.tend()
        self.hear()
        return request

    def computed(self, request: str) -> None:
        """The Job that the hub has started, at the site and to its end."""
        record = self.hub.record(request)
        Claims(self.here.site).claim(str(record.job), request, record.plan.digest)
        outcome = {**OUTCOME, "noise_standard_deviation": 7.9}
        assert self.hub.coordinator("POST", f"{record.job}/result", json=outcome).status_code == 200
        self.hear()

    def spent(self) -> float:
        (reading,) = read_budgets(self.here.site, Register(self.here.site).lines())
        return reading.cumulative


def test_the_second_reader_gets_the_numbers_and_the_patients_are_charged_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    first = pair.approved(pair.here.plan("histogram"))
    pair.computed(first)
    assert pair.here.record(first).request.status is Status.RELEASED
    spent = pair.spent()

    second = pair.approved(pair.here.plan("histogram", requester="john", purpose="For my thesis."))
    assert pair.hub.status(second) is Status.RELEASED
    assert pair.here.record(second).request.status is Status.RELEASED
    release = Release.from_dict(pair.hub.person("john", "GET", f"api/requests/{second}/release").json())
    assert release.result == OUTCOME["result"]
    assert pair.here.record(second).last(Verb.REUSE).detail["release_digest"] == release.digest
    ordinary, reading = charges(pair.here.site.journal, "trial")
    assert (ordinary.request, ordinary.reading, reading.request, reading.reading) == (first, False, second, True)
    assert pair.spent() == spent > 0
    assert len(pair.hub.flower.runs) == 1


def test_who_asks_again_is_computed_anew_and_charged_anew(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    for number in (1, 2):
        before = pair.spent()
        request = pair.approved(pair.here.plan("histogram", purpose=f"Number {number}"))
        assert pair.hub.status(request) is Status.RUNNING
        pair.computed(request)
        assert pair.spent() > before
    assert len(charges(pair.here.site.journal, "trial")) == 2
