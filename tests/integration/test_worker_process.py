"""The worker process of a Job, as it really runs: one for each of three sites, over pipes, on the sites' own rows."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from support.builders import KEYS, NOW, SITES
from support.code import CODE_POLICY, aggregate, per_patient
from support.hospitals import JOB, Hospital, Running, Trio, children, closing, trio_in
from support.sums import Remembered
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Patients, Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.charging import mechanism_of
from synthema_core.commitment import commitment
from synthema_core.errors import IntegrityFailure, InvalidPlan, Refused, RoundFailed, SynthemaError, Unavailable
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.planning import plan_of as code_plan_of
from synthema_core.secure_sum import Announcement, Member, Roster, add, input_digest
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_datasite.service.records import DatasetRecord

PLANTED, NOTHING = "Leningrad-4711", np.zeros(0)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Trio:
    return trio_in(tmp_path_factory.mktemp("sites"), 45, 50, 55)


def plan_of(trio: Trio, analysis: str = "kaplan-meier", **typed: str) -> Plan:
    usual = {
        "kaplan-meier": {"time": "days", "event": "died", "group": "arm", "step": "100"},
        "cox": {"time": "days", "event": "died", "covariates": "age,arm"},
        "histogram": {"column": "age", "bins": "50"},
    }
    cards = [hospital.site.cards()[0] for hospital in trio.values()]
    return make_plan(analysis, typed or usual[analysis], cards, requester="rosalind", purpose="A test.", now=NOW)


def test_masked_answers_sum_exactly_to_the_contribution_of_the_pooled_patients(trio: Trio) -> None:
    job = Running(trio, plan_of(trio))
    with closing(job.workers):
        masked = job.ask(1, NOTHING)
    expected = job.analysis.contribution(job.pooled(), NOTHING)
    np.testing.assert_array_equal(job.total(masked), job.plan.layout.quantise(expected))
    assert expected.sum() == sum(hospital.record.facts.patients for hospital in trio.values())


def test_every_round_of_a_job_sums_exactly_and_shows_no_site_by_itself(trio: Trio) -> None:
    job = Running(trio, plan_of(trio, "cox"))
    seen: list[dict[str, Ring]] = []

    def ask(round_index: int, values: Floats) -> Sums:
        masked, plain = job.ask(round_index, values), job.plain(values)
        np.testing.assert_array_equal(job.total(masked), add(plain, job.plan.sites, job.plan.layout.length))
        for name in SITES:
            assert not np.any(masked[name] == plain[name]), "a number left its site unmasked"
        seen.append({name: masked[name] - plain[name] for name in SITES})
        return Sums(job.plan.layout.dequantise(job.total(masked)), len(SITES), min_patients=5)

    with closing(job.workers):
        done, rounds = conduct(job.analysis, ask)
    assert done.result["kind"] == "cox"
    assert rounds > 1
    for earlier, later in pairwise(seen):
        for name in SITES:
            assert not np.any(earlier[name] == later[name]), "a mask was used twice"


@pytest.mark.parametrize("analysis", ["kaplan-meier", "histogram"])
def test_too_few_patients_are_refused_in_exact_mode_and_only_there(trio: Trio, tmp_path: Path, analysis: str) -> None:
    """Whether a site has few patients is itself private: a private Plan must not be refused for it."""
    small = {**trio, "alder": Hospital.make(tmp_path, "alder", 4, seed=9)}
    plan = plan_of(small, analysis)
    assert plan.output.min_patients == 5
    worker = small["alder"].worker(plan)
    with closing({"alder": worker}):
        if analysis == "histogram":
            assert worker.announce().site == "alder"
        else:
            with pytest.raises(Refused, match="Too few patients") as told:
                worker.announce()
            assert told.value.rule == "min_patients"
            assert "4" not in str(told.value)


def with_a_word_among_the_days(hospital: Hospital) -> DatasetRecord:
    """A file that holds to its commitment and breaks the engine: its error's text quotes the patient's value."""
    path = Path(f"{hospital.record.path}.broken")
    table = parquet.read_table(hospital.site.state.folder / hospital.record.path)
    days = pa.array([PLANTED, *map(str, table["days"].to_pylist()[1:])])
    parquet.write_table(
        table.set_column(table.schema.get_field_index("days"), "days", days), hospital.site.state.folder / path
    )
    sha256 = hashlib.sha256((hospital.site.state.folder / path).read_bytes()).hexdigest()
    facts = hospital.record.facts
    committed = commitment(hospital.site.state.salt(), sha256, facts.schema.digest)
    return replace(hospital.record, path=path, sha256=sha256, facts=replace(facts, commitment=committed))


def test_an_error_in_the_engine_tells_its_class_and_no_value(trio: Trio, capfd: pytest.CaptureFixture[str]) -> None:
    worker = trio["alder"].worker(plan_of(trio), record=with_a_word_among_the_days(trio["alder"]))
    with closing({"alder": worker}):
        with pytest.raises(SynthemaError, match=r"The engine failed with ValueError\.") as told:
            worker.announce()
        assert PLANTED not in str(told.value)
        assert PLANTED not in repr(vars(told.value))
    assert PLANTED not in "".join(capfd.readouterr()), "nor does the worker print it"


def test_changed_rows_are_refused_when_the_job_opens(trio: Trio) -> None:
    record = replace(trio["alder"].record, sha256="0" * 64)
    worker = trio["alder"].worker(plan_of(trio), record=record)
    with closing({"alder": worker}), pytest.raises(IntegrityFailure, match="changed after they were taken in"):
        worker.announce()


class Opened:
    """Alder's worker with its Job open; the test plays the other sites, which add nothing."""

    def __init__(self, trio: Trio, plan: Plan, job: str = JOB) -> None:
        self.plan, self.worker = plan, trio["alder"].worker(plan, job)
        rounds = from_plan(plan.analysis, plan.parameters).max_rounds
        self.others = {
            name: Member(
                name, job, plan.digest, plan.identities, plan.terms, rounds, Remembered(), secrets.token_bytes(32)
            )
            for name in ("birch", "cedar")
        }
        try:
            keys = {"alder": self.worker.announce()}
        except SynthemaError:
            self.worker.close()
            raise
        keys |= {name: member.announcement() for name, member in self.others.items()}
        announced = [keys[name].signed(hospital.site.state.identity()) for name, hospital in trio.items()]
        self.gathered = Roster.gather(job, plan.digest, announced, plan.identities, plan.terms, rounds)
        self.roster = self.gathered.to_dict()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.close()

    def answer(self, index: int, values: Floats, roster: Any = None) -> Ring:
        return self.worker.answer(index, values, roster or self.roster, None)

    def unmasked(self, values: Floats) -> Ring:
        """What alder adds in the first Round, noise included."""
        masked = {"alder": self.answer(1, values)}
        for name, member in self.others.items():
            member.join(self.gathered.announcements)
            masked[name] = member.mask(1, input_digest(values), np.zeros(self.plan.layout.length, dtype=np.uint64))
        return add(masked, self.plan.sites, self.plan.layout.length)

    def forged(self, site: str, **changes: Any) -> dict[str, Any]:
        """The Roster as the hub would like it: one site's entry changed, and signed by the hub."""
        entries = {entry.site: entry for entry in self.gathered.announcements}
        entries[site] = replace(entries[site], **changes).signed(KEYS["douglas"])
        return {**self.roster, "announcements": [entry.to_dict() for entry in entries.values()]}


def test_private_answers_carry_the_declared_noise_and_differ_from_run_to_run(trio: Trio) -> None:
    plan = plan_of(trio, "histogram")
    analysis = from_plan(plan.analysis, plan.parameters)
    rows = trio["alder"].rows(analysis.columns)
    plain = plan.layout.quantise(analysis.contribution(rows, NOTHING, Patients.one_a_row(rows)))
    with Opened(trio, plan, "j1") as first, Opened(trio, plan, "j2") as second:
        noise = [(job.unmasked(NOTHING) - plain).view(np.int64) for job in (first, second)]
    assert not np.array_equal(*noise)
    mechanism = mechanism_of(plan, analysis)
    assert mechanism is not None
    assert 0.4 < np.concatenate(noise).astype(float).var() / mechanism.sum_variance(1) < 2.2, "of 100 draws"


@pytest.fixture(scope="module")
def waiting(trio: Trio) -> Iterator[Opened]:
    """A Job before its first Round: every refusal leaves it there."""
    with Opened(trio, plan_of(trio, "cox")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("case", "error", "said"),
    [
        ("no roster", IntegrityFailure, "without a roster"),
        ("the hub's key for another site", IntegrityFailure, "signature of kind 'mask-keys'"),
        ("the hub's key for this site", IntegrityFailure, "signature of kind 'mask-keys'"),
        ("another job's key", IntegrityFailure, "for another job"),
        ("a site left out", RoundFailed, "No keys from cedar"),
        ("a site too many", IntegrityFailure, "not over the Plan's sites"),
        ("a site twice", IntegrityFailure, "not over the Plan's sites"),
        ("something else", IntegrityFailure, "cannot be read"),
    ],
)
def test_a_roster_that_is_not_the_plans_is_refused(
    waiting: Opened, case: str, error: type[SynthemaError], said: str
) -> None:
    true = waiting.roster["announcements"]
    douglas = Announcement("douglas", JOB, waiting.plan.digest, ("d0" * 32,)).signed(KEYS["douglas"]).to_dict()
    keys = ("f0" * 32,) * len(waiting.gathered.announcements[0].mask_keys)
    shown = {
        "no roster": None,
        "the hub's key for another site": waiting.forged("birch", mask_keys=keys),
        "the hub's key for this site": waiting.forged("alder", mask_keys=keys),
        "another job's key": waiting.forged("birch", job="j2"),
        "a site left out": {**waiting.roster, "announcements": true[:2]},
        "a site too many": {**waiting.roster, "announcements": [*true, douglas]},
        "a site twice": {**waiting.roster, "announcements": [*true, true[0]]},
        "something else": {"announcements": 3},
    }[case]
    with pytest.raises(error, match=said):
        waiting.worker.answer(1, np.zeros(2), shown, None)


@pytest.mark.parametrize("first", [-1, 0, 1000])
def test_there_are_no_rounds_but_the_plans(trio: Trio, first: int) -> None:
    with Opened(trio, plan_of(trio, "cox"), "j9") as job:
        with pytest.raises(Refused, match="no such round") as told:
            job.answer(first, np.zeros(2))
        assert told.value.rule == "protocol"


def test_a_round_has_one_answer(trio: Trio) -> None:
    """Two could be subtracted. Asked again, also in another process, a site gives the same bytes or none."""
    plan, at_zero, at_half = plan_of(trio, "cox"), np.array([2.0, 0, 0]), np.array([2, 0.5, 0.5])
    with Opened(trio, plan, "j3") as job:
        first = job.answer(1, at_zero)
        np.testing.assert_array_equal(job.answer(1, at_zero), first)
        with pytest.raises(Refused, match="had another input before"):
            job.answer(1, at_half)
        second = job.answer(2, at_half)
        with pytest.raises(Refused, match="is over at this site"):
            job.answer(1, at_zero)
    again = trio["alder"].worker(plan, "j3", again=True)
    with closing({"alder": again}):
        again.announce()
        np.testing.assert_array_equal(again.answer(2, at_half, None, None), second)
        with pytest.raises(Refused, match="had another input before"):
            again.answer(2, at_zero, None, None)


def test_noise_is_drawn_once_a_round(trio: Trio) -> None:
    """Fresh noise for the same masks would show what the noise hides."""
    plan = plan_of(trio, "histogram")
    with Opened(trio, plan, "j4") as job:
        first = job.answer(1, NOTHING)
    again = trio["alder"].worker(plan, "j4", again=True)
    with closing({"alder": again}):
        again.announce()
        np.testing.assert_array_equal(again.answer(1, NOTHING, None, None), first)


def test_a_round_that_was_not_kept_on_the_disk_does_not_leave(trio: Trio) -> None:
    with Opened(trio, plan_of(trio), "j5") as job:
        shutil.rmtree(trio["alder"].site.state.job_folder("j5"))
        with pytest.raises(Unavailable, match="folder cannot be used"):
            job.answer(1, NOTHING)


def test_what_a_job_keeps_is_readable_by_the_site_alone(trio: Trio) -> None:
    with Opened(trio, plan_of(trio), "j6") as job:
        job.answer(1, NOTHING)
        folder = trio["alder"].site.state.job_folder("j6")
        assert {path.name for path in folder.iterdir()} == {"seed", "roster", "masked-1"}
        assert folder.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_an_input_that_the_analysis_does_not_take_is_refused(trio: Trio) -> None:
    with Opened(trio, plan_of(trio), "j7") as job, pytest.raises(Refused, match="takes no input"):
        job.answer(1, np.ones(3))


def test_a_round_before_the_job_is_open_is_refused(trio: Trio) -> None:
    worker = trio["alder"].worker(plan_of(trio))
    with closing({"alder": worker}), pytest.raises(Refused, match="before the job is open"):
        worker.answer(1, NOTHING, None, None)


def test_a_killed_worker_ends_the_round_and_leaves_nothing(trio: Trio) -> None:
    before = children()
    with Opened(trio, plan_of(trio)) as job:
        (process,) = [child for child in children() if child not in before]
        process.kill()
        process.wait()
        for _ in range(2):
            with pytest.raises(RoundFailed, match="ended early"):
                job.answer(1, NOTHING)
    assert children() == before


def test_a_closed_worker_leaves_no_process(trio: Trio) -> None:
    before = children()
    workers = {name: hospital.worker(plan_of(trio)) for name, hospital in trio.items()}
    assert len(children()) == len(before) + 3
    with closing(workers):
        workers["alder"].announce()
    assert children() == before
    workers["alder"].close()  # again: harmless
    with pytest.raises(RoundFailed):
        workers["alder"].announce()


def test_a_workers_environment_and_command_line_hold_no_secret(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHEMA_PASSPHRASE", "hush-hush")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush-hush@127.0.0.1:9")
    before = children()
    with Opened(trio, plan_of(trio)):
        (process,) = [child for child in children() if child not in before]
        assert process.environ().keys() == {"PATH", "OMP_NUM_THREADS"}
        assert process.cmdline()[1:] == ["-I", "-m", "synthema_datasite.worker.main"]


def test_only_parts_of_codes_output_can_be_left_out(trio: Trio) -> None:
    worker = trio["alder"].worker(plan_of(trio, "histogram"), left_out=("age",))
    with closing({"alder": worker}), pytest.raises(InvalidPlan, match="Only outputs of code"):
        worker.announce()


def test_without_a_sandbox_no_code_is_run_whatever_was_claimed(tmp_path: Path) -> None:
    """There is no unsafe one to fall back to."""
    sites = trio_in(tmp_path, 8, 8, 8, policy=CODE_POLICY)
    for question in (per_patient(), aggregate()):
        cards = [hospital.site.cards()[0] for hospital in sites.values()]
        plan = code_plan_of(question, cards, requester="rosalind", purpose="A test.", now=NOW)
        for sandbox in ("", "none"):
            worker = replace(sites["alder"], sandbox=sandbox).worker(plan)
            with closing({"alder": worker}), pytest.raises(Unavailable, match="sandbox"):
                worker.announce() if plan.privacy else worker.run()
