"""Charges a second at one site, by one process and by eight; and what drawing noise takes."""

from __future__ import annotations

import csv
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

import yaml

from bench.federation import SCHEMA
from bench.figures import Figure
from synthema_core.cli.processes import run_verb
from synthema_core.errors import IntegrityFailure
from synthema_core.ledger import Charge
from synthema_core.privacy.mechanisms import DistributedGaussian
from synthema_core.privacy.sampler import sample
from synthema_datasite.service.allowance import reserve
from synthema_datasite.service.records import charges
from synthema_datasite.service.site import Site
from synthema_datasite.state import SiteState

_DATASET = str(SCHEMA["name"])
_CROWD, _CHARGES = 8, 1600
_TARGET = 300.0
_POLICY = f"""\
[datasets.{_DATASET}]
min_patients = 5
epsilon_per_researcher = 100.0
epsilon_per_purpose = 100.0

[datasets.{_DATASET}.budget]
epsilon = 100.0
delta = 1e-6
"""
_PATIENTS = 50
_VALUES, _DEVIATION, _TIMES = 1_000_000, 2.0**18, 3
_SPAWN = multiprocessing.get_context("spawn")


def reservations(folder: Path) -> list[Figure]:
    """Of one site with an empty Journal, each for another question; every one is counted afterwards."""
    return [_rate(folder / str(processes), processes) for processes in (1, _CROWD)]


def _rate(folder: Path, processes: int) -> Figure:
    state = _new_site(folder)
    barrier, each = _SPAWN.Barrier(processes + 1), _CHARGES // processes
    crowd = [_SPAWN.Process(target=_reserve, args=(state, number, each, barrier)) for number in range(processes)]
    for process in crowd:
        process.start()
    barrier.wait()
    began = time.perf_counter()
    for process in crowd:
        process.join()
    rate = _CHARGES / (time.perf_counter() - began)
    journal = Site.open(SiteState(state)).journal
    if len(charges(journal, _DATASET)) != _CHARGES:
        raise IntegrityFailure("Not every charge is in the ledger.")
    journal.verify()
    who = "one process" if processes == 1 else f"{processes} processes together"
    return Figure(f"reservations by {who}", rate, "/s", _TARGET, f"{_CHARGES:,} charges, each on disk before the next")


def _new_site(folder: Path) -> Path:
    """A site with a table, made by its verbs."""
    folder.mkdir(parents=True)
    state, policy = folder / "site", folder / "policy.toml"
    schema, table = folder / f"{_DATASET}.yaml", folder / f"{_DATASET}.csv"
    policy.write_text(_POLICY)
    schema.write_text(yaml.safe_dump(SCHEMA))
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "age", "died"])
        rows.writerows([f"p{number}", 20 + number, number % 2] for number in range(_PATIENTS))
    run_verb("datasite", "init", "alder", "--title", "Alder", "--policy", str(policy), "--state", str(state))
    run_verb("datasite", "ingest", str(table), "--name", _DATASET, "--schema", str(schema), "--state", str(state))
    return state


def _reserve(state: Path, number: int, count: int, barrier: Barrier) -> None:
    """One process of that site, from the moment at which all are ready."""
    site = Site.open(SiteState(state))
    mine = [_charge(site, f"{number}-{each}", 1e4 + number + each / count) for each in range(count)]
    barrier.wait()
    for charge in mine:
        with site.journal.writing() as journal:
            reserve(site, journal, charge)


def _charge(site: Site, name: str, deviation: float) -> Charge:
    mechanism = DistributedGaussian(deviation, 1.0, 2, 10)
    about = {"requester": f"researcher {name}", "purpose": f"Question {name}"}
    return Charge(site.now(), f"r{name}", f"j{name}", "0" * 64, _DATASET, mechanism, **about)


def noise() -> list[Figure]:
    """A million draws on one core, as wide as those of a count."""
    own = _seconds(lambda: sample(_DEVIATION, _VALUES), _TIMES)
    opendp = _seconds(_by_opendp, 1)
    name, remark = f"noise for {_VALUES:,} numbers", f"discrete Gaussian of deviation {_DEVIATION:g} steps"
    return [
        Figure(f"{name}, our sampler", own, "s", None, f"{remark}; {opendp / own:.0f} times as fast as the other"),
        Figure(f"{name}, OpenDP's sampler", opendp, "s", None, remark),
    ]


def _by_opendp() -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    dp.m.make_gaussian(*space, scale=_DEVIATION)([0] * _VALUES)


def _seconds(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return median(taken)
