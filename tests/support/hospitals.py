"""Three hospitals with rows of their own and real worker processes, and a Job on them as the hub conducts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from support.builders import NOW, SITES, Ticking, at
from support.site import POLICY, write_patients, write_schema
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Patients, Rows
from synthema_core.plan import Plan
from synthema_core.secure_sum import Roster, add
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_datasite.ingest import ingest
from synthema_datasite.service.claims import Claim
from synthema_datasite.service.records import DatasetRecord, dataset_records
from synthema_datasite.service.site import Site
from synthema_datasite.state import SiteState
from synthema_datasite.store.job_folder import forget
from synthema_datasite.store.parquet import ParquetRows
from synthema_datasite.worker.process import WorkerProcess

JOB = "j1"


@dataclass(frozen=True)
class Hospital:
    """One site's state with its rows taken in.

    Parameters
    ----------
    sandbox
        The backend in which its workers run code.
    """

    site: Site
    record: DatasetRecord
    sandbox: str = ""

    @classmethod
    def make(
        cls, folder: Path, name: str, patients: int, seed: int, *, policy: str = POLICY, sandbox: str = ""
    ) -> Hospital:
        state = SiteState.initialise(folder / name, name, name.title(), policy)
        site = Site.open(state, Ticking(NOW))
        table = write_patients(folder / f"{name}.csv", patients, seed)
        ingest(state, site.journal, table, "trial", write_schema(folder), "engineer", at())
        return cls(site, dataset_records(site.journal)["trial"], sandbox)

    def worker(
        self, plan: Plan, job: str = JOB, record: DatasetRecord | None = None, *, again: bool = False, **more: Any
    ) -> WorkerProcess:
        """The process that a served datasite starts for that claim; `more` are parts of the claim.

        Parameters
        ----------
        again
            Whether it goes on with a Job that another process had begun.
        """
        claim = Claim(job, "r1", plan, record or self.record, **more)
        state = self.site.state
        rows, folder = state.folder / claim.dataset.path, state.job_folder(job)
        if not again:
            forget(folder)
        return WorkerProcess(claim, self.site.name, rows, state.salt(), folder, self.sandbox)

    def rows(self, columns: tuple[str, ...]) -> Rows:
        path, facts = self.site.state.folder / self.record.path, self.record.facts
        salt = self.site.state.salt()
        return ParquetRows(path, facts.schema, self.record.sha256, facts.commitment, salt).load(columns)


Trio = dict[str, Hospital]


def trio_in(folder: Path, *patients: int, policy: str = POLICY, sandbox: str = "") -> Trio:
    """The three sites with so many patients each."""
    return {
        name: Hospital.make(folder, name, count, seed, policy=policy, sandbox=sandbox)
        for seed, (name, count) in enumerate(zip(SITES, patients, strict=True), start=1)
    }


@contextmanager
def closing(workers: Mapping[str, WorkerProcess]) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers.values():
            worker.close()


class Running:
    """A Job on all three sites' workers, conducted as the hub does it.

    Parameters
    ----------
    claims
        Parts of a site's claim, by site.
    """

    def __init__(
        self, trio: Trio, plan: Plan, job: str = JOB, claims: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.plan, self.analysis = plan, from_plan(plan.analysis, plan.parameters)
        parts = claims or {}
        self.workers = {name: hospital.worker(plan, job, **parts.get(name, {})) for name, hospital in trio.items()}
        self.rows = {name: hospital.rows(self.analysis.columns) for name, hospital in trio.items()}
        try:
            announced = [
                worker.announce().signed(trio[name].site.state.identity()) for name, worker in self.workers.items()
            ]
        except BaseException:
            for worker in self.workers.values():
                worker.close()
            raise
        rounds = self.analysis.max_rounds
        self.roster = Roster.gather(job, plan.digest, announced, plan.identities, plan.terms, rounds)

    def ask(self, round_index: int, values: Floats) -> dict[str, Ring]:
        """All sites at the same time, as the hub asks them."""
        roster = self.roster.to_dict() if round_index == 1 else None
        with ThreadPoolExecutor() as asking:
            workers = self.workers.values()
            answers = [asking.submit(worker.answer, round_index, values, roster, None) for worker in workers]
            return {name: answer.result() for name, answer in zip(self.workers, answers, strict=True)}

    def total(self, masked: dict[str, Ring]) -> Ring:
        return add(masked, self.plan.sites, self.plan.layout.length)

    def plain(self, values: Floats) -> dict[str, Ring]:
        """What each site adds, as nobody but itself may know it."""
        return {
            name: self.plan.layout.quantise(self.analysis.contribution(rows, values, Patients.one_a_row(rows)))
            for name, rows in self.rows.items()
        }

    def pooled(self) -> Rows:
        """The rows of all sites, as nobody may ever see them."""
        return {name: np.concatenate([rows[name] for rows in self.rows.values()]) for name in self.analysis.columns}


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
