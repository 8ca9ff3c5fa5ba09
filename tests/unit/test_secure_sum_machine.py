"""A whole Job, in which anything may go wrong but the hub's honesty: whenever enough sites answer, the sum is exact."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, ClassVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from support.protocol import HonestHub, Killed, Site, noisy, plain_sum, secret
from support.spoils import Heard, Spoils
from synthema_core.errors import RoundFailed, SynthemaError
from synthema_core.secure_sum import Moment, Reveal
from synthema_core.secure_sum.layout import Ring

LENGTH, ROUNDS = 3, 4
ANY = st.integers(0, 2**16)


def noise(site: str, index: int, seen: str) -> Ring:
    """Other numbers at every call: a Contribution that was made twice would show."""
    return np.frombuffer(os.urandom(8 * LENGTH), dtype="<u8").copy()


class Job(RuleBasedStateMachine):
    """Sites vanish and come back, are killed while they write and start again from their memory; answers get lost;
    messages come twice, late, out of order, cut short, or to the wrong site.
    """

    reached: ClassVar[Counter[str]] = Counter()

    @initialize(count=st.integers(3, 8), min_sites=st.integers(3, 5), who=st.randoms(use_true_random=False))
    def begins(self, count: int, min_sites: int, who: Any) -> None:
        self.terms = noisy(count, min(min_sites, count))
        self.sites = {name: Site(name, self.terms, noise, rounds=ROUNDS) for name in self.terms.sites}
        self.insiders = who.sample(self.terms.sites, who.randint(0, self.terms.most_insiders))
        self.hub = HonestHub(self.terms, ROUNDS, LENGTH, self.ask)
        self.away, self.deaf, self.stumbled = set[str](), set[str](), set[str]()
        self.misled = set[str]()  # by a message that was cut short, and understood
        self.messages: list[tuple[str, str, tuple[Any, ...]]] = []
        self.answers: dict[tuple[str, str, str], bytes] = {}
        self.given: dict[tuple[str, int], Reveal] = {}
        self.heard: dict[tuple[str, int], Heard] = {}
        self.phase, self.index, self.seen = "new", 0, ""
        self.masked: dict[str, Ring] = {}
        self.agreed: Any = {}
        self.answered = set[str]()

    # Messages

    def ask(self, name: str, verb: str, arguments: tuple[Any, ...]) -> Any:
        """As the hub sends it: it gets an answer or None."""
        self.messages.append((name, verb, arguments))
        if name in self.away:
            return None
        well = name not in self.stumbled | self.misled and self.sites[name].memory.lives is None
        answer = self.deliver(name, verb, arguments, refusal=not well)
        if name in self.deaf:
            self.deaf.discard(name)
            return None
        if answer is not None:
            self.answered.add(name)
        return answer

    def deliver(self, name: str, verb: str, arguments: tuple[Any, ...], *, refusal: bool = True) -> Any:
        """Nothing but an error of ours may come out; and from a site that is well, in order, not even that."""
        site = self.sites[name]
        try:
            answer = getattr(site, verb)(*arguments)
        except Killed:
            self.reached["killed"] += 1
            self.stumbled.add(name)
            self.start(site)
            return None
        except SynthemaError as error:
            assert refusal, f"{name} refused {verb}: {error}"
            self.reached["refused"] += 1
            return None
        self.note(site, verb, arguments, answer)
        return answer

    def note(self, site: Site, verb: str, arguments: tuple[Any, ...], answer: Any) -> None:
        """One question has one answer; of one site never both kinds of shares in a Round."""
        if verb in ("begin", "announce"):
            return
        about = "" if verb == "join" else str(arguments[0])  # a Job's shares; a Round's masked input, set and shares
        spoken = answer.tobytes() if isinstance(answer, np.ndarray) else repr(answer).encode()
        assert self.answers.setdefault((site.name, verb, about), spoken) == spoken, "two answers to one question"
        if isinstance(answer, Reveal):
            before = self.given.setdefault((site.name, arguments[0]), answer)
            assert before == answer and not set(answer.seeds) & set(answer.keys)
        if verb == "mask":
            session = site.member._session
            assert session is not None
            moment = Moment(session.digest, *arguments)
            self.heard[site.name, arguments[0]] = Heard(site.name, session, moment, answer)

    # What goes wrong

    def one(self, number: int) -> str:
        return self.terms.sites[number % len(self.terms.sites)]

    @rule(number=ANY)
    def vanishes(self, number: int) -> None:
        self.away.add(self.one(number))

    @rule(number=ANY)
    def comes_back(self, number: int) -> None:
        if self.away:
            self.away.discard(sorted(self.away)[number % len(self.away)])

    @rule(number=ANY)
    def restarts(self, number: int) -> None:
        self.start(self.sites[self.one(number)])

    @staticmethod
    def start(site: Site) -> None:
        try:
            site.restart()
        except Killed:  # taking up what it knows, it writes it again
            site.restart()

    @rule(number=ANY, lives=st.integers(0, 2), written=st.booleans())
    def is_killed_at_its_next_writes(self, number: int, lives: int, written: bool) -> None:
        memory = self.sites[self.one(number)].memory
        memory.lives, memory.written_last = lives, written

    @rule(number=ANY)
    def has_its_next_answer_lost(self, number: int) -> None:
        self.deaf.add(self.one(number))

    def message(self, number: int) -> tuple[str, str, tuple[Any, ...]]:
        return self.messages[number % len(self.messages)]

    @precondition(lambda self: self.messages)
    @rule(number=ANY)
    def gets_a_message_again_or_late(self, number: int) -> None:
        self.deliver(*self.message(number))

    @precondition(lambda self: self.messages)
    @rule(number=ANY, who=ANY)
    def gets_anothers_message(self, number: int, who: int) -> None:
        _, verb, arguments = self.message(number)
        if verb in ("begin", "choose", "reveal"):
            self.deliver(self.one(who), verb, arguments)

    @precondition(lambda self: self.messages)
    @rule(number=ANY, place=ANY)
    def gets_a_message_that_was_cut_short(self, number: int, place: int) -> None:
        name, verb, arguments = self.message(number)
        if verb in ("join", "choose"):
            *first, last = arguments
            if self.deliver(name, verb, (*first, list(last)[:-1])) is not None:
                self.misled.add(name)
        if verb in ("begin", "reveal") and arguments[1]:
            cut = sorted(arguments[1])[place % len(arguments[1])]
            self.deliver(name, verb, (arguments[0], {**arguments[1], cut: arguments[1][cut][:-1]}))

    # What the hub does

    @rule()
    def the_hub_goes_on(self) -> None:
        self.stumbled.clear()
        self.answered.clear()
        steps = {"new": self.opens, "open": self.masks, "masked": self.agrees, "agreed": self.sums}
        if self.phase in steps:
            steps[self.phase]()

    @rule()
    def the_hub_goes_on_too(self) -> None:
        """Twice as often as each thing that goes wrong."""
        self.the_hub_goes_on()

    def opens(self) -> None:
        try:
            self.hub.open()
            self.phase = "open"
        except SynthemaError:
            self.phase = "over"

    def masks(self) -> None:
        if self.index == ROUNDS:
            self.phase = "over"
            return
        self.index += 1
        self.seen = secret("input", str(self.index)).hex()
        try:
            self.masked = self.hub.masked(self.index, self.seen)
            self.phase = "masked"
        except RoundFailed:
            self.reached["too few masked"] += 1

    def agrees(self) -> None:
        if not self.terms.recovers:
            self.phase = "agreed"
            return
        try:
            self.agreed = self.hub.agreed(self.index, self.masked)
            self.phase = "agreed"
        except RoundFailed:
            self.reached["too few agreed"] += 1
            assert len(self.answered) < self.terms.threshold
            self.phase = "open"

    def sums(self) -> None:
        self.phase = "open"
        try:
            total = self.hub.sum(self.index, self.seen, self.masked, self.agreed)
        except RoundFailed:
            self.reached["too few revealed"] += 1
            assert len(self.answered) < self.terms.threshold
            return
        about = self.index, self.seen
        assert total.tolist() == plain_sum(self.sites[name].contributed[about] for name in self.masked)
        assert len(self.masked) >= self.terms.least
        self.reached["sum of all" if len(self.masked) == len(self.terms.sites) else "sum without some"] += 1

    def teardown(self) -> None:
        """Whatever went wrong, hub and insiders know nothing over fewer than m - c honest sites."""
        if not hasattr(self, "terms"):
            return
        spoils = Spoils.of(self.sites, self.insiders, self_masked=self.terms.recovers)
        spoils.heard = [heard for (name, _), heard in self.heard.items() if name not in self.insiders]
        for (name, index), reveal in self.given.items():
            spoils.see(name, index, reveal)
        for index in range(1, self.index + 1):
            for learnt in spoils.learnt(index):
                seen = next(heard.moment.seen for (_, round_index), heard in self.heard.items() if round_index == index)
                assert len(learnt.sites) >= self.terms.least - self.terms.most_insiders
                truth = plain_sum(self.sites[name].contributed[index, seen] for name in learnt.sites)
                assert learnt.is_sum and learnt.value.tolist() == truth


def test_a_job_in_which_everything_may_go_wrong_but_the_hubs_honesty() -> None:
    Job.reached.clear()
    run_state_machine_as_test(Job, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))
    for what in ("sum of all", "sum without some", "killed", "refused", "too few masked"):
        assert Job.reached[what], f"never reached: {what}"
