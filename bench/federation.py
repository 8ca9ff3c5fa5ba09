"""Our side of the comparison: a hub and datasites, made by the real verbs, and Jobs that its stewards approve."""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bench.figures import Rounds
from synthema_core.cli.hub_login import token_by_login_form
from synthema_core.cli.local_federation import RESEARCHER, LocalFederation, Ports
from synthema_core.cli.processes import run_verb
from synthema_core.errors import RoundFailed
from synthema_core.planning import make_plan, select_cards
from synthema_kernel.client import FederationClient

SITES = ("alder", "birch", "cedar")
_DATASET = "bench"
_PATIENTS = 50
SCHEMA = {
    "name": _DATASET,
    "title": "Invented patients, to measure with",
    "patient_id": "id",
    "fields": [
        {"name": "id", "type": "identifier"},
        {"name": "age", "type": "integer", "title": "Age", "unit": "years", "minimum": 0, "maximum": 100},
        {"name": "died", "type": "boolean", "title": "Died"},
    ],
}
#: The probe returns far more numbers than an analysis of so few patients ever may.
_POLICY = f"""\
[datasets.{_DATASET}]
min_patients = 5
exact = true
max_numbers_per_patient = 1000000.0
epsilon_per_researcher = 100.0
epsilon_per_purpose = 100.0

[datasets.{_DATASET}.budget]
epsilon = 100.0
delta = 1e-6
"""
_TOLERANCE = 1e-6
_DEVIATIONS = 8.0
_RECEIVE_SECONDS = "30"


def ages(site: str) -> list[int]:
    """Of the invented patients of a site; always the same."""
    dice = random.Random(site)
    return [dice.randint(18, 95) for _ in range(_PATIENTS)]


def write_tables(folder: Path, sites: Sequence[str]) -> None:
    """What the sites take in, as `LocalFederation` asks for it."""
    folder.mkdir(parents=True)
    (folder / "policy.toml").write_text(_POLICY)
    (folder / f"{_DATASET}.yaml").write_text(yaml.safe_dump(SCHEMA))
    for site in sites:
        (folder / site).mkdir()
        (folder / site / "about.json").write_text(json.dumps({"title": site.title()}))
        with (folder / site / f"{_DATASET}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["id", "age", "died"])
            table.writerows([f"{site}-{number}", age, number % 2] for number, age in enumerate(ages(site)))


def new_federation(folder: Path) -> LocalFederation:
    """Not started yet; says nothing."""
    return LocalFederation(folder, Ports.free(), lambda _: None, write_tables)


@dataclass(frozen=True, slots=True)
class Question:
    """What a probe is asked; see `bench/probe`.

    Parameters
    ----------
    noisy
        Whether the sum is one that carries noise, and may go without some sites.
    without
        What is left out of the Rounds, in turn: "nothing", "noise" or "masks".
    attempt
        The same question is answered once.
    """

    floats: int
    rounds: int
    sites: tuple[str, ...] = SITES
    noisy: bool = False
    without: tuple[str, ...] = ("nothing",)
    attempt: int = 1

    @property
    def analysis(self) -> str:
        return "noisy-round-probe" if self.noisy else "round-probe"

    @property
    def options(self) -> dict[str, str]:
        numbers = {"floats": str(self.floats), "rounds": str(self.rounds), "attempt": str(self.attempt)}
        return {**numbers, "without": ",".join(self.without)}


class Jobs:
    """Runs probes in a federation that serves."""

    def __init__(self, federation: LocalFederation) -> None:
        self._federation = federation
        researcher = next(person for person in federation.people if person.name == RESEARCHER)
        token = token_by_login_form(federation.url, researcher.name, researcher.password)
        self._client = FederationClient(f"{federation.url}/services/federation", token)

    def close(self) -> None:
        self._client.close()

    def measure(self, question: Question) -> Rounds:
        """Plan, submit, have every steward approve, run; the Rounds of the probe, its result checked.

        Raises
        ------
        RoundFailed
            If the Job fails, or its numbers are not those of the sites' patients.
        """
        request = self._submit(question)
        with ThreadPoolExecutor(len(question.sites)) as pool:
            list(pool.map(lambda site: self._approve(site, request), question.sites))
        approved = time.monotonic()
        view = [*self._client.events(request)][-1]
        released = time.monotonic()
        if view["status"] != "released":
            raise RoundFailed(f"The job of {question.floats:,} floats ended as '{view['status']}': {view['failure']}.")
        result = self._client.release(request).result
        _check(result, question)
        seconds: Any = result["seconds"]
        used: Any = result["processor_seconds"]
        return Rounds(question.floats, tuple(seconds), released - approved, processor_seconds=tuple(used))

    def _submit(self, question: Question) -> str:
        plan = make_plan(
            question.analysis,
            question.options,
            select_cards(self._client.cards(), _DATASET, question.sites),
            requester=self._client.me(),
            purpose="To measure how long a round takes",
            now=datetime.now(UTC),
        )
        return str(self._client.submit(plan, f"probe-{question.floats}")["id"])

    def _approve(self, site: str, request: str) -> None:
        """As the site's steward does, once the Request has come."""
        state = ("--state", str(self._federation.site_state(site)))
        owner = next(person for person in self._federation.people if person.site == site)
        by = ("--steward", owner.name, "--passphrase-file", str(self._federation.passphrase_file(owner)))
        run_verb("datasite", "review", "list", "--wait", _RECEIVE_SECONDS, *state)
        run_verb("datasite", "review", "approve", request, *by, *state)


def _check(result: Any, question: Question) -> None:
    """Whether the released numbers are those that the sites' rows add up to."""
    floats, rounds, sites = question.floats, question.rounds, question.sites
    means = [sum(ages(site)) / _PATIENTS for site in sites]
    last = rounds * sum(means) / len(means)
    expected = {"first": last / floats, "last": last, "mean": last * (floats + 1) / (2 * floats)}
    error = _TOLERANCE + _DEVIATIONS * rounds * (result["noise_standard_deviation"] or 0.0)
    for name, value in expected.items():
        if abs(result[name] - value) > error:
            raise RoundFailed(f"The {name} of {floats:,} numbers is {result[name]}, and {value} was expected.")
