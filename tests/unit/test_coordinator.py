"""The hub's coordinator over real masks, without Flower: how long it waits, and what it says of the noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from support.builders import KEYS, SITES, plan
from support.code import aggregate, code_plan, per_block, per_patient
from synthema_core.analyses import from_plan
from synthema_core.plan import Plan
from synthema_core.secure_sum import Announcement, Member, Roster, input_digest
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.coordinator import ROUND_SECONDS, Coordinator


@dataclass
class Exchange:
    """Implements what the coordinator uses of SiteExchange: three sites that add the same ring elements, masked."""

    plan: Plan
    each: int = 1
    timeouts: dict[Kind, float] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)

    def ask_all(self, message: JobMessage, expected: Kind, timeout_seconds: float) -> dict[str, JobMessage]:
        self.timeouts[message.kind] = timeout_seconds
        answer = self._open if message.kind is Kind.OPEN else self._round
        return {site: answer(site, message) for site in SITES}

    def tell_all(self, message: JobMessage, timeout_seconds: float) -> None:
        self.timeouts[message.kind] = timeout_seconds

    def _open(self, site: str, message: JobMessage) -> JobMessage:
        member = self.members[site] = Member(site, X25519PrivateKey.generate())
        made = Announcement(site, message.text("job"), message.text("plan_digest"), member.public_key)
        return JobMessage(Kind.ANNOUNCED, {"announcement": made.signed(KEYS[site]).to_dict()})

    def _round(self, site: str, message: JobMessage) -> JobMessage:
        member, index = self.members[site], message.count("round")
        if index == 1:
            member.join(Roster.from_dict(message.body["roster"]))
        ring = np.full(self.plan.layout.length, self.each, dtype=np.uint64)
        masked = member.mask(index, input_digest(message.values()), ring)
        return JobMessage(Kind.MASKED, {"round": index}, masked)


@dataclass
class Service:
    """Implements what the coordinator uses of JobService: writes down what people are told."""

    told: list[str] = field(default_factory=list)

    def report(self, job: str, round_index: int, max_rounds: int, text: str) -> None:
        self.told.append(text)


def run(made: Plan) -> tuple[dict[str, Any], Exchange, Service]:
    exchange, service = Exchange(made), Service()
    coordinator = Coordinator("j1", "r1", made, exchange, service)  # type: ignore[arg-type]
    return coordinator.run(), exchange, service


CODE = {
    "per-patient": code_plan(per_patient(), epsilon=1.0),
    "per-block": code_plan(per_block(), epsilon=1.0),
    "aggregate": code_plan(aggregate()),
}


@pytest.mark.parametrize("made", [*CODE.values(), plan("histogram")], ids=[*CODE, "histogram"])
def test_a_round_is_waited_for_as_long_as_the_plans_answer_takes(made: Plan) -> None:
    answer_seconds = from_plan(made.analysis, made.parameters).answer_seconds
    outcome, exchange, service = run(made)
    assert exchange.timeouts[Kind.ROUND] == answer_seconds + ROUND_SECONDS
    assert outcome["rounds"] == 1
    assert ("the code runs" in service.told[-1]) is (answer_seconds > 0)


@pytest.mark.parametrize("shape", CODE)
def test_the_noise_of_code_differs_by_output_and_is_said_there(shape: str) -> None:
    outcome, _, _ = run(CODE[shape])
    assert outcome["noise_standard_deviation"] is None
    said = {output["name"]: output["noise_standard_deviation"] for output in outcome["result"]["outputs"]}
    if shape == "aggregate":
        assert set(said.values()) == {None}
    else:
        assert said["age"] == pytest.approx(50 * said["flags"])


def test_the_noise_of_a_histogram_is_one_number() -> None:
    outcome, _, _ = run(plan("histogram"))
    assert outcome["noise_standard_deviation"] > 0


def test_the_sum_of_what_three_sites_staged() -> None:
    made = CODE["aggregate"]
    outcome, _, _ = run(made)
    steps = {block.name: 2.0**-block.fractional_bits for block in made.layout.blocks}
    for output in outcome["result"]["outputs"]:
        assert output["values"] == [3 * steps[output["name"]]] * len(output["values"])
