"""Code at a site, from rows to the Contribution: at one moment, whatever the code does, and nothing told of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from support.builders import KEYS
from support.code import (
    OUTPUTS,
    SUMMED,
    FakeTime,
    InMemory,
    ScriptedSandbox,
    aggregate,
    code_plan,
    ended,
    per_block,
    per_patient,
    returned,
    table,
)
from support.sums import ContributorSite, InProcessLine, Remembered, SumSite, summed_with
from synthema_core.analyses.base import Rows
from synthema_core.code.combine import block_of, bounded, summed
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.questions import PerBlock, PerPatient
from synthema_core.code.references import selected
from synthema_core.errors import IntegrityFailure, NotFound, Refused, Unavailable
from synthema_core.sandbox.port import End, Limits, Outcome
from synthema_core.secure_sum.layout import Floats
from synthema_core.wire import Kind
from synthema_datasite.worker.contributions import OfCode, OfStaged
from synthema_datasite.worker.contributor import Contributor
from synthema_hub.federated.secure_rounds import SecureRounds

PLANTED = "Leningrad-4711"
NOTHING = np.zeros(0)
NOBODY: NDArray[np.uint64] = np.zeros(4, dtype=np.uint64)
KEY = b"the site's"
PLAIN = {"age": np.array(25.0), "flags": np.array([1.0, 0.0, 0.0])}


class Answered:
    """One Round of code over a table: what it gave, and how and when it could leave."""

    def __init__(self, sandbox: ScriptedSandbox, question: PerPatient | PerBlock, store: InMemory) -> None:
        self.time = sandbox.time
        self.began = self.time.now
        contribution = OfCode(question, store, "id", KEY, sandbox.open, self.time.clock, self.time.sleep)
        self.values: Floats = contribution.values(NOTHING)
        self.error: Refused | None = None
        try:
            contribution.wait()
        except Refused as error:
            self.error = error
        self.seconds = self.time.now - self.began


def answered(
    function: Callable[[Rows], Any],
    *,
    ages: Any = (20.0, 30.0, 40.0),
    question: PerPatient | PerBlock | None = None,
    store: InMemory | None = None,
    **sandbox: Any,
) -> Answered:
    asked = per_patient() if question is None else question
    return Answered(ScriptedSandbox(function, **sandbox), asked, store or InMemory(table(ages)))


def plain(_: Rows) -> Outcome:
    return returned(PLAIN)


def test_every_patient_adds_one_bounded_vector() -> None:
    ages = (20.0, 30.0, 40.0)
    one = answered(lambda rows: {"age": np.array(rows["age"][0]), "flags": np.zeros(3)}, ages=ages)
    vectors = [np.array([age, 0.0, 0.0, 0.0]) for age in ages]
    assert one.error is None
    assert one.values.tolist() == summed(vectors, OUTPUTS, 1.0).tolist() != [0.0] * 4


def test_the_code_is_given_one_patients_rows_without_who_they_are() -> None:
    ids = ["p1", "p2", "p1"]
    sandbox = ScriptedSandbox(plain)
    store = InMemory(table((20.0, 30.0, 40.0), ids))
    Answered(sandbox, per_patient(cpu_seconds=0.3), store)
    assert sorted(rows["age"].tolist() for rows in sandbox.evaluated) == [[20.0, 40.0], [30.0]]
    assert {tuple(rows) for rows in sandbox.evaluated} == {("age", "died")}
    assert store.asked == [("id", "age", "died")], "no column that the Plan does not name is read"
    assert sandbox.limits == [Limits(cpu_seconds=0.3)] * 2
    assert sandbox.closed == 1


def test_a_blocks_code_is_given_the_blocks_rows() -> None:
    sandbox = ScriptedSandbox(plain)
    Answered(sandbox, per_block(capacity=3), InMemory(table(range(12))))
    expected = [[n for n in range(12) if block_of(f"p{n}", 3, KEY) == block] for block in range(3)]
    assert sorted(rows["age"].tolist() for rows in sandbox.evaluated) == sorted(expected)
    assert {tuple(rows) for rows in sandbox.evaluated} == {("age", "died")}


def fails(rows: Rows) -> Any:
    raise ValueError(f"{PLANTED} is {rows['age'][0]}")


#: What code may do in an evaluation, and what counts for it then.
BEHAVIOURS: dict[str, tuple[Callable[[Rows], Any], Floats | None]] = {
    "returns": (plain, np.array([25.0, 1.0, 0.0, 0.0])),
    "returns huge values": (
        lambda _: {"age": np.array(1e300), "flags": np.full(3, -1e300)},
        np.array([1e300, -1e300, -1e300, -1e300]),
    ),
    "raises": (fails, None),
    "takes too long": (lambda _: ended(End.TIMEOUT, PLANTED), None),
    "takes too much memory": (lambda _: ended(End.MEMORY, PLANTED), None),
    "is killed": (lambda _: ended(End.KILLED, PLANTED), None),
    "returns no numbers": (lambda _: ended(End.BAD_OUTPUT, PLANTED), None),
    "returns nothing": (lambda _: returned(None, PLANTED), None),
    "returns NaN": (lambda _: {"age": np.array(math.nan), "flags": np.zeros(3)}, None),
    "returns infinity": (lambda _: {"age": np.array(math.inf), "flags": np.zeros(3)}, None),
    "returns another shape": (lambda _: {"age": np.array(1.0), "flags": np.zeros(4)}, None),
    "returns another name": (lambda _: {"age": np.array(1.0), "flags": np.zeros(3), PLANTED: np.zeros(1)}, None),
    "returns text": (lambda _: {"age": np.array(PLANTED), "flags": np.zeros(3)}, None),
    "prints": (lambda _: returned(PLAIN, PLANTED * 1000), np.array([25.0, 1.0, 0.0, 0.0])),
}


@pytest.mark.parametrize("make", [per_patient, per_block], ids=["per-patient", "per-block"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_whatever_code_does_the_answer_leaves_at_one_moment(
    behaviour: str, make: Callable[..., PerPatient | PerBlock], capfd: pytest.CaptureFixture[str]
) -> None:
    function, counts = BEHAVIOURS[behaviour]
    question = make()
    for seconds in (0.0, 0.05):
        one = answered(function, question=question, seconds=lambda _, s=seconds: s)
        evaluations = 3 if make is per_patient else 8
        assert one.error is None
        assert one.seconds == pytest.approx(question.answer_seconds, abs=1e-9)
        assert one.values.tolist() == summed([counts] * evaluations, OUTPUTS, 1.0).tolist()
    assert "".join(capfd.readouterr()) == "", "and nothing is said of it, not even here"


@pytest.mark.parametrize("behaviour", [name for name in BEHAVIOURS if name != "returns"])
def test_what_code_does_with_one_patient_changes_nothing_for_the_others(behaviour: str) -> None:
    hostile, counts = BEHAVIOURS[behaviour]
    one = answered(lambda rows: hostile(rows) if rows["age"][0] == 30.0 else PLAIN)
    others = OUTPUTS.flatten(PLAIN)
    assert one.values.tolist() == summed([others, counts, others], OUTPUTS, 1.0).tolist()
    defaults = answered(lambda rows: ended(End.RAISED) if rows["age"][0] == 30.0 else PLAIN).values
    if counts is None:
        assert one.values.tolist() == defaults.tolist(), "one failure is like another"


def test_an_answer_that_would_be_late_is_none() -> None:
    question = per_patient()
    one = answered(plain, question=question, seconds=lambda _: question.answer_seconds)
    assert one.error is not None
    assert one.error.rule == "answer-time"
    assert one.time.slept == [0.0]
    just = answered(plain, question=question, seconds=lambda _: question.answer_seconds / 3 - 1e-6)
    assert just.error is None


def test_evaluations_end_when_nobody_waits_any_more() -> None:
    question = per_patient()
    sandbox = ScriptedSandbox(plain, seconds=lambda _: question.answer_seconds)
    Answered(sandbox, question, InMemory(table(range(50))))
    assert len(sandbox.evaluated) <= 3
    assert sandbox.closed == 1


def too_many() -> InMemory:
    return InMemory(table(range(61)))


BREAKS: dict[str, dict[str, Any]] = {
    "the sandbox does not open": {"breaks": Unavailable(f"No sandbox for {PLANTED}."), "breaks_at": -1},
    "the sandbox breaks at the first": {"breaks": Unavailable("The sandbox broke."), "breaks_at": 0},
    "the sandbox breaks at the last": {"breaks": Unavailable("The sandbox broke."), "breaks_at": 2},
    "an error of the system": {"breaks": OSError(5, f"{PLANTED}"), "breaks_at": 1},
    "memory": {"breaks": MemoryError(), "breaks_at": 1},
    "a broken frame": {"breaks": ValueError(f"{PLANTED}"), "breaks_at": 1},
    "a key": {"breaks": KeyError(f"{PLANTED}"), "breaks_at": 1},
    "the rows were changed": {"store": InMemory({}, IntegrityFailure("The rows were changed."))},
    "the rows are gone": {"store": InMemory({}, NotFound("The rows are gone."))},
    "the rows cannot be read": {"store": InMemory({}, RuntimeError(PLANTED))},
    "there are more patients than there is time for": {"store": too_many()},
    "it is late": {"seconds": lambda _: 1e6},
}


@pytest.mark.parametrize(
    ("make", "how"),
    [(per_patient, how) for how in BREAKS]
    + [(per_block, how) for how in BREAKS if not how.startswith("there are more")],
)
def test_whatever_breaks_beside_the_code_is_told_as_one_error_at_one_moment(
    make: Callable[..., PerPatient | PerBlock], how: str
) -> None:
    question = make()
    one = answered(plain, question=question, **BREAKS[how])
    error = one.error
    assert error is not None
    said = "This site had no answer at the moment that the Plan fixes."
    assert (error.message, error.hint, error.rule) == (said, "", "answer-time")
    if how != "it is late":
        assert one.seconds == pytest.approx(question.answer_seconds, abs=1e-9)
    assert not one.values.any()


@pytest.mark.parametrize("how", BREAKS)
def test_what_broke_is_logged_by_its_sentence_or_its_kind(how: str, capfd: pytest.CaptureFixture[str]) -> None:
    answered(plain, **BREAKS[how])
    logged = "".join(capfd.readouterr())
    assert logged.startswith("Code was not evaluated: ")
    ours = isinstance(BREAKS[how].get("breaks"), Unavailable)
    assert ours or PLANTED not in logged


def test_as_many_patients_as_there_is_time_for_are_evaluated() -> None:
    one = answered(plain, store=InMemory(table(range(60))))
    assert one.error is None
    sandbox = ScriptedSandbox(plain)
    Answered(sandbox, per_patient(), too_many())
    assert sandbox.evaluated == [], "and not one more"


def test_of_no_patients_there_is_an_answer_too() -> None:
    one = answered(plain, ages=())
    assert one.error is None
    assert one.values.tolist() == [0.0] * 4
    assert one.seconds == pytest.approx(per_patient().answer_seconds, abs=1e-9)


def test_the_clock_starts_before_the_rows_are_read() -> None:
    """Reading takes longer where there are more rows."""
    time = FakeTime()

    class Slow(InMemory):
        def load(self, columns: Any) -> Rows:
            time.now += 2.0
            return super().load(columns)

    one = Answered(ScriptedSandbox(plain, time), per_patient(), Slow(table((20.0,))))
    assert one.error is None
    assert one.seconds == pytest.approx(per_patient().answer_seconds, abs=1e-9)


def test_failures_count_for_the_defaults_and_not_for_nothing() -> None:
    everybody_fails = answered(fails, ages=tuple(range(10))).values
    defaults = bounded(None, OUTPUTS, 1.0).astype(float) * 10
    assert np.ldexp(everybody_fails, 20).tolist() == defaults.tolist()
    assert everybody_fails[0] == 5.0, "fifty of a hundred, ten times"


def test_staged_numbers_are_summed_as_they_are() -> None:
    values: NDArray[np.float64] = np.arange(float(SUMMED.length))
    staged = OfStaged(aggregate(), values)
    assert staged.values(NOTHING) is values
    staged.wait()


# What a site leaves out


MANY = Outputs((Output("n", (4000,), 1000.0), Output("years", (4,), 1e6)))


class Job:
    """Alder's part in a sum of an aggregate, with two others who add nothing."""

    def __init__(self, left_out: NDArray[np.bool_] | None) -> None:
        self.question = aggregate(outputs=MANY)
        plan = code_plan(self.question)
        values = np.concatenate([np.full(4000, 7.0), [1.5, 2.5, 3.5, -4.5]])
        audited = Contributor(
            "j1", "alder", plan, self.question, OfStaged(self.question, values), Remembered(), left_out
        )
        self.ring = summed_with(audited, plan, {})
        self.exact = plan.layout.quantise(values)


def uniform(values: NDArray[np.uint64]) -> float:
    """How probable such counts of the bytes at the top, in the middle and at the bottom are in uniform elements."""
    return min(
        float(chisquare(np.bincount((values >> np.uint64(shift)) & np.uint64(255), minlength=256)).pvalue)
        for shift in (56, 32, 0)
    )


def test_what_a_site_leaves_out_is_random_in_the_ring_and_all_else_is_exact() -> None:
    hidden = selected(["n", "years[1]"], MANY)
    first, second = Job(hidden), Job(hidden)
    for job in (first, second):
        assert job.ring[~hidden].tolist() == job.exact[~hidden].tolist()
        assert not np.any(job.ring[hidden] == job.exact[hidden])
        assert uniform(job.ring[:4000]) > 1e-9
    assert not np.any(first.ring[hidden] == second.ring[hidden])
    assert uniform(first.ring[:4000] - second.ring[:4000]) > 1e-9, "nor is their difference anything but random"


def test_that_is_told_from_what_only_looks_random() -> None:
    dice = np.random.default_rng(1)
    assert uniform(dice.integers(0, 2**63, 4000, dtype=np.uint64)) < 1e-9, "half of the ring"
    assert uniform(dice.integers(0, 2**32, 4000, dtype=np.uint64)) < 1e-9
    assert uniform(np.zeros(4000, dtype=np.uint64)) < 1e-9


def test_who_leaves_nothing_out_adds_exactly_what_was_staged() -> None:
    for left_out in (None, selected([], MANY)):
        job = Job(left_out)
        assert job.ring.tolist() == job.exact.tolist()


def test_what_is_left_out_of_a_private_answer_is_random_beyond_its_noise() -> None:
    """Noise alone would tell of it within a few deviations."""
    question = per_patient()
    plan = code_plan(question)
    time, sandbox = FakeTime(), ScriptedSandbox(plain)
    code = OfCode(question, InMemory(table((20.0,))), "id", KEY, sandbox.open, time.clock, time.sleep)
    audited = Contributor("j1", "alder", plan, question, code, Remembered(), selected(["flags"], OUTPUTS))
    let_out = summed_with(audited, plan, {})
    flags = let_out[1:].view(np.int64)
    assert abs(int(let_out[:1].view(np.int64)[0])) < 2**40
    assert np.all(np.abs(flags) > 2**40)


def test_nothing_leaves_before_its_moment() -> None:
    """The masked Contribution is made, and then the site waits."""
    question = per_patient()
    time, sandbox = FakeTime(), ScriptedSandbox(fails, seconds=lambda _: 0.03)
    code = OfCode(question, InMemory(table((20.0, 30.0))), "id", KEY, sandbox.open, time.clock, time.sleep)
    began, made = time.now, code_plan(question)
    summed_with(Contributor("j1", "alder", made, question, code, Remembered()), made, {})
    assert time.now - began == pytest.approx(question.answer_seconds, abs=1e-9)


def test_what_could_not_be_evaluated_leaves_not_at_all() -> None:
    question = per_patient()
    time, sandbox = FakeTime(), ScriptedSandbox(plain, breaks=Unavailable("The sandbox broke twice."))
    code = OfCode(question, InMemory(table((20.0,))), "id", KEY, sandbox.open, time.clock, time.sleep)
    made = code_plan(question)
    with pytest.raises(Refused, match="no answer at the moment") as refused:
        summed_with(Contributor("j1", "alder", made, question, code, Remembered()), made, {})
    assert refused.value.rule == "answer-time"


class Processes:
    """Those of alder in one Job, one after the other, with one memory; and the Round's message to them."""

    def __init__(self) -> None:
        self.time, self.plan = FakeTime(), code_plan(per_patient())
        self._memory = Remembered()
        self.first = self.started()
        sites = [self.first, *(SumSite(self.plan, name, KEYS[name], NOBODY) for name in self.plan.sites[1:])]
        line = InProcessLine(sites)
        rounds = SecureRounds("j1", "r1", self.plan, 1, per_patient().answer_seconds, line.exchange())
        rounds.open()
        rounds.sum(1, NOTHING)
        self.round = next(sent for site, sent in line.sent if site == "alder" and sent.kind is Kind.ROUND)

    def started(self) -> ContributorSite:
        question, sandbox = per_patient(), ScriptedSandbox(plain, self.time)
        store = InMemory(table((20.0,)))
        code = OfCode(question, store, "id", KEY, sandbox.open, self.time.clock, self.time.sleep)
        contributor = Contributor("j1", "alder", self.plan, question, code, self._memory)
        return ContributorSite(contributor, "alder", KEYS["alder"])


def test_asked_again_the_same_numbers_leave_and_nobody_waits_twice() -> None:
    alder = Processes()
    now = alder.time.now
    answers = [alder.first.answer(alder.round).ring().tolist() for _ in range(2)]
    assert answers[0] == answers[1]
    assert alder.time.now == now


def test_what_a_process_that_was_killed_began_never_leaves() -> None:
    """Its moment is not known to the next one, and any other moment may tell how long the code took."""
    alder = Processes()
    with pytest.raises(Refused, match="no answer at the moment") as refused:
        alder.started().answer(alder.round)
    assert refused.value.rule == "answer-time"
