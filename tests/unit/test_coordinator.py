"""The hub's coordinator over real masks, without Flower: whom it waits for, what it sums, what it says of the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from support.builders import KEYS, SITES, plan
from support.code import aggregate, code_plan, per_block, per_patient
from support.sums import Away, InProcessLine, SumSite, nobody, sites_of
from synthema_core.analyses import from_plan
from synthema_core.charging import mechanism_of
from synthema_core.errors import IntegrityFailure, RoundFailed
from synthema_core.plan import Plan
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.coordinator import Coordinator
from synthema_hub.federated.secure_rounds import SecureRounds

FOUR = (*SITES, "douglas")


@dataclass
class Service:
    """Implements what the coordinator uses of JobService: writes down what people are told."""

    told: list[str] = field(default_factory=list)

    def report(self, job: str, round_index: int, max_rounds: int, text: str) -> None:
        self.told.append(text)


def run(made: Plan, away: Away = nobody, each: int = 1) -> tuple[dict[str, Any], InProcessLine, Service]:
    line, service = InProcessLine(sites_of(made, KEYS, each), away), Service()
    coordinator = Coordinator("j1", "r1", made, line.exchange(), service)  # type: ignore[arg-type]
    return coordinator.run(), line, service


def counts(outcome: dict[str, Any], made: Plan) -> list[float]:
    """Of a histogram, in ring steps."""
    bits = made.layout.blocks[0].fractional_bits
    return [cell["count"] * 2**bits for cell in outcome["result"]["cells"]]


CODE = {
    "per-patient": code_plan(per_patient(), epsilon=1.0),
    "per-block": code_plan(per_block(), epsilon=1.0),
    "aggregate": code_plan(aggregate()),
}


@pytest.mark.parametrize("made", [*CODE.values(), plan("histogram")], ids=[*CODE, "histogram"])
def test_a_round_is_waited_for_as_long_as_the_plans_answer_takes(made: Plan) -> None:
    answer_seconds = from_plan(made.analysis, made.parameters).answer_seconds

    def late(site: str, message: JobMessage) -> str:
        return "silent" if message.kind is Kind.ROUND and line.now < answer_seconds + 30 else ""

    line = InProcessLine(sites_of(made, KEYS), late)
    outcome = Coordinator("j1", "r1", made, line.exchange(), Service()).run()  # type: ignore[arg-type]
    assert outcome["rounds"] == 1
    assert line.now < answer_seconds + 40


def test_code_is_said_to_run_until_its_moment() -> None:
    for shape, made in CODE.items():
        _, _, service = run(made)
        assert ("the code runs" in service.told[-1]) is (shape != "aggregate")


@pytest.mark.parametrize("shape", CODE)
def test_the_noise_of_code_differs_by_output_and_is_said_there(shape: str) -> None:
    outcome, _, _ = run(CODE[shape])
    assert outcome["noise_standard_deviation"] is None
    said = {output["name"]: output["noise_standard_deviation"] for output in outcome["result"]["outputs"]}
    if shape == "aggregate":
        assert set(said.values()) == {None}
    else:
        assert said["age"] == pytest.approx(50 * said["flags"])


def test_the_sum_of_what_three_sites_staged() -> None:
    made = CODE["aggregate"]
    outcome, _, _ = run(made)
    steps = {block.name: 2.0**-block.fractional_bits for block in made.layout.blocks}
    for output in outcome["result"]["outputs"]:
        assert output["values"] == [3 * steps[output["name"]]] * len(output["values"])


def test_where_nobody_may_be_missing_a_round_is_one_exchange() -> None:
    """Three sites, or exact sums: nothing is dealt and nothing is ever revealed."""
    for made in (plan("histogram"), plan("kaplan-meier", sites=FOUR)):
        _, line, _ = run(made)
        assert line.kinds("alder") == [Kind.OPEN, Kind.ROUND]


def test_with_four_sites_a_noisy_round_is_two_exchanges_and_dealing_comes_once() -> None:
    made = plan("histogram", sites=FOUR)
    outcome, line, _ = run(made, each=7)
    assert line.kinds("alder") == [Kind.OPEN, Kind.ROSTER, Kind.ROUND, Kind.UNMASK]
    assert set(counts(outcome, made)) == {4 * 7}
    assert outcome["missing"] == {}


def missing(victim: str, *kinds: Kind, how: str = "silent") -> Away:
    return lambda site, message: how if site == victim and message.kind in kinds else ""


@pytest.mark.parametrize("how", ["silent", "unreached"])
@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.ROSTER, Kind.ROUND, Kind.UNMASK])
def test_a_site_may_vanish_in_any_phase(kind: Kind, how: str) -> None:
    made = plan("histogram", sites=FOUR)
    outcome, line, _ = run(made, missing("birch", kind, how=how), each=7)
    in_sum = 4 if kind is Kind.UNMASK else 3
    assert set(counts(outcome, made)) == {in_sum * 7}
    assert list(outcome["missing"]) == ([] if in_sum == 4 else ["birch"])
    mechanism = mechanism_of(made, from_plan(made.analysis, made.parameters))
    assert outcome["noise_standard_deviation"] == pytest.approx(deviation(made, in_sum, mechanism))
    assert Kind.CERTIFIED in line.kinds("alder") if kind is Kind.ROUND else True


def deviation(made: Plan, sites: int, mechanism: Any) -> float:
    """Of a count over so many sites: each adds its part of the noise."""
    steps = 2.0 ** made.layout.blocks[0].fractional_bits
    return math.sqrt(sites / made.terms.contributors) * mechanism.standard_deviation / steps


@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.ROSTER, Kind.ROUND, Kind.UNMASK, Kind.CERTIFIED])
def test_with_too_few_sites_the_job_says_in_which_phase_it_ended(kind: Kind) -> None:
    made = plan("histogram", sites=FOUR)

    def away(site: str, message: JobMessage) -> str:
        if kind is Kind.CERTIFIED and site == "birch" and message.kind is Kind.ROUND:
            return "silent"
        return "silent" if site in ("alder", "birch") and message.kind is kind else ""

    with pytest.raises(RoundFailed, match="Too few sites took part in") as told:
        run(made, away)
    phases = {Kind.OPEN: "the opening", Kind.ROSTER: "the dealing of shares", Kind.ROUND: "round 1"}
    assert phases.get(kind, "unmasking round 1") in told.value.message
    assert "alder" in told.value.message


def test_an_exact_job_names_the_site_that_is_missing() -> None:
    made = plan("kaplan-meier", sites=FOUR)
    with pytest.raises(RoundFailed, match=r"nothing was revealed: 'birch' could not be reached\."):
        run(made, missing("birch", Kind.ROUND, how="unreached"))


def test_a_refusal_names_its_rule_and_where_nobody_may_be_missing_it_is_not_waited_for() -> None:
    made = plan("kaplan-meier")
    line = InProcessLine(sites_of(made, KEYS))
    line.sites[2].memory["roster"] = b"{}"  # as if it had another one
    with pytest.raises(RoundFailed, match="'birch' refused by its rule 'integrity'"):
        Coordinator("j1", "r1", made, line.exchange(), Service()).run()  # type: ignore[arg-type]
    assert line.now < 2


def test_a_site_that_comes_back_takes_part_in_the_next_round() -> None:
    """Its process is another one: what it needs is in its memory."""
    made = plan("histogram", sites=FOUR)
    line = InProcessLine(sites_of(made, KEYS, 7), missing("birch", Kind.ROUND))
    rounds = rounds_of(made, line)
    first = rounds.sum(1, np.zeros(0))
    assert first.sites == ("alder", "cedar", "douglas")
    site(line, "birch").restart()
    line.away = nobody
    began = line.now
    second = rounds.sum(2, np.ones(2))
    assert second.sites == FOUR
    assert set(second.total.tolist()) == {4 * 7}
    assert line.now - began < 2


def test_a_site_that_stays_away_costs_later_rounds_little_time() -> None:
    made = plan("histogram", sites=FOUR)
    line = InProcessLine(sites_of(made, KEYS), missing("birch", Kind.ROUND))
    rounds = rounds_of(made, line)
    rounds.sum(1, np.zeros(0))
    began = line.now
    assert len(rounds.sum(2, np.zeros(0)).sites) == 3
    assert line.now - began < 5


def test_a_silent_site_is_asked_again_and_a_restarted_one_gives_the_same_answer() -> None:
    made = plan("kaplan-meier")
    line = InProcessLine(sites_of(made, KEYS, 3), missing("birch", Kind.ROUND))
    rounds = rounds_of(made, line)
    line.away = lambda name, message: missing("birch", Kind.ROUND)(name, message) if line.now < 40 else ""
    assert set(rounds.sum(1, np.zeros(0)).total.tolist()) == {9}
    assert line.kinds("birch").count(Kind.ROUND) > 1


def test_what_a_site_says_that_does_not_hold_ends_the_job() -> None:
    made = plan("histogram", sites=FOUR)
    line = InProcessLine(sites_of(made, KEYS))
    site(line, "birch").identity = KEYS["alder"]  # signs as somebody else
    with pytest.raises(IntegrityFailure, match="A signature of kind 'mask-keys' does not hold"):
        rounds_of(made, line)


def _shares_for_one_too_few(body: dict[str, Any]) -> None:
    body["sealed"].pop("cedar")


def _shares_of_one_too_few(body: dict[str, Any]) -> None:
    body["shares"]["seeds"].pop("cedar")


def _shares_of_the_keys_of_who_is_there(body: dict[str, Any]) -> None:
    """Both secrets of one site would show what it added."""
    body["shares"]["keys"]["cedar"] = next(iter(body["shares"]["keys"].values()))


def _signature_over_something_else(body: dict[str, Any]) -> None:
    body["signature"] = KEYS["birch"].sign(b"other survivors").hex()


@pytest.mark.parametrize(
    ("kind", "spoil", "away"),
    [
        (Kind.ROSTER, _shares_for_one_too_few, ""),
        (Kind.UNMASK, _shares_of_one_too_few, ""),
        (Kind.UNMASK, _signature_over_something_else, "douglas"),
        (Kind.CERTIFIED, _shares_of_the_keys_of_who_is_there, "douglas"),
    ],
)
def test_a_step_of_a_site_that_does_not_hold_ends_the_job_and_names_it(kind: Kind, spoil: Any, away: str) -> None:
    made = plan("histogram", sites=FOUR)
    line = InProcessLine(sites_of(made, KEYS), missing(away, Kind.ROUND))
    birch = site(line, "birch")
    honest = birch.answer

    def answer(message: JobMessage) -> JobMessage:
        reply = honest(message)
        if message.kind is kind:
            spoil(reply.body)
        return reply

    birch.answer = answer  # type: ignore[method-assign]
    with pytest.raises(RoundFailed, match="What 'birch' answered does not hold"):
        Coordinator("j1", "r1", made, line.exchange(), Service()).run()  # type: ignore[arg-type]


def test_a_site_that_is_back_is_waited_for_like_the_others_again() -> None:
    made = plan("histogram", sites=FOUR)
    line = InProcessLine(sites_of(made, KEYS), missing("birch", Kind.ROUND))
    rounds = rounds_of(made, line)
    rounds.sum(1, np.zeros(0))
    line.away = nobody
    rounds.sum(2, np.zeros(0))
    slow_until = line.now + 6
    line.away = lambda name, message: "silent" if name == "birch" and line.now < slow_until else ""
    assert rounds.sum(3, np.zeros(0)).sites == FOUR


def test_of_a_site_that_is_missing_again_the_first_reason_is_told() -> None:
    made = plan("histogram", sites=FOUR)
    line = InProcessLine(sites_of(made, KEYS), missing("birch", Kind.ROUND, how="unreached"))
    rounds = rounds_of(made, line)
    rounds.sum(1, np.zeros(0))
    line.away = missing("birch", Kind.ROUND)
    rounds.sum(2, np.zeros(0))
    assert rounds.missing["birch"].endswith("(round 1)")


def test_what_answers_have_cost_so_far_is_told_by_the_sites() -> None:
    made = plan("histogram", sites=FOUR)
    line = InProcessLine(sites_of(made, KEYS))
    site(line, "birch").spent = 1.25
    outcome = Coordinator("j1", "r1", made, line.exchange(), Service()).run()  # type: ignore[arg-type]
    assert outcome["cumulative"] == {"birch": 1.25}


def site(line: InProcessLine, name: str) -> SumSite:
    return line.sites[line.nodes[name]]


def rounds_of(made: Plan, line: InProcessLine) -> Any:
    """Opened, for up to three Rounds."""
    for one in line.sites.values():
        one.rounds = 3
        one.restart()
    rounds = SecureRounds("j1", "r1", made, 3, 0.0, line.exchange())
    rounds.open()
    return rounds
