"""Code in the real sandbox, by real workers, on rows of three sites: what is summed is what the pooled code gives."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacks.hostile_jobs import JOBS
from support.code import CODE_POLICY, FakeTime, InMemory, aggregate, code, code_plan, per_block, per_patient
from support.hospitals import Running, Trio, children, closing, trio_in
from synthema_core.analyses.base import Rows
from synthema_core.charging import mechanism_of
from synthema_core.code.combine import FRACTIONAL_BITS, by_block, summed
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.questions import CodeQuestion
from synthema_core.commitment import block_key
from synthema_core.errors import IntegrityFailure, NotFound, Refused, RoundFailed, Unavailable
from synthema_core.plan import Plan
from synthema_core.planning import plan_of
from synthema_core.sandbox.choose import choose_backend
from synthema_core.sandbox.port import Backend
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.service.claims import StagedFile
from synthema_datasite.store.paths import output_path
from synthema_datasite.store.staged import write_output
from synthema_datasite.worker.code_run import run_code
from synthema_datasite.worker.contributions import OfCode

NOTHING, PLANTED = np.zeros(0), "Leningrad-4711"
PATIENTS = (8, 9, 10)
SECONDS = 0.25
"""For an evaluation of milliseconds: three sites and other tests share this machine."""


@pytest.fixture(scope="module")
def backend() -> Backend:
    try:
        return choose_backend()
    except Unavailable as error:
        if os.environ.get("SYNTHEMA_STRICT"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Trio:
    return trio_in(tmp_path_factory.mktemp("sites"), *PATIENTS, policy=CODE_POLICY, sandbox=backend.name)


def plan_for(trio: Trio, question: CodeQuestion, **cost: float) -> Plan:
    cards = [hospital.site.cards()[0] for hospital in trio.values()]
    return plan_of(question, cards, requester="rosalind", purpose="A test.", now=trio["alder"].site.clock(), **cost)


def cost() -> dict[str, float]:
    """As little noise as a Plan may have."""
    return {"epsilon": 100.0, "delta": 0.0099}


# With noise

OUTPUTS = Outputs((Output("age", (), 100.0, default=50.0), Output("flags", (2,), 1.0)))
PER_PATIENT = """
from helper import dead

def patient(rows):
    return {"age": float(rows["age"].mean()), "flags": [dead(rows), float((rows["arm"] == "a").any())]}
"""
HELPER = """
def dead(rows):
    return float(rows["died"].max())
"""
PER_BLOCK = """
def block(rows):
    if len(rows) == 0:
        raise ValueError("no patients")
    return {"age": float(rows["age"].mean()), "flags": [float(rows["died"].mean()), len(rows) / 100]}
"""
COLUMNS = ("age", "died", "arm")


def of_patient(rows: Rows) -> Floats:
    return np.array([rows["age"].mean(), rows["died"].max(), float((rows["arm"] == "a").any())])


def of_block(rows: Rows) -> Floats | None:
    if not len(rows["age"]):
        return None
    return np.array([rows["age"].mean(), rows["died"].mean(), len(rows["age"]) / 100])


def within_noise(trio: Trio, question: Any, expected: Floats) -> None:
    """The sum of a real Job is `expected` and no more than its noise."""
    plan = plan_for(trio, question, **cost())
    job = Running(trio, plan)
    with closing(job.workers):
        ring = job.total(job.ask(1, NOTHING))
    noise = np.ldexp(ring.view(np.int64).astype(np.float64), -FRACTIONAL_BITS) - expected
    mechanism = mechanism_of(plan, question)
    assert mechanism is not None
    deviation = math.sqrt(mechanism.sum_variance(3)) * 2.0**-FRACTIONAL_BITS
    assert np.all(np.abs(noise) < 6 * deviation)
    assert noise.any(), "and not without it"
    assert 6 * deviation < expected[0], "else anything would do"


def test_code_for_each_patient_sums_to_what_it_makes_of_all_patients(trio: Trio) -> None:
    question = per_patient(
        code=code(PER_PATIENT, helper=HELPER),
        outputs=OUTPUTS,
        columns_read=COLUMNS,
        cpu_seconds=SECONDS,
        clip=math.sqrt(3),
        capacity=max(PATIENTS),
    )
    rows = {name: hospital.rows(COLUMNS) for name, hospital in trio.items()}
    pooled = {column: np.concatenate([rows[name][column] for name in rows]) for column in COLUMNS}
    each = [of_patient({name: values[place : place + 1] for name, values in pooled.items()}) for place in range(27)]
    within_noise(trio, question, summed(each, OUTPUTS, question.clip))


def test_code_for_each_block_sums_to_what_it_makes_of_the_blocks(trio: Trio) -> None:
    """An empty block fails, and counts for the default."""
    question = per_block(
        code=code(PER_BLOCK), outputs=OUTPUTS, columns_read=COLUMNS, cpu_seconds=1.0, clip=math.sqrt(3), capacity=6
    )
    vectors = []
    for hospital in trio.values():
        rows, key = hospital.rows(("id", *COLUMNS)), block_key(hospital.site.state.salt())
        vectors += [of_block(block) for block in by_block(rows, rows["id"], 6, key)]
    within_noise(trio, question, summed(vectors, OUTPUTS, question.clip))


FAILING = """
def patient(rows):
    print("Leningrad-4711", rows["age"])
    raise ValueError("Leningrad-4711")
"""


def test_code_that_fails_answers_like_any_other_and_says_nothing(trio: Trio, capfd: pytest.CaptureFixture[str]) -> None:
    question = per_patient(
        code=code(FAILING), outputs=OUTPUTS, columns_read=COLUMNS, cpu_seconds=SECONDS, clip=math.sqrt(3), capacity=10
    )
    within_noise(trio, question, summed([None] * sum(PATIENTS), OUTPUTS, question.clip))
    assert PLANTED not in "".join(capfd.readouterr())


@pytest.mark.slow  # the same with a clock of its own is in test_code_contributions
def test_more_patients_than_there_is_time_for_have_no_answer(trio: Trio) -> None:
    question = per_patient(
        code=code(PER_PATIENT, helper=HELPER),
        outputs=OUTPUTS,
        columns_read=COLUMNS,
        cpu_seconds=SECONDS,
        capacity=max(PATIENTS) - 1,
    )
    job = Running(trio, plan_for(trio, question))
    with closing(job.workers), pytest.raises(Refused) as refused:
        job.workers["cedar"].answer(1, NOTHING, job.roster.to_dict(), None)
    assert refused.value.rule == "answer-time"


# With a release decision

SUMMED = Outputs((Output("deaths", (2,), 1000.0, Content.COUNTS), Output("years", (), 1e6)))
AGGREGATE = """
import numpy as np

def aggregate(rows):
    print("seen", len(rows), "Leningrad-4711")
    arms = [int(((rows["arm"] == arm) & (rows["died"] == 1)).sum()) for arm in ("a", "b")]
    return {"deaths": np.array(arms), "years": float(rows["age"].sum())}
"""


def of_all(rows: Rows) -> Floats:
    arms = [float(((rows["arm"] == arm) & (rows["died"] == 1)).sum()) for arm in ("a", "b")]
    return np.array([*arms, rows["age"].sum()])


def question_of(source: str = AGGREGATE, seconds: float = 5.0, outputs: Outputs = SUMMED) -> Any:
    return aggregate(code=code(source), outputs=outputs, columns_read=COLUMNS, cpu_seconds=seconds)


def run(trio: Trio, plan: Plan, site: str = "alder") -> tuple[Floats | None, dict[str, Any]]:
    worker = trio[site].worker(plan, numbers_per_patient=50.0)
    with closing({site: worker}):
        return worker.run()


@pytest.fixture(scope="module")
def staged(trio: Trio, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StagedFile]:
    """What the code puts out at each site, put away."""
    plan, folder, files = plan_for(trio, question_of()), tmp_path_factory.mktemp("staged"), {}
    for name, hospital in trio.items():
        values, report = run(trio, plan, name)
        assert values is not None
        assert values.tolist() == of_all(hospital.rows(COLUMNS)).tolist()
        assert (report["end"], report["left_out_each"]) == ("returned", True)
        assert report["log"].startswith(f"seen {len(hospital.rows(COLUMNS)['age'])} {PLANTED}")
        files[name] = StagedFile(output_path(folder / name), write_output(folder / name, values, SUMMED), "")
    return files


def test_staged_outputs_sum_exactly_to_what_the_code_makes_of_all_patients(
    trio: Trio, staged: dict[str, StagedFile]
) -> None:
    job = Running(trio, plan_for(trio, question_of()), claims={name: {"staged": file} for name, file in staged.items()})
    with closing(job.workers):
        masked = job.ask(1, NOTHING)
    expected = job.plan.layout.quantise(of_all(job.pooled()))
    assert np.all(np.abs((job.total(masked) - expected).view(np.int64)) <= 3), "a last bit of each site"
    assert job.total(masked)[:2].tolist() == expected[:2].tolist()
    for name, file in staged.items():
        assert not np.any(masked[name] == job.plan.layout.quantise(of_all(job.rows[name]))), f"{name} {file} is masked"


def test_what_one_site_leaves_out_is_random_in_the_sum_and_the_rest_is_exact(
    trio: Trio, staged: dict[str, StagedFile]
) -> None:
    plan, sums = plan_for(trio, question_of()), []
    for number in range(2):
        claims: dict[str, dict[str, Any]] = {name: {"staged": file} for name, file in staged.items()}
        claims["birch"]["left_out"] = ("deaths[1]", "years")
        job = Running(trio, plan, f"j{number}", claims)
        with closing(job.workers):
            sums.append(job.total(job.ask(1, NOTHING)))
    expected = plan.layout.quantise(of_all(job.pooled()))
    assert [total[0] for total in sums] == [expected[0]] * 2
    assert not np.any(sums[0][1:] == sums[1][1:])
    assert not np.any(sums[0][1:] == expected[1:])


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "error"), [(spoil, IntegrityFailure), (Path.unlink, NotFound)], ids=["edited", "missing"]
)
def test_a_staged_output_that_was_changed_is_not_summed(
    trio: Trio, tmp_path: Path, change: Callable[[Path], None], error: type[Exception]
) -> None:
    file = StagedFile(output_path(tmp_path), write_output(tmp_path, np.array([1.0, 2.0, 3.0]), SUMMED), "")
    change(file.path)
    worker = trio["alder"].worker(plan_for(trio, question_of()), staged=file)
    with closing({"alder": worker}), pytest.raises(error):
        worker.announce()


def test_a_sum_without_anything_staged_is_refused(trio: Trio) -> None:
    worker = trio["alder"].worker(plan_for(trio, question_of()))
    with closing({"alder": worker}), pytest.raises(IntegrityFailure, match="Nothing was staged"):
        worker.announce()


ENDS = {
    "raises": ("raise ValueError(f'Leningrad-4711 {rows.age.iloc[0]}')", "raised"),
    "exits": ("raise SystemExit(0)", "raised"),
    "takes too long": ("while True: pass", "timeout"),
    "sleeps": ("import time; time.sleep(60)", "raised"),
    "takes too much memory": ("return {'deaths': [0, 0], 'years': float(len(bytearray(1 << 36)))}", "memory"),
    "returns too little": ("return {'years': 1.0}", "bad output"),
    "returns too much": ("return {'deaths': [1, 2], 'years': 1.0, 'Leningrad': 1.0}", "bad output"),
    "returns beyond its bound": ("return {'deaths': [1, 2], 'years': 1e7}", "bad output"),
    "returns text": ("return {'deaths': [1, 2], 'years': 'Leningrad-4711'}", "bad output"),
    "returns no counts": ("return {'deaths': [1.5, 2], 'years': 1.0}", "bad output"),
}


@pytest.mark.parametrize("how", ENDS)
def test_code_that_fails_puts_nothing_out_and_how_it_failed_is_reported(
    trio: Trio, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    does, end = ENDS[how]
    plan = plan_for(trio, question_of(f"def aggregate(rows):\n    {does}\n", seconds=0.5))
    values, report = run(trio, plan)
    assert values is None
    assert report["end"] == end
    assert (PLANTED in report["log"]) == (how == "raises"), "for stewards"
    assert PLANTED not in "".join(capfd.readouterr())


def test_too_few_patients_are_refused_before_anything_runs(trio: Trio, tmp_path: Path) -> None:
    small = trio_in(tmp_path, 4, 8, 8, policy=CODE_POLICY, sandbox=trio["alder"].sandbox)
    with pytest.raises(Refused) as refused:
        run(small, plan_for(small, question_of()))
    assert refused.value.rule == "min_patients"


def test_a_run_that_is_killed_ends_and_leaves_nothing(trio: Trio) -> None:
    before = children()
    plan = plan_for(trio, question_of("def aggregate(rows):\n    while True: pass\n", seconds=60.0))
    worker = trio["alder"].worker(plan)
    killer = threading.Timer(3.0, worker.kill)
    killer.start()
    with closing({"alder": worker}), pytest.raises(RoundFailed, match="ended early"):
        worker.run()
    killer.join()
    assert children() == before


def test_other_code_is_not_run_for_its_output(trio: Trio) -> None:
    worker = trio["alder"].worker(plan_for(trio, per_patient(columns_read=COLUMNS)))
    with closing({"alder": worker}), pytest.raises(RoundFailed, match="release decision"):
        worker.run()


# Hostile jobs that vetting finds nothing in

PASSING = {job.name: job for job in JOBS if job.passes_static}
UNSEEN = {"passes_low_bits", "passes_difference"}
"""Those of which the checks notice nothing: a steward must understand the code, or not release it."""
KEY = b"a site's secret"


def hospital_rows(patients: int = 40) -> Rows:
    """Of the table that the hostile jobs are about. One patient is 7, one 37, one was followed for very long."""
    dice = np.random.default_rng(3)
    ages = dice.integers(8, 61, patients).astype(np.float64)
    ages[ages == 37] = 38
    ages[:2] = 7.0, 37.0
    days = np.round(dice.uniform(30, 1500, patients))
    days[0] = 2990.0
    return {
        "patient": np.array([f"p{number}" for number in range(patients)], dtype=object),
        "t2": days,
        "d3": dice.integers(0, 2, patients).astype(np.float64),
        "z1": ages,
        "group": np.array([str(number % 3 + 1) for number in range(patients)], dtype=object),
    }


@pytest.mark.parametrize("name", [name for name, job in PASSING.items() if job.stopped_by == "guarantee"])
def test_a_hostile_job_with_a_guarantee_tells_of_nobody(backend: Backend, name: str) -> None:
    """Without each of the patients it is about, its sum changes by no more than its noise is made for."""
    job, rows = PASSING[name], hospital_rows()
    make = per_patient if job.shape == "per-patient" else per_block
    question = make(
        code=job.code,
        outputs=job.declared,
        columns_read=job.columns,
        cpu_seconds=SECONDS,
        clip=math.sqrt(job.declared.length),
        capacity=40 if job.shape == "per-patient" else 5,
    )

    def answered(where: Any) -> Floats:
        time = FakeTime()
        store = InMemory({column: values[where] for column, values in rows.items()})
        code = OfCode(
            question,
            store,
            "patient",
            KEY,
            lambda: backend.open(question.code, question.outputs),
            time.clock,
            time.sleep,
        )
        values, began = code.values(NOTHING), time.now
        code.wait()
        assert time.now - began == pytest.approx(question.answer_seconds)
        return question.layout.quantise(values).view(np.int64).astype(np.float64)

    everybody = np.arange(40)
    whole = answered(everybody)
    for who in (0, 1, 39):
        assert np.linalg.norm(answered(np.delete(everybody, who)) - whole) <= question.sensitivity * (1 + 1e-12)


@pytest.mark.parametrize("name", [name for name, job in PASSING.items() if job.stopped_by != "guarantee"])
def test_a_hostile_job_without_one_is_stopped_by_the_gate_or_shown_to_the_steward(backend: Backend, name: str) -> None:
    job, rows = PASSING[name], hospital_rows()
    question = aggregate(code=job.code, outputs=job.declared, columns_read=job.columns, cpu_seconds=5.0)
    made = run_code(
        question,
        code_plan(aggregate()),
        InMemory(rows),
        "patient",
        lambda: backend.open(question.code, question.outputs),
        12.0,
    )
    if made.values is None:
        assert made.report["end"] == "bad output", f"the gate, not {made.report}"
        return
    if name in UNSEEN:
        return
    found: Any = made.report["findings"]
    said = [(finding["severity"], finding["kind"], finding["output"]) for finding in found]
    assert any(severity == "serious" for severity, _, _ in said), said


def test_each_hostile_job_is_stopped_by_something() -> None:
    assert {job.stopped_by for job in PASSING.values()} == {"guarantee", "gate", "release decision"}
    assert {PASSING[name].stopped_by for name in UNSEEN} == {"release decision"}
